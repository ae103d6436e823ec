#pragma once

#include "troupe/store_actor.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/typed_actor.hpp>

/// The protocols of TOPIC and QUEUE.
namespace troupe {

/// SUBSCRIPTION -> QUEUE: batches from an offset on. Answered by a plain `fetched` to reply_to: at once from
/// the hot tail, through the READER when the offset is older, and when nothing is there yet with an empty
/// `fetched` at once. SUBSCRIPTION -> QUEUE (watch): from now on `reply_to` gets `tail_moved` whenever
/// messages become visible (coalesced naturally: one per commit) and once at once. The QUEUE monitors the
/// watcher.
struct watch {
  caf::actor reply_to;
};
struct tail_moved {
  queue_id queue;
  queue_offset first;
  queue_offset next;
};
/// CATALOG -> TOPIC: the definition changed; without queues: the topic is deleted. TOPIC -> QUEUE: the same,
/// passed on. After a deletion the CATALOG ends the TOPIC, and its QUEUEs end with it.
struct topic_changed {
  topic_definition definition;
};

using queue_actor = caf::typed_actor<
    // Takes a batch; the PRODUCER (the sender) is answered by `published`: from the STORE when it is durable
    // (or held, when buffered), or at once when it is refused.
    caf::reacts_to<publish>,
    // INTERNAL
    caf::reacts_to<fetch>,
    // INTERNAL
    caf::reacts_to<watch>,
    // INTERNAL: the STORE made these offsets visible.
    caf::reacts_to<visible>,
    // INTERNAL: number, priority, first, next, bytes.
    caf::replies_to<status_atom>::with<queue_status>,
    // INTERNAL: new limits, or deleted: then every publish is answered not_found.
    caf::reacts_to<topic_changed>>;

/// A queue's handle, for the delivery side and RETENTION.
struct queue_request {
  /// Queue number within the topic, and which of its lanes.
  std::uint32_t number = 0;
  std::uint8_t priority = 0;
};
struct queue_handle {
  queue_id id;
  queue_actor queue;
};

using topic_actor = caf::typed_actor<
    // The route for a producer; starts the queues that have not started. The sender hears of later changes.
    caf::replies_to<route_request>::with<route>,
    // INTERNAL: one queue's handle; starts it when needed.
    caf::replies_to<queue_request>::with<queue_handle>,
    // Name, options, extents of all queues.
    caf::replies_to<status_atom>::with<topic_status>,
    // INTERNAL
    caf::reacts_to<topic_changed>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::watch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::tail_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::queue_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::queue_handle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::topic_changed)
