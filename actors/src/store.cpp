#include "store.hpp"

#include "commit_steps.hpp"
#include "messaging.hpp"

#include "troupe/units.hpp"

#include <caf/actor_system.hpp>
#include <caf/spawn_options.hpp>

#include <algorithm>
#include <exception>

namespace troupe {

namespace {

const error draining_error{errc::shutting_down, "the node is shutting down",
                           "send it again when the node is back"};
constexpr auto default_retry = milliseconds{1000};

/// What a handler threw, as a value.
error exception_error(const std::exception_ptr& e) {
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& ex) {
    return {errc::storage_failed, std::string{"the store threw: "} + ex.what(),
            "look at the log and restart the node"};
  } catch (...) {
    return {errc::storage_failed, "the store threw something unknown",
            "look at the log and restart the node"};
  }
}

error with_retry(error why) {
  if (why.code == errc::no_space && why.retry_after == milliseconds{0})
    why.retry_after = default_retry;
  return why;
}

} // namespace

void store_state::init(store_config cfg) {
  cfg_ = std::move(cfg);
  clock_.emplace(cfg_.now(), monotonic());
  answers_ = std::make_unique<commit_answers>(cfg_.data->id());
  if (!cfg_.make_log)
    cfg_.make_log = make_local_log;
  log_ = cfg_.make_log(*cfg_.data, [this](std::uint64_t, const applied& outcome) { on_applied(outcome); });
}

/// Why nothing is taken at present, appends or other.
error store_state::refusal() const {
  if (failed_)
    return failed_;
  return draining_ ? draining_error : error{};
}

void store_state::append(append_request& r) {
  auto why = refusal();
  if (!why) {
    why = with_retry(log_->admission());
    note_space(why);
  }
  if (!why && r.window.count() > 0)
    why = key_refusal();
  if (why) {
    guard_.refused(r.queue, r.data.header);
    answers_->refused(r, why);
  } else {
    // Asked for every batch: also a durable one takes its place.
    const bool sure = guard_.enters(r.queue, r.data.header);
    const bool held = sure && r.wanted == durability::buffered && hold(r);
    plan_.add(std::move(r), held);
  }
  arm();
}

/// Why no more keys are taken, if so.
error store_state::key_refusal() const {
  const auto used = cfg_.data->key_memory();
  if (used < cfg_.key_memory)
    return {};
  return {errc::overloaded,
          "the keys of shard " + std::to_string(cfg_.data->id().value) + " take " + format_size(used) +
              " of memory; the limit is " + format_size(cfg_.key_memory),
          "wait until older keys leave their windows, shorten the windows, or start the node with more "
          "--key-memory",
          default_retry};
}

/// Acknowledges a buffered batch that apply() will accept, when there is room for it behind all that waits.
/// Else it is answered with its commit: nothing but a crash may lose what was acknowledged.
bool store_state::hold(const append_request& r) {
  if (log_->admission(plan_.room() + commit_plan::room_of(r)))
    return false;
  answers_->held(r);
  return true;
}

void store_state::settle(settle_request& r) {
  if (auto why = refusal())
    return answer(r, {}, why);
  const bool now = r.now;
  if (!plan_.has_settles())
    oldest_settle_ = self_->clock().now();
  plan_.add(std::move(r));
  if (now) {
    arm();
  } else if (!armed_ && !settle_timer_) {
    settle_timer_ = true;
    self_->delayed_send(self_, settle_delay, settle_due_atom::value);
  }
}

caf::result<applied> store_state::propose(propose_request& r) {
  if (auto why = refusal())
    return to_caf(why);
  auto promise = self_->make_response_promise<applied>();
  promises_.emplace(next_promise_, promise);
  plan_.add(std::move(r.body), next_promise_++);
  arm();
  return promise;
}

void store_state::arm() {
  if (armed_)
    return;
  armed_ = true;
  self_->send(self_, commit_atom::value);
}

/// One timer serves all settles: when it finds a younger one than it was started for, it waits for the rest
/// of that one's time.
void store_state::settle_due() {
  settle_timer_ = false;
  if (!plan_.has_settles())
    return;
  const auto waited = self_->clock().now() - oldest_settle_;
  if (waited >= settle_delay)
    return arm();
  settle_timer_ = true;
  self_->delayed_send(self_, settle_delay - waited, settle_due_atom::value);
}

void store_state::commit() {
  armed_ = false;
  flush();
  std::optional<commit_steps> steps;
  try {
    propose_evictions();
    if (auto call = plan_.take(cfg_.now()); !call.empty()) {
      steps.emplace(cfg_.at_step, call.proposals);
      steps->before();
      run(std::move(call));
      steps->stored();
    }
  } catch (...) {
    fail(exception_error(std::current_exception()));
  }
  flush();
  if (steps)
    steps->told();
  if (!plan_.empty())
    arm();
}

void store_state::run(commit_call call) {
  const auto admission = with_retry(log_->admission());
  if (admission) {
    auto appends = call.split_appends();
    refuse(appends, admission);
    if (call.empty())
      return;
  }
  auto err = try_append(call);
  if (err.code == errc::no_space) {
    note_space(err);
    auto appends = call.split_appends();
    refuse(appends, with_retry(err));
    err = call.empty() ? error{} : try_append(call);
  }
  if (err.code == errc::storage_failed) {
    refuse(call, err);
    fail(err);
  } else if (err) {
    run_one_by_one(std::move(call));
  }
}

/// Something in the call cannot go in: find out what, so that it takes nobody along.
void store_state::run_one_by_one(commit_call call) {
  for (std::size_t i = 0; i < call.proposals.size(); ++i) {
    commit_call single;
    single.proposals.push_back(std::move(call.proposals[i]));
    single.origins.push_back(std::move(call.origins[i]));
    auto err = failed_ ? failed_ : try_append(single);
    if (!err)
      continue;
    refuse(single, with_retry(err));
    if (err.code == errc::storage_failed)
      fail(err);
  }
}

/// On error everything is back in the call.
error store_state::try_append(commit_call& call) {
  const auto begin = clock::now();
  // The log may apply before it returns, so what on_applied() needs must be in place.
  open_.push_back({std::move(call), 0});
  auto err = log_->append(open_.back().call.proposals);
  if (err) {
    call = std::move(open_.back().call);
    open_.pop_back();
    return err;
  }
  latency_.add(std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begin));
  forget_applied();
  return {};
}

/// Not in on_applied(): the log may still look at the proposals when it calls that.
void store_state::forget_applied() {
  while (!open_.empty() && open_.front().done == open_.front().call.proposals.size())
    open_.pop_front();
}

void store_state::on_applied(const applied& outcome) {
  auto it =
      std::find_if(open_.begin(), open_.end(), [](auto& o) { return o.done < o.call.proposals.size(); });
  if (it == open_.end())
    return;
  const auto i = it->done++;
  auto& origin = it->call.origins[i];
  if (auto* appends = std::get_if<std::vector<append_origin>>(&origin)) {
    auto& entry = std::get<append_entry>(it->call.proposals[i].body);
    note_sequences(entry, *appends, outcome);
    answers_->applied(entry, *appends, outcome);
    census_due_ = true;
  } else if (auto* settles = std::get_if<std::vector<settle_request>>(&origin)) {
    for (std::size_t k = 0; k < settles->size(); ++k)
      answer((*settles)[k], k < outcome.subscriptions.size() ? outcome.subscriptions[k] : subscription_row{},
             {});
  } else if (auto promise = promises_.extract(std::get<std::uint64_t>(origin))) {
    if (const auto* fire = std::get_if<fire_entry>(&it->call.proposals[i].body))
      answers_->got_messages(fire->queue);
    for (const auto& v : outcome.visible)
      answers_->got_messages(v.queue);
    promise.mapped().deliver(outcome);
  } else {
    evicted(&outcome);
  }
}

void store_state::note_sequences(const append_entry& entry, const std::vector<append_origin>& origins,
                                 const applied& outcome) {
  using what = batch_verdict::outcome;
  for (std::size_t i = 0; i < origins.size() && i < outcome.verdicts.size(); ++i) {
    const auto verdict = outcome.verdicts[i].what;
    if (verdict == what::accepted && origins[i].wanted == durability::buffered)
      guard_.accepted(entry.queue, entry.batches[i].header, outcome.time);
    else if (verdict != what::accepted && verdict != what::duplicate)
      guard_.refused(entry.queue, entry.batches[i].header);
  }
}

void store_state::refuse(commit_call& call, const error& why) {
  for (std::size_t i = 0; i < call.proposals.size(); ++i) {
    auto& origin = call.origins[i];
    if (auto* appends = std::get_if<std::vector<append_origin>>(&origin)) {
      auto& entry = std::get<append_entry>(call.proposals[i].body);
      for (const auto& b : entry.batches)
        guard_.refused(entry.queue, b.header);
      answers_->refused(entry, *appends, why);
    } else if (auto* settles = std::get_if<std::vector<settle_request>>(&origin)) {
      for (const auto& s : *settles)
        answer(s, {}, why);
    } else if (auto promise = promises_.extract(std::get<std::uint64_t>(origin))) {
      promise.mapped().deliver(to_caf(why));
    } else {
      evicted(nullptr);
    }
  }
}

void store_state::answer(const settle_request& r, const subscription_row& row, const error& failed) {
  tell(self_, r.reply_to, settle_committed{r.tag, row, failed});
}

/// Says once that the shard is full, and once that it has not been for a while.
void store_state::note_space(const error& why) {
  const bool full = why.code == errc::no_space;
  const auto now = self_->clock().now();
  if (full)
    last_full_ = now;
  if (full == full_ || (!full && now - last_full_ < full_memory))
    return;
  full_ = full;
  log(cfg_.log,
      {.level = full ? log_level::warning : log_level::info,
       .component = name,
       .event = full ? "full" : "has_room",
       .text = full ? "new messages are refused: " + to_string(why) : "new messages are taken again",
       .fields = {{"shard", std::to_string(cfg_.data->id().value)}}});
}

/// Tells what was gathered: one message per producer, one per QUEUE, one to RETENTION and to the TIMER.
void store_state::flush() {
  auto all = answers_->take();
  // First, so that a producer that hears of it finds the budget free.
  cfg_.in_flight->give(all.in_flight);
  // QUEUEs before producers: what a producer sends upon its answer must find its QUEUE's window free.
  for (auto& q : all.queues)
    tell(self_, q.queue, std::move(q.message));
  for (auto& p : all.producers)
    tell(self_, p.producer, std::move(p.message));
  const auto retention = all.appended.empty() || !cfg_.retention ? retention_actor{} : cfg_.retention();
  if (retention)
    self_->send(retention, appended_queues{std::move(all.appended)});
  if (const auto timer = all.look_at && cfg_.timer ? cfg_.timer() : timer_actor{})
    self_->send(timer, timers_stored{*all.look_at});
  const auto transactions = all.halves && cfg_.transactions ? cfg_.transactions() : transactions_actor{};
  if (transactions)
    self_->send(transactions, halves_stored{*all.halves});
}

void store_state::fail(const error& why) {
  if (failed_)
    return;
  failed_ = {errc::storage_failed, why.reason, why.hint};
  log(cfg_.log, {.level = log_level::error,
                 .component = name,
                 .event = "storage_failed",
                 .text = "the storage failed; the shard takes nothing more: " + why.reason,
                 .fields = {{"shard", std::to_string(cfg_.data->id().value)}}});
  for (auto& o : open_) {
    commit_call rest;
    for (auto i = o.done; i < o.call.proposals.size(); ++i) {
      rest.proposals.push_back(std::move(o.call.proposals[i]));
      rest.origins.push_back(std::move(o.call.origins[i]));
    }
    refuse(rest, failed_);
  }
  open_.clear();
  while (!plan_.empty()) {
    auto call = plan_.take(timestamp{});
    refuse(call, failed_);
  }
  flush();
  if (cfg_.on_failure)
    cfg_.on_failure(failed_);
}

caf::result<bool> store_state::drain() {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "only the node itself drains its stores", {}});
  while (!plan_.empty() && !failed_)
    commit();
  flush();
  draining_ = true;
  return true;
}

store_status store_state::status() const {
  return {.commits = latency_.count(),
          .commit_p50_us = static_cast<std::uint64_t>(latency_.quantile(0.5).count()),
          .commit_p99_us = static_cast<std::uint64_t>(latency_.quantile(0.99).count()),
          .stats = cfg_.data->stats(),
          .admission = failed_ ? failed_ : log_->admission()};
}

store_impl::behavior_type store(store_impl::stateful_pointer<store_state> self, store_config cfg) {
  ignore_strangers(self);
  self->state.init(std::move(cfg));
  self->set_exception_handler([self](std::exception_ptr& e) -> caf::error {
    auto why = exception_error(e);
    self->state.fail(why);
    return to_caf(why);
  });
  return {
      [self](append_request& r) { self->state.append(r); },
      [self](settle_request& r) { self->state.settle(r); },
      [self](propose_request& r) { return self->state.propose(r); },
      [self](status_atom) { return self->state.status(); },
      [self](drain_atom) { return self->state.drain(); },
      [self](commit_atom) {
        if (from_here(self))
          self->state.commit();
      },
      [self](settle_due_atom) {
        if (from_here(self))
          self->state.settle_due();
      },
  };
}

store_actor spawn_store(caf::actor_system& sys, store_config cfg) {
  return sys.spawn<caf::detached>(store, std::move(cfg));
}

} // namespace troupe
