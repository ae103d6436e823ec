#include "jsonl.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::cli {

using testing::HasSubstr;

TEST(jsonl, a_line_carries_all_parts_of_a_message) {
  auto m = parse_jsonl(
      R"({"body":"hi","keys":["a","b"],"tag":"t","properties":{"n":"v"},"order_key":"o","priority":0})", {});
  ASSERT_TRUE(m) << m.error().reason;
  EXPECT_EQ(m->body, "hi");
  EXPECT_EQ(m->keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(m->tag, "t");
  EXPECT_EQ(m->properties, (std::vector<std::pair<std::string, std::string>>{{"n", "v"}}));
  EXPECT_EQ(m->order_key, "o");
}

TEST(jsonl, a_binary_body_is_base64) {
  auto m = parse_jsonl(R"({"body_base64":"AP8="})", {});
  ASSERT_TRUE(m) << m.error().reason;
  EXPECT_EQ(m->body, std::string("\0\xff", 2));
}

TEST(jsonl, what_a_line_leaves_out_comes_from_the_command_line) {
  message defaults;
  defaults.tag = "t";
  defaults.keys = {"k"};
  auto m = parse_jsonl(R"({"body":"b","keys":[]})", defaults);
  ASSERT_TRUE(m) << m.error().reason;
  EXPECT_EQ(m->tag, "t");
  EXPECT_TRUE(m->keys.empty());
}

TEST(jsonl, a_wrong_line_is_refused_with_the_field_and_the_reason) {
  struct wrong {
    const char* line;
    const char* says;
  };
  for (const auto& [line, says] :
       {wrong{"", "not JSON"},
        wrong{"hello", "not JSON"},
        wrong{R"({"body":"x")", "not JSON"},
        wrong{R"({"body":"x"} y)", "not JSON"},
        wrong{"[1]", "array instead of an object"},
        wrong{"null", "null instead of an object"},
        wrong{"{}", "neither 'body' nor 'body_base64'"},
        wrong{R"({"tag":"t"})", "neither 'body' nor 'body_base64'"},
        wrong{R"({"body":1})", "'body' is number"},
        wrong{R"({"body":null})", "'body' is null"},
        wrong{R"({"body":"x","body_base64":"eA=="})", "both"},
        wrong{R"({"body":"x","body":"y"})", "'body' is given twice"},
        wrong{R"({"body":"x","properties":{"a":"1","a":"2"}})", "'a' is given twice"},
        wrong{R"({"body_base64":"e"})", "not base64"},
        wrong{R"({"body":"x","keys":"k"})", "'keys' is string"},
        wrong{R"({"body":"x","keys":[1]})", "'keys' is number"},
        wrong{R"({"body":"x","properties":[]})", "'properties' is array"},
        wrong{R"({"body":"x","properties":{"a":1}})", "'properties.a' is number"},
        wrong{R"({"body":"x","priority":"high"})", "'priority'"},
        wrong{R"({"body":"x","priority":10})", "'priority'"},
        wrong{R"({"body":"x","priority":0.5})", "'priority'"},
        wrong{R"({"body":"x","colour":"red"})", "unknown field 'colour'"},
        wrong{R"({"body":"x","delay":1e400})", "too large"},
        wrong{"{\"body\":\"\xff\"}", "not JSON"}}) {
    auto m = parse_jsonl(line, {});
    ASSERT_FALSE(m) << line;
    EXPECT_EQ(m.error().code, errc::invalid_argument) << line;
    EXPECT_THAT(m.error().reason, HasSubstr(says)) << line;
    EXPECT_FALSE(m.error().hint.empty()) << line;
  }
}

TEST(jsonl, a_time_to_live_is_a_duration) {
  EXPECT_EQ(parse_jsonl(R"({"body":"x","ttl":"1500ms"})", {})->ttl, milliseconds{1500});
  EXPECT_EQ(parse_jsonl(R"({"body":"x"})", {.ttl = milliseconds{7}})->ttl, milliseconds{7});
  for (const auto* line :
       {R"({"body":"x","ttl":"soon"})", R"({"body":"x","ttl":5})", R"({"body":"x","ttl":"0s"})"}) {
    auto m = parse_jsonl(line, {});
    ASSERT_FALSE(m) << line;
    EXPECT_EQ(m.error().code, errc::invalid_argument) << line;
    EXPECT_THAT(m.error().reason, HasSubstr("'ttl'")) << line;
  }
}

TEST(jsonl, a_delay_is_counted_from_now_and_a_time_is_taken_as_it_is) {
  const auto before = from_now({});
  const auto due = parse_jsonl(R"({"body":"x","delay":"1h"})", {})->deliver_at.value();
  EXPECT_GE(due, before + std::chrono::hours{1});
  EXPECT_LE(due, from_now(std::chrono::hours{1}));
  EXPECT_EQ(parse_jsonl(R"({"body":"x","at":1900000000000})", {})->deliver_at,
            from_unix_ms(1'900'000'000'000));
  EXPECT_EQ(parse_jsonl(R"({"body":"x","at":"2030-03-17T17:46:40Z"})", {})->deliver_at,
            from_unix_ms(1'900'000'000'000));
  EXPECT_EQ(parse_jsonl(R"({"body":"x"})", {.deliver_at = from_unix_ms(7)})->deliver_at, from_unix_ms(7));
  for (const auto* line :
       {R"({"body":"x","delay":"soon"})", R"({"body":"x","delay":5})", R"({"body":"x","delay":"0s"})",
        R"({"body":"x","at":"noon"})", R"({"body":"x","at":-1})", R"({"body":"x","at":1,"delay":"1s"})"}) {
    const auto m = parse_jsonl(line, {});
    ASSERT_FALSE(m) << line;
    EXPECT_EQ(m.error().code, errc::invalid_argument) << line;
  }
}

TEST(jsonl, a_priority_is_a_number_from_0_to_9) {
  for (int p = 0; p <= 9; ++p) {
    auto m = parse_jsonl(R"({"body":"x","priority":)" + std::to_string(p) + "}", {});
    ASSERT_TRUE(m) << m.error().reason;
    EXPECT_EQ(m->priority, p);
  }
}

TEST(jsonl, a_deeply_nested_line_is_an_error_and_not_a_crash) {
  auto m = parse_jsonl("{\"body\":" + std::string(1'000'000, '['), {});
  EXPECT_FALSE(m);
  auto closed = parse_jsonl("{\"body\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", {});
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().reason, HasSubstr("'body' is array"));
}

TEST(jsonl, a_property_is_a_name_and_a_value_that_may_be_empty_or_hold_equal_signs) {
  EXPECT_EQ(parse_property("a=b").value(), std::pair(std::string("a"), std::string("b")));
  EXPECT_EQ(parse_property("a=").value(), std::pair(std::string("a"), std::string()));
  EXPECT_EQ(parse_property("a=b=c").value(), std::pair(std::string("a"), std::string("b=c")));
  EXPECT_FALSE(parse_property("a"));
  EXPECT_FALSE(parse_property("=b"));
  EXPECT_FALSE(parse_property(""));
}

} // namespace troupe::cli
