#include "transactions.hpp"

#include <caf/actor_system.hpp>
#include <caf/spawn_options.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

/// Decisions of operators under way.
constexpr std::size_t most_by_hand = 64;
/// Slices of the table that one request reads, when few of them are of its group.
constexpr int most_slices = 16;

error not_internal(const char* what) {
  return {errc::invalid_argument, std::string{what} + " is for the node's own actors", {}};
}

open_transaction as_open(const transaction_cursor& c) {
  open_transaction t;
  t.row = {c.queue, c.index, c.first};
  t.checked = c.checked;
  t.due = from_unix_ms(c.due);
  return t;
}

transaction_cursor as_cursor(shard_id shard, const open_transaction& t) {
  return {shard, true, t.checked, to_unix_ms(t.due), t.row.queue, t.row.index, t.row.first};
}

/// One for each half message that is a transaction of its own, one for a transaction at home, none for the
/// messages of one, which is listed where its home is.
void add(open_found& found, shard_id shard, const open_transaction& t, std::uint32_t listed) {
  transaction_status s;
  s.group = t.group;
  s.key = t.key;
  s.state = t.state;
  s.parked = t.due == never();
  s.since = to_unix_ms(t.since);
  s.checks = t.checks;
  s.messages = listed;
  if (t.row.queue.value == 0) {
    s.transaction = t.transaction;
    found.transactions.push_back(std::move(s));
    found.queues.emplace_back();
  } else if (!t.transaction.known()) {
    s.messages = 1;
    for (const auto& m : t.messages) {
      s.message = {shard, m.index, m.ordinal};
      found.transactions.push_back(s);
      found.queues.push_back(t.row.queue);
    }
  }
}

} // namespace

transactions_state::transactions_state(transactions_impl::pointer self)
    : parts_{.self = self, .ctx = {}, .id = {}, .queues = {}, .peers = {}} {}

void transactions_state::init(transactions_config cfg) {
  parts_.ctx = std::move(cfg.ctx);
  parts_.id = cfg.shard;
}

void transactions_state::start(const transactions_peers& p) {
  if (!from_here(parts_.self) || std::exchange(started_, true))
    return;
  parts_.peers = p;
  home_.start();
  parts_.self->delayed_send(parts_.self, first_forget, transactions_forget_atom::value);
  // What came due while the node was down.
  arm(timestamp{});
}

caf::actor transactions_state::sender() const {
  return caf::actor_cast<caf::actor>(parts_.self->current_sender());
}

void transactions_state::begin(const begin_transaction& b) {
  home_.begin(b, sender(), [this](timestamp due) { look_by(due); });
}

void transactions_state::seal(const seal_transaction& s) {
  home_.seal(s, sender(), [this](timestamp due) { look_by(due); });
}

void transactions_state::answered(const checks_done& d) {
  checks_.answered(caf::actor_cast<caf::actor_addr>(parts_.self->current_sender()), d.cost);
}

void transactions_state::stored(const halves_stored& s) {
  if (from_here(parts_.self))
    look_by(parts_.schedule().first(s.at));
}

void transactions_state::follow(const timed_queue& q) {
  if (!from_here(parts_.self))
    return;
  parts_.queues.add(q);
  parts_.self->monitor(q.handle);
  // It may have looked before something was committed that it did not hear of.
  if (const auto extent = parts_.data().extent(q.queue))
    parts_.queues.tell(parts_.self, q.queue, extent->next);
}

void transactions_state::lost(const caf::actor_addr& who) {
  parts_.queues.lost(who);
  checks_.lost(who);
}

caf::result<bool> transactions_state::decide_part_here(const decide_part& p) {
  if (!from_here(parts_.self))
    return to_caf(not_internal("a part of a decision"));
  return home_.decide_here(p);
}

void transactions_state::flush() {
  if (from_here(parts_.self))
    halves_.flush();
}

// -- what is due
// ----------------------------------------------------------------------------------------------

/// There is something that is due then, unless a look before, or after the round, finds it.
void transactions_state::look_by(timestamp at) {
  if (started_ && !round_ && !(armed_for_ && *armed_for_ <= at))
    arm(at);
}

/// One work message counts: that of the last arming.
void transactions_state::arm(timestamp at) {
  if (stopped_)
    return;
  armed_for_ = at;
  const auto now = parts_.now();
  if (at <= now)
    parts_.self->send(parts_.self, transactions_work_atom::value, ++arming_);
  else
    parts_.self->delayed_send(parts_.self, std::min<milliseconds>(at - now, longest_wait),
                              transactions_work_atom::value, ++arming_);
}

void transactions_state::look_again(milliseconds pause) {
  armed_for_ = parts_.now() + pause;
  parts_.self->delayed_send(parts_.self, pause, transactions_work_atom::value, ++arming_);
}

void transactions_state::work(std::uint64_t arming) {
  if (!from_here(parts_.self) || arming != arming_ || round_)
    return;
  armed_for_.reset();
  const auto due =
      parts_.data().checks_due(parts_.now(), parts_.schedule().after, check_round::messages_a_round);
  if (!due)
    return round_ended(check_round::ending::failed, due.error());
  if (due->items.empty()) {
    if (due->next)
      arm(*due->next);
    return;
  }
  round_ = true;
  checks_.run(due->items, [this](check_round::ending end, const error& failed) { round_ended(end, failed); });
}

void transactions_state::round_ended(check_round::ending end, const error& failed) {
  round_ = false;
  if (end == check_round::ending::busy)
    return look_again(busy_pause);
  if (end == check_round::ending::done) {
    pauses_.reset();
    return arm(timestamp{});
  }
  stopped_ = failed.code == errc::shutting_down || failed.code == errc::storage_failed;
  if (stopped_)
    return;
  parts_.report(log_level::warning, "check_failed",
                "undecided transactions could not be looked at, and are again: " + to_string(failed));
  look_again(pauses_.next(arming_ * 0x9e3779b97f4a7c15u));
}

void transactions_state::forget() {
  if (!from_here(parts_.self) || stopped_)
    return;
  if (const auto now = parts_.ctx->clock->trusted(parts_.self->clock().now()))
    forget_some(*now - memory);
  parts_.self->delayed_send(parts_.self, forget_every, transactions_forget_atom::value);
}

void transactions_state::forget_some(timestamp before) {
  parts_.propose(forget_transactions_entry{before})
      .then(
          [this, before](const applied& a) {
            if (!a.done)
              forget_some(before);
          },
          [](const caf::error&) {});
}

// -- operators
// --------------------------------------------------------------------------------------------------

caf::result<open_found> transactions_state::list(const open_request& r) {
  if (!from_here(parts_.self))
    return to_caf(not_internal("a list of open transactions"));
  open_found found;
  std::optional<open_transaction> after;
  if (r.after.inside)
    after = as_open(r.after);
  for (int slice = 0; slice < most_slices && found.transactions.size() < r.max; ++slice) {
    auto open = parts_.data().open_transactions(after, r.max - found.transactions.size());
    if (!open)
      return to_caf(open.error());
    if (open->empty()) {
      found.next.inside = false;
      return found;
    }
    for (const auto& t : *open) {
      if (!r.group.empty() && t.group != r.group)
        continue;
      const auto row = t.row.queue.value == 0 ? parts_.data().transaction(t.row.index)
                                              : result<std::optional<stored_transaction>>{std::nullopt};
      add(found, parts_.id, t,
          row && *row ? static_cast<std::uint32_t>((*row)->messages.size()) : std::uint32_t{0});
    }
    after = std::move(open->back());
    found.next = as_cursor(parts_.id, *after);
  }
  return found;
}

caf::result<decided_by_hand> transactions_state::by_hand(const decide_by_hand& d) {
  if (!from_here(parts_.self))
    return to_caf(not_internal("a decision by hand"));
  if (by_hand_ >= most_by_hand)
    return to_caf({errc::overloaded, std::to_string(by_hand_) + " decisions by hand are under way",
                   "ask again", 100ms});
  if (!d.transaction.known())
    return half_by_hand(d);
  auto promise = parts_.self->make_response_promise<decided_by_hand>();
  ++by_hand_;
  home_.decide(d.transaction.index, d.commit,
               [this, promise](const result<transaction_state>& state) mutable {
                 --by_hand_;
                 if (state)
                   promise.deliver(decided_by_hand{*state, {}});
                 else
                   promise.deliver(to_caf(state.error()));
               });
  return promise;
}

caf::result<decided_by_hand> transactions_state::half_by_hand(const decide_by_hand& d) {
  const message_place place{d.message.index, d.message.ordinal};
  const auto half = parts_.data().half(place);
  if (!half)
    return to_caf(half.error());
  if (!*half)
    return decided_by_hand{};
  if ((*half)->transaction.known() || has_ended((*half)->state))
    return decided_by_hand{(*half)->state, (*half)->transaction};
  auto queues = parts_.data().by_queue(std::span{&place, 1});
  if (!queues)
    return to_caf(queues.error());
  decide_entry entry;
  entry.commit = d.commit;
  entry.queues = std::move(*queues);
  auto promise = parts_.self->make_response_promise<decided_by_hand>();
  ++by_hand_;
  parts_.propose(std::move(entry))
      .then(
          [this, promise](const applied& a) mutable {
            --by_hand_;
            parts_.tell(a);
            promise.deliver(decided_by_hand{a.states.empty() ? transaction_state::unknown : a.states[0], {}});
          },
          [this, promise](caf::error& err) mutable {
            --by_hand_;
            promise.deliver(std::move(err));
          });
  return promise;
}

// -- the actor
// -------------------------------------------------------------------------------------------------------

transactions_impl::behavior_type
transactions_behavior(transactions_impl::stateful_pointer<transactions_state> self, transactions_config cfg) {
  ignore_strangers(self);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.lost(down.source); });
  self->state.init(std::move(cfg));
  return {
      [self](const decide_part& p) { return self->state.decide_part_here(p); },
      [self](const decide_halves& d) { self->state.decide(d); },
      [self](const begin_transaction& b) { self->state.begin(b); },
      [self](const seal_transaction& s) { self->state.seal(s); },
      [self](const decide_transaction& d) { self->state.decide(d); },
      [self](const expect_checks& e) { return self->state.expect(e); },
      [self](const checks_done& d) { self->state.answered(d); },
      [self](const halves_stored& s) { self->state.stored(s); },
      [self](const timed_queue& q) { self->state.follow(q); },
      [self](const transactions_peers& p) { self->state.start(p); },
      [self](const open_request& r) { return self->state.list(r); },
      [self](const decide_by_hand& d) { return self->state.by_hand(d); },
      [self](transactions_work_atom, std::uint64_t arming) { self->state.work(arming); },
      [self](transactions_flush_atom) { self->state.flush(); },
      [self](transactions_forget_atom) { self->state.forget(); },
  };
}

transactions_actor spawn_transactions(caf::actor_system& sys, context_ptr ctx, shard_id shard) {
  return sys.spawn<caf::detached>(transactions_behavior, transactions_config{std::move(ctx), shard});
}

} // namespace troupe
