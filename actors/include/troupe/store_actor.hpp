#pragma once

#include "troupe/entry.hpp"
#include "troupe/shard.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <memory>
#include <optional>
#include <vector>

/// The protocols of the STORE and the READER: what writes and what reads a shard. Local to a node.
namespace troupe {

/// QUEUE -> STORE: a checked batch. The QUEUE has taken its bytes from the node's in-flight budget; the STORE
/// gives them back when the batch is committed or refused.
struct append_request {
  queue_id queue;
  durability wanted = durability::durable;
  batch data;
  /// About how many rows its delayed or half messages make.
  std::uint32_t timer_rows = 0;
  /// The PRODUCER, for `published`; the QUEUE, for `visible`.
  caf::actor producer;
  caf::actor queue_handle;
  /// The topic's, for repeats by key.
  milliseconds window{0};
};

/// What a batch costs of the budgets of bytes in flight: its bytes and about what it takes to hold it.
inline std::uint64_t in_flight_cost(const batch_header& b) { return b.size + 256u; }

/// STORE -> QUEUE, one per queue and commit: these batches are durable at these offsets. Sent also when
/// nothing became visible (all refused), so that the QUEUE can settle its accounts.
struct visible {
  queue_id queue;
  std::vector<stored_batch> batches;
  queue_offset next;
  /// Batches and bytes of the QUEUE's append_requests that this answers.
  std::uint32_t answered = 0;
  std::uint64_t answered_bytes = 0;
  /// Whose batches those were, one each.
  std::vector<producer_id> producers;
};

/// SUBSCRIPTION -> STORE: settles, which start no commit of their own within 20 ms unless `now`. The answer
/// is `settle_committed` to `reply_to`.
struct settle_request {
  settle_section section;
  bool now = false;
  /// Comes back in the answer.
  std::uint64_t tag = 0;
  caf::actor reply_to;
};
struct settle_committed {
  std::uint64_t tag = 0;
  subscription_row row;
  error failed;
};

/// Any other entry; answered when applied.
struct propose_request {
  entry_body body;
};

/// What the STORE measured.
struct store_status {
  std::uint64_t commits = 0;
  std::uint64_t commit_p50_us = 0;
  std::uint64_t commit_p99_us = 0;
  shard_stats stats;
  /// Why appends are refused at present, or no error.
  error admission;
};

/// (queues that got messages in a commit): STORE -> RETENTION.
struct appended_queues {
  std::vector<queue_id> queues;
};

using store_actor = caf::typed_actor<
    // Appends a batch with the others its mailbox holds in one durable commit; answers by `published` and
    // `visible`.
    caf::reacts_to<append_request>,
    // Settles; see settle_request.
    caf::reacts_to<settle_request>,
    // Appends any other entry; answers when it is applied and durable, or with why it cannot be.
    caf::replies_to<propose_request>::with<applied>,
    // Measurements.
    caf::replies_to<status_atom>::with<store_status>,
    // Commits what waits, answers, refuses everything that comes later with shutting_down; answers when done.
    caf::replies_to<drain_atom>::with<bool>>;

/// SUBSCRIPTION or QUEUE -> READER: batches from an offset on, out of the store, at most about max_bytes. The
/// answer is a plain `fetched` to `reply_to`.
struct fetch {
  queue_id queue;
  queue_offset from;
  std::uint32_t max_bytes = 0;
  /// Comes back in the answer.
  std::uint64_t tag = 0;
  caf::actor reply_to;
};
struct fetched {
  queue_id queue;
  std::uint64_t tag = 0;
  /// First batch holds `from`, or is the first after it; dense from there but for `damaged`. Empty at the
  /// queue's end.
  std::vector<stored_batch> batches;
  /// Where to go on: after the last batch or damage.
  queue_offset next;
  std::vector<damage> damaged;
  error failed;
};

/// TOPIC, QUEUE -> READER, request: extents, in the order of the ids.
struct extents_request {
  std::vector<queue_id> queues;
};
struct queue_extents {
  std::vector<queue_extent> extents;
};

/// DEAD LETTER -> READER, request: dead letters of a group. Those of `ids` that there are; without any, those
/// of one queue behind `after`, in the order of their ids.
struct dead_request {
  group_id group;
  std::vector<message_place> ids;
  queue_id queue;
  std::optional<message_place> after;
  /// At most so many.
  std::uint32_t max = 0;
  /// With the batches that hold them: then fewer, when these are large.
  bool messages = false;
};
struct dead_found {
  std::vector<dead_letter> letters;
  /// One per letter, when they were asked for; nothing where the message cannot be read.
  std::vector<std::optional<stored_batch>> batches;
  /// There may be others behind the last one.
  bool more = false;
};

/// CATALOG -> READER, request: delayed messages of some queues (sorted; none: of all) behind one, in the
/// order in which they are due, at most `max`.
struct delayed_request {
  std::vector<queue_id> queues;
  std::optional<delayed_message> after;
  std::uint32_t max = 0;
};
struct delayed_found {
  std::vector<delayed_message> messages;
};

/// READER: cold reads in its own thread, in slices of 1 MiB, first come first served per queue, round robin
/// over queues.
using reader_actor = caf::typed_actor<
    caf::reacts_to<fetch>,
    // The batch that holds the message. A shard knows no topics: `topic` is empty and `number` is the queue's
    // *id*; the CATALOG puts the topic's name and the queue's number in their place.
    caf::replies_to<get_message>::with<found_message>, caf::replies_to<extents_request>::with<queue_extents>,
    caf::replies_to<dead_request>::with<dead_found>, caf::replies_to<delayed_request>::with<delayed_found>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::append_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::visible)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::settle_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::settle_committed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::propose_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::applied)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::store_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::appended_queues)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::extents_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::queue_extents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::fetch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::fetched)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::dead_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::dead_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::delayed_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::delayed_found)
