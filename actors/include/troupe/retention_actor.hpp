#pragma once

#include "troupe/store_actor.hpp"

#include <caf/typed_actor.hpp>

namespace troupe {

/// CATALOG -> RETENTION: what is kept of these queues (those of one topic in this shard). `removed`: the
/// topic is gone; RETENTION drops everything about them.
struct retention_rule {
  std::vector<queue_id> queues;
  milliseconds age{0};
  std::uint64_t bytes = 0;
  bool removed = false;
  /// How long keys of messages are kept.
  milliseconds keys{0};
};

/// RETENTION: one per shard, own thread. Decides when to trim and proposes it to the STORE, at most 64
/// records at a time, a few proposals in flight. Looks at a queue when its oldest record comes of age or when
/// it got messages; never sweeps.
using retention_actor = caf::typed_actor<
    // From the CATALOG.
    caf::reacts_to<retention_rule>,
    // From the STORE, after each commit that appended.
    caf::reacts_to<appended_queues>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::retention_rule)
