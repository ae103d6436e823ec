#include "troupe/message.hpp"

#include "troupe/units.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

message plain(std::string body = "body") {
  message m;
  m.body = std::move(body);
  m.born = from_unix_ms(1'700'000'000'000);
  return m;
}

errc code_of(const message& m) { return validate(m, limits{}).code; }

bool mentions(const error& err, std::string_view text) { return err.reason.find(text) != std::string::npos; }

TEST(message_limits, let_a_message_pass_that_uses_each_of_them_fully) {
  auto m = plain(std::string(4u << 20, 'b'));
  m.tag = std::string(255, 't');
  m.order_key = std::string(255, 'o');
  // 64 keys of 509 bytes and 2 for the length: 32,704 bytes.
  m.keys.assign(64, std::string(509, 'k'));
  m.properties = {{"name", std::string(32767 - 4 - 4, 'v')}};
  m.priority = 9;
  m.ttl = max_duration;
  EXPECT_EQ(to_string(validate(m, limits{})), "none");
}

TEST(message_limits, refuse_one_byte_more_and_say_limit_and_value) {
  auto m = plain(std::string((4u << 20) + 1, 'b'));
  auto err = validate(m, limits{});
  EXPECT_EQ(err.code, errc::too_large);
  EXPECT_TRUE(mentions(err, "4194305") && mentions(err, "4194304")) << to_string(err);
  EXPECT_NE(err.hint, "");

  m = plain();
  m.tag = std::string(256, 't');
  EXPECT_EQ(code_of(m), errc::too_large);
  m = plain();
  m.order_key = std::string(256, 'o');
  EXPECT_EQ(code_of(m), errc::too_large);
  EXPECT_NE(validate(m, limits{}).hint, "");
  m = plain();
  m.keys.assign(65, "k");
  EXPECT_EQ(code_of(m), errc::too_large);
  m = plain();
  m.keys = {std::string(1025, 'k')};
  EXPECT_EQ(code_of(m), errc::too_large);
  m = plain();
  m.keys.assign(33, std::string(1000, 'k'));
  EXPECT_EQ(code_of(m), errc::too_large);
  m = plain();
  m.properties = {{"name", std::string(32767 - 4 - 4 + 1, 'v')}};
  err = validate(m, limits{});
  EXPECT_EQ(err.code, errc::too_large);
  EXPECT_TRUE(mentions(err, "32768") && mentions(err, "32767")) << to_string(err);
}

TEST(message_limits, of_a_topic_may_be_lower_but_never_above_what_a_batch_can_hold) {
  auto m = plain("12345");
  EXPECT_EQ(validate(m, {.body = 4}).code, errc::too_large);
  EXPECT_EQ(validate(m, {.body = 5}).code, errc::none);
  m.tag = std::string(300, 't');
  EXPECT_EQ(validate(m, {.tag = 1000}).code, errc::too_large);
}

TEST(message, without_a_body_is_refused) { EXPECT_EQ(code_of(plain("")), errc::invalid_argument); }

TEST(message, has_a_tag_that_filters_can_name) {
  for (const auto* tag : {"a b", "a|b", "a||b", " a", "a\t", "a\n", "*", "\x01", "\x7f"}) {
    auto m = plain();
    m.tag = tag;
    EXPECT_EQ(code_of(m), errc::invalid_argument) << tag;
  }
  for (const auto* tag : {"", "created", "order.created", "\xc3\xa4nderung", "a*b"}) {
    auto m = plain();
    m.tag = tag;
    EXPECT_EQ(code_of(m), errc::none) << tag;
  }
}

TEST(message, has_keys_that_are_not_empty) {
  auto m = plain();
  m.keys = {"a", ""};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.keys = {"a", "a", "with space"};
  EXPECT_EQ(code_of(m), errc::none);
}

TEST(message, has_properties_with_unique_names) {
  auto m = plain();
  m.properties = {{"a", "1"}, {"b", ""}, {"a", "2"}};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.properties = {{"", "1"}};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.properties = {{"a", "1"}, {"b", ""}, {"A", "1"}};
  EXPECT_EQ(code_of(m), errc::none);
}

TEST(message, is_text_but_for_its_body) {
  for (const std::string bad : {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                "\xe0\x80\x80", "\x80", "\xf0\x8f\xbf\xbf", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_EQ(code_of(plain(bad)), errc::none);
    auto refused = [&](auto change, const char* what) {
      auto m = plain();
      change(m);
      auto err = validate(m, limits{});
      EXPECT_EQ(err.code, errc::invalid_argument) << what;
      EXPECT_TRUE(mentions(err, what) && mentions(err, "UTF-8")) << to_string(err);
    };
    refused([&](message& m) { m.tag = bad; }, "tag");
    refused([&](message& m) { m.order_key = bad; }, "order key");
    refused([&](message& m) { m.keys = {"good", bad}; }, "key");
    refused([&](message& m) { m.properties = {{bad, "v"}}; }, "name of a property");
    refused([&](message& m) { m.properties = {{"n", bad}}; }, "'n'");
  }
  for (const std::string good : {"", "a", "\x7f", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                                 "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"})
    EXPECT_TRUE(is_utf8(good));
}

TEST(message, has_a_priority_from_0_to_9) {
  auto m = plain();
  m.priority = 10;
  auto err = validate(m, limits{});
  EXPECT_EQ(err.code, errc::invalid_argument);
  EXPECT_TRUE(mentions(err, "10") && mentions(err, "9")) << to_string(err);
}

TEST(message, has_times_that_can_be_added_without_overflow) {
  auto m = plain();
  m.ttl = milliseconds{0};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.ttl = milliseconds{-1};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.ttl = max_duration + milliseconds{1};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.ttl = milliseconds{1};
  EXPECT_EQ(code_of(m), errc::none);
  m.born = from_unix_ms(-1);
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.born = max_time + milliseconds{1};
  EXPECT_EQ(code_of(m), errc::invalid_argument);
  m.born = max_time;
  EXPECT_EQ(code_of(m), errc::none);
}

TEST(message, is_due_at_any_time_that_can_be_stored) {
  auto m = plain();
  for (auto due : {from_unix_ms(0), m.born + std::chrono::hours{1}, max_time}) {
    m.deliver_at = due;
    EXPECT_EQ(code_of(m), errc::none);
  }
  for (auto due : {from_unix_ms(-1), max_time + milliseconds{1}}) {
    m.deliver_at = due;
    EXPECT_EQ(code_of(m), errc::invalid_argument);
  }
}

TEST(message_view, materializes_to_an_owning_copy) {
  auto m = plain();
  m.keys = {"k1", "k2"};
  m.tag = "tag";
  m.order_key = "order";
  m.properties = {{"a", "1"}};
  m.priority = 3;
  m.ttl = milliseconds{5};
  m.deliver_at = from_unix_ms(77);
  message_view view{.body = m.body,
                    .tag = m.tag,
                    .order_key = m.order_key,
                    .priority = 3,
                    .born = m.born,
                    .ttl = m.ttl,
                    .deliver_at = m.deliver_at,
                    .keys = {"k1", "k2"},
                    .properties = {{"a", "1"}}};
  EXPECT_EQ(view.materialize(), m);
}

TEST(short_hash, is_fnv_1a_and_0_for_nothing) {
  EXPECT_EQ(short_hash(""), 0u);
  // Published test vectors of FNV-1a.
  EXPECT_EQ(short_hash("a"), 0xe40c292cu);
  EXPECT_EQ(short_hash("foobar"), 0xbf9cf968u);
  EXPECT_EQ(short_hash("\xff"), short_hash(std::string(1, '\xff')));
}

} // namespace
} // namespace troupe
