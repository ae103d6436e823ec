#pragma once

#include "troupe/filter.hpp"
#include "troupe/message.hpp"

#include <map>
#include <string>
#include <vector>

namespace troupe::test {

/// A message as a filter sees it.
struct filtered_message final : filter_subject {
  std::string tag_text;
  std::vector<std::string> key_list;
  std::map<std::string, std::string, std::less<>> properties;
  std::uint8_t priority_value = 0;
  timestamp born_at{};
  std::uint32_t attempt_number = 1;

  std::uint32_t tag_hash() const override { return short_hash(tag_text); }
  std::string_view tag() const override { return tag_text; }
  std::optional<std::string_view> property(std::string_view name) const override {
    const auto at = properties.find(name);
    return at == properties.end() ? std::nullopt : std::optional<std::string_view>{at->second};
  }
  std::optional<std::string_view> next_key(std::uint32_t& cursor) const override {
    if (cursor >= key_list.size())
      return {};
    return key_list[cursor++];
  }
  std::uint8_t priority() const override { return priority_value; }
  timestamp born() const override { return born_at; }
  std::uint32_t attempt() const override { return attempt_number; }
};

} // namespace troupe::test
