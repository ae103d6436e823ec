#pragma once

#include "troupe/error.hpp"
#include "troupe/message.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace troupe::cli {

/// The wall clock's time after so long.
timestamp from_now(milliseconds delay);

/// A message from one line of `send --jsonl`: a JSON object with any of body, body_base64, keys, tag,
/// properties, order_key, priority, delay, at, ttl. What it does not name comes from `defaults`.
/// invalid_argument says which field is wrong and how.
result<message> parse_jsonl(std::string_view line, const message& defaults);

/// "NAME=VALUE" as a property.
result<std::pair<std::string, std::string>> parse_property(const std::string& text);

} // namespace troupe::cli
