#pragma once

#include "troupe/error.hpp"
#include "troupe/wire.hpp"

#include <cstdint>

namespace troupe {

/// Is this batch, as it came from outside, one that a queue takes? First what its header says, cheap:
/// invalid_argument, too_large, not_supported. The sender's bytes are not looked at.
error check_header(const publish& p);

/// What a queue takes at the moment.
struct publish_rules {
  std::uint32_t max_message = 0;
  milliseconds max_delay{0};
  timestamp now{};
};

/// Then its bytes: corrupt when they contradict the header or are no batch, too_large when a body exceeds the
/// topic's limit, invalid_argument when a delayed message has no time or one too far ahead (but for 10
/// minutes: clocks differ, and producers judged it by theirs), or a half message is delayed or nobody's. On
/// success the block is aligned for reading in place, and the answer is about how many rows its delayed or
/// half messages make.
result<std::uint32_t> check_content(publish& p, const publish_rules& rules);

} // namespace troupe
