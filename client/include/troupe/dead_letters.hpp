#pragma once

#include "troupe/dead_letter.hpp"
#include "troupe/error.hpp"
#include "troupe/status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a client learns of a group's dead letters, and what it says of them: plain values.
namespace troupe {

/// A message that a group gave up.
struct dead_letter_info {
  message_id id;
  std::string topic;
  std::uint32_t queue = 0;
  /// Where it lay when it died.
  queue_offset offset;
  dead_reason reason = dead_reason::attempts;
  /// Failures recorded for it.
  std::uint32_t attempts = 0;
  timestamp died{};
  /// What its last consumer said went wrong; may be empty.
  std::string detail;
  /// When it was asked for and can be read.
  std::optional<received_message> message;
  /// The lane's, of a topic with several priorities.
  std::uint8_t priority = 0;
};

/// Where a list goes on.
struct dead_letter_place {
  queue_id queue;
  message_id id;
};

struct dead_letter_query {
  /// Empty: of all topics that the group follows.
  std::string topic;
  /// "*", tags or SQL92, judged by the broker; `attempt` is the number of attempts made.
  std::string filter = "*";
  /// Only these, at most 1000; empty: all.
  std::vector<message_id> ids;
  /// Letters in a page, 1 to 1000. Pages of large messages have fewer, down to none: only `next` tells the
  /// end.
  std::uint32_t max = 1000;
  /// With the messages.
  bool messages = false;
  /// `next` of the page before.
  std::optional<dead_letter_place> after;
};

/// Letters in the order of their queues and ids.
struct dead_letter_page {
  std::vector<dead_letter_info> letters;
  /// Nothing: these were the last.
  std::optional<dead_letter_place> next;
};

/// What became of one dead letter.
struct dead_letter_result {
  message_id id;
  /// none: done. not_found: it is no dead letter of the group (any more). Otherwise the broker could not, and
  /// nothing is known of it: ask again.
  errc code = errc::none;
};

} // namespace troupe
