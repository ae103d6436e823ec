#include "troupe/error.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe {
namespace {

TEST(error, every_code_has_its_own_stable_name) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(errc::conflict); ++code)
    names.insert(to_string(static_cast<errc>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(errc::conflict) + 1);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(errc::no_space), "no_space");
  EXPECT_EQ(to_string(static_cast<errc>(200)), "unknown");
}

TEST(error, is_an_error_unless_its_code_is_none) {
  EXPECT_FALSE(error{});
  EXPECT_TRUE((error{errc::timeout, "no answer"}));
}

TEST(error, is_printed_with_code_reason_and_hint) {
  EXPECT_EQ(to_string(error{errc::no_space, "the disk is full", "free some"}),
            "no_space: the disk is full (free some)");
  EXPECT_EQ(to_string(error{errc::gap, "expected 7"}), "gap: expected 7");
  EXPECT_EQ(to_string(error{errc::timeout, ""}), "timeout");
}

TEST(result, holds_a_value_or_an_error) {
  result<std::string> value = std::string{"text"};
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, "text");
  EXPECT_EQ(value->size(), 4u);

  result<std::string> failed = error{errc::corrupt, "bad"};
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, errc::corrupt);
}

} // namespace
} // namespace troupe
