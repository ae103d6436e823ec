#include "config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace trouped {

namespace {

using testing::HasSubstr;

const std::vector<known_key> keys{{"data"}, {"name"}, {"shards"}, {"disk-budget"}, {"verify", true}};

std::vector<setting> good(std::string_view text) {
  config_error wrong;
  auto all = read_config(text, keys, wrong);
  EXPECT_FALSE(wrong.why) << text << wrong.line << wrong.why.reason;
  return all;
}
std::string value(std::string_view text) {
  auto all = good(text);
  return all.size() == 1 ? all[0].value : "not one setting";
}
/// "line: reason"
std::string refused(std::string_view text) {
  config_error wrong;
  EXPECT_TRUE(read_config(text, keys, wrong).empty());
  EXPECT_FALSE(!wrong.why || wrong.why.hint.empty()) << text;
  return std::to_string(wrong.line) + ": " + wrong.why.reason;
}

TEST(config_file, keys_and_values_are_read_with_their_lines) {
  EXPECT_EQ(good("# a comment\n\n data = \"/d\" # here\r\nshards=2\n\tverify = true"),
            (std::vector<setting>{{"data", "/d", 3}, {"shards", "2", 4}, {"verify", "true", 5}}));
  EXPECT_EQ(good("\xef\xbb\xbf"
                 "\"name\" = 'x'"),
            (std::vector<setting>{{"name", "x", 1}}));
  EXPECT_TRUE(good("").empty());
}

TEST(config_file, texts_in_quotes_are_toml) {
  EXPECT_EQ(value("data = \"a # b = c\""), "a # b = c");
  EXPECT_EQ(value(R"(data = "\"\\\t\u00e9\U0001f600")"), "\"\\\t\u00e9\U0001f600");
  EXPECT_EQ(value(R"(data = 'c:\new "one"')"), R"(c:\new "one")");
  EXPECT_EQ(value("data = /var/lib"), "/var/lib");
  EXPECT_EQ(value("disk-budget = 20GiB"), "20GiB");
  for (const auto* bad : {R"(data = "\x")", R"(data = "\u12")", R"(data = "\ud800")", R"(data = "\u0000")",
                          R"(data = "\U00110000")", R"(data = "a\)"})
    EXPECT_THAT(refused(bad), testing::StartsWith("1: a \\ in ")) << bad;
}

TEST(config_file, a_quote_that_is_not_closed_is_refused) {
  EXPECT_EQ(refused("\ndata = \"c/n\n"), "2: the quote in \"\"c/n\" is not closed");
  EXPECT_THAT(refused("data = 'c/n\""), HasSubstr("is not closed"));
  EXPECT_THAT(refused("data = \""), HasSubstr("is not closed"));
  EXPECT_THAT(refused("\"data = 1"), HasSubstr("is not closed"));
}

TEST(config_file, what_is_no_text_is_refused) {
  EXPECT_EQ(refused("\xff\xfe"), "1: there are bytes that are no UTF-8 text");
  EXPECT_EQ(refused("data = \"x\"\n# \xff\n"), "2: there are bytes that are no UTF-8 text");
  EXPECT_EQ(refused(std::string("data = \"a\0b\"", 12)), "1: there is a control character");
  EXPECT_EQ(refused("name = \"\x1b[2J\""), "1: there is a control character");
}

TEST(config_file, a_value_that_is_missing_or_empty_is_refused) {
  for (const auto* bad : {"data = ", "data=", "data = # x", "data = \"\"", "data = ''"})
    EXPECT_EQ(refused(bad), "1: data has no value") << bad;
}

TEST(config_file, what_stands_behind_a_value_is_refused) {
  EXPECT_EQ(refused("data=\"c/q9\" junk"), "1: \"junk\" stands behind the value of data");
  EXPECT_EQ(refused("data = \"a\"\"b\""), "1: \"\"b\"\" stands behind the value of data");
  EXPECT_EQ(refused("shards = 1 2"), "1: \"2\" stands behind the value of shards");
  EXPECT_EQ(refused("data = [\"a\", \"b\"]"), "1: \"[\"a\", \"b\"]\" is no value of data");
  EXPECT_EQ(refused("data = a\"b"), "1: \"a\"b\" is no value of data");
  EXPECT_EQ(refused("verify = maybe"), "1: \"maybe\" is no value of verify");
}

TEST(config_file, what_sets_no_option_is_refused_by_its_own_name) {
  EXPECT_EQ(refused("garbage line"), "1: \"garbage line\" is not KEY = VALUE");
  EXPECT_EQ(refused("disk-budget 200MiB"), "1: \"disk-budget 200MiB\" is not KEY = VALUE");
  EXPECT_EQ(refused("verify"), "1: \"verify\" is not KEY = VALUE");
  EXPECT_EQ(refused("x"), "1: \"x\" is not KEY = VALUE");
  EXPECT_EQ(refused("= 1"), "1: \"= 1\" is not KEY = VALUE");
  EXPECT_EQ(refused("shrads = 1"), "1: there is no option shrads");
  EXPECT_EQ(refused("log.level = 1"), "1: there is no option log.level");
  EXPECT_EQ(refused("[log]"), "1: there is no section [log]");
  EXPECT_EQ(refused("data = \"a\"\n\ndata = \"b\""), "3: data stands in line 1 already");
  for (const std::string only_there : {"config", "help", "version"})
    EXPECT_EQ(refused(only_there + " = 1"), "1: " + only_there + " may not stand in a config file");
}

TEST(config_file, any_bytes_give_settings_of_known_keys_or_a_reason) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random{seed};
  const std::vector<std::string> pieces{
      "data",  "shards", "=", " ", "\"", "'",    "\\",   "\n",
      "\\u00", "#",      "[", "x", "1",  "\xc3", "\xa9", std::string(1, '\0')};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto n = random() % 12; n > 0; --n)
      text += pieces[random() % pieces.size()];
    config_error wrong;
    const auto all = read_config(text, keys, wrong);
    EXPECT_TRUE(all.empty() || !wrong.why) << text;
    EXPECT_EQ(static_cast<bool>(wrong.why), wrong.line > 0) << text;
    for (const auto& s : all)
      EXPECT_TRUE(!s.value.empty() && (s.key == "data" || s.key == "shards")) << text;
  }
}

} // namespace

} // namespace trouped
