#pragma once

#include "factories.hpp"

#include "troupe/group_credit.hpp"

#include <caf/actor_addr.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

using group_tick_atom = caf::atom_constant<caf::atom("tick")>;

/// The GROUP with what it says to itself.
using group_impl = group_actor::extend<
    // INTERNAL: time to start what could not be started, and to give up joins that take too long.
    caf::reacts_to<group_tick_atom>>;

/// The queues of a group's topics and their SUBSCRIPTIONs, which it starts, monitors and ends. Part of the
/// GROUP, in its thread.
///
/// Invariant: every queue (each lane of it) of every topic has exactly one place in places_; it is either
/// being started (named in starting_ or asked for), waiting for its next try, or runs.
class group_queues {
public:
  /// Requests to TOPICs under way at a time.
  static constexpr std::size_t most_starting = 64;
  static constexpr auto request_timeout = std::chrono::seconds{10};

  /// `of` outlives it, and is the newest definition whenever something is called. `on_wait`: try_again() must
  /// be called some time later.
  group_queues(group_impl::pointer self, context_ptr ctx, const group_definition& of,
               std::function<void()> on_wait)
      : self_(self), ctx_(std::move(ctx)), of_(of), on_wait_(std::move(on_wait)), rules_(rules_of(of)) {}

  /// These are the group's topics from now on: ends what is not wanted any more, and says which queues those
  /// are; tells the others what is new (`other_options`: all of them). What is new is started by
  /// start_next().
  std::vector<queue_id> follow(const std::vector<group_topic>& topics, bool other_options);
  /// Starts as many as may be started at once.
  void start_next();
  bool waits() const { return !try_again_.empty(); }
  void try_again();

  /// The place of the queue is durable. False when that is no news.
  bool started(queue_id id);
  /// Its SUBSCRIPTION has lost the QUEUE: it gets another one.
  void find_again(queue_id id);
  /// The queue whose SUBSCRIPTION this was; another one is started later. Nothing when it was none.
  std::optional<queue_id> lost(const caf::actor_addr& who);

  /// True when the current message comes from the queue's SUBSCRIPTION: what one says after it was dropped,
  /// or after it died, means nothing.
  bool from_place(queue_id id) const;
  /// No handle when there is none at present.
  subscription_actor subscription(queue_id id) const;
  std::vector<subscription_actor> subscriptions() const;
  /// Of one topic, by number and priority; with the queue's number when it is not below 0.
  std::vector<subscription_actor> subscriptions(topic_id topic, std::int32_t number) const;
  /// Says where the queue's messages belong, when it is one lane of several.
  void place_lane(queue_id id, group_credit& credit) const;
  const std::map<topic_id, group_topic>& topics() const { return topics_; }
  /// Places that have no durable start yet.
  std::size_t not_started() const { return not_started_; }

private:
  struct place {
    topic_id topic;
    lane_place at;
    start_position start;
    subscription_actor subscription;
    /// Its place in the queue is durable.
    bool started = false;
    /// It is in starting_, asked for, or waits for its next try.
    bool starting = false;
  };

  static subscription_rules rules_of(const group_definition& of);
  void add_places(const group_topic& t, bool known);
  bool met_before(const group_topic& t) const;
  start_position start_of(const group_topic& t, bool known) const;
  void start(queue_id id);
  void queue_came(queue_id id, const queue_actor& queue);
  void start_failed(queue_id id, const error& why);
  void wait(queue_id id);
  void drop(queue_id id);
  void report(log_level level, std::string_view event, std::string text) const;

  group_impl::pointer self_;
  context_ptr ctx_;
  const group_definition& of_;
  std::function<void()> on_wait_;
  subscription_rules rules_;
  std::map<topic_id, group_topic> topics_;
  std::map<queue_id, place> places_;
  std::size_t not_started_ = 0;
  std::deque<queue_id> starting_;
  std::size_t asked_ = 0;
  std::vector<queue_id> try_again_;
};

} // namespace troupe
