#include "due_timers.hpp"

#include <algorithm>
#include <tuple>

namespace troupe {

namespace {

/// Messages that a split moves beside what fires (one or two milliseconds of a commit), and when what fires
/// must wait for it.
constexpr std::uint32_t split_beside = 2048;
constexpr std::uint32_t split_first = 8192;
/// Of those, so many at a time.
constexpr int splits_at_once = 4;
/// Rows of a coarse bucket that fires as it is.
constexpr std::size_t small_bucket = 1024;
/// A look goes on to the next bucket until it has so many entries.
constexpr std::size_t most_fires = 128;

template <std::size_t N> bool begins_with(std::span<const char> key, const fixed_bytes<N>& prefix) {
  return key.size() >= N && std::ranges::equal(key.first(N), prefix);
}

} // namespace

bool due_timers::exists(const timer_bucket& bucket) const {
  const auto prefix = key_of(bucket);
  lmdb_cursor rows(txn_, tables_.timers);
  return rows.seek(prefix) && begins_with(rows.key(), prefix);
}

bool due_timers::small_and_over(const timer_bucket& bucket) const {
  if (bucket.end() > now_)
    return false;
  const auto prefix = key_of(bucket);
  lmdb_cursor rows(txn_, tables_.timers);
  std::size_t n = 0;
  for (bool more = rows.seek(prefix); more && begins_with(rows.key(), prefix); more = rows.next())
    if (++n > small_bucket)
      return false;
  return true;
}

void due_timers::split_ahead() {
  for (auto level : {timer_level::days, timer_level::minutes}) {
    const auto bucket = bucket_at(level, now_ + split_lead(level));
    if (bucket.start > now_ && exists(bucket))
      work_.splits.push_back({bucket, split_beside});
  }
}

timer_work due_timers::find() && {
  split_ahead();
  lmdb_cursor rows(txn_, tables_.timers);
  for (bool more = rows.first(); more && left_ > 0 && work_.fires.size() < most_fires;) {
    const auto bucket = to_timer_row(rows.key()).row.bucket;
    const bool finest = bucket.level == timer_level::seconds;
    std::optional<timestamp> later;
    if (finest || small_and_over(bucket)) {
      later = fire(bucket);
    } else if (bucket.start <= now_) {
      for (int i = 0; i < splits_at_once; ++i)
        work_.splits.push_back({bucket, split_first});
      break;
    }
    if (bucket.start > now_ || later) {
      work_.next = next(bucket, later.value_or(bucket.start));
      break;
    }
    more = rows.seek(end_key(bucket));
  }
  return std::move(work_);
}

timestamp due_timers::next(const timer_bucket& first, timestamp due) const {
  auto at = look_at(first, due);
  for (auto level : {timer_level::days, timer_level::minutes}) {
    // The next one of that level that may lie behind it; any further one is due to be split later still.
    auto bucket = bucket_at(level, first.start);
    if (bucket.start < first.start)
      bucket.start += width_of(level);
    if (bucket != first && exists(bucket))
      at = std::min(at, look_at(bucket, bucket.start));
  }
  return at;
}

std::optional<timestamp> due_timers::fire(const timer_bucket& bucket) {
  std::optional<timestamp> later;
  std::vector<candidate> due;
  auto keep_first = [&] {
    if (due.size() <= left_)
      return;
    std::ranges::nth_element(due, due.begin() + static_cast<std::ptrdiff_t>(left_));
    due.resize(left_);
  };
  const auto prefix = key_of(bucket);
  lmdb_cursor rows(txn_, tables_.timers);
  for (bool more = rows.seek(prefix); more && begins_with(rows.key(), prefix); more = rows.next()) {
    const auto [queue, row] = to_timer_row(rows.key());
    timer_row_reader in(row, rows.value());
    auto t = in.next();
    for (; t && t->due <= now_; t = in.next())
      due.push_back({*t, queue, row});
    if (t)
      later = std::min(later.value_or(t->due), t->due);
    if (due.size() >= 2 * left_)
      keep_first();
  }
  keep_first();
  left_ -= due.size();
  // Of each queue these are the first ones, too.
  std::ranges::sort(due, {}, [](const candidate& c) { return std::tie(c.queue, c.what); });
  for (std::span<const candidate> rest(due); !rest.empty();) {
    const auto other =
        std::ranges::find_if(rest, [&](const candidate& c) { return c.queue != rest.front().queue; });
    const auto n = std::min(static_cast<std::size_t>(other - rest.begin()), max_listed_messages);
    fire(rest.first(n));
    rest = rest.subspan(n);
  }
  return later;
}

void due_timers::fire(std::span<const candidate> some) {
  fire_entry e{some.front().queue, 0, {}, {}};
  e.messages.reserve(some.size());
  e.rows.reserve(some.size());
  for (const auto& c : some) {
    e.messages.push_back(c.what.message);
    e.rows.push_back(c.row);
  }
  std::ranges::sort(e.rows);
  e.rows.erase(std::ranges::unique(e.rows).begin(), e.rows.end());
  e.message_bytes = messages_.mean_size(e.queue, e.messages);
  work_.fires.push_back(std::move(e));
}

} // namespace troupe
