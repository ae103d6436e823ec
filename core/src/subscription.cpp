#include "troupe/subscription.hpp"

#include <algorithm>
#include <limits>

namespace troupe {
namespace {

std::uint64_t end_of(queue_offset first, std::uint32_t count) {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  return first.value > most - count ? most : first.value + count;
}

} // namespace

subscription::subscription(subscription_limits limits, std::shared_ptr<const retry_policy> policy,
                           queue_id queue)
    : limits_(limits), policy_(std::move(policy)), queue_(queue) {}

void subscription::configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) {
  limits_ = limits;
  policy_ = std::move(policy);
}

void subscription::restore(const stored_state& state, lease_id last) {
  const auto last_lease = std::max(last_lease_, last.value);
  std::vector<release> releases = std::move(releases_);
  for (const auto& [id, lease] : leases_)
    releases.push_back({lease.member, lease.messages});
  *this = subscription{limits_, std::move(policy_), queue_};
  releases_ = std::move(releases);
  last_lease_ = last_lease;
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

void subscription::extent(queue_offset first, queue_offset next, timestamp now) {
  next_ = next.value;
  if (floor() < first)
    hole(floor(), first, now);
}

void subscription::exhausted(queue_offset next) { next_ = std::min(next_, next.value); }

queue_offset subscription::floor() const {
  return queue_offset{open_.empty() ? cursor_ : open_.begin()->first};
}

bool subscription::bounded() const {
  return retrying_ >= limits_.retries || cursor_ - floor().value >= limits_.span;
}

std::optional<delivery_plan> subscription::plan(std::uint64_t member, timestamp now) {
  if (holds_suspect(member))
    return {};
  if (const auto* e = earliest(); e && e->due <= to_unix_ms(now))
    return delivery_plan{queue_offset{e->first}, open_.find(e->first)->second.value.suspect};
  if (fresh())
    return delivery_plan{queue_offset{cursor_}};
  return {};
}

std::uint64_t subscription::available(timestamp now) {
  const auto* e = earliest();
  return (fresh() ? next_ - cursor_ : 0) + (e && e->due <= to_unix_ms(now) ? waiting_ : 0);
}

std::optional<timestamp> subscription::next_deadline(timestamp now) {
  std::optional<timestamp> at;
  if (!ends_.empty())
    at = ends_.begin()->first;
  if (const auto* e = earliest(); e && e->due > to_unix_ms(now) && (!at || from_unix_ms(e->due) < *at))
    at = from_unix_ms(e->due);
  return at;
}

// -- taking
// ---------------------------------------------------------------------------------------------------------

lease_id subscription::begin(std::uint64_t member, timestamp now) {
  commit();
  taking_ = ++last_lease_;
  taking_now_ = now;
  taking_alone_.reset();
  if (const auto next = plan(member, now); next && next->alone)
    taking_alone_ = next->from.value;
  leases_[taking_] = {member, now + limits_.lease, std::numeric_limits<std::uint64_t>::max(), 0, 0};
  return lease_id{taking_};
}

bool subscription::commit() {
  auto it = leases_.find(taking_);
  taking_ = 0;
  if (it == leases_.end())
    return false;
  if (it->second.messages == 0) {
    leases_.erase(it);
    return false;
  }
  ends_.emplace(it->second.deadline, it->first);
  return true;
}

std::uint32_t subscription::take(queue_offset base, std::uint32_t count, std::uint32_t most,
                                 const wanted& pass, std::vector<leased_run>& out) {
  const auto first = base.value;
  const auto next = end_of(base, count);
  std::uint64_t left = most;
  if (taking_ == 0)
    return 0;
  if (taking_alone_)
    return take_alone(first, next, most, pass, out);
  if (holds_suspect(leases_.at(taking_).member))
    return 0;
  const auto due = to_unix_ms(taking_now_);
  for (const auto& p : parts(first, std::min(next, cursor_)))
    if (left > 0 && p.state.lease == 0 && p.state.due <= due && !p.state.suspect)
      left -= take_part(p, first, left, pass, out);
  if (left > 0 && first <= cursor_ && cursor_ < next && fresh())
    left -= take_part({cursor_, next, {}}, first, left, pass, out);
  return static_cast<std::uint32_t>(most - left);
}

std::uint32_t subscription::take_alone(std::uint64_t first, std::uint64_t next, std::uint32_t most,
                                       const wanted& pass, std::vector<leased_run>& out) {
  const auto at = *taking_alone_;
  if (at < first || at >= next || most == 0)
    return 0;
  const auto found = open_.find(at);
  if (found == open_.end() || found->second.value.lease != 0)
    return 0;
  return static_cast<std::uint32_t>(take_part({at, at + 1, found->second.value}, first, 1, pass, out));
}

/// Leases the wanted offsets of one part and skips the others, until `left` are leased. The part is waiting,
/// or begins at the cursor.
std::uint64_t subscription::take_part(const part& p, std::uint64_t base, std::uint64_t left,
                                      const wanted& pass, std::vector<leased_run>& out) {
  const auto leave = [&](std::uint64_t first, std::uint64_t next) {
    if (first >= cursor_)
      cursor_ = next;
    else
      this->count({first, next, p.state}, false);
  };
  if (!pass) {
    const auto next = std::min(p.next, p.first + left);
    leave(p.first, next);
    lease_out(p.first, next, p.state, out);
    return next - p.first;
  }
  std::uint64_t taken = 0;
  const auto judge = [&](std::uint64_t at) {
    return at < p.next && pass(static_cast<std::uint32_t>(at - base), p.state.attempts);
  };
  bool want = judge(p.first);
  for (auto at = p.first; at < p.next && taken < left;) {
    auto end = at + 1;
    bool other = judge(end);
    while (end < p.next && other == want && (!want || taken + (end - at) < left))
      other = judge(++end);
    leave(at, end);
    if (want) {
      lease_out(at, end, p.state, out);
      taken += end - at;
    } else {
      open_.erase(at, end);
      write(at, end, {progress::outcome::skipped, 0, 0}, taking_now_);
    }
    at = end;
    want = other;
  }
  return taken;
}

void subscription::lease_out(std::uint64_t first, std::uint64_t next, const open_state& before,
                             std::vector<leased_run>& out) {
  const auto attempts = before.attempts;
  const open_state state{taking_, 0, attempts, before.suspect};
  open_.assign(first, next, state);
  count({first, next, state}, true);
  auto& lease = leases_[taking_];
  if (before.suspect)
    suspects_[lease.member] = taking_;
  lease.low = std::min(lease.low, first);
  lease.high = std::max(lease.high, next);
  lease.messages += next - first;
  if (!out.empty() && out.back().next.value == first && out.back().attempts == attempts)
    out.back().next = queue_offset{next};
  else
    out.push_back({queue_offset{first}, queue_offset{next}, attempts});
}

void subscription::hole(queue_offset first, queue_offset next, timestamp now) {
  for (const auto& p : parts(first.value, std::min(next.value, cursor_)))
    if (p.state.lease == 0)
      done(p, progress::outcome::skipped, now);
  if (first.value <= cursor_ && cursor_ < next.value) {
    write(cursor_, next.value, {progress::outcome::skipped, 0, 0}, now);
    cursor_ = next.value;
  }
}

// -- settling
// -------------------------------------------------------------------------------------------------------

settle_outcome subscription::settle(const settle_claim& claim, timestamp now) {
  const auto first = claim.first;
  const auto next = end_of(first, claim.count);
  const auto known = std::min(next, cursor_);
  settle_outcome result{next - first.value};
  if (claim.gen != gen_ || known <= first.value)
    return result;
  if (claim.wish == settle_wish::ack) {
    result.refused = next - known;
    for (const auto& p : parts(first.value, known))
      done(p, progress::outcome::done, now);
    return result;
  }
  for (const auto& p : parts(first.value, known)) {
    if (p.state.lease == 0 || p.state.lease != claim.lease.value)
      continue;
    result.refused -= p.next - p.first;
    if (claim.wish == settle_wish::retry)
      fail(p, claim.delay, false, now);
    else
      wait(p, {0, 0, p.state.attempts, p.state.suspect});
  }
  return result;
}

bool subscription::renew(lease_id lease, std::uint64_t member, timestamp now) {
  auto it = leases_.find(lease.value);
  if (it == leases_.end() || it->second.member != member || it->second.deadline <= now)
    return false;
  ends_.erase({it->second.deadline, it->first});
  it->second.deadline = now + limits_.lease;
  ends_.emplace(it->second.deadline, it->first);
  return true;
}

void subscription::member_gone(std::uint64_t member, bool failed, timestamp now) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, lease] : leases_)
    if (lease.member == member)
      ids.push_back(id);
  const auto suspect = suspects_.find(member);
  const auto cause = suspect == suspects_.end() ? 0 : suspect->second;
  for (auto id : ids) {
    const auto lost = cause == 0 || id == cause ? lease_end::failed : lease_end::innocent;
    end_lease(id, failed ? lost : lease_end::given_back, now);
  }
}

void subscription::expire(timestamp now) {
  while (!ends_.empty() && ends_.begin()->first <= now)
    end_lease(ends_.begin()->second, lease_end::failed, now);
}

void subscription::end_lease(std::uint64_t id, lease_end how, timestamp now) {
  const auto lease = leases_.at(id);
  for (const auto& p : parts(lease.low, lease.high)) {
    if (p.state.lease != id)
      continue;
    if (how == lease_end::failed)
      fail(p, milliseconds{0}, true, now);
    else
      wait(p, {0, 0, p.state.attempts, p.state.suspect || how == lease_end::innocent});
  }
}

void subscription::done(const part& p, progress::outcome what, timestamp now) {
  count(p, false);
  open_.erase(p.first, p.next);
  released(p.state.lease, p.next - p.first);
  write(p.first, p.next, {what, 0, 0}, now);
}

void subscription::fail(const part& p, milliseconds delay, bool suspect, timestamp now) {
  const auto most = std::numeric_limits<std::uint16_t>::max();
  const auto attempts = static_cast<std::uint16_t>(p.state.attempts < most ? p.state.attempts + 1 : most);
  const auto state = [&](std::uint64_t offset) {
    const auto pause =
        delay > milliseconds{0} ? delay : policy_->decide({queue_, queue_offset{offset}, attempts}).delay;
    return open_state{0, to_unix_ms(now + pause), attempts, suspect};
  };
  if (delay > milliseconds{0} || !policy_->spreads())
    return fail_alike(p, state(p.first), now);
  for (auto at = p.first; at < p.next; ++at)
    fail_alike({at, at + 1, p.state}, state(at), now);
}

void subscription::fail_alike(const part& p, const open_state& state, timestamp now) {
  wait(p, state);
  write(p.first, p.next, {progress::outcome::retry, state.attempts, state.due}, now);
}

void subscription::wait(const part& p, const open_state& state) {
  count(p, false);
  open_.assign(p.first, p.next, state);
  count({p.first, p.next, state}, true);
  released(p.state.lease, p.next - p.first);
  push_due(p.first, p.next, state.due);
}

void subscription::released(std::uint64_t lease, std::uint64_t messages) {
  auto it = leases_.find(lease);
  if (it == leases_.end())
    return;
  const auto member = it->second.member;
  auto known =
      std::find_if(releases_.begin(), releases_.end(), [&](const auto& r) { return r.member == member; });
  if (known == releases_.end())
    releases_.push_back({member, messages});
  else
    known->messages += messages;
  it->second.messages -= messages;
  if (it->second.messages == 0) {
    ends_.erase({it->second.deadline, it->first});
    if (const auto held = suspects_.find(member); held != suspects_.end() && held->second == lease)
      suspects_.erase(held);
    leases_.erase(it);
  }
}

std::vector<release> subscription::take_releases() { return std::exchange(releases_, {}); }

// -- progress to write
// ----------------------------------------------------------------------------------------------

void subscription::write(std::uint64_t first, std::uint64_t next, const outcome_state& what, timestamp now) {
  if (unwritten_.empty())
    unwritten_since_ = now;
  urgent_ = urgent_ || what.what != progress::outcome::skipped;
  unwritten_.assign(first, next, what);
}

std::optional<timestamp> subscription::write_at() const {
  if (unwritten_.empty())
    return {};
  const bool now = urgent_ || unwritten_.size() >= limits_.skip_ranges;
  return now ? unwritten_since_ : unwritten_since_ + limits_.skip_delay;
}

std::vector<progress> subscription::take_progress(std::size_t most) {
  std::vector<progress> runs;
  auto it = unwritten_.begin();
  for (; it != unwritten_.end(); ++it) {
    const auto& [first, span] = *it;
    const bool settled = span.value.what != progress::outcome::retry;
    if (!runs.empty() && settled && runs.back().next.value == first &&
        runs.back().what != progress::outcome::retry) {
      // The store keeps acknowledged and skipped ones alike: one run instead of thousands.
      if (runs.back().what != span.value.what)
        runs.back().what = progress::outcome::done;
      runs.back().next = queue_offset{span.next};
      continue;
    }
    if (runs.size() == most)
      break;
    runs.push_back({queue_offset{first}, queue_offset{span.next}, span.value.what, span.value.attempts,
                    from_unix_ms(span.value.due)});
  }
  if (it == unwritten_.end()) {
    unwritten_.clear();
    urgent_ = false;
  } else {
    unwritten_.erase(0, it->first);
  }
  return runs;
}

void subscription::put_back(const std::vector<progress>& runs, timestamp now) {
  std::vector<part> gaps;
  for (const auto& run : runs) {
    gaps.clear();
    unwritten_.visit_gaps(run.first.value, run.next.value, [&](auto first, auto next) {
      gaps.push_back({first, next, {}});
    });
    for (const auto& gap : gaps)
      write(gap.first, gap.next, {run.what, run.attempts, to_unix_ms(run.due)}, now);
  }
}

// -- bookkeeping
// ----------------------------------------------------------------------------------------------------

std::vector<subscription::part> subscription::parts(std::uint64_t first, std::uint64_t next) const {
  std::vector<part> result;
  open_.visit(first, next, [&](auto a, auto b, const open_state& state) { result.push_back({a, b, state}); });
  return result;
}

void subscription::count(const part& p, bool add) {
  const auto n = add ? p.next - p.first : std::uint64_t{0} - (p.next - p.first);
  if (p.state.lease != 0) {
    leased_ += n;
    return;
  }
  waiting_ += n;
  if (p.state.attempts > 0)
    retrying_ += n;
}

void subscription::push_due(std::uint64_t first, std::uint64_t next, std::int64_t due) {
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

const subscription::due_entry* subscription::earliest() {
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
