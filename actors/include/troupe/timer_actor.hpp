#pragma once

#include "troupe/queue_actor.hpp"
#include "troupe/store_actor.hpp"

#include <caf/typed_actor.hpp>

namespace troupe {

/// STORE -> TIMER, after each commit that stored delayed messages: when something must be done about them.
struct timers_stored {
  timestamp look_at{};
};
/// QUEUE -> TIMER, TRANSACTIONS: it hears (`visible`) when its delayed or half messages become visible, and
/// once at once how far the queue reaches.
struct timed_queue {
  queue_id queue;
  queue_actor handle;
};
/// CATALOG -> TIMER, request.
struct cancel_timer {
  message_place message;
};
struct cancelled_timer {
  queue_id queue;
  timestamp due{};
  /// False: it became visible before.
  bool cancelled = false;
};

/// TIMER: one per shard, own thread. Proposes to the STORE what fires, in order and when it is due, and that
/// buckets are split before their time. Looks when the next one is due, or when it hears of an earlier one;
/// what waits is in no memory of its own.
using timer_actor = caf::typed_actor<
    // From the STORE.
    caf::reacts_to<timers_stored>,
    // INTERNAL
    caf::reacts_to<timed_queue>,
    // INTERNAL: durable when answered; not_found for what never was delayed, or is gone.
    caf::replies_to<cancel_timer>::with<cancelled_timer>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::timers_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::timed_queue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::cancel_timer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::cancelled_timer)
