#pragma once

#include "troupe/queue_actor.hpp"
#include "troupe/store_actor.hpp"
#include "troupe/timer_actor.hpp"

#include <caf/actor_addr.hpp>

#include <unordered_map>

namespace troupe {

/// The QUEUEs of a shard that run, for an actor that makes messages visible behind their backs.
class followed_queues {
public:
  /// The caller monitors it.
  void add(const timed_queue& q) { handles_.insert_or_assign(q.queue, q.handle); }
  void lost(const caf::actor_addr& who) {
    std::erase_if(handles_, [&](const auto& q) { return q.second.address() == who; });
  }
  /// Tells the queue, when it runs, how far it reaches.
  template <class Self> void tell(Self* self, queue_id queue, queue_offset next) const {
    if (const auto known = handles_.find(queue); known != handles_.end())
      self->send(known->second, visible{.queue = queue, .batches = {}, .next = next});
  }

private:
  std::unordered_map<queue_id, queue_actor> handles_;
};

} // namespace troupe
