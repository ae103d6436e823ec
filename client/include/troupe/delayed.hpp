#pragma once

#include "troupe/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a client learns of messages that wait for their time: plain values.
namespace troupe {

struct delayed_info {
  message_id id;
  std::string topic;
  /// When it becomes visible.
  timestamp deliver_at{};
};

struct delayed_query {
  /// Empty: of all topics.
  std::string topic;
  /// In a page, 1 to 1000.
  std::uint32_t max = 1000;
  /// `next` of the page before.
  std::optional<delayed_info> after;
};

/// In the order in which they are due. May have fewer than `max`, or none, and not be the last.
struct delayed_messages_page {
  std::vector<delayed_info> messages;
  /// Nothing: these were the last.
  std::optional<delayed_info> next;
};

/// What became of a message that was to be cancelled: nobody gets it, or it became visible before.
struct cancel_result {
  delayed_info message;
  bool cancelled = false;
};

} // namespace troupe
