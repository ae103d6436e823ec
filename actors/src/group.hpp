#pragma once

#include "factories.hpp"

#include "troupe/group_credit.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

using group_tick_atom = caf::atom_constant<caf::atom("tick")>;

/// The GROUP with what it says to itself.
using group_impl = group_actor::extend<
    // INTERNAL: time to start what could not be started, and to give up joins that take too long.
    caf::reacts_to<group_tick_atom>>;

/// Invariants: every queue of every topic has exactly one place in queues_; it is either being started (named
/// in starting_ or asked for), waiting for its next try, or runs. A member of members_ is one of credit_, and
/// its consumer is monitored.
class group_state {
public:
  static inline const char* name = "group";
  /// Requests to TOPICs under way at a time.
  static constexpr std::size_t most_starting = 64;
  static constexpr auto request_timeout = std::chrono::seconds{10};
  /// The pause before something that failed is tried again.
  static constexpr auto pause = std::chrono::seconds{1};
  /// A join waits so long for the subscriptions to have their place.
  static constexpr auto join_limit = std::chrono::seconds{10};
  static constexpr std::size_t most_members = 4096;
  /// A question for the status waits less, and is then answered with the queues that are there. So many of
  /// them wait at a time; they are answered a round at a time, each by one that began after it came.
  static constexpr auto status_limit = std::chrono::seconds{5};
  static constexpr std::size_t most_asking = 1024;

  explicit group_state(group_impl::pointer self) : self_(self) {}
  void init(context_ptr ctx, group_changed start);

  caf::result<joined> add(const join& j);
  void take(consume& c);
  void prolong(const renew& r);
  bool remove(const leave& l);
  caf::result<group_status> status();
  void change(const group_changed& c);
  void drain();
  void started(const subscription_started& s);
  void ready(const subscription_ready& r);
  void used(const grant_used& u);
  void released(const messages_released& r);
  void find_queue_again(const queue_lost& l);
  void tick();
  void lost(const caf::down_msg& down);

private:
  struct member {
    std::string name;
    caf::actor consumer;
    timestamp since{};
  };
  struct queue_place {
    topic_id topic;
    std::uint32_t number = 0;
    start_position start;
    subscription_actor subscription;
    /// Its place in the queue is durable.
    bool started = false;
    /// It is in starting_, asked for, or waits for its next try.
    bool starting = false;
  };
  struct waiting_join {
    std::uint64_t member = 0;
    caf::actor_clock::time_point deadline;
    caf::typed_response_promise<joined> promise;
  };
  struct waiting_status {
    caf::actor_clock::time_point deadline;
    caf::typed_response_promise<group_status> promise;
  };

  joined answer_for(std::uint64_t member) const;
  void end_member(std::uint64_t id, bool failed, const error& tell);
  void distribute();

  void follow(const group_topic& t, bool known);
  bool met_before(const group_topic& t) const;
  start_position start_of(const group_topic& t, bool known) const;
  void start_queue(queue_id id);
  void start_next();
  void queue_handle_came(queue_id id, const queue_actor& queue);
  void start_failed(queue_id id, const error& why);
  void drop_queue(queue_id id);
  bool has_place(queue_id id) const;
  void open_joins();
  void arm();
  void look();
  group_status describe(std::vector<subscription_status> queues) const;
  void report(log_level level, std::string_view event, std::string text) const;

  group_impl::pointer self_;
  context_ptr ctx_;
  group_definition definition_;
  std::map<topic_id, group_topic> topics_;
  std::map<queue_id, queue_place> queues_;
  /// Places that have no durable start yet.
  std::size_t not_started_ = 0;
  std::deque<queue_id> starting_;
  std::size_t asked_ = 0;
  std::vector<queue_id> try_again_;
  std::map<std::uint64_t, member> members_;
  std::uint64_t last_member_ = 0;
  std::vector<waiting_join> joins_;
  std::vector<waiting_status> asking_;
  /// A round of questions to the SUBSCRIPTIONs is under way.
  bool looking_ = false;
  bool draining_ = false;
  group_credit credit_;
  bool armed_ = false;
};

group_impl::behavior_type group(group_impl::stateful_pointer<group_state> self, context_ptr ctx,
                                group_changed start);

} // namespace troupe
