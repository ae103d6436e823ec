#include "troupe/definitions.hpp"

#include "troupe/units.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

bool mentions(const error& err, std::string_view text) {
  return to_string(err).find(text) != std::string::npos;
}

TEST(topic_options, are_valid_by_default) { EXPECT_EQ(to_string(validate(topic_options{})), "none"); }

TEST(topic_options, have_1_to_1024_queues) {
  for (std::uint32_t n : {1u, 1024u})
    EXPECT_FALSE(validate(topic_options{.queues = n})) << n;
  for (std::uint32_t n : {0u, 1025u, 4294967295u}) {
    auto err = validate(topic_options{.queues = n});
    EXPECT_EQ(err.code, errc::invalid_argument) << n;
    EXPECT_TRUE(mentions(err, std::to_string(n)) && mentions(err, "1024")) << to_string(err);
  }
}

TEST(topic_options, have_1_to_10_priorities) {
  EXPECT_FALSE(validate(topic_options{.priorities = 2}));
  EXPECT_FALSE(validate(topic_options{.priorities = 10}));
  EXPECT_EQ(validate(topic_options{.priorities = 11}).code, errc::invalid_argument);
  EXPECT_EQ(validate(topic_options{.priorities = 0}).code, errc::invalid_argument);
}

TEST(topic_options, keep_messages_for_ever_or_at_least_a_second) {
  EXPECT_FALSE(validate(topic_options{.retention = 0ms}));
  EXPECT_FALSE(validate(topic_options{.retention = 1s}));
  EXPECT_FALSE(validate(topic_options{.retention = max_duration}));
  for (milliseconds wrong : {milliseconds{999}, milliseconds{-1}, max_duration + 1ms}) {
    auto err = validate(topic_options{.retention = wrong});
    EXPECT_EQ(err.code, errc::invalid_argument);
    EXPECT_TRUE(mentions(err, format_duration(wrong))) << to_string(err);
  }
}

TEST(topic_options, take_messages_of_up_to_4_mib) {
  EXPECT_FALSE(validate(topic_options{.max_message = 1}));
  EXPECT_FALSE(validate(topic_options{.max_message = 4u << 20}));
  EXPECT_EQ(validate(topic_options{.max_message = 0}).code, errc::invalid_argument);
  EXPECT_TRUE(mentions(validate(topic_options{.max_message = (4u << 20) + 1}), "4194304"));
}

TEST(group_options, are_valid_by_default) { EXPECT_EQ(to_string(validate(group_options{})), "none"); }

TEST(group_options, other_than_shared_belong_to_a_later_version) {
  EXPECT_EQ(validate(default_options(group_mode::ordered)).code, errc::none);
  EXPECT_EQ(validate(group_options{.mode = group_mode::ordered}).code, errc::invalid_argument)
      << "two hours are too long in place";
  EXPECT_EQ(validate(group_options{.mode = static_cast<group_mode>(3)}).code, errc::invalid_argument);
}

TEST(group_options, of_an_ordered_group_allow_1_to_1024_messages_of_a_key_at_a_time) {
  auto options = default_options(group_mode::ordered);
  for (std::uint32_t n : {1u, 2u, 1024u}) {
    options.order_batch = n;
    EXPECT_FALSE(validate(options)) << n;
  }
  for (std::uint32_t n : {0u, 1025u, 4294967295u}) {
    options.order_batch = n;
    const auto err = validate(options);
    EXPECT_EQ(err.code, errc::invalid_argument) << n;
    EXPECT_TRUE(mentions(err, std::to_string(n)) && mentions(err, "1024")) << to_string(err);
  }
  for (const auto mode : {group_mode::shared, group_mode::broadcast}) {
    options = default_options(mode);
    options.order_batch = 2;
    EXPECT_TRUE(mentions(validate(options), "ordered groups")) << static_cast<int>(mode);
  }
}

TEST(topic_options, a_broadcast_group_has_neither_retries_nor_dead_letters) {
  const auto broadcast = default_options(group_mode::broadcast);
  EXPECT_EQ(validate(broadcast).code, errc::none);
  auto tries = broadcast;
  tries.max_attempts = 2;
  auto keeps = broadcast;
  keeps.on_exhausted = exhausted_action::dead_letter;
  auto expires = broadcast;
  expires.on_expired = expired_action::dead_letter;
  for (const auto& wrong : {tries, keeps, expires})
    EXPECT_TRUE(mentions(validate(wrong), "--max-attempts, --on-exhausted and --on-expired"));
}

TEST(group_options, that_are_out_of_range_are_named_as_they_are_given) {
  EXPECT_TRUE(mentions(validate(group_options{.lease = 13h}), "--lease"));
  EXPECT_TRUE(mentions(validate(group_options{.max_unsettled = 0}), "--max-unsettled "));
  EXPECT_TRUE(mentions(validate(group_options{.max_unsettled_bytes = 0}), "--max-unsettled-bytes "));
  EXPECT_TRUE(mentions(validate(topic_options{.queues = 0}), "--queues"));
  EXPECT_TRUE(mentions(validate(topic_options{.priorities = 0}), "--priorities"));
  EXPECT_TRUE(mentions(validate(topic_options{.max_message = 0}), "--max-message"));
}

TEST(group_options, give_lower_priorities_nothing_or_one_message_in_2_to_1000) {
  for (std::uint16_t share : {0, 2, 10, 1000})
    EXPECT_FALSE(validate(group_options{.low_share = share})) << share;
  for (std::uint16_t share : {1, 1001}) {
    auto err = validate(group_options{.low_share = share});
    EXPECT_EQ(err.code, errc::invalid_argument) << share;
    EXPECT_TRUE(mentions(err, std::to_string(share))) << to_string(err);
  }
}

TEST(group_options, let_a_member_hold_up_to_4_gib) {
  EXPECT_FALSE(validate(group_options{.max_unsettled_bytes = 1}));
  EXPECT_FALSE(validate(group_options{.max_unsettled_bytes = std::uint64_t{4} << 30}));
  EXPECT_EQ(validate(group_options{.max_unsettled_bytes = 0}).code, errc::invalid_argument);
  EXPECT_EQ(validate(group_options{.max_unsettled_bytes = (std::uint64_t{4} << 30) + 1}).code,
            errc::invalid_argument);
}

TEST(group_options, have_a_lease_of_1_second_to_12_hours) {
  EXPECT_FALSE(validate(group_options{.lease = 1s}));
  EXPECT_FALSE(validate(group_options{.lease = 12h}));
  EXPECT_EQ(validate(group_options{.lease = 999ms}).code, errc::invalid_argument);
  auto err = validate(group_options{.lease = 12h + 1ms});
  EXPECT_EQ(err.code, errc::invalid_argument);
  EXPECT_TRUE(mentions(err, "12h") && mentions(err, "1s")) << to_string(err);
}

TEST(group_options, have_a_retry_policy_that_is_within_its_limits) {
  EXPECT_FALSE(validate(group_options{.retry = retry_schedule::fixed(10ms)}));
  EXPECT_EQ(validate(group_options{.retry = retry_schedule::fixed(9ms)}).code, errc::invalid_argument);
}

TEST(group_options, let_a_member_hold_1_to_a_million_messages) {
  EXPECT_FALSE(validate(group_options{.max_unsettled = 1}));
  EXPECT_FALSE(validate(group_options{.max_unsettled = 1'000'000}));
  EXPECT_EQ(validate(group_options{.max_unsettled = 0}).code, errc::invalid_argument);
  EXPECT_EQ(validate(group_options{.max_unsettled = 1'000'001}).code, errc::invalid_argument);
}

TEST(group_options, keep_dead_letters_for_ever_or_from_1_second_on) {
  EXPECT_FALSE(validate(group_options{.dead_letter_retention = 0ms}));
  EXPECT_FALSE(validate(group_options{.dead_letter_retention = 1s}));
  EXPECT_EQ(validate(group_options{.dead_letter_retention = 999ms}).code, errc::invalid_argument);
  EXPECT_EQ(validate(group_options{.dead_letter_retention = -1ms}).code, errc::invalid_argument);
}

TEST(group_options, of_an_ordered_group_begin_with_a_retry_after_a_second) {
  EXPECT_EQ(default_options(group_mode::shared), group_options{});
  const auto ordered = default_options(group_mode::ordered);
  EXPECT_EQ(ordered.mode, group_mode::ordered);
  EXPECT_EQ(pauses_of(ordered.retry), std::vector<milliseconds>{1s});
}

TEST(group_options, that_another_version_knows_are_refused) {
  EXPECT_EQ(validate(group_options{.on_exhausted = static_cast<exhausted_action>(3)}).code,
            errc::invalid_argument);
  EXPECT_EQ(validate(group_options{.order_by = static_cast<group_order>(2)}).code, errc::invalid_argument);
  EXPECT_EQ(validate(group_options{.on_expired = static_cast<expired_action>(2)}).code,
            errc::invalid_argument);
}

TEST(topic_definition, finds_the_id_of_each_queue_in_its_ranges) {
  topic_definition topic;
  topic.queues = {{queue_id{10}, 2}, {queue_id{5}, 1}, {queue_id{20}, 3}};
  std::vector<std::uint32_t> ids;
  for (std::uint32_t n = 0; n < 6; ++n)
    ids.push_back(topic.queue(n).value);
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{10, 11, 5, 20, 21, 22}));
  EXPECT_EQ(topic.queue(6), queue_id{});
}

TEST(topic_definition, has_the_lanes_of_a_queue_side_by_side) {
  topic_definition topic{.options = {.queues = 3, .priorities = 2}};
  topic.queues = {{queue_id{10}, 4}, {queue_id{30}, 2}};
  EXPECT_EQ(topic.queue(0, 0), queue_id{10});
  EXPECT_EQ(topic.queue(0, 1), queue_id{11});
  EXPECT_EQ(topic.queue(1, 1), queue_id{13});
  EXPECT_EQ(topic.queue(2, 0), queue_id{30});
  EXPECT_EQ(topic.queue(2, 1), queue_id{31});
  EXPECT_EQ(topic.queue(3, 0), queue_id{});
}

} // namespace
} // namespace troupe
