#include "applier.hpp"
#include "listed_reader.hpp"
#include "timer_row.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

/// Rows that one split moves at most.
constexpr std::size_t rows_a_split = 1024;
/// Rows that one step of a drop looks at.
constexpr std::size_t rows_a_drop = 16384;

/// Messages that are looked for, each with its place in the list of an entry; one that is listed twice is
/// found once.
class wanted_messages {
public:
  explicit wanted_messages(std::span<const message_place> messages) {
    sorted_.reserve(messages.size());
    for (const auto& message : messages)
      sorted_.emplace_back(message, sorted_.size());
    std::ranges::sort(sorted_);
    found_.resize(messages.size());
  }
  /// False when it is not wanted, or was found before.
  bool take(message_place message) {
    const auto place = std::ranges::lower_bound(sorted_, message, {}, &wanted::first);
    if (place == sorted_.end() || place->first != message || found_[place->second])
      return false;
    found_[place->second] = true;
    return true;
  }
  std::vector<bool> found() && { return std::move(found_); }

private:
  using wanted = std::pair<message_place, std::size_t>;
  std::vector<wanted> sorted_;
  std::vector<bool> found_;
};

} // namespace

/// Rows of messages that are sorted and of one queue; `bucket_of` says for each where it goes, and ascends.
template <class BucketOf>
void applier::put_timers(queue_id queue, std::span<const timer> timers, outcome& out, BucketOf bucket_of) {
  std::optional<timer_row_place> before;
  while (!timers.empty()) {
    const auto bucket = bucket_of(timers.front());
    const auto end = std::ranges::find_if(timers, [&](const timer& t) { return t.due >= bucket.end(); });
    const auto inside = timers.first(static_cast<std::size_t>(end - timers.begin()));
    const bool goes_on = before && before->bucket == bucket;
    const timer_row_place row{bucket, state_.applied,
                              static_cast<std::uint16_t>(goes_on ? before->chunk + 1 : 0)};
    before = row;
    const auto look = look_at(bucket, inside.front().due);
    out.answer.look_at = std::min(out.answer.look_at.value_or(look), look);
    timers = timers.subspan(pack_timers(inside, row, buffer_));
    txn_.put(tables_.timers, key_of(queue, row), buffer_);
  }
}

void applier::delay(queue_id queue, std::vector<timer>& timers, outcome& out) {
  if (timers.empty())
    return;
  std::ranges::sort(timers);
  put_timers(queue, timers, out, [&](const timer& t) { return bucket_for(t.due, state_.time); });
  pin(state_.applied, static_cast<std::uint32_t>(timers.size()));
  count_delayed(queue, static_cast<std::int64_t>(timers.size()));
  out.keep = true;
}

void applier::count_delayed(queue_id queue, std::int64_t change) {
  const auto value = txn_.get(tables_.delayed, key_of(queue));
  auto state = value ? decode_delayed(*value) : delayed_row{};
  state.count += static_cast<std::uint64_t>(change);
  if (state.count)
    txn_.put(tables_.delayed, key_of(queue), encode(state));
  else
    txn_.erase(tables_.delayed, key_of(queue));
}

std::vector<bool> applier::take_timers(queue_id queue, std::span<const timer_row_place> rows,
                                       std::span<const message_place> messages) {
  wanted_messages wanted(messages);
  std::vector<timer> left;
  std::int64_t taken = 0;
  for (const auto& row : rows) {
    const auto key = key_of(queue, row);
    const auto value = txn_.get(tables_.timers, key);
    if (!value)
      continue;
    left.clear();
    const auto before = taken;
    timer_row_reader in(row, *value);
    while (const auto t = in.next()) {
      if (wanted.take(t->message))
        ++taken;
      else
        left.push_back(*t);
    }
    if (taken == before)
      continue;
    if (left.empty()) {
      txn_.erase(tables_.timers, key);
    } else { // what is left is never longer than what was there
      pack_timers(left, row, buffer_);
      txn_.put(tables_.timers, key, buffer_);
    }
  }
  if (taken)
    count_delayed(queue, -taken);
  return std::move(wanted).found();
}

void applier::apply_body(const fire_entry& e, outcome& out) {
  // The run takes over what held the messages' entries.
  out.answer.found = take_timers(e.queue, e.rows, e.messages);
  list_found(e.queue, listed_bytes + e.message_bytes, out);
}

void applier::apply_body(const cancel_entry& e, outcome& out) {
  out.answer.found = take_timers(e.queue, std::span(&e.row, 1), std::span(&e.message, 1));
  if (out.answer.found.front())
    unpin(e.queue, e.message.index);
}

void applier::apply_body(const split_entry& e, outcome& out) {
  std::vector<std::pair<queue_id, timer>> moved;
  {
    const auto prefix = key_of(e.bucket);
    lmdb_cursor rows(txn_, tables_.timers);
    std::size_t n = 0;
    for (bool more = rows.seek(prefix); more; more = rows.next()) {
      if (!std::ranges::equal(rows.key().first(prefix.size()), prefix))
        break;
      if (n++ == rows_a_split || moved.size() >= e.messages) {
        out.answer.done = false;
        break;
      }
      const auto [queue, row] = to_timer_row(rows.key());
      timer_row_reader in(row, rows.value());
      while (const auto t = in.next())
        moved.emplace_back(queue, *t);
      rows.erase();
    }
  }
  std::ranges::sort(moved);
  std::vector<timer> timers;
  for (auto at = moved.begin(); at != moved.end();) {
    const auto queue = at->first;
    timers.clear();
    for (; at != moved.end() && at->first == queue; ++at)
      timers.push_back(at->second);
    put_timers(queue, timers, out, [&](const timer& t) { return bucket_at(finer(e.bucket.level), t.due); });
  }
}

std::size_t applier::erase_timers(queue_id queue, std::size_t room) {
  constexpr std::size_t entry_rows = rows_a_step / records_a_step;
  constexpr std::size_t messages_a_row = 16;
  const auto value = txn_.get(tables_.delayed, key_of(queue));
  if (!value || room == 0)
    return 0;
  auto state = decode_delayed(*value);
  std::size_t taken = 0, looked = 0;
  std::vector<log_index> released;
  lmdb_cursor rows(txn_, tables_.timers);
  // Rows of all queues lie together: each step goes on where the last one ended.
  bool more = state.dropped_to ? rows.seek(*state.dropped_to) : rows.first();
  for (; more && taken < room && looked < rows_a_drop && state.count; more = rows.next(), ++looked) {
    const auto [owner, row] = to_timer_row(rows.key());
    if (owner != queue)
      continue;
    released.clear();
    timer_row_reader in(row, rows.value());
    while (const auto t = in.next())
      released.push_back(t->message.index);
    rows.erase();
    state.count -= released.size();
    taken += 1 + released.size() / messages_a_row + entry_rows * unpin_all(queue, released);
  }
  state.dropped_to.reset();
  if (more)
    state.dropped_to = to_key<timer_key>(rows.key());
  if (state.count)
    txn_.put(tables_.delayed, key_of(queue), encode(state));
  else
    txn_.erase(tables_.delayed, key_of(queue));
  return state.count ? room : std::min(taken, room - 1);
}

} // namespace troupe
