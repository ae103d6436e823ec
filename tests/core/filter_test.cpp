#include "troupe/filter.hpp"

#include "troupe/message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::HasSubstr;

struct subject final : filter_subject {
  explicit subject(std::string t) : text(std::move(t)), hash(short_hash(text)) {}
  std::uint32_t tag_hash() const override { return hash; }
  std::string_view tag() const override {
    ++asked;
    return text;
  }
  std::optional<std::string_view> property(std::string_view) const override { return {}; }
  std::optional<std::string_view> next_key(std::uint32_t&) const override { return {}; }
  std::uint8_t priority() const override { return 0; }
  timestamp born() const override { return {}; }
  std::uint32_t attempt() const override { return 1; }
  std::string text;
  std::uint32_t hash;
  mutable int asked = 0;
};

std::shared_ptr<const filter> parsed(std::string_view text) {
  auto f = parse_filter(text);
  EXPECT_TRUE(f) << to_string(f.error());
  return *f;
}

TEST(filter, star_and_nothing_mean_everything) {
  for (auto text : {"*", "", "  * "}) {
    auto f = parsed(text);
    EXPECT_TRUE(f->everything());
    EXPECT_TRUE(f->matches(subject{""}));
    EXPECT_EQ(f->text(), "*");
  }
}

TEST(filter, tags_match_exactly_and_untagged_messages_do_not) {
  auto f = parsed("install || upgrade");
  EXPECT_FALSE(f->everything());
  EXPECT_TRUE(f->matches(subject{"install"}));
  EXPECT_TRUE(f->matches(subject{"upgrade"}));
  EXPECT_FALSE(f->matches(subject{"Install"}));
  EXPECT_FALSE(f->matches(subject{"install "}));
  EXPECT_FALSE(f->matches(subject{""}));
}

TEST(filter, asks_for_the_tag_only_when_its_hash_fits) {
  auto f = parsed("install");
  subject other{"remove"};
  EXPECT_FALSE(f->matches(other));
  EXPECT_EQ(other.asked, 0);
}

TEST(filter, is_not_fooled_by_another_tag_of_the_same_hash) {
  auto f = parsed("install");
  subject forged{"remove"};
  forged.hash = short_hash("install");
  EXPECT_FALSE(f->matches(forged));
  EXPECT_EQ(forged.asked, 1);
}

TEST(filter, has_one_canonical_text_whatever_the_order_spaces_and_repetitions) {
  EXPECT_EQ(parsed("b||a ||  c|| a")->text(), "a || b || c");
  EXPECT_EQ(parsed(parsed("b||a")->text())->text(), "a || b");
}

TEST(filter, errors_say_what_is_wrong_and_how_to_write_it) {
  const std::pair<std::string, std::string> cases[] = {
      {"a ||", "tag 2 is missing"},
      {"|| a", "tag 1 is missing"},
      {"a || || b", "tag 2 is missing"},
      {"a | b", "tag 1 holds a single |"},
      {"a || b c", "tag 2 has white space inside"},
      {"a || *", "* stands alone"},
  };
  for (const auto& [text, why] : cases) {
    auto f = parse_filter(text);
    ASSERT_FALSE(f) << text;
    EXPECT_EQ(f.error().code, errc::invalid_argument);
    EXPECT_THAT(f.error().reason, HasSubstr(why));
    EXPECT_THAT(f.error().hint, HasSubstr("||"));
  }
}

TEST(filter, tags_longer_than_a_tag_can_be_and_endless_expressions_are_refused) {
  EXPECT_EQ(parse_filter(std::string(256, 'x')).error().code, errc::too_large);
  EXPECT_TRUE(parse_filter(std::string(255, 'x')));
  std::string many = "a";
  for (int i = 0; i < 20000; ++i)
    many += "||t" + std::to_string(i);
  EXPECT_EQ(parse_filter(many).error().code, errc::too_large);
}

TEST(filter, tags_are_taken_only_when_their_canonical_form_can_be_read_again) {
  const auto tags = [](int n) {
    std::string text;
    for (int i = 0; i < n; ++i)
      text += (i == 0 ? "u" : "||u") + std::to_string(10'000 + i);
    return text;
  };
  const auto most = parse_filter(tags(6'554)); // 10 bytes a tag, less 4
  ASSERT_TRUE(most);
  EXPECT_EQ((*most)->text().size(), max_tag_filter);
  EXPECT_TRUE(parse_filter((*most)->text()));
  ASSERT_LT(tags(6'555).size(), max_tag_filter);
  EXPECT_EQ(parse_filter(tags(6'555)).error().code, errc::too_large);
}

TEST(filter, error_texts_hold_no_control_characters) {
  auto f = parse_filter("a\x1b[31m || ");
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().reason.find('\x1b'), std::string::npos);
}

} // namespace
} // namespace troupe
