#include "settle_window.hpp"

#include "troupe/unwritten_progress.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace troupe {

namespace {

settle_action action_of(progress::outcome what) {
  switch (what) {
  case progress::outcome::done:
    return settle_action::ack;
  case progress::outcome::skipped:
    return settle_action::skip;
  case progress::outcome::dead:
    return settle_action::dead;
  case progress::outcome::expired:
    return settle_action::expired;
  case progress::outcome::retry:
    break;
  }
  return settle_action::retry;
}

settle_wish wish_of(const settle_item& item) {
  if (item.give_back)
    return settle_wish::give_back;
  if (item.action == settle_action::dead)
    return settle_wish::reject;
  return item.action == settle_action::ack ? settle_wish::ack : settle_wish::retry;
}

settle_range to_range(const progress& run, std::uint64_t first, std::uint32_t count) {
  settle_range range{queue_offset{first}, count, action_of(run.what)};
  if (run.what == progress::outcome::retry || run.what == progress::outcome::dead)
    range.attempts = run.attempts;
  if (run.what == progress::outcome::retry)
    range.retry_at = run.due;
  if (run.what == progress::outcome::dead) {
    range.reason = run.reason;
    range.detail = run.detail;
  }
  return range;
}

std::vector<settle_range> to_ranges(const std::vector<progress>& runs) {
  std::vector<settle_range> ranges;
  ranges.reserve(runs.size());
  for (const auto& run : runs) {
    // A range counts in 32 bits; a longer run becomes several. Dead letters come in small pieces.
    static_assert(unwritten_progress::most_dead <= max_dead_range);
    constexpr std::uint64_t longest = std::numeric_limits<std::uint32_t>::max();
    for (auto at = run.first.value; at < run.next.value;) {
      const auto count = std::min(run.next.value - at, longest);
      ranges.push_back(to_range(run, at, static_cast<std::uint32_t>(count)));
      at += count;
    }
  }
  return ranges;
}

} // namespace

void settle_window::settle(const settle_part& p, subscription& core, timestamp now, std::vector<news>& out) {
  settler who{p.consumer, p.confirm};
  bool changed = p.confirm != 0;
  for (const auto& item : p.items)
    changed = settle_one(item, core, who, now) || changed;
  if (who.tag == 0 && who.refused > 0) {
    const auto why = who.code != errc::none ? who.code : errc::lease_lost;
    out.push_back({who.consumer, {queue_, 0, std::exchange(who.refused, 0), why}});
    who.code = errc::none;
  }
  if (changed && !add(who))
    out.push_back({who.consumer, {queue_, who.tag, who.refused, errc::overloaded}});
}

/// False when there is nothing to be told about it later.
bool settle_window::settle_one(const settle_item& item, subscription& core, settler& who, timestamp now) {
  if (item.count == 0)
    return false;
  if (!item.give_back && item.action != settle_action::ack && item.action != settle_action::retry &&
      item.action != settle_action::dead) {
    ++who.refused;
    who.code = errc::invalid_argument;
    return false;
  }
  const auto outcome = core.settle({.wish = wish_of(item),
                                    .gen = item.gen,
                                    .lease = item.lease,
                                    .first = item.first,
                                    .count = item.count,
                                    .delay = milliseconds{item.delay_ms},
                                    .detail = item.detail},
                                   now);
  // What is given back too late is back already: nothing is lost by it.
  if (outcome.refused > 0 && !item.give_back)
    ++who.refused;
  return outcome.refused < item.count;
}

/// One place per consumer that only wants to hear of failures; one per confirmation.
bool settle_window::add(settler who) {
  const auto same = [&](const settler& s) { return s.tag == 0 && s.consumer == who.consumer; };
  if (who.tag == 0 && std::any_of(waiting_.begin(), waiting_.end(), same))
    return true;
  if (waiting_.size() >= most_waiting)
    return false;
  waiting_.push_back(std::move(who));
  return true;
}

std::optional<settle_window::write> settle_window::begin(subscription& core, timestamp now,
                                                         std::vector<news>& out) {
  if (closed_ != errc::none)
    tell(std::exchange(waiting_, {}), closed_, out);
  if (write_ || closed_ != errc::none || (not_before_ && *not_before_ > now))
    return {};
  not_before_.reset();
  const bool confirm =
      std::any_of(waiting_.begin(), waiting_.end(), [](const settler& s) { return s.tag != 0; });
  const auto due = core.write_at();
  if (!due)
    tell(std::exchange(waiting_, {}), errc::none, out);
  if (!due || (*due > now && !confirm))
    return {};
  write_ = under_way{.tag = ++last_tag_,
                     .deadline = now + answer_timeout,
                     .runs = core.take_progress(most_runs),
                     .settlers = {}};
  // Who settled last waits for the last of it.
  if (!core.has_progress())
    write_->settlers = std::exchange(waiting_, {});
  return write{write_->tag, to_ranges(write_->runs), confirm};
}

bool settle_window::end(std::uint64_t tag, errc code, subscription& core, timestamp now,
                        std::vector<news>& out) {
  if (!write_ || write_->tag != tag)
    return false;
  if (code != errc::none) {
    failed(code, core, now, out);
  } else {
    tell(std::move(write_->settlers), errc::none, out);
    write_.reset();
  }
  return true;
}

void settle_window::expire(subscription& core, timestamp now, std::vector<news>& out) {
  if (write_ && write_->deadline <= now)
    failed(errc::timeout, core, now, out);
}

/// Told at once; made again when that can help. Until then the broker itself knows that the messages are
/// settled.
void settle_window::failed(errc code, subscription& core, timestamp now, std::vector<news>& out) {
  tell(std::move(write_->settlers), code, out);
  core.put_back(write_->runs, now);
  write_.reset();
  not_before_ = now + pause;
  if (code == errc::shutting_down || code == errc::storage_failed)
    closed_ = code;
}

void settle_window::abandon(errc code, std::vector<news>& out) {
  auto all = std::exchange(waiting_, {});
  if (write_)
    std::ranges::move(write_->settlers, std::back_inserter(all));
  write_.reset();
  // What they settled in time is lost all the same.
  for (auto& s : all)
    s.refused = std::max<std::uint32_t>(s.refused, 1);
  tell(std::move(all), code, out);
}

std::optional<timestamp> settle_window::next_deadline(const subscription& core) const {
  if (write_)
    return write_->deadline;
  if (closed_ != errc::none)
    return {};
  const auto due = core.write_at();
  return due && not_before_ ? std::max(*due, *not_before_) : due;
}

void settle_window::tell(std::vector<settler> all, errc code, std::vector<news>& out) const {
  for (auto& s : all)
    if (s.tag != 0 || code != errc::none)
      out.push_back({std::move(s.consumer), {queue_, s.tag, s.refused, code != errc::none ? code : s.code}});
}

} // namespace troupe
