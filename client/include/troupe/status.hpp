#pragma once

#include "troupe/definitions.hpp"
#include "troupe/ids.hpp"
#include "troupe/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a client learns of topics, groups, messages and nodes: plain values.
namespace troupe {

struct queue_info {
  std::uint32_t number = 0;
  /// Messages [first, next) exist.
  queue_offset first;
  queue_offset next;
  std::uint64_t bytes = 0;
  /// Of a topic with several priorities, each is a lane with offsets of its own: 0 up to their number.
  std::uint8_t priority = 0;
  /// Messages that wait for their time; they have no offsets yet.
  std::uint64_t delayed = 0;
};
struct topic_info {
  std::string name;
  topic_options options;
  /// By number and priority.
  std::vector<queue_info> queues;
};

struct subscription_info {
  std::string topic;
  std::uint32_t queue = 0;
  /// Everything below `floor` is settled; `next` is the queue's end.
  queue_offset floor;
  queue_offset next;
  milliseconds lag_time{0};
  std::uint64_t leased = 0;
  std::uint64_t retrying = 0;
  /// The lag in messages: all between `floor` and `next` that are not settled.
  std::uint64_t unsettled = 0;
  /// Dead letters.
  std::uint64_t dead = 0;
  /// Messages that expired before the group got them, since it is on this queue.
  std::uint64_t expired = 0;
  /// As of queue_info.
  std::uint8_t priority = 0;
  /// `unsettled` is an upper bound: the group's filter has not seen all of these messages yet, and what it
  /// does not want counts until then. Without a filter it is exact, but that it counts what was redriven for
  /// other groups, and what has expired, until a member passed over it.
  bool lag_estimated = false;
};
struct member_info {
  std::string name;
  /// Empty: not connected. Only a broadcast group knows of such members, until they were away for 3 days.
  std::string node;
  /// When it came; of one that is not connected, when it was last seen.
  timestamp since{};
  /// Of a member of a broadcast group: messages that it has not settled.
  std::uint64_t lag = 0;
};
struct filter_info {
  std::string topic;
  std::string filter;
};
struct group_info {
  std::string name;
  group_options options;
  std::vector<filter_info> topics;
  std::vector<member_info> members;
  /// Of a broadcast group: what the member has done that is furthest behind.
  std::vector<subscription_info> queues;
  /// Nothing is delivered.
  bool paused = false;
};

/// Where a group's progress on a topic is moved to.
struct reset_options {
  std::string topic;
  start_position to;
  /// Instead of `to`: this offset, or the nearest that a queue has.
  std::optional<queue_offset> offset;
  /// The queue's number, with all its priorities; empty: all of them.
  std::optional<std::uint32_t> queue;
  /// Nothing is changed.
  bool dry_run = false;
  /// Of a broadcast group: this member; empty: all of them.
  std::string member = {};
};
struct reset_info {
  std::uint32_t queue = 0;
  /// The floor before and after.
  queue_offset from;
  queue_offset to;
  /// Messages that members held at that moment; what they say of these comes too late.
  std::uint64_t leased = 0;
  /// The queue does not have the offset that was asked for: it was trimmed, or does not exist yet.
  bool moved = false;
  /// As of queue_info.
  std::uint8_t priority = 0;
  /// Of a broadcast group: whose progress it is.
  std::string member = {};
};

struct shard_info {
  shard_id shard;
  std::uint64_t entries = 0;
  log_index first;
  log_index last;
  std::uint64_t file = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_p50_us = 0;
  std::uint64_t commit_p99_us = 0;
};
struct node_info {
  std::string name;
  std::string version;
  /// "running", "draining" or "full".
  std::string state;
  std::string listen;
  std::string data;
  milliseconds uptime{0};
  std::uint64_t topics = 0;
  std::uint64_t groups = 0;
  std::uint64_t connections = 0;
  std::uint64_t rss = 0;
  std::uint64_t disk_used = 0;
  std::uint64_t disk_free = 0;
  std::uint64_t disk_budget = 0;
  std::vector<shard_info> shards;
};

/// Where an accepted message is. A buffered answer has neither offset nor id (`placed` is false).
struct receipt {
  std::string topic;
  std::uint32_t queue = 0;
  bool placed = false;
  /// False: it waits for its time, and has an id but no offset yet.
  bool visible = true;
  queue_offset offset;
  message_id id;
  /// The broker had it already: this was a resend whose first answer got lost, or, in a topic with a window
  /// for keys, another message of its key came first. Offset and id are those of the first one.
  bool duplicate = false;
  /// The lane's, of a topic with several priorities; the offset counts within it.
  std::uint8_t priority = 0;
};

/// A message that was read or delivered, with its place. Owns its bytes.
struct received_message {
  message_id id;
  std::string topic;
  std::uint32_t queue = 0;
  queue_offset offset;
  /// 1 the first time it is delivered.
  std::uint32_t attempt = 1;
  timestamp stored{};
  message content;
  /// It waits for its time: it has no offset yet.
  bool waits = false;
};

} // namespace troupe
