#pragma once

#include "troupe/batch.hpp"
#include "troupe/block.hpp"
#include "troupe/definitions.hpp"
#include "troupe/entry.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/deserializer.hpp>
#include <caf/error.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/serializer.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// What travels between a client and a node: plain structs, few elements each. Everything here crosses the
/// wire; nothing else does. Handles travel as caf::actor. Times are Unix milliseconds, durations
/// milliseconds.
namespace troupe {

/// Version of this protocol; `hello` with another one is refused with unknown_version.
inline constexpr std::uint16_t wire_version = 6;

/// No block on the wire is longer: one batch, or one delivery.
inline constexpr std::uint32_t max_block = 8u << 20;

// -- the edge: DIRECTORY and what it hands out
// ----------------------------------------------------------------------

/// CLIENT -> DIRECTORY, request.
struct hello {
  std::uint16_t version = wire_version;
  std::string client;
};
/// The answer.
struct welcome {
  std::uint16_t version = wire_version;
  std::string node;
  std::string software;
};

/// PRODUCER -> DIRECTORY, request: where a topic's messages go. The answer is `route`; when the topic changes
/// the TOPIC sends the asker a new `route`, and one with no queues when it is deleted.
struct route_request {
  std::string topic;
};
struct route {
  topic_id topic;
  std::uint64_t version = 0;
  std::uint32_t max_message = 0;
  /// How far ahead a message may be due.
  milliseconds max_delay{0};
  /// Lanes per queue; a message's priority is below it, when there are several.
  std::uint8_t priorities = 1;
  /// A message without an order key goes where its first key leads, so that its repeat meets it there.
  bool by_key = false;
  /// In order of queue number, of each its lanes in order of priority.
  std::vector<queue_id> ids;
  std::vector<caf::actor> queues;
};

// -- publishing
// ---------------------------------------------------------------------------------------------------

enum class durability : std::uint8_t { durable = 0, buffered = 1, one_way = 2 };

/// PRODUCER -> QUEUE, plain send.
struct publish {
  queue_id queue;
  durability wanted = durability::durable;
  batch_header header;
  block data;
};

/// What became of one batch.
struct publish_result {
  queue_id queue;
  producer_epoch epoch;
  batch_sequence sequence;
  /// none: it is stored (or held, when `buffered`). gap: `expected` must come next. overloaded, no_space:
  /// send it again after `retry_after`. unknown_producer, fenced, invalid_argument, too_large, corrupt,
  /// not_found, storage_failed, shutting_down: as errc says.
  errc code = errc::none;
  bool duplicate = false;
  /// False for a buffered answer and for a duplicate too old to know: then base, index and ordinal mean
  /// nothing.
  bool placed = false;
  /// False for delayed messages: then base means nothing.
  bool visible = true;
  shard_id shard;
  queue_offset base;
  log_index index;
  std::uint32_t first_ordinal = 0;
  /// Messages that are no new ones, by their keys; the offsets of the others follow each other without them.
  std::vector<repeated_message> repeats;
  batch_sequence expected;
  std::uint32_t retry_after = 0;
  std::string reason;
  /// What to do about it; may be empty.
  std::string hint;
};
/// STORE or QUEUE -> PRODUCER, plain send: one per producer and commit.
struct published {
  std::vector<publish_result> results;
};

// -- consuming
// ----------------------------------------------------------------------------------------------------

/// One topic a consumer subscribes to, by name.
struct topic_filter {
  std::string topic;
  std::string filter = "*";
};

/// Of a join: whatever mode the group has; a new one is shared.
inline constexpr group_mode any_mode{255};
/// CONSUMER -> DIRECTORY, request: become a member. Creates the group when it does not exist, in the mode
/// that is asked for. The first member's subscription is the group's; another one is refused with
/// inconsistent_subscription, another mode with invalid_argument. The answer is `joined`.
struct join {
  std::string group;
  std::string member;
  std::vector<topic_filter> topics;
  /// start_position::kind and time, for queues this group has never seen.
  std::uint8_t start = 0;
  std::int64_t start_time = 0;
  /// The consumer that deliveries go to, and whose end gives the leases back.
  caf::actor consumer;
  group_mode mode = any_mode;
  /// Not 0: it was a member, and this is the newest version of the group's subscription that it learned; then
  /// it gets the present one, whatever `topics` says.
  std::uint64_t version = 0;
  /// The client made the name up; a broadcast group, which keeps a place under each name, does not take it.
  bool made_up = false;
};
struct joined {
  caf::actor group;
  std::uint64_t member = 0;
  std::uint32_t lease_ms = 0;
  std::uint32_t max_unsettled = 0;
  group_mode mode = group_mode::shared;
  /// The group's definition, and what it subscribes to.
  std::uint64_t version = 0;
  std::vector<topic_filter> topics;
  /// Of an ordered group: what stays in order, and how many messages of one key come at a time.
  group_order order_by = group_order::key;
  std::uint32_t order_batch = 1;
  /// What acknowledgements name that a transaction takes along.
  group_id id;
};
/// GROUP -> CONSUMER: what the group subscribes to from now on.
struct group_news {
  std::uint64_t member = 0;
  std::uint64_t version = 0;
  std::vector<topic_filter> topics;
};

/// What a consumer says of one run of offsets it holds.
struct settle_item {
  queue_id queue;
  generation gen;
  lease_id lease;
  queue_offset first;
  std::uint32_t count = 0;
  /// ack, retry, or dead: rejected for good.
  settle_action action = settle_action::ack;
  /// retry: pause before it comes again, in ms; 0: the group's own. `give_back`: no failure is recorded.
  std::uint32_t delay_ms = 0;
  bool give_back = false;
  /// retry and dead: what went wrong, for the dead letter; at most max_dead_detail bytes are kept.
  std::string detail;
};

/// CONSUMER -> GROUP, plain send: credit and settles together.
struct consume {
  std::uint64_t member = 0;
  /// More messages and bytes the consumer can take, on top of what it said before. A delivery costs exactly
  /// `delivery.messages` messages and `delivery.frame.size` bytes of it; so a consumer that is done with a
  /// delivery says these numbers again (in parts, if it likes, that add up to them).
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  std::vector<settle_item> settles;
  /// Not 0: each SUBSCRIPTION named in settles answers `settled` with this tag once its part is durable, at
  /// once.
  std::uint64_t confirm = 0;
};
/// SUBSCRIPTION -> CONSUMER: the confirmation that was asked for; or, with tag 0 and a code, what could not
/// be done though nobody asked.
struct settled {
  queue_id queue;
  std::uint64_t tag = 0;
  /// Ranges of the message that were too late (their lease or generation had ended), or cannot be done.
  std::uint32_t refused = 0;
  errc code = errc::none;
};

/// CONSUMER -> GROUP, plain send: the leases live on for another lease time.
struct renew {
  std::uint64_t member = 0;
  std::vector<queue_id> queues;
  std::vector<lease_id> leases;
};

/// CONSUMER -> GROUP, request: everything unsettled is given back, then the answer comes.
struct leave {
  std::uint64_t member = 0;
};

/// SUBSCRIPTION -> CONSUMER: leased messages of one queue.
struct delivery {
  queue_id queue;
  std::string topic;
  /// The queue's number within the topic.
  std::uint32_t number = 0;
  shard_id shard;
  generation gen;
  lease_id lease;
  std::uint32_t messages = 0;
  /// Segments, as delivery_frame.hpp lays them out.
  block frame;
  /// The lane's.
  std::uint8_t priority = 0;
};

/// GROUP -> CONSUMER: the member is no longer one (group deleted, or the node thinks it is gone). Join again
/// or give up.
struct dismissed {
  std::uint64_t member = 0;
  errc code = errc::none;
  std::string reason;
};

// -- errors
// ---------------------------------------------------------------------------------------------------------

/// Our errors inside caf::error (category "troupe"; code, reason, hint, retry_after travel), and back. CAF's
/// own errors (timeouts, lost peers) map to timeout, disconnected, shutting_down or internal.
caf::error to_caf(const error& err);
error from_caf(const caf::error& err);

// -- how they travel
// ------------------------------------------------------------------------------------------------

template <class Inspector, class Tag, class Rep> auto inspect(Inspector& f, strong<Tag, Rep>& x) {
  return f(x.value);
}

/// At memcpy speed; a length above max_block, or above what has arrived, is refused before anything is
/// allocated.
caf::error inspect(caf::serializer& f, block& x);
caf::error inspect(caf::deserializer& f, block& x);
std::string to_string(const block& x);
template <class Inspector> auto inspect(Inspector& f, message_id& x) {
  return f(caf::meta::type_name("message_id"), x.shard, x.index, x.ordinal);
}
template <class Inspector> auto inspect(Inspector& f, batch_header& x) {
  return f(caf::meta::type_name("batch_header"), x.producer, x.epoch, x.sequence, x.count, x.size, x.crc,
           x.lane, x.kind);
}
template <class Inspector> auto inspect(Inspector& f, hello& x) {
  return f(caf::meta::type_name("hello"), x.version, x.client);
}
template <class Inspector> auto inspect(Inspector& f, welcome& x) {
  return f(caf::meta::type_name("welcome"), x.version, x.node, x.software);
}
template <class Inspector> auto inspect(Inspector& f, route_request& x) {
  return f(caf::meta::type_name("route_request"), x.topic);
}
template <class Inspector> auto inspect(Inspector& f, route& x) {
  return f(caf::meta::type_name("route"), x.topic, x.version, x.max_message, x.max_delay, x.priorities,
           x.by_key, x.ids, x.queues);
}
template <class Inspector> auto inspect(Inspector& f, publish& x) {
  return f(caf::meta::type_name("publish"), x.queue, x.wanted, x.header, x.data);
}
template <class Inspector> auto inspect(Inspector& f, repeated_message& x) {
  return f(caf::meta::type_name("repeated"), x.position, x.index, x.ordinal, x.offset, x.delayed);
}
template <class Inspector> auto inspect(Inspector& f, publish_result& x) {
  return f(caf::meta::type_name("publish_result"), x.queue, x.epoch, x.sequence, x.code, x.duplicate,
           x.placed, x.visible, x.shard, x.base, x.index, x.first_ordinal, x.repeats, x.expected,
           x.retry_after, x.reason, x.hint);
}
template <class Inspector> auto inspect(Inspector& f, published& x) {
  return f(caf::meta::type_name("published"), x.results);
}
template <class Inspector> auto inspect(Inspector& f, topic_filter& x) {
  return f(caf::meta::type_name("topic_filter"), x.topic, x.filter);
}
template <class Inspector> auto inspect(Inspector& f, join& x) {
  return f(caf::meta::type_name("join"), x.group, x.member, x.topics, x.start, x.start_time, x.consumer,
           x.mode, x.version, x.made_up);
}
template <class Inspector> auto inspect(Inspector& f, joined& x) {
  return f(caf::meta::type_name("joined"), x.group, x.member, x.lease_ms, x.max_unsettled, x.mode, x.version,
           x.topics, x.order_by, x.order_batch, x.id);
}
template <class Inspector> auto inspect(Inspector& f, group_news& x) {
  return f(caf::meta::type_name("group_news"), x.member, x.version, x.topics);
}
template <class Inspector> auto inspect(Inspector& f, settle_item& x) {
  return f(caf::meta::type_name("settle_item"), x.queue, x.gen, x.lease, x.first, x.count, x.action,
           x.delay_ms, x.give_back, x.detail);
}
template <class Inspector> auto inspect(Inspector& f, consume& x) {
  return f(caf::meta::type_name("consume"), x.member, x.messages, x.bytes, x.settles, x.confirm);
}
template <class Inspector> auto inspect(Inspector& f, settled& x) {
  return f(caf::meta::type_name("settled"), x.queue, x.tag, x.refused, x.code);
}
template <class Inspector> auto inspect(Inspector& f, renew& x) {
  return f(caf::meta::type_name("renew"), x.member, x.queues, x.leases);
}
template <class Inspector> auto inspect(Inspector& f, leave& x) {
  return f(caf::meta::type_name("leave"), x.member);
}
template <class Inspector> auto inspect(Inspector& f, delivery& x) {
  return f(caf::meta::type_name("delivery"), x.queue, x.topic, x.number, x.shard, x.gen, x.lease, x.messages,
           x.priority, x.frame);
}
template <class Inspector> auto inspect(Inspector& f, dismissed& x) {
  return f(caf::meta::type_name("dismissed"), x.member, x.code, x.reason);
}

/// Registers every type of this header, wire_admin.hpp and wire_dead.hpp, and the error category, with a
/// configuration; each actor system of ours calls it once.
void add_wire_types(caf::actor_system_config& cfg);

} // namespace troupe
