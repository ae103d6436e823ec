#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/retry_policy.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

/// What an operator may choose about a topic.
struct topic_options {
  /// Number of queues, 1 to 1024; it may grow later, never shrink.
  std::uint32_t queues = 8;
  /// Priority lanes per queue, 1 to 10, chosen when the topic is made.
  std::uint8_t priorities = 1;
  /// How long messages are kept, consumed or not (RocketMQ: fileReservedTime, 72 h). Zero: for ever.
  milliseconds retention = std::chrono::hours{72};
  /// Bytes kept per queue; 0 means no limit. The newest message is always kept.
  std::uint64_t retention_bytes = 0;
  /// Largest body in bytes, 1 to 4 MiB.
  std::uint32_t max_message = 4u << 20;
  /// A message whose first key its queue had within so much time is no new one: its producer is told of the
  /// first, and nobody gets it again. Zero: keys mean nothing; else 1 s to 30 days.
  milliseconds dedupe_window{0};
  bool operator==(const topic_options&) const = default;
};

/// Queues that came into being together: ids [first, first + count).
struct queue_range {
  queue_id first;
  std::uint32_t count = 0;
  bool operator==(const queue_range&) const = default;
};

/// A topic as the catalog holds it.
struct topic_definition {
  topic_id id;
  std::string name;
  topic_options options;
  /// In the order of queue numbers 0, 1, 2, ..., and of each the lanes of priority 0, 1, 2, ...; the counts
  /// add up to options.queues times options.priorities.
  std::vector<queue_range> queues;
  timestamp created{};
  /// Counts changes, from 1.
  std::uint64_t version = 1;
  bool operator==(const topic_definition&) const = default;

  /// The id of queue number n (n < options.queues), of its lane of a priority (below options.priorities).
  queue_id queue(std::uint32_t n, std::uint8_t priority = 0) const;
};

/// How a group's members share its topics. On disk; append only.
enum class group_mode : std::uint8_t {
  /// Each message to any one member.
  shared = 0,
  /// As shared, but messages with the same order key one after the other.
  ordered = 1,
  /// Each message to every member.
  broadcast = 2,
};

/// Of an ordered group: what has to stay in order. On disk; append only.
enum class group_order : std::uint8_t {
  /// Messages of one queue with the same order key; those without one go as they come.
  key = 0,
  /// All messages of a queue.
  queue = 1,
};

/// What becomes of a message that failed as often as its group allows. On disk; append only.
enum class exhausted_action : std::uint8_t {
  dead_letter = 0,
  /// It counts as settled and is gone for the group.
  drop = 1,
  /// It is tried again for ever, and in an ordered group holds back what comes after it.
  block = 2,
};

/// What becomes of a message whose time to live is over before it was delivered. On disk; append only.
enum class expired_action : std::uint8_t {
  /// It counts as settled and is gone for the group.
  drop = 0,
  dead_letter = 1,
};

/// What an operator may choose about a group.
struct group_options {
  group_mode mode = group_mode::shared;
  /// How long a consumer may hold a message without settling or renewing (RocketMQ: invisible time, 60 s).
  milliseconds lease = std::chrono::seconds{60};
  /// Pauses before a failed message is delivered again; the last one repeats.
  retry_schedule retry;
  /// Messages one member may hold unsettled.
  std::uint32_t max_unsettled = 1000;
  /// The failure of this number is a message's last (RocketMQ: maxReconsumeTimes, 16). 0: there is no last
  /// one.
  std::uint16_t max_attempts = 16;
  exhausted_action on_exhausted = exhausted_action::dead_letter;
  /// How long dead letters are kept, with their bodies. Zero: for ever.
  milliseconds dead_letter_retention = std::chrono::hours{24 * 30};
  /// Of ordered groups: what stays in order, and how many messages of one key (or of the queue) may be with a
  /// member at a time: 1 to 1024.
  group_order order_by = group_order::key;
  std::uint32_t order_batch = 1;
  /// Bytes one member may hold unsettled (RocketMQ: pullThresholdSizeForQueue, 100 MiB). One message passes,
  /// however large, when nothing is held.
  std::uint64_t max_unsettled_bytes = std::uint64_t{64} << 20;
  /// Of topics with priorities: while both wait, one message in so many is of a lower one. 0: strict, the
  /// lower ones wait until the higher are through.
  std::uint16_t low_share = 10;
  expired_action on_expired = expired_action::drop;
  bool operator==(const group_options&) const = default;
};

/// Where a subscription begins when its group first meets a queue.
struct start_position {
  enum class kind : std::uint8_t { earliest = 0, latest = 1, time = 2 };
  kind from = kind::earliest;
  /// For kind::time: the first message stored at or after it.
  timestamp at{};
  bool operator==(const start_position&) const = default;
};

/// One topic that a group follows, with its filter in canonical form.
struct group_subscription {
  topic_id topic;
  std::string filter = "*";
  start_position start;
  bool operator==(const group_subscription&) const = default;
};

/// A group as the catalog holds it.
struct group_definition {
  group_id id;
  std::string name;
  group_options options;
  std::vector<group_subscription> subscriptions;
  timestamp created{};
  std::uint64_t version = 1;
  /// Nothing is delivered; progress and members stay.
  bool paused = false;
  /// Of a member of a broadcast group, which has a progress of its own as a group has: that group; else 0.
  /// Its name is then the member's.
  group_id parent;
  /// When that member was last seen.
  timestamp seen{};
  bool operator==(const group_definition&) const = default;
};

/// The options of a new group of a mode, where nothing else is asked for: an ordered group retries in place,
/// after a second; a broadcast group passes over what fails, and may do nothing else.
group_options default_options(group_mode mode);

/// No error when every option is within its documented range.
error validate(const topic_options& options);
error validate(const group_options& options);

} // namespace troupe
