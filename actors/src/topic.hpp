#pragma once

#include "factories.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <vector>

namespace troupe {

/// Invariant: queues_ has one place per queue number, with a handle when that QUEUE runs; every asker is
/// monitored and has the newest route.
class topic_state {
public:
  static inline const char* name = "topic";

  explicit topic_state(topic_actor::pointer self) : self_(self) {}
  void init(context_ptr ctx, topic_definition definition);

  caf::result<route> ask_route(const route_request& r);
  caf::result<queue_handle> ask_queue(const queue_request& r);
  caf::result<topic_status> status();
  void change(const topic_changed& c);
  void asker_lost(const caf::actor_addr& who);
  /// A linked actor ended: a QUEUE is started again, anybody else takes the TOPIC along.
  void ended(const caf::exit_msg& e);

private:
  struct gathering;

  bool deleted() const { return definition_.queues.empty(); }
  error not_found() const;
  const queue_actor& start(std::uint32_t number);
  route current_route();
  void tell_askers();
  void catch_up(std::uint32_t number);
  void not_caught_up(std::uint32_t number, const error& why);

  topic_actor::pointer self_;
  context_ptr ctx_;
  topic_definition definition_;
  std::vector<queue_actor> queues_;
  std::vector<caf::actor> askers_;
  /// Counts routes; a PRODUCER believes the highest.
  std::uint64_t route_version_ = 1;
};

topic_actor::behavior_type topic(topic_actor::stateful_pointer<topic_state> self, context_ptr ctx,
                                 topic_definition definition);

} // namespace troupe
