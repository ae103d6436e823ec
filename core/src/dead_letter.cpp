#include "troupe/dead_letter.hpp"

#include "troupe/message.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// Bytes of the character that `text` begins with; 0 when it begins with none.
std::size_t first_character(std::string_view text) {
  constexpr std::size_t longest = 4;
  for (std::size_t n = 1; n <= std::min(longest, text.size()); ++n)
    if (is_utf8(text.substr(0, n)))
      return n;
  return 0;
}

} // namespace

std::string_view to_string(dead_reason reason) {
  switch (reason) {
  case dead_reason::attempts:
    return "attempts";
  case dead_reason::rejected:
    return "rejected";
  case dead_reason::expired:
    return "expired";
  case dead_reason::unsettled:
    return "unsettled";
  }
  return "unknown";
}

std::string dead_detail(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const auto n = first_character(text);
    const auto size = std::max<std::size_t>(n, 1);
    if (kept.size() + size > max_dead_detail)
      break;
    if (n > 0)
      kept += text.substr(0, n);
    else
      kept += '?';
    text.remove_prefix(size);
  }
  return kept;
}

} // namespace troupe
