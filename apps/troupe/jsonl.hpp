#pragma once

#include "troupe/error.hpp"
#include "troupe/message.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace troupe::cli {

/// A message from one line of `send --jsonl`: a JSON object with any of body, body_base64, keys, tag,
/// properties, order_key, priority. What it does not name comes from `defaults`. invalid_argument says which
/// field is wrong and how; not_supported names a field of a later version.
result<message> parse_jsonl(std::string_view line, const message& defaults);

/// "NAME=VALUE" as a property.
result<std::pair<std::string, std::string>> parse_property(const std::string& text);

} // namespace troupe::cli
