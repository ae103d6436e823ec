#include "troupe/shared_subscription.hpp"

#include "troupe/failure.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe {
namespace {

std::uint64_t end_of(queue_offset first, std::uint32_t count) {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  return first.value > most - count ? most : first.value + count;
}

} // namespace

shared_subscription::shared_subscription(subscription_limits limits,
                                         std::shared_ptr<const retry_policy> policy, queue_id queue)
    : limits_(limits), policy_(std::move(policy)), queue_(queue) {}

void shared_subscription::configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) {
  limits_ = limits;
  policy_ = std::move(policy);
}

void shared_subscription::restore(const stored_state& state, lease_id last) {
  auto leases = std::move(leases_);
  leases.clear(last.value);
  *this = shared_subscription{limits_, std::move(policy_), queue_};
  leases_ = std::move(leases);
  gen_ = state.gen;
  const auto floor = state.floor.value;
  offset_set settled;
  cursor_ = floor;
  for (const auto& [first, next] : state.settled) {
    settled.add(first.value, next.value);
    cursor_ = std::max(cursor_, next.value);
  }
  for (const auto& r : state.retries)
    cursor_ = std::max(cursor_, r.offset.value + 1);
  settled.visit_gaps(floor, cursor_, [&](auto first, auto next) { open_.assign(first, next, {}); });
  for (const auto& r : state.retries)
    if (r.offset.value >= floor && !settled.contains(r.offset.value))
      open_.assign(r.offset.value, r.offset.value + 1, {0, to_unix_ms(r.due), r.attempts, false});
  for (const auto& [first, span] : open_) {
    count({first, span.next, span.value}, true);
    push_due(first, span.next, span.value.due);
  }
}

// -- what can be delivered
// ------------------------------------------------------------------------------------------

void shared_subscription::extent(queue_offset first, queue_offset next, timestamp now) {
  next_ = next.value;
  if (floor() < first)
    hole(floor(), first, now);
}

void shared_subscription::exhausted(queue_offset next) { next_ = std::min(next_, next.value); }

queue_offset shared_subscription::floor() const {
  return queue_offset{open_.empty() ? cursor_ : open_.begin()->first};
}

bool shared_subscription::bounded() const {
  return retrying_ >= limits_.retries || cursor_ - floor().value >= limits_.span;
}

std::optional<delivery_plan> shared_subscription::plan(std::uint64_t member, timestamp now) {
  if (holds_suspect(member))
    return {};
  if (const auto* e = earliest(); e && e->due <= to_unix_ms(now))
    return delivery_plan{queue_offset{e->first}, open_.find(e->first)->second.value.suspect};
  if (fresh())
    return delivery_plan{queue_offset{cursor_}};
  return {};
}

std::uint64_t shared_subscription::available(timestamp now) {
  const auto* e = earliest();
  return (fresh() ? next_ - cursor_ : 0) + (e && e->due <= to_unix_ms(now) ? waiting_ : 0);
}

std::optional<timestamp> shared_subscription::next_deadline(timestamp now) {
  auto at = leases_.next_end();
  if (const auto* e = earliest(); e && e->due > to_unix_ms(now) && (!at || from_unix_ms(e->due) < *at))
    at = from_unix_ms(e->due);
  return at;
}

// -- taking
// ---------------------------------------------------------------------------------------------------------

lease_id shared_subscription::begin(std::uint64_t member, timestamp now) {
  commit();
  taking_now_ = now;
  taking_alone_.reset();
  if (const auto next = plan(member, now); next && next->alone)
    taking_alone_ = next->from.value;
  taking_ = leases_.open(member, now + limits_.lease);
  return lease_id{taking_};
}

bool shared_subscription::commit(std::uint64_t bytes) {
  return leases_.close(std::exchange(taking_, 0), bytes);
}

std::uint32_t shared_subscription::take(queue_offset base, std::uint32_t count, std::uint32_t most,
                                        batch_view* view, std::vector<leased_run>& out) {
  const auto first = base.value;
  const auto next = end_of(base, count);
  std::uint64_t left = most;
  const auto* lease = leases_.find(taking_);
  if (!lease || most == 0)
    return 0;
  if (taking_alone_)
    return take_alone(first, next, view, out);
  if (holds_suspect(lease->member))
    return 0;
  const auto due = to_unix_ms(taking_now_);
  for (const auto& p : parts(first, std::min(next, cursor_)))
    if (left > 0 && p.state.lease == 0 && p.state.due <= due && !p.state.suspect)
      left -= take_part(p, first, left, view, out);
  if (left > 0 && first <= cursor_ && cursor_ < next && fresh())
    left -= take_part({cursor_, next, {}}, first, left, view, out);
  return static_cast<std::uint32_t>(most - left);
}

std::uint32_t shared_subscription::take_alone(std::uint64_t first, std::uint64_t next, batch_view* view,
                                              std::vector<leased_run>& out) {
  const auto at = *taking_alone_;
  if (at < first || at >= next)
    return 0;
  const auto found = open_.find(at);
  if (found == open_.end() || found->second.value.lease != 0)
    return 0;
  return static_cast<std::uint32_t>(take_part({at, at + 1, found->second.value}, first, 1, view, out));
}

/// Leases the wanted offsets of one part and skips the others, until `left` are leased. The part is waiting,
/// or begins at the cursor.
std::uint64_t shared_subscription::take_part(const part& p, std::uint64_t base, std::uint64_t left,
                                             batch_view* view, std::vector<leased_run>& out) {
  const auto leave = [&](std::uint64_t first, std::uint64_t next) {
    if (first >= cursor_)
      cursor_ = next;
    else
      this->count({first, next, p.state}, false);
  };
  if (!view) {
    const auto next = std::min(p.next, p.first + left);
    leave(p.first, next);
    lease_out(p.first, next, p.state, out);
    return next - p.first;
  }
  std::uint64_t taken = 0;
  const auto judge = [&](std::uint64_t at) {
    return at < p.next ? view->judge(static_cast<std::uint32_t>(at - base), p.state.attempts)
                       : message_fate::skip;
  };
  auto fate = judge(p.first);
  for (auto at = p.first; at < p.next && taken < left;) {
    auto end = at + 1;
    const bool want = fate == message_fate::deliver;
    auto other = judge(end);
    while (end < p.next && other == fate && (!want || taken + (end - at) < left))
      other = judge(++end);
    leave(at, end);
    if (want) {
      lease_out(at, end, p.state, out);
      taken += end - at;
    } else {
      open_.erase(at, end);
      unwritten_.write(at, end, after_fate(limits_, fate, p.state.attempts), taking_now_);
    }
    at = end;
    fate = other;
  }
  return taken;
}

void shared_subscription::lease_out(std::uint64_t first, std::uint64_t next, const open_state& before,
                                    std::vector<leased_run>& out) {
  const auto attempts = before.attempts;
  const open_state state{taking_, 0, attempts, before.suspect};
  open_.assign(first, next, state);
  count({first, next, state}, true);
  leases_.add(taking_, first, next);
  if (before.suspect)
    leases_.suspect(taking_);
  if (!out.empty() && out.back().next.value == first && out.back().attempts == attempts)
    out.back().next = queue_offset{next};
  else
    out.push_back({queue_offset{first}, queue_offset{next}, attempts});
}

void shared_subscription::hole(queue_offset first, queue_offset next, timestamp now) {
  for (const auto& p : parts(first.value, std::min(next.value, cursor_)))
    if (p.state.lease == 0)
      done(p, {progress::outcome::skipped}, now);
  if (first.value <= cursor_ && cursor_ < next.value) {
    unwritten_.write(cursor_, next.value, {progress::outcome::skipped}, now);
    cursor_ = next.value;
  }
}

// -- settling
// -------------------------------------------------------------------------------------------------------

settle_outcome shared_subscription::settle(const settle_claim& claim, timestamp now) {
  const auto first = claim.first.value;
  const auto next = end_of(claim.first, claim.count);
  settle_outcome result{next - first};
  if (claim.gen != gen_)
    return result;
  if (claim.wish == settle_wish::ack) {
    const auto known = std::min(next, std::max(cursor_, next_));
    if (first < known) {
      acknowledge(first, known, now);
      result.refused = next - known;
    }
    return result;
  }
  for (const auto& p : parts(first, std::min(next, cursor_)))
    if (p.state.lease != 0 && p.state.lease == claim.lease.value) {
      result.refused -= p.next - p.first;
      settle_part(p, claim, now);
    }
  return result;
}

/// After a restart the cursor may lie below what was leased before: then what lies between waits, as if it
/// had been leased and given back.
void shared_subscription::acknowledge(std::uint64_t first, std::uint64_t next, timestamp now) {
  for (const auto& p : parts(first, std::min(next, cursor_)))
    done(p, {progress::outcome::done}, now);
  if (next <= cursor_)
    return;
  if (cursor_ < first)
    wait({cursor_, first, {}}, {});
  unwritten_.write(std::max(first, cursor_), next, {progress::outcome::done}, now);
  cursor_ = next;
}

void shared_subscription::settle_part(const part& p, const settle_claim& claim, timestamp now) {
  if (claim.wish == settle_wish::retry)
    fail(p, {claim.delay, false, claim.detail}, now);
  else if (claim.wish == settle_wish::reject)
    done(p, after_reject(limits_, p.state.attempts, claim.detail), now);
  else
    wait(p, {0, 0, p.state.attempts, p.state.suspect});
}

bool shared_subscription::renew(lease_id lease, std::uint64_t member, timestamp now) {
  return leases_.renew(lease.value, member, now, now + limits_.lease);
}

void shared_subscription::member_gone(std::uint64_t member, bool failed, timestamp now) {
  const auto cause = leases_.suspect_of(member);
  for (auto id : leases_.of(member)) {
    const auto lost = cause == 0 || id == cause ? lease_end::lost : lease_end::innocent;
    end_lease(id, failed ? lost : lease_end::given_back, now);
  }
}

void shared_subscription::expire(timestamp now) {
  while (const auto id = leases_.over(now))
    end_lease(*id, lease_end::over, now);
}

void shared_subscription::end_lease(std::uint64_t id, lease_end how, timestamp now) {
  const auto lease = *leases_.find(id);
  if (!limits_.losses_fail)
    how = lease_end::given_back;
  for (const auto& p : parts(lease.low, lease.high)) {
    if (p.state.lease != id)
      continue;
    if (how == lease_end::lost || how == lease_end::over)
      fail(p, {{}, true, how == lease_end::lost ? consumer_lost_detail : lease_ended_detail}, now);
    else
      wait(p, {0, 0, p.state.attempts, p.state.suspect || how == lease_end::innocent});
  }
}

void shared_subscription::done(const part& p, const offset_outcome& what, timestamp now) {
  count(p, false);
  open_.erase(p.first, p.next);
  leases_.release(p.state.lease, p.next - p.first);
  unwritten_.write(p.first, p.next, what, now);
}

void shared_subscription::fail(const part& p, const failure& how, timestamp now) {
  if (how.delay > milliseconds{0} || !policy_->spreads())
    return fail_alike(p, how, now);
  for (auto at = p.first; at < p.next; ++at)
    fail_alike({at, at + 1, p.state}, how, now);
}

void shared_subscription::fail_alike(const part& p, const failure& how, timestamp now) {
  const auto failures = one_more(p.state.attempts);
  const auto what =
      after_failure(limits_, *policy_, {queue_, queue_offset{p.first}, failures}, how.delay, how.detail, now);
  if (what.what != progress::outcome::retry)
    return done(p, what, now);
  wait(p, {0, what.due, failures, how.suspect});
  unwritten_.write(p.first, p.next, what, now);
}

/// The part was leased, or is new below the cursor.
void shared_subscription::wait(const part& p, const open_state& state) {
  if (p.state.lease != 0)
    count(p, false);
  open_.assign(p.first, p.next, state);
  count({p.first, p.next, state}, true);
  leases_.release(p.state.lease, p.next - p.first);
  push_due(p.first, p.next, state.due);
}

// -- bookkeeping
// ----------------------------------------------------------------------------------------------------

std::vector<shared_subscription::part> shared_subscription::parts(std::uint64_t first,
                                                                  std::uint64_t next) const {
  std::vector<part> result;
  open_.visit(first, next, [&](auto a, auto b, const open_state& state) { result.push_back({a, b, state}); });
  return result;
}

void shared_subscription::count(const part& p, bool add) {
  const auto n = add ? p.next - p.first : std::uint64_t{0} - (p.next - p.first);
  if (p.state.lease != 0) {
    leased_ += n;
    return;
  }
  waiting_ += n;
  if (p.state.attempts > 0)
    retrying_ += n;
}

void shared_subscription::push_due(std::uint64_t first, std::uint64_t next, std::int64_t due) {
  due_.push_back({due, first, next});
  std::push_heap(due_.begin(), due_.end(), std::greater<>{});
  if (due_.size() <= 2 * open_.size() + 64)
    return;
  // Most entries are out of date: start anew from what is true.
  due_.clear();
  for (const auto& [a, span] : open_)
    if (span.value.lease == 0)
      due_.push_back({span.value.due, a, span.next});
  std::make_heap(due_.begin(), due_.end(), std::greater<>{});
}

const shared_subscription::due_entry* shared_subscription::earliest() {
  while (!due_.empty()) {
    auto top = due_.front();
    auto found = top.next;
    for (auto it = open_.begin_at(top.first); it != open_.end() && it->first < top.next && found == top.next;
         ++it)
      if (it->second.value.lease == 0 && it->second.value.due == top.due)
        found = std::max(top.first, it->first);
    if (found == top.first)
      return &due_.front();
    std::pop_heap(due_.begin(), due_.end(), std::greater<>{});
    if (found == top.next) {
      due_.pop_back();
    } else {
      due_.back().first = found;
      std::push_heap(due_.begin(), due_.end(), std::greater<>{});
    }
  }
  return nullptr;
}

} // namespace troupe
