#include "troupe/ordered_subscription.hpp"

#include "troupe/failure.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

constexpr std::uint64_t no_key = 0;
/// All messages of a queue that is in order as a whole.
constexpr std::uint64_t queue_key = std::uint64_t{1} << 62;
/// A message without a key has one of its own.
constexpr std::uint64_t own_key = std::uint64_t{1} << 63;

std::uint64_t end_of(queue_offset first, std::uint32_t count) {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  return first.value > most - count ? most : first.value + count;
}

} // namespace

ordered_subscription::ordered_subscription(subscription_limits limits,
                                           std::shared_ptr<const retry_policy> policy, group_order by,
                                           queue_id queue)
    : limits_(limits), policy_(std::move(policy)), by_(by), queue_(queue) {}

void ordered_subscription::configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) {
  limits_ = limits;
  policy_ = std::move(policy);
}

void ordered_subscription::restore(const stored_state& state, lease_id last) {
  auto leases = std::move(leases_);
  leases.clear(last.value);
  *this = ordered_subscription{limits_, std::move(policy_), by_, queue_};
  leases_ = std::move(leases);
  gen_ = state.gen;
  settled_ = settled_bits{state.floor.value};
  for (const auto& [first, next] : state.settled)
    settled_.add(first.value, next.value);
  cursor_ = settled_.floor();
  for (const auto& r : state.retries)
    if (!settled_.contains(r.offset.value))
      remember(r.offset.value, {to_unix_ms(r.due), no_key, r.attempts, false});
}

// -- what can be delivered
// ------------------------------------------------------------------------------------------

void ordered_subscription::extent(queue_offset first, queue_offset next, timestamp now) {
  next_ = next.value;
  if (floor() < first)
    hole(floor(), first, now);
}

void ordered_subscription::exhausted(queue_offset next) { next_ = std::min(next_, next.value); }

/// After a restart the keys of what waits are not known until the cursor has come by: until then it must go
/// on.
bool ordered_subscription::bounded() const {
  const bool known = failed_.empty() || failed_.rbegin()->first < cursor_;
  return (known && retrying_ >= limits_.retries) || cursor_ - settled_.floor() >= limits_.span;
}

std::uint64_t ordered_subscription::unsettled() const {
  const auto beyond = settled_.floor() + settled_.count();
  return next_ > beyond ? next_ - beyond : 0;
}

/// By queue: where the one key stands.
const order_keys::state* ordered_subscription::the_queue() const {
  return by_ == group_order::queue ? keys_.find(queue_key) : nullptr;
}

std::optional<delivery_plan> ordered_subscription::plan(std::uint64_t member, timestamp now) {
  if (holds_suspect(member))
    return {};
  keys_.wake(to_unix_ms(now));
  while (const auto first = keys_.first_ready()) {
    const auto at = settled_.next_open(first->first);
    if (at != first->first) { // trimmed, or settled late
      keys_.change(first->second, [&](auto& k) { k.first_held = at; });
      continue;
    }
    const auto f = failed_.find(at);
    // A bound may be the place of another key's message.
    const bool known = f != failed_.end() && f->second.key == first->second;
    if (!known || f->second.due <= to_unix_ms(now))
      return delivery_plan{queue_offset{at}, known && f->second.suspect};
    // It failed before something in front of it was given back.
    keys_.change(first->second, [&](auto& k) {
      k.due = f->second.due;
      k.stopper = at;
    });
  }
  cursor_ = settled_.next_open(cursor_);
  if (the_queue() || !fresh())
    return {};
  return delivery_plan{queue_offset{cursor_}};
}

std::uint64_t ordered_subscription::available(timestamp now) {
  keys_.wake(to_unix_ms(now));
  cursor_ = settled_.next_open(cursor_);
  if (by_ == group_order::key) {
    // Each key that can go on has one message at least, and all of them have no more than there are.
    const auto ready = keys_.ready();
    const auto below = cursor_ - settled_.floor() - out_.size();
    return std::max(ready, std::min(ready * limits_.order_batch, below)) + (fresh() ? next_ - cursor_ : 0);
  }
  if (the_queue())
    return keys_.ready() > 0 ? limits_.order_batch : 0;
  return fresh() ? std::min<std::uint64_t>(next_ - cursor_, limits_.order_batch) : 0;
}

std::optional<timestamp> ordered_subscription::next_deadline(timestamp now) {
  keys_.wake(to_unix_ms(now));
  auto at = leases_.next_end();
  if (const auto due = keys_.next_due(); due && (!at || from_unix_ms(*due) < *at))
    at = from_unix_ms(*due);
  return at;
}

// -- taking
// ---------------------------------------------------------------------------------------------------------

lease_id ordered_subscription::begin(std::uint64_t member, timestamp now) {
  commit();
  taking_now_ = now;
  taking_alone_.reset();
  const auto next = plan(member, now);
  plan_from_ = next ? next->from.value : order_keys::none;
  if (next && next->alone)
    taking_alone_ = plan_from_;
  taking_ = leases_.open(member, now + limits_.lease);
  return lease_id{taking_};
}

bool ordered_subscription::commit(std::uint64_t bytes) {
  if (const auto first = std::exchange(pass_first_, std::nullopt))
    keys_.passed(*first, pass_next_, taking_);
  return leases_.close(std::exchange(taking_, 0), bytes);
}

std::uint32_t ordered_subscription::take(queue_offset base, std::uint32_t count, std::uint32_t most,
                                         batch_view* view, std::vector<leased_run>& out) {
  const auto next = end_of(base, count);
  const auto* lease = leases_.find(taking_);
  if (!lease || most == 0)
    return 0;
  if (taking_alone_)
    return take_alone(base.value, next, view, out);
  if (holds_suspect(lease->member))
    return 0;
  if (!pass_first_) {
    // What is no longer there between the plan and the batch does not matter.
    const bool all = plan_from_ < base.value && looked_at(plan_from_, base.value);
    pass_first_ = all ? plan_from_ : base.value;
    pass_next_ = base.value;
  }
  // What is between was not looked at: nothing behind it may go out.
  if (!looked_at(pass_next_, base.value))
    return 0;
  pass_next_ = std::max(pass_next_, base.value);
  return scan(base.value, next, most, view, out);
}

/// Everything in [first, next) is settled or out.
bool ordered_subscription::looked_at(std::uint64_t first, std::uint64_t next) const {
  auto at = settled_.next_open(first);
  while (at < next && out_.count(at) != 0)
    at = settled_.next_open(at + 1);
  return at >= next;
}

std::uint32_t ordered_subscription::scan(std::uint64_t base, std::uint64_t next, std::uint32_t most,
                                         batch_view* view, std::vector<leased_run>& out) {
  std::uint32_t taken = 0;
  for (;;) {
    const auto at = std::min(next, settled_.next_open(pass_next_));
    pass_next_ = std::max(pass_next_, at);
    if (cursor_ < at && settled_.next_open(cursor_) >= at)
      cursor_ = at;
    if (pass_next_ >= next || taken == most || at > cursor_ || (at == cursor_ && !fresh()))
      return taken;
    if (out_.count(at) == 0) {
      const auto f = failed_.find(at);
      const auto attempts = f == failed_.end() ? std::uint16_t{0} : f->second.attempts;
      const auto key = key_of(at, base, view);
      const auto todo = judge(at, key);
      if (todo == verdict::stop)
        return taken;
      const auto fate =
          view ? view->judge(static_cast<std::uint32_t>(at - base), attempts) : message_fate::deliver;
      if (fate != message_fate::deliver) {
        pass_over(at, fate, attempts);
      } else if (todo == verdict::hold) {
        hold_back(at, key);
      } else {
        lease_out(at, key, out);
        ++taken;
      }
    }
    pass_next_ = at + 1;
    cursor_ = std::max(cursor_, pass_next_);
  }
}

std::uint64_t ordered_subscription::key_of(std::uint64_t at, std::uint64_t base, batch_view* view) const {
  if (by_ == group_order::queue)
    return queue_key;
  const auto hash = view ? view->order_key(static_cast<std::uint32_t>(at - base)) : 0;
  return hash != 0 ? hash : own_key | at;
}

ordered_subscription::verdict ordered_subscription::judge(std::uint64_t at, std::uint64_t key) const {
  if (const auto f = failed_.find(at);
      f != failed_.end() && (f->second.suspect || f->second.due > to_unix_ms(taking_now_)))
    return verdict::hold;
  const auto* k = keys_.find(key);
  if (!k)
    return verdict::lease;
  const auto busy = by_ == group_order::queue ? verdict::stop : verdict::hold;
  if (k->out > 0 && (k->lease != taking_ || k->out >= limits_.order_batch))
    return busy;
  const bool left_behind = k->stopped == taking_ || (k->held() && k->first_held < *pass_first_);
  return k->due > 0 || left_behind ? busy : verdict::lease;
}

std::uint32_t ordered_subscription::take_alone(std::uint64_t base, std::uint64_t next, batch_view* view,
                                               std::vector<leased_run>& out) {
  const auto at = *taking_alone_;
  const auto f = failed_.find(at);
  if (at < base || at >= next || f == failed_.end())
    return 0;
  const auto attempts = f->second.attempts;
  const auto fate =
      view ? view->judge(static_cast<std::uint32_t>(at - base), attempts) : message_fate::deliver;
  if (fate != message_fate::deliver) {
    pass_over(at, fate, attempts);
    return 0;
  }
  leases_.suspect(taking_);
  lease_out(at, f->second.key, out);
  return 1;
}

void ordered_subscription::lease_out(std::uint64_t at, std::uint64_t key, std::vector<leased_run>& out) {
  out_state o{taking_, key};
  if (const auto f = failed_.find(at); f != failed_.end()) {
    o.attempts = f->second.attempts;
    o.suspect = f->second.suspect;
    retrying_ -= o.attempts > 0 ? 1 : 0;
    failed_.erase(f);
  }
  out_.emplace(at, o);
  keys_.change(key, [&](auto& k) {
    k.lease = taking_;
    ++k.out;
    k.due = 0;
    k.stopper = order_keys::none;
    if (k.held())
      k.first_held = at + 1;
  });
  leases_.add(taking_, at, at + 1);
  if (!out.empty() && out.back().next.value == at && out.back().attempts == o.attempts)
    out.back().next = queue_offset{at + 1};
  else
    out.push_back({queue_offset{at}, queue_offset{at + 1}, o.attempts});
}

void ordered_subscription::hold_back(std::uint64_t at, std::uint64_t key) {
  const auto f = failed_.find(at);
  keys_.change(key, [&](auto& k) {
    const bool first = k.stopped != taking_ && (!k.held() || k.first_held >= *pass_first_);
    k.last_held = k.held() ? std::max(k.last_held, at) : at;
    k.first_held = first ? at : std::min(k.first_held, at);
    k.stopped = taking_;
    if (f != failed_.end() && first && k.out == 0 && f->second.due > to_unix_ms(taking_now_)) {
      k.due = f->second.due;
      k.stopper = at;
    }
  });
  if (f != failed_.end())
    f->second.key = key;
}

void ordered_subscription::pass_over(std::uint64_t at, message_fate fate, std::uint16_t attempts) {
  settled(at, at + 1, after_fate(limits_, fate, attempts), taking_now_);
}

void ordered_subscription::hole(queue_offset first, queue_offset next, timestamp now) {
  // Up to the next one that is out, and on behind it.
  auto at = std::max(first.value, settled_.floor());
  while (at < next.value) {
    const auto out = out_.lower_bound(at);
    const auto end = out == out_.end() ? next.value : std::min(next.value, out->first);
    if (at < end)
      settled(at, end, {progress::outcome::skipped}, now);
    at = end + 1;
  }
}

// -- settling
// -------------------------------------------------------------------------------------------------------

settle_outcome ordered_subscription::settle(const settle_claim& claim, timestamp now) {
  const auto first = claim.first.value;
  const auto next = end_of(claim.first, claim.count);
  settle_outcome result{next - first};
  if (claim.gen != gen_)
    return result;
  if (claim.wish == settle_wish::ack) {
    const auto known = std::min(next, std::max(cursor_, next_));
    if (first < known) {
      settled(first, known, {progress::outcome::done}, now);
      result.refused = next - known;
    }
    return result;
  }
  for (auto it = out_.lower_bound(first); it != out_.end() && it->first < next;) {
    const auto at = it->first;
    if (it->second.lease == claim.lease.value) {
      --result.refused;
      settle_one(at, claim, now);
    }
    it = out_.upper_bound(at);
  }
  return result;
}

void ordered_subscription::settle_one(std::uint64_t at, const settle_claim& claim, timestamp now) {
  if (claim.wish == settle_wish::retry)
    fail(at, {claim.delay, false, claim.detail}, now);
  else if (claim.wish == settle_wish::reject)
    settled(at, at + 1, after_reject(limits_, out_.at(at).attempts, claim.detail), now);
  else
    take_back(at, out_.at(at).suspect);
}

/// Whatever of it was not settled is, with this outcome.
void ordered_subscription::settled(std::uint64_t first, std::uint64_t next, const offset_outcome& what,
                                   timestamp now) {
  for (auto it = out_.lower_bound(first); it != out_.end() && it->first < next;) {
    const auto at = (it++)->first;
    recall(at);
  }
  forget_failed(first, next);
  for (auto at = settled_.next_open(first); at < next;) {
    // Run by run: what was settled before keeps its outcome.
    const auto end = settled_.next_settled(at, next);
    unwritten_.write(at, end, what, now);
    at = settled_.next_open(end);
  }
  settled_.add(first, next);
  cursor_ = std::max(cursor_, settled_.floor());
}

/// What failed and was settled late holds its key no longer.
void ordered_subscription::forget_failed(std::uint64_t first, std::uint64_t next) {
  for (auto it = failed_.lower_bound(first); it != failed_.end() && it->first < next;) {
    const auto [at, f] = *it;
    retrying_ -= f.attempts > 0 ? 1 : 0;
    it = failed_.erase(it);
    let_go(f.key, at);
  }
}

void ordered_subscription::let_go(std::uint64_t key, std::uint64_t at) {
  keys_.change(key, [&](auto& k) {
    if (k.held() && k.first_held == at)
      k.first_held = at + 1;
    if (k.stopper == at) {
      k.due = 0;
      k.stopper = order_keys::none;
    }
  });
}

/// Takes it out of its lease and its key's; what becomes of it then is the caller's.
ordered_subscription::out_state ordered_subscription::recall(std::uint64_t at) {
  const auto o = out_.extract(at).mapped();
  keys_.change(o.key, [](auto& k) { --k.out; });
  leases_.release(o.lease, 1);
  return o;
}

void ordered_subscription::remember(std::uint64_t at, const failed_state& f) {
  auto& known = failed_[at];
  retrying_ -= known.attempts > 0 ? 1 : 0;
  retrying_ += f.attempts > 0 ? 1 : 0;
  known = f;
}

void ordered_subscription::take_back(std::uint64_t at, bool suspect) {
  const auto key = out_.at(at).key;
  const auto lease = out_.at(at).lease;
  const auto high = leases_.find(lease)->high;
  std::vector<std::uint64_t> behind;
  // The key has not more of them: a lost lease of thousands of keys must not be walked through for each.
  const auto most = keys_.find(key)->out;
  for (auto it = out_.lower_bound(at); it != out_.end() && it->first < high && behind.size() < most; ++it)
    if (it->second.key == key && it->second.lease == lease)
      behind.push_back(it->first);
  for (const auto o : behind) {
    keys_.change(key, [&](auto& k) {
      k.hold(o);
      // What comes before the one that failed need not wait for it.
      k.due = o < k.stopper ? 0 : k.due;
    });
    const auto was = recall(o);
    const bool doubt = suspect || (o != at && was.suspect);
    if (was.attempts > 0 || doubt)
      remember(o, {0, key, was.attempts, doubt});
  }
}

void ordered_subscription::fail(std::uint64_t at, const failure& how, timestamp now) {
  const auto before = out_.at(at);
  const auto failures = one_more(before.attempts);
  const auto what =
      after_failure(limits_, *policy_, {queue_, queue_offset{at}, failures}, how.delay, how.detail, now);
  take_back(at, how.suspect);
  if (what.what != progress::outcome::retry) {
    settled(at, at + 1, what, now);
    return let_go(before.key, at);
  }
  remember(at, {what.due, before.key, failures, how.suspect});
  keys_.change(before.key, [&](auto& k) {
    k.due = what.due;
    k.stopper = at;
  });
  unwritten_.write(at, at + 1, what, now);
}

bool ordered_subscription::renew(lease_id lease, std::uint64_t member, timestamp now) {
  return leases_.renew(lease.value, member, now, now + limits_.lease);
}

void ordered_subscription::member_gone(std::uint64_t member, bool failed, timestamp now) {
  const auto cause = leases_.suspect_of(member);
  for (auto id : leases_.of(member)) {
    const auto lost = cause == 0 || id == cause ? lease_end::lost : lease_end::innocent;
    end_lease(id, failed ? lost : lease_end::given_back, now);
  }
}

void ordered_subscription::expire(timestamp now) {
  while (const auto id = leases_.over(now))
    end_lease(*id, lease_end::over, now);
}

void ordered_subscription::end_lease(std::uint64_t id, lease_end how, timestamp now) {
  const auto lease = *leases_.find(id);
  std::vector<std::uint64_t> held;
  for (auto it = out_.lower_bound(lease.low); it != out_.end() && it->first < lease.high; ++it)
    if (it->second.lease == id)
      held.push_back(it->first);
  for (const auto at : held) {
    const auto o = out_.find(at);
    if (o == out_.end())
      continue; // its key failed before it
    if (how == lease_end::lost || how == lease_end::over)
      fail(at, {{}, true, how == lease_end::lost ? consumer_lost_detail : lease_ended_detail}, now);
    else
      take_back(at, o->second.suspect || how == lease_end::innocent);
  }
}

} // namespace troupe
