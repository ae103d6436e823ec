#include "timer.hpp"

#include "messaging.hpp"

#include "troupe/units.hpp"

#include <caf/actor_system.hpp>
#include <caf/spawn_options.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto store_timeout = 60s;

error gone(const message_id& message) {
  return {errc::not_found,
          "message " + to_string(message) + " does not wait: it never was delayed, was cancelled, or is gone",
          "troupe delay list shows what waits"};
}

} // namespace

void timer_state::init(timer_config cfg) {
  cfg_ = std::move(cfg);
  // What came due while the node was down.
  arm(timestamp{});
}

timestamp timer_state::wall() {
  const auto monotonic = self_->clock().now();
  const bool trusted = cfg_.clock->trusted(monotonic).has_value();
  if (trusted != std::exchange(clock_trusted_, trusted))
    report(trusted ? log_level::info : log_level::warning, trusted ? "clock_trusted" : "clock_not_trusted",
           trusted ? "the wall clock is right again; delayed messages go by it"
                   : "the wall clock was set (off by " + format_duration(cfg_.clock->off()) +
                         "): until it is right again, or the node is restarted, delayed messages go by the "
                         "time since then");
  return cfg_.clock->right(monotonic);
}

void timer_state::stored(const timers_stored& s) {
  if (!from_here(self_) || missing_ > 0 || (armed_for_ && *armed_for_ <= s.look_at))
    return; // there is a look before, or after the round
  arm(s.look_at);
}

/// One work message counts: that of the last arming.
void timer_state::arm(timestamp at) {
  if (stopped_)
    return;
  armed_for_ = at;
  const auto now = wall();
  if (at <= now)
    self_->send(self_, timer_work_atom::value, ++arming_);
  else
    self_->delayed_send(self_, std::min<milliseconds>(at - now, longest_wait), timer_work_atom::value,
                        ++arming_);
}

void timer_state::work(std::uint64_t arming) {
  if (!from_here(self_) || arming != arming_ || missing_ > 0)
    return;
  armed_for_.reset();
  auto found = cfg_.data->due_timers(wall(), messages_a_round);
  if (!found) {
    ++missing_;
    return answered(found.error());
  }
  if (!found->empty())
    return propose(std::move(*found));
  if (found->next)
    arm(*found->next);
}

void timer_state::propose(timer_work found) {
  missing_ = found.fires.size() + found.splits.size();
  for (auto& fire : found.fires) {
    const auto queue = fire.queue;
    propose(queue, std::move(fire));
  }
  for (const auto& split : found.splits)
    propose(queue_id{}, split);
}

void timer_state::propose(queue_id queue, entry_body body) {
  self_->request(cfg_.store, store_timeout, propose_request{std::move(body)})
      .then(
          [this, queue](const applied& a) {
            if (queue.value)
              queues_.tell(self_, queue, a.next);
            answered({});
          },
          [this](const caf::error& err) { answered(from_caf(err)); });
}

/// Of a round that failed nothing is known but what the tables say: the next look tells.
void timer_state::answered(const error& failed) {
  if (failed && !failed_)
    failed_ = failed;
  if (--missing_ > 0)
    return;
  const auto why = std::exchange(failed_, {});
  if (!why) {
    pauses_.reset();
    return arm(timestamp{});
  }
  stopped_ = why.code == errc::shutting_down || why.code == errc::storage_failed;
  if (stopped_)
    return;
  const auto pause = pauses_.next(arming_ * 0x9e3779b97f4a7c15u);
  report(log_level::warning, "fire_failed",
         "delayed messages could not be made visible and are tried again: " + to_string(why));
  armed_for_ = wall() + pause;
  self_->delayed_send(self_, pause, timer_work_atom::value, ++arming_);
}

void timer_state::follow(const timed_queue& q) {
  if (!from_here(self_))
    return;
  queues_.add(q);
  self_->monitor(q.handle);
  // It may have looked before something fired that it did not hear of.
  if (const auto extent = cfg_.data->extent(q.queue))
    queues_.tell(self_, q.queue, extent->next);
}

void timer_state::lost(const caf::actor_addr& who) { queues_.lost(who); }

caf::result<cancelled_timer> timer_state::cancel(const cancel_timer& c) {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "a cancel comes from the node's own CATALOG", {}});
  if (cancels_ >= most_cancels)
    return to_caf(
        {errc::overloaded, std::to_string(cancels_) + " cancels are under way", "ask again", 100ms});
  cancel_round round{c.message, 0, self_->make_response_promise<cancelled_timer>()};
  auto promise = round.promise;
  ++cancels_;
  try_cancel(std::move(round));
  return promise;
}

/// Finds out where it waits and has it taken out of there. Between the two it may fire, or move on: then once
/// more.
void timer_state::try_cancel(cancel_round round) {
  const message_id id{cfg_.data->id(), round.message.index, round.message.ordinal};
  const auto found = cfg_.data->find_delayed(round.message);
  if (!found)
    return end(round, found.error());
  if (!*found)
    return end(round, gone(id));
  const auto& place = **found;
  if (!place.row) {
    const auto fired = cfg_.data->find(id);
    if (!fired)
      return end(round, fired.error().code == errc::not_found ? gone(id) : fired.error());
    return end(round, cancelled_timer{place.queue, place.due, false});
  }
  if (round.tries++ == most_tries)
    return end(round, error{errc::overloaded, "the message moves on faster than it can be cancelled",
                            "ask again", 100ms});
  const cancelled_timer done{place.queue, place.due, true};
  self_
      ->request(cfg_.store, store_timeout,
                propose_request{cancel_entry{place.queue, *place.row, round.message}})
      .then(
          [this, round, done](const applied& a) mutable {
            if (!a.found.empty() && a.found.front())
              end(round, done);
            else
              try_cancel(std::move(round));
          },
          [this, round](const caf::error& err) mutable { end(round, from_caf(err)); });
}

void timer_state::end(cancel_round& round, result<cancelled_timer> answer) {
  --cancels_;
  if (answer)
    round.promise.deliver(*answer);
  else
    round.promise.deliver(to_caf(answer.error()));
}

void timer_state::report(log_level level, std::string_view event, std::string text) {
  log(cfg_.log, {.level = level,
                 .component = name,
                 .event = event,
                 .text = std::move(text),
                 .fields = {{"shard", std::to_string(cfg_.data->id().value)}}});
}

timer_impl::behavior_type timers(timer_impl::stateful_pointer<timer_state> self, timer_config cfg) {
  ignore_strangers(self);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.lost(down.source); });
  self->state.init(std::move(cfg));
  return {
      [self](const timers_stored& s) { self->state.stored(s); },
      [self](const timed_queue& q) { self->state.follow(q); },
      [self](const cancel_timer& c) { return self->state.cancel(c); },
      [self](timer_work_atom, std::uint64_t arming) { self->state.work(arming); },
  };
}

timer_actor spawn_timer(caf::actor_system& sys, std::shared_ptr<shard> data, store_actor store,
                        std::shared_ptr<node_clock> clock, log_sink log) {
  return sys.spawn<caf::detached>(
      timers, timer_config{std::move(data), std::move(store), std::move(clock), std::move(log)});
}

} // namespace troupe
