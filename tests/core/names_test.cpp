#include "troupe/message.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(topic_name, has_letters_digits_and_four_signs) {
  for (const auto* name :
       {"a", "packages", "Orders-2024_v1", "%tenant|topic", "0", "RMQ_SY", "retry", "%RETRYX"})
    EXPECT_EQ(validate_topic_name(name).code, errc::none) << name;
  for (const auto* name : {"", " ", "a b", "a.b", "a/b", "../a", "a*", "\xc3\xa4", "a\n", "a:b", "a$"})
    EXPECT_EQ(validate_topic_name(name).code, errc::invalid_argument) << name;
  EXPECT_EQ(validate_topic_name(std::string_view{"a\0b", 3}).code, errc::invalid_argument);
}

TEST(topic_name, is_refused_with_the_place_of_the_wrong_character) {
  auto err = validate_topic_name("abc.def");
  EXPECT_NE(err.reason.find("position 4"), std::string::npos) << to_string(err);
}

TEST(topic_name, has_at_most_127_bytes_and_a_group_name_120) {
  EXPECT_EQ(validate_topic_name(std::string(127, 'a')).code, errc::none);
  auto err = validate_topic_name(std::string(128, 'a'));
  EXPECT_EQ(err.code, errc::too_large);
  EXPECT_NE(err.reason.find("127"), std::string::npos) << to_string(err);
  EXPECT_EQ(validate_group_name(std::string(120, 'a')).code, errc::none);
  EXPECT_EQ(validate_group_name(std::string(121, 'a')).code, errc::too_large);
}

TEST(topic_name, that_rocketmq_reserves_is_refused) {
  for (const auto* name :
       {"TBW102", "SCHEDULE_TOPIC_XXXX", "BenchmarkTest", "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC", "RMQ_SYS_TRACE_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC", "SELF_TEST_TOPIC",
        "OFFSET_MOVED_EVENT", "rmq_sys_x", "%RETRY%group", "%DLQ%group", "%RETRY%"}) {
    auto err = validate_topic_name(name);
    EXPECT_EQ(err.code, errc::invalid_argument) << name;
    EXPECT_NE(err.reason.find("reserved"), std::string::npos) << to_string(err);
    EXPECT_EQ(validate_group_name(name).code, errc::invalid_argument) << name;
  }
  EXPECT_EQ(validate_group_name("CID_RMQ_SYS_TRANS").code, errc::invalid_argument);
  EXPECT_EQ(validate_group_name("inventory").code, errc::none);
}

} // namespace
} // namespace troupe
