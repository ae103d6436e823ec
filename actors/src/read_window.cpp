#include "read_window.hpp"

#include "delivery_builder.hpp"

#include "troupe/range_map.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

/// A rest of a batch that is less than this part of the grant is not worth a delivery of its own.
constexpr std::uint64_t small_rest = 2;

queue_offset end_of(const stored_batch& b) { return queue_offset{b.base.value + b.header.count}; }

} // namespace

std::optional<read_window::question> read_window::begin(const grant& g, const subscription& core,
                                                        bool selective, queue_offset from, timestamp now) {
  read_ = std::make_unique<reading>(reading{0, now + answer_timeout, from, std::move(rest_)});
  if (auto& rest = read_->rest) {
    const auto end = end_of(rest->batch);
    if (from < rest->batch.base || from >= end)
      rest.reset();
    else if (end.value - from.value >= g.messages / small_rest || end >= core.next())
      return {};
    else
      read_->from = end;
  }
  read_->tag = ++last_tag_;
  return question{read_->from, bytes_for(g, selective || passed_), read_->tag};
}

/// No more than the grant can use, by the size of the messages seen last; a filter may need all of it.
std::uint32_t read_window::bytes_for(const grant& g, bool selective) const {
  if (selective)
    return g.bytes;
  const auto useful = std::uint64_t{g.messages} * bytes_each_;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(g.bytes, std::max<std::uint64_t>(useful, 1)));
}

std::optional<read_window::parcel> read_window::deliver(subscription& core, const delivery_wishes& wishes,
                                                        const grant& g, const fetched& f, timestamp now) {
  const auto asked = std::move(read_);
  const auto lease = core.begin(g.member, now);
  delivery_builder built{core, wishes, {g.messages, g.bytes, g.most_bytes, g.any_size}};
  if (asked->rest)
    take(built, asked->rest->batch, core, now);
  auto reached = asked->from;
  bool all = true;
  for (const auto& b : f.batches) {
    all = all && !built.full() && pass_over(reached, b.base, f, core, now);
    if (!all)
      break;
    take(built, b, core, now);
    reached = std::max(reached, end_of(b));
  }
  if (all && !built.full())
    pass_over(reached, f.next, f, core, now);
  too_large_ = built.too_large();
  auto frame = built.messages() > 0 ? built.pack() : block{};
  passed_ = built.messages() == 0 && !f.batches.empty();
  if (core.commit(frame.size))
    return parcel{lease, built.messages(), std::move(frame)};
  // The QUEUE has nothing where there should be something: ask again when it says so, and not at once.
  if (!asked->rest && reached == asked->from && f.next <= reached) {
    core.exhausted(reached);
    not_before_ = now + pause;
  }
  return {};
}

/// Takes what is deliverable of a batch and keeps the batch when something is left.
void read_window::take(delivery_builder& built, const stored_batch& b, subscription& core, timestamp now) {
  const auto end = end_of(b);
  if (b.header.count == 0)
    return;
  // Redriven for another group.
  if (b.only_for.value != 0 && b.only_for != group_)
    return core.hole(b.base, end, now);
  bytes_each_ = std::max(1u, b.header.size / b.header.count);
  if (auto bad = built.add(b)) {
    report_(log_level::error, "damaged", "a batch is damaged and passed over: " + to_string(bad));
    core.hole(b.base, end, now);
  }
  if (b.base <= core.cursor() && core.cursor() < end)
    rest_ = std::make_unique<kept>(kept{b, now + keep_batch});
}

/// [first, next) is missing in what was read: settled, where it was trimmed or is damaged. False when a part
/// of it should be there; that is no reason to give it up.
bool read_window::pass_over(queue_offset first, queue_offset next, const fetched& f, subscription& core,
                            timestamp now) {
  if (first >= next)
    return true;
  offset_set gone;
  for (const auto& d : f.damaged)
    gone.add(d.first.value, d.next.value);
  if (auto extent = data_->extent(queue_))
    gone.add(0, extent->first.value);
  bool all = true;
  gone.visit_gaps(first.value, next.value, [&](auto, auto) { all = false; });
  gone.visit(first.value, next.value,
             [&](auto a, auto b) { core.hole(queue_offset{a}, queue_offset{b}, now); });
  report_(all ? log_level::info : log_level::error, all ? "passed_over" : "missing",
          "messages " + std::to_string(first.value) + " to " + std::to_string(next.value - 1) +
              (all ? " are no longer there" : " should be there and were not read"));
  if (!all)
    not_before_ = now + pause;
  return all;
}

void read_window::failed(timestamp now) {
  give_up();
  not_before_ = now + pause;
}

bool read_window::expire(timestamp now) {
  if (not_before_ && *not_before_ <= now)
    not_before_.reset();
  if (rest_ && rest_->until <= now)
    rest_.reset();
  return read_ && read_->deadline <= now;
}

std::optional<timestamp> read_window::next_deadline() const {
  std::optional<timestamp> next = not_before_;
  if (read_ && (!next || read_->deadline < *next))
    next = read_->deadline;
  if (rest_ && (!next || rest_->until < *next))
    next = rest_->until;
  return next;
}

} // namespace troupe
