#include "config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace trouped {

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

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

TEST(config_file, texts_numbers_and_flags_are_toml) {
  EXPECT_EQ(value("data = \"a # b = c\""), "a # b = c");
  EXPECT_EQ(value(R"(data = "\"\\\u00e9\U0001f600")"), "\"\\\u00e9\U0001f600");
  EXPECT_EQ(value(R"(data = 'c:\new "one"')"), R"(c:\new "one")");
  EXPECT_EQ(value("data = \"\"\"\na\"\"\""), "a");
  EXPECT_EQ(value("disk-budget = 1_000_000"), "1000000");
  EXPECT_EQ(value("shards = -1"), "-1");
  EXPECT_EQ(value("verify = false"), "false");
}

/// Refused as no TOML: the place, and a part of the reason.
void no_toml(std::string_view text, const std::string& place, const std::string& reason) {
  EXPECT_THAT(refused(text), AllOf(StartsWith(place + ": "), HasSubstr(reason))) << text;
}

TEST(config_file, what_is_no_toml_is_refused_with_line_and_column) {
  no_toml("data = \"x\"\nname = \"c/n\n", "2: no TOML at column 12", "control character");
  no_toml("data = 'c/n\"", "1: no TOML at column 13", "end-of-file");
  no_toml("data = \"", "1", "end-of-file");
  no_toml("\"data = 1", "1", "end-of-file");
  no_toml("data=\"c/q9\" junk", "1: no TOML at column 13", "saw 'j'");
  no_toml("data = \"a\"\"b\"", "1", "saw '\"'");
  no_toml("shards = 1 2", "1", "saw '2'");
  no_toml("data = a\"b", "1: no TOML at column 8", "value");
  no_toml("disk-budget = 20GiB", "1", "saw 'G'");
  no_toml("verify = maybe", "1: no TOML at column 10", "value");
  no_toml("\ngarbage line", "2", "expected '=', saw 'l'");
  no_toml("disk-budget 200MiB", "1", "expected '=', saw '2'");
  no_toml("verify", "1", "end-of-file");
  no_toml("= 1", "1", "saw '='");
  no_toml("data = ", "1", "end-of-file");
  no_toml("data = # x", "1", "saw '#'");
  no_toml("\xff\xfe", "1", "utf-8");
  no_toml("data = \"x\"\n# \xff\n", "2", "utf-8");
  no_toml(std::string("data = \"a\0b\"", 12), "1", "control character");
  no_toml("name = \"\x1b[2J\"", "1", "control character");
  for (const auto* bad : {R"(data = "\x")", R"(data = "\u12")", R"(data = "\ud800")",
                          R"(data = "\U00110000")", R"(data = "a\)"})
    no_toml(bad, "1", "Error while parsing");
}

TEST(config_file, a_key_that_stands_there_twice_is_refused_where_it_does_again) {
  no_toml("data = \"a\"\n\ndata = \"b\"", "3", "cannot redefine existing string 'data");
}

TEST(config_file, a_text_that_is_empty_or_has_a_control_character_is_refused) {
  for (const auto* bad : {"data = \"\"", "data = ''"})
    EXPECT_EQ(refused(bad), "1: data has no value") << bad;
  EXPECT_EQ(refused(R"(data = "a\u0000b")"), "1: data has a control character in its value");
  EXPECT_EQ(refused(R"(data = "\u001b[2J")"), "1: data has a control character in its value");
}

TEST(config_file, a_value_of_a_type_that_no_option_takes_is_refused) {
  EXPECT_EQ(refused("data = [\"a\", \"b\"]"), "1: data takes no array");
  EXPECT_EQ(refused("data = {a = 1}"), "1: data takes no table");
  EXPECT_EQ(refused("data.a = 1"), "1: data takes no table");
  EXPECT_EQ(refused("[data]"), "1: data takes no table");
  EXPECT_EQ(refused("[[data]]"), "1: data takes no array");
  EXPECT_EQ(refused("name = 2024-01-01"), "1: name takes no date");
  EXPECT_EQ(refused("shards = 1.5"), "1: shards takes no floating-point");
  EXPECT_EQ(refused("shards = true"), "1: shards takes no boolean");
  EXPECT_EQ(refused("verify = \"true\""), "1: verify takes no string");
  EXPECT_EQ(refused("verify = 1"), "1: verify takes no integer");
}

TEST(config_file, what_sets_no_option_is_refused_by_its_own_name) {
  EXPECT_EQ(refused("shrads = 1"), "1: there is no option shrads");
  EXPECT_EQ(refused("log.level = 1"), "1: there is no section [log]");
  EXPECT_EQ(refused("data = \"x\"\n[log]\nlevel = 1"), "2: there is no section [log]");
  for (const std::string only_there : {"config", "help", "version"})
    EXPECT_EQ(refused(only_there + " = 1"), "1: " + only_there + " may not stand in a config file");
  for (const auto* bad : {R"("\u001b[2J" = 1)", R"("a b" = 1)", R"("" = 1)"})
    EXPECT_EQ(refused(bad), "1: there is no such option") << bad;
}

TEST(config_file, of_two_wrong_lines_the_first_is_named) {
  EXPECT_EQ(refused("zoo = 1\nair = 1\n"), "1: there is no option zoo");
  EXPECT_EQ(refused("air = 1\nzoo = 1\n"), "1: there is no option air");
}

TEST(config_file, nesting_of_any_depth_is_refused) {
  std::string dots = "a";
  for (int i = 0; i < 300'000; ++i)
    dots += ".a";
  for (const auto& text : {dots + " = 1", "[" + dots + "]", "data = {" + dots + " = 1}"})
    EXPECT_EQ(refused(text),
              "0: it has more than 1000 dots, which could be a key that is nested too deeply to be read");
  EXPECT_EQ(refused(dots.substr(0, 2001) + " = 1"), "1: there is no section [a]");
  no_toml("data = " + std::string(300'000, '['), "1", "");
}

TEST(config_file, any_bytes_give_settings_of_known_keys_or_a_reason) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random{seed};
  const std::vector<std::string> pieces{"data",
                                        "shards",
                                        "=",
                                        "=",
                                        " ",
                                        "\"",
                                        "'",
                                        "\\",
                                        "\n",
                                        "\r",
                                        "\\u00",
                                        "#",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ",",
                                        ".",
                                        "x",
                                        "1",
                                        "-",
                                        ":",
                                        "e",
                                        "_",
                                        "true",
                                        "f",
                                        "0x",
                                        "inf",
                                        "\"\"\"",
                                        "'''",
                                        "\t",
                                        "\v",
                                        "\xc3",
                                        "\xa9",
                                        "\xe2\x80\xa8",
                                        "\x7f",
                                        std::string(1, '\0')};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto n = random() % 16; n > 0; --n)
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
