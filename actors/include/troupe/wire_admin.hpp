#pragma once

#include "troupe/wire.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What operators ask a node for, as it travels: the part of the protocol that no message goes through. The
/// rules of wire.hpp hold.
namespace troupe {

// -- administration: CLIENT -> DIRECTORY, requests
// --------------------------------------------------------------------

struct create_topic {
  std::string name;
  topic_options options;
};
struct set_topic {
  std::string name;
  topic_options options;
};
struct topic_name {
  std::string name;
};
struct create_group {
  std::string name;
  group_options options;
};
struct group_name {
  std::string name;
};
struct set_group {
  std::string name;
  group_options options;
};
/// From now on nothing is delivered, or everything again.
struct pause_group {
  std::string name;
  bool paused = true;
};
/// The group subscribes to a topic, or with another filter than before; or no longer (`remove`: its progress
/// and dead letters there are forgotten). Members learn it, none is disconnected. The answer is
/// `group_status`.
struct subscribe_group {
  std::string name;
  topic_filter what;
  bool remove = false;
  /// Where it begins in a topic that is new to it.
  start_position::kind start = start_position::kind::earliest;
  std::int64_t start_time = 0;
};

/// Where a reset moves a group's progress to.
enum class reset_target : std::uint8_t { earliest = 0, latest = 1, time = 2, offset = 3 };
/// A new generation of the group's progress on a topic begins. Everything that is leased is void, and
/// delivered again where it lies at or above the target. The answer is `group_reset`.
struct reset_group {
  std::string name;
  std::string topic;
  reset_target to = reset_target::earliest;
  /// The first message stored at or after it.
  std::int64_t time = 0;
  queue_offset offset;
  /// The queue's number; below 0: all of them. Every lane of it.
  std::int32_t queue = -1;
  /// Says what would be done.
  bool dry_run = false;
  /// Of a broadcast group: this member; empty: all of them.
  std::string member;
};
struct queue_reset {
  std::uint32_t number = 0;
  /// The floor before and after.
  queue_offset from;
  queue_offset to;
  /// Messages that were leased at that moment.
  std::uint64_t leased = 0;
  /// No message has the offset that was asked for: it was trimmed, or does not exist yet.
  bool moved = false;
  std::uint8_t priority = 0;
  /// Of a broadcast group.
  std::string member;
};
struct group_reset {
  /// By number and priority.
  std::vector<queue_reset> queues;
};

struct queue_status {
  std::uint32_t number = 0;
  queue_id id;
  queue_offset first;
  queue_offset next;
  std::uint64_t bytes = 0;
  std::uint8_t priority = 0;
  /// Messages that wait for their time; they have no offsets.
  std::uint64_t delayed = 0;
};
struct topic_status {
  std::string name;
  topic_options options;
  std::vector<queue_status> queues;
};
struct subscription_status {
  std::string topic;
  std::uint32_t number = 0;
  queue_offset floor;
  queue_offset next;
  /// Milliseconds since the oldest unsettled message was stored; 0 when there is none.
  std::uint64_t lag_ms = 0;
  std::uint64_t leased = 0;
  std::uint64_t retrying = 0;
  /// Messages that are not settled yet, wherever they are between floor and next.
  std::uint64_t unsettled = 0;
  /// Dead letters.
  std::uint64_t dead = 0;
  /// Messages that were passed over because their time to live was over.
  std::uint64_t expired = 0;
  std::uint8_t priority = 0;
  /// A filter has not seen all of `unsettled` yet, and may pass over some.
  bool estimated = false;
};
struct member_status {
  std::string name;
  /// Empty: not connected (only members of a broadcast group are known then).
  std::string node;
  /// When it came; of one that is not connected, when it was last seen.
  std::int64_t since = 0;
  /// Of a broadcast group's member: messages that it has not settled.
  std::uint64_t lag = 0;
};
struct group_status {
  std::string name;
  group_options options;
  std::vector<topic_filter> topics;
  std::vector<member_status> members;
  std::vector<subscription_status> queues;
  bool paused = false;
};
struct names {
  std::vector<std::string> values;
};

struct get_message {
  message_id id;
};
/// A stored batch that holds the message, for the client to open.
struct found_message {
  std::string topic;
  std::uint32_t number = 0;
  batch_header header;
  queue_offset base;
  log_index index;
  std::uint32_t first_ordinal = 0;
  std::int64_t stored = 0;
  block data;
  /// It is delayed and waits for its time: it has no offset.
  bool waits = false;
};
struct shard_status {
  shard_id shard;
  std::uint64_t entries = 0;
  log_index first;
  log_index last;
  std::uint64_t file = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_p50_us = 0;
  std::uint64_t commit_p99_us = 0;
};
struct node_status {
  std::string name;
  std::string version;
  /// "running", "draining" or "full".
  std::string state;
  std::string listen;
  std::string data;
  std::uint64_t uptime_ms = 0;
  std::uint64_t topics = 0;
  std::uint64_t groups = 0;
  std::uint64_t connections = 0;
  std::uint64_t rss = 0;
  std::uint64_t disk_used = 0;
  std::uint64_t disk_free = 0;
  std::uint64_t disk_budget = 0;
  std::vector<shard_status> shards;
};

// -- the atoms
// ------------------------------------------------------------------------------------------------------

/// Requests to the DIRECTORY that carry no struct: (list_topics_atom), (list_groups_atom), (status_atom),
/// (drain_atom); verbs before topic_name/group_name: describe_atom, delete_atom.
using list_topics_atom = caf::atom_constant<caf::atom("topics")>;
using list_groups_atom = caf::atom_constant<caf::atom("groups")>;
using status_atom = caf::atom_constant<caf::atom("status")>;
using drain_atom = caf::atom_constant<caf::atom("drain")>;
using describe_atom = caf::atom_constant<caf::atom("describe")>;
using delete_atom = caf::atom_constant<caf::atom("delete")>;

// -- how they travel
// ------------------------------------------------------------------------------------------------

/// More steps than a schedule may have are refused before anything is allocated.
caf::error inspect(caf::serializer& f, retry_schedule& x);
caf::error inspect(caf::deserializer& f, retry_schedule& x);
std::string to_string(const retry_schedule& x);

template <class Inspector> auto inspect(Inspector& f, topic_options& x) {
  return f(caf::meta::type_name("topic_options"), x.queues, x.priorities, x.retention, x.retention_bytes,
           x.max_message, x.dedupe_window);
}
template <class Inspector> auto inspect(Inspector& f, group_options& x) {
  return f(caf::meta::type_name("group_options"), x.mode, x.lease, x.retry, x.max_unsettled, x.max_attempts,
           x.on_exhausted, x.dead_letter_retention, x.order_by, x.order_batch, x.max_unsettled_bytes,
           x.low_share, x.on_expired);
}
template <class Inspector> auto inspect(Inspector& f, create_topic& x) {
  return f(caf::meta::type_name("create_topic"), x.name, x.options);
}
template <class Inspector> auto inspect(Inspector& f, set_topic& x) {
  return f(caf::meta::type_name("set_topic"), x.name, x.options);
}
template <class Inspector> auto inspect(Inspector& f, topic_name& x) {
  return f(caf::meta::type_name("topic_name"), x.name);
}
template <class Inspector> auto inspect(Inspector& f, create_group& x) {
  return f(caf::meta::type_name("create_group"), x.name, x.options);
}
template <class Inspector> auto inspect(Inspector& f, group_name& x) {
  return f(caf::meta::type_name("group_name"), x.name);
}
template <class Inspector> auto inspect(Inspector& f, set_group& x) {
  return f(caf::meta::type_name("set_group"), x.name, x.options);
}
template <class Inspector> auto inspect(Inspector& f, pause_group& x) {
  return f(caf::meta::type_name("pause_group"), x.name, x.paused);
}
template <class Inspector> auto inspect(Inspector& f, reset_group& x) {
  return f(caf::meta::type_name("reset_group"), x.name, x.topic, x.to, x.time, x.offset, x.queue, x.dry_run,
           x.member);
}
template <class Inspector> auto inspect(Inspector& f, queue_reset& x) {
  return f(caf::meta::type_name("queue_reset"), x.number, x.from, x.to, x.leased, x.moved, x.priority,
           x.member);
}
template <class Inspector> auto inspect(Inspector& f, group_reset& x) {
  return f(caf::meta::type_name("group_reset"), x.queues);
}
template <class Inspector> auto inspect(Inspector& f, queue_status& x) {
  return f(caf::meta::type_name("queue_status"), x.number, x.id, x.first, x.next, x.bytes, x.priority,
           x.delayed);
}
template <class Inspector> auto inspect(Inspector& f, topic_status& x) {
  return f(caf::meta::type_name("topic_status"), x.name, x.options, x.queues);
}
template <class Inspector> auto inspect(Inspector& f, subscription_status& x) {
  return f(caf::meta::type_name("subscription_status"), x.topic, x.number, x.floor, x.next, x.lag_ms,
           x.leased, x.retrying, x.unsettled, x.dead, x.expired, x.priority, x.estimated);
}
template <class Inspector> auto inspect(Inspector& f, member_status& x) {
  return f(caf::meta::type_name("member_status"), x.name, x.node, x.since, x.lag);
}
template <class Inspector> auto inspect(Inspector& f, group_status& x) {
  return f(caf::meta::type_name("group_status"), x.name, x.options, x.topics, x.members, x.queues, x.paused);
}
template <class Inspector> auto inspect(Inspector& f, subscribe_group& x) {
  return f(caf::meta::type_name("subscribe_group"), x.name, x.what, x.remove, x.start, x.start_time);
}
template <class Inspector> auto inspect(Inspector& f, names& x) {
  return f(caf::meta::type_name("names"), x.values);
}
template <class Inspector> auto inspect(Inspector& f, get_message& x) {
  return f(caf::meta::type_name("get_message"), x.id);
}
template <class Inspector> auto inspect(Inspector& f, found_message& x) {
  return f(caf::meta::type_name("found_message"), x.topic, x.number, x.header, x.base, x.index,
           x.first_ordinal, x.stored, x.data, x.waits);
}
template <class Inspector> auto inspect(Inspector& f, shard_status& x) {
  return f(caf::meta::type_name("shard_status"), x.shard, x.entries, x.first, x.last, x.file, x.commits,
           x.commit_p50_us, x.commit_p99_us);
}
template <class Inspector> auto inspect(Inspector& f, node_status& x) {
  return f(caf::meta::type_name("node_status"), x.name, x.version, x.state, x.listen, x.data, x.uptime_ms,
           x.topics, x.groups, x.connections, x.rss, x.disk_used, x.disk_free, x.disk_budget, x.shards);
}

} // namespace troupe
