#pragma once

#include "factories.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe {

using restart_atom = caf::atom_constant<caf::atom("restart")>;

/// The TOPIC with what it says to itself.
using topic_impl = topic_actor::extend<
    // INTERNAL: start the QUEUE of this lane again.
    caf::reacts_to<restart_atom, std::uint32_t>>;

/// Invariant: queues_ has one place per lane, in lane_id()'s order, with a handle when that QUEUE runs; every
/// asker is monitored and has the newest route. Lanes are meant wherever QUEUEs are counted here.
class topic_state {
public:
  static inline const char* name = "topic";

  explicit topic_state(topic_impl::pointer self) : self_(self) {}
  void init(context_ptr ctx, topic_definition definition, bool replaces);

  caf::result<route> ask_route(const route_request& r);
  caf::result<queue_handle> ask_queue(const queue_request& r);
  caf::result<topic_status> status();
  void change(const topic_changed& c);
  void asker_lost(const caf::actor_addr& who);
  /// A linked actor ended: a QUEUE is started again, anybody else takes the TOPIC along.
  void ended(const caf::exit_msg& e);
  void restart_due(std::uint32_t lane);

private:
  struct gathering;

  void restart(std::uint32_t lane);
  bool deleted() const { return definition_.queues.empty(); }
  error not_found() const;
  lane_place place_of(std::uint32_t lane) const;
  const queue_actor& start(std::uint32_t lane);
  route current_route();
  void tell_askers();
  void catch_up(const std::vector<std::uint32_t>& lanes);
  void tell_ends(const std::vector<std::uint32_t>& lanes, const queue_extents& e);
  void not_caught_up(const error& why);

  topic_impl::pointer self_;
  context_ptr ctx_;
  topic_definition definition_;
  std::vector<queue_actor> queues_;
  std::vector<caf::actor> askers_;
  /// When a QUEUE was last started again: one that dies at once must not keep a thread busy.
  std::optional<caf::actor_clock::time_point> last_restart_;
  /// Counts routes; a PRODUCER believes the highest.
  std::uint64_t route_version_ = 1;
};

topic_impl::behavior_type topic(topic_impl::stateful_pointer<topic_state> self, context_ptr ctx,
                                topic_definition definition, bool replaces);

} // namespace troupe
