#include "text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace troupe::cli {

namespace {

using byte = unsigned char;

bool is_continuation(byte b) { return (b & 0xc0) == 0x80; }

struct code_point {
  char32_t value = 0;
  /// Bytes it takes; 0 when there is no valid one.
  std::size_t size = 0;
};

/// The code point that begins at `at`.
code_point decode(std::string_view s, std::size_t at) {
  auto first = static_cast<byte>(s[at]);
  if (first < 0x80)
    return {first, 1};
  std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + size > s.size())
    return {};
  char32_t value = first & (0xff >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    auto next = static_cast<byte>(s[at + i]);
    if (!is_continuation(next))
      return {};
    value = value << 6 | (next & 0x3f);
  }
  static constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
    return {};
  return {value, size};
}

/// Left-to-right and right-to-left marks, embeddings, overrides and isolates.
bool turns_text(char32_t c) {
  return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

std::string escaped(const char* format, unsigned value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string escape_control(char32_t c) {
  switch (c) {
  case '\n':
    return "\\n";
  case '\r':
    return "\\r";
  case '\t':
    return "\\t";
  default:
    return escaped(c < 0x100 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(c));
  }
}

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of each base64 digit; -1 for other bytes.
constexpr std::array<signed char, 256> base64_values = [] {
  std::array<signed char, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < base64_digits.size(); ++i)
    values[static_cast<byte>(base64_digits[i])] = static_cast<signed char>(i);
  return values;
}();

} // namespace

std::string escape(std::string_view s, std::size_t longest) {
  std::string out;
  std::size_t at = 0;
  while (at < s.size() && at < longest) {
    auto c = decode(s, at);
    if (c.size == 0) {
      out += escaped("\\x%02x", static_cast<byte>(s[at]));
      ++at;
      continue;
    }
    if (c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0) || turns_text(c.value))
      out += escape_control(c.value);
    else
      out += s.substr(at, c.size);
    at += c.size;
  }
  if (at < s.size())
    out += "... (" + std::to_string(s.size()) + " bytes)";
  return out;
}

std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  for (char c : text)
    columns += !is_continuation(static_cast<byte>(c));
  return columns;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    auto have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < have ? static_cast<byte>(bytes[at + i]) : 0u);
    for (std::size_t i = 0; i < 4; ++i)
      out += i <= have ? base64_digits[bits >> (18 - 6 * i) & 0x3f] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    auto group = text.substr(at, 4);
    std::size_t padding = 0;
    if (at + 4 == text.size())
      padding = group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      int value = i < 4 - padding ? base64_values[static_cast<byte>(group[i])] : 0;
      if (value < 0)
        return std::nullopt;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    // Bits that no byte takes must be zero, so that each body has one text.
    if ((bits & ((1u << (8 * padding)) - 1)) != 0)
      return std::nullopt;
    for (std::size_t i = 0; i < 3 - padding; ++i)
      out += static_cast<char>(bits >> (16 - 8 * i) & 0xff);
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

std::string counted(std::uint64_t number, std::string_view thing) {
  return grouped(number) + ' ' + std::string(thing) + (number == 1 ? "" : "s");
}

std::string about_bytes(double bytes) {
  static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text.data();
}

std::string about_rate(double per_second) {
  if (!std::isfinite(per_second) || per_second < 0)
    return "-";
  if (per_second >= 100)
    return grouped(static_cast<std::uint64_t>(std::llround(per_second))) + "/s";
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.1f/s", per_second);
  return text.data();
}

} // namespace troupe::cli
