#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Text for people and for programs: pure functions over bytes that may come from anywhere.
namespace troupe::cli {

/// Bytes made safe for a terminal: control characters (C0, DEL, C1), characters that change the writing
/// direction and bytes that are no UTF-8 become visible escapes (`\n`, `\t`, `\x1b`); everything else stays.
/// A text of more than `longest` bytes is cut, and says so.
std::string escape(std::string_view bytes, std::size_t longest = std::string_view::npos);

/// Columns that valid UTF-8 takes on a terminal, one per code point.
std::size_t width(std::string_view text);

/// Standard base64 with padding (RFC 4648, section 4).
std::string base64_encode(std::string_view bytes);
/// Empty when the text is not exactly that: other characters, white space or wrong padding included.
std::optional<std::string> base64_decode(std::string_view text);

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);
/// A number of things: "1 message", "2,000 messages".
std::string counted(std::uint64_t number, std::string_view thing);
/// Bytes for people, rounded: "512 B", "1.4 MiB".
std::string about_bytes(double bytes);
/// A rate for people: "412,345/s".
std::string about_rate(double per_second);

} // namespace troupe::cli
