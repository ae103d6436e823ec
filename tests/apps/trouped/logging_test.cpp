#include "logging.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace trouped {

namespace {

const auto now = troupe::from_unix_ms(1'700'000'000'123);

TEST(logging, text_is_one_line_with_quoted_values_where_they_need_it) {
  troupe::log_event event{troupe::log_level::warning,
                          "store",
                          "slow",
                          "a commit took long",
                          {{"shard", "1"}, {"why", "a \"b\" c"}, {"none", ""}}};
  EXPECT_EQ(
      format(event, log_format::text, now),
      R"(2023-11-14T22:13:20.123Z warning store slow: a commit took long shard=1 why="a \"b\" c" none="")");
}

TEST(logging, control_characters_cannot_forge_a_line) {
  troupe::log_event event{
      troupe::log_level::info, "directory", "client_connected", "x\ny", {{"client", "a\r\n\x1b[31m\x7f"}}};
  auto line = format(event, log_format::text, now);
  EXPECT_EQ(line.find_first_of("\r\n\x1b\x7f"), std::string::npos) << line;
  EXPECT_NE(line.find("x\\x0ay"), std::string::npos) << line;
}

TEST(logging, json_is_one_object_per_line_whatever_bytes_come) {
  troupe::log_event event{
      troupe::log_level::error, "node", "failed", "bad \xff\n", {{"path", "a\"b\\c"}, {"time", "taken"}}};
  auto line = format(event, log_format::json, now);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  auto object = nlohmann::json::parse(line, nullptr, false);
  ASSERT_TRUE(object.is_object()) << line;
  EXPECT_EQ(object["time"], "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(object["level"], "error");
  EXPECT_EQ(object["component"], "node");
  EXPECT_EQ(object["event"], "failed");
  EXPECT_EQ(object["path"], "a\"b\\c");
}

} // namespace

} // namespace trouped
