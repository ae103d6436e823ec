#include "options.hpp"

#include "temporary_directory.hpp"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace trouped {

namespace {

using testing::HasSubstr;

struct options_test : testing::Test {
  troupe::test::temporary_directory scratch;
  std::map<std::string, std::string> variables;

  std::variant<options, leave> read(const std::vector<std::string>& arguments) {
    return read_options(arguments, [this](const std::string& name) -> std::optional<std::string> {
      auto at = variables.find(name);
      return at == variables.end() ? std::nullopt : std::optional{at->second};
    });
  }
  options good(const std::vector<std::string>& arguments) {
    auto result = read(arguments);
    if (auto* refused = std::get_if<leave>(&result))
      throw std::runtime_error(refused->text);
    return std::get<options>(std::move(result));
  }
  leave refused(const std::vector<std::string>& arguments) {
    auto result = read(arguments);
    auto* found = std::get_if<leave>(&result);
    return found ? *found : leave{-1, "accepted"};
  }
  std::string file(const std::string& text) {
    auto path = scratch / "trouped.toml";
    std::ofstream{path} << text;
    return path.string();
  }
};

TEST_F(options_test, without_options_but_the_directory_it_is_a_node_on_loopback) {
  auto o = good({"--data", "d"});
  EXPECT_EQ(o.node.data, "d");
  EXPECT_EQ(o.node.host, "127.0.0.1");
  EXPECT_EQ(o.node.port, 7700);
  EXPECT_EQ(o.node.shards, 0);
  EXPECT_EQ(o.node.disk_budget, 0u);
  EXPECT_EQ(o.node.in_flight, 64u << 20);
  EXPECT_EQ(o.level, troupe::log_level::info);
  EXPECT_EQ(o.format, log_format::text);
  EXPECT_FALSE(o.verify);
}

TEST_F(options_test, addresses_are_read_in_all_their_forms) {
  auto listen = [&](const std::string& text) {
    auto o = good({"--data", "d", "--listen", text});
    return o.node.host + " " + std::to_string(o.node.port);
  };
  EXPECT_EQ(listen("localhost:1"), "localhost 1");
  EXPECT_EQ(listen("[::1]:7700"), "::1 7700");
  EXPECT_EQ(listen(":0"), "127.0.0.1 0");
  for (const std::string bad : {"", "localhost", "1", "::1:7700", "h:", "h:x", "h:70000", "h:+1"})
    EXPECT_EQ(refused({"--data", "d", "--listen", bad}).code, 2) << bad;
}

TEST_F(options_test, the_order_is_command_line_environment_file_default) {
  auto config = file("data = \"file\"\nname = \"file\"\nlisten = \"localhost:1\"\nverify = true\n");
  variables = {{"TROUPE_CONFIG", config}, {"TROUPE_NAME", "environment"}, {"TROUPE_DATA", "environment"}};
  auto o = good({"--data=line"});
  EXPECT_EQ(o.node.data, "line");
  EXPECT_EQ(o.node.name, "environment");
  EXPECT_EQ(o.node.port, 1);
  EXPECT_TRUE(o.verify);
  EXPECT_EQ(o.node.in_flight, 64u << 20);
}

TEST_F(options_test, what_is_wrong_is_named_with_where_it_stands) {
  EXPECT_THAT(refused({"--data", "d", "--shards", "x"}).text, HasSubstr("--shards: \"x\""));
  EXPECT_THAT(refused({"--data", "d", "--config", file("in-flight = \"much\"\n")}).text,
              HasSubstr("in-flight in "));
  EXPECT_THAT(refused({"--data", "d", "--config", file("shrads = 1\n")}).text,
              HasSubstr("trouped.toml:1: there is no option shrads"));
  EXPECT_THAT(refused({"--data", "d", "--config", file("[log]\nlevel = \"info\"\n")}).text,
              HasSubstr("there is no section [log]"));
  EXPECT_THAT(refused({"--data", "d", "--config", file("\nlisten = \"x\"\n")}).text,
              HasSubstr("trouped.toml:2: \"x\" is not HOST:PORT"));
  EXPECT_THAT(refused({"--data", "d", "--config", file("data = \"c/n")}).text,
              HasSubstr("trouped.toml:1: no TOML at column "));
  EXPECT_THAT(refused({"--data", "d", "--config", file(std::string(2 << 20, ' '))}).text,
              HasSubstr("trouped.toml: it is longer than 1 MiB"));
  variables = {{"TROUPE_LOG_LEVEL", "loud"}};
  EXPECT_THAT(refused({"--data", "d"}).text, HasSubstr("environment variable TROUPE_LOG_LEVEL"));
}

TEST_F(options_test, help_and_version_are_no_errors) {
  EXPECT_EQ(refused({"--help"}).code, 0);
  EXPECT_EQ(refused({"--version"}).code, 0);
  EXPECT_EQ(refused({}).code, 2);
}

} // namespace

} // namespace trouped
