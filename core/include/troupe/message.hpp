#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

/// What a program publishes. Everything but the body may be absent. The body is bytes of any kind; tag, order
/// key, keys and the names and values of properties are text in UTF-8, so that every tool can show them.
struct message {
  /// At most `limits::body` bytes; may not be empty (as in RocketMQ).
  std::string body;
  /// Business keys to find the message by.
  std::vector<std::string> keys;
  /// One tag to filter by; no white space, no '|'.
  std::string tag;
  /// Names and values; names are unique.
  std::vector<std::pair<std::string, std::string>> properties;
  /// Messages with the same order key go to one queue and keep their order.
  std::string order_key;
  std::uint8_t priority = 0;
  /// When the program made it; the producer fills it in when it is the epoch.
  timestamp born{};
  /// How long after `born` it is worth delivering.
  std::optional<milliseconds> ttl;
  /// When it shall become visible.
  std::optional<timestamp> deliver_at;

  bool operator==(const message&) const = default;
};

/// A message as it is read from a batch: views into the batch's block, valid as long as that block.
struct message_view {
  std::string_view body;
  std::string_view tag;
  std::string_view order_key;
  std::uint8_t priority = 0;
  timestamp born{};
  std::optional<milliseconds> ttl;
  std::optional<timestamp> deliver_at;
  std::vector<std::string_view> keys;
  std::vector<std::pair<std::string_view, std::string_view>> properties;

  /// An owning copy.
  message materialize() const;
};

/// The limits of one message. Each is a documented default (RocketMQ's where it has one).
struct limits {
  /// Bytes of a body: 4 MiB (RocketMQ: maxMessageSize). A topic may set a lower one.
  std::uint32_t body = 4u << 20;
  /// Bytes of all property names and values with their length prefixes: 32,767 (RocketMQ: Short.MAX_VALUE).
  std::uint32_t properties = 32767;
  /// Bytes of a tag, and of an order key.
  std::uint32_t tag = 255;
  std::uint32_t order_key = 255;
  /// Keys per message, bytes per key, and bytes of all keys with their length prefixes.
  std::uint32_t keys = 64;
  std::uint32_t key = 1024;
  std::uint32_t all_keys = 32767;
  /// Highest priority.
  std::uint8_t priority = 9;
};

/// No error when the message keeps all limits; else the first broken one with its value.
error validate(const message& m, const limits& l);

/// RocketMQ's rule (TopicValidator): [%|a-zA-Z0-9_-]+, at most 127 bytes; names that RocketMQ reserves
/// (%RETRY%..., %DLQ%..., SCHEDULE_TOPIC_XXXX, RMQ_SYS_..., rmq_sys_..., TBW102, ...) are refused.
error validate_topic_name(std::string_view name);
/// As topic names, at most 120 bytes.
error validate_group_name(std::string_view name);

/// True for valid UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// The hash that filters compare first and routers use: FNV-1a over the bytes, 32 bits; 0 for the empty
/// string.
std::uint32_t short_hash(std::string_view text);

} // namespace troupe
