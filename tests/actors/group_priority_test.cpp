#include "group_fixture.hpp"

#include "troupe/wire_dead.hpp"

#include <gmock/gmock.h>

/// A GROUP on a topic with priorities: each lane is a queue, the GROUP chooses which of them goes first.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

class group_priority : public group_fixture {
protected:
  group_priority() { priorities_ = 3; }

  std::vector<std::string> texts(const std::string& text, std::size_t n) {
    return std::vector<std::string>(n, text);
  }
  /// Messages of each priority, delivered to `who` since the last call.
  std::vector<std::uint32_t> counts(consumer_probe& who) {
    std::vector<std::uint32_t> all(priorities_);
    received(who);
    for (const auto& d : last)
      all[d.priority] += d.messages;
    return all;
  }

  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
  consumer_probe bob = world_.make_probe<delivery, settled, dismissed>();
};

TEST_F(group_priority, of_what_waits_the_highest_comes_first_and_each_lane_in_its_order) {
  start(1);
  publish_as(0, 0, {"l1", "l2"});
  publish_as(2, 0, {"h1", "h2"});
  publish_as(1, 0, {"m1"});
  const auto m = join_as(ann);
  credit(ann, m, 3);
  EXPECT_EQ(received(ann), "0/2@0=h1 0/2@1=h2 0/1@0=m1");
  publish_as(2, 0, {"h3"});
  credit(ann, m, 5);
  EXPECT_EQ(received(ann), "0/2@2=h3 0@0=l1 0@1=l2");
}

TEST_F(group_priority, a_retry_keeps_its_priority_and_goes_before_lower_ones_that_wait) {
  group_definition_.options.max_unsettled = 2;
  start(1);
  publish_as(2, 0, {"h"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0/2@0=h");
  settle(ann, m, last[0], 0, 1, settle_action::retry, 1000);
  publish_as(0, 0, {"l1", "l2", "l3", "l4"});
  EXPECT_EQ(received(ann), "0@0=l1 0@1=l2");
  const auto low = last;
  advance(1000ms); // it is due, and nobody may have more
  EXPECT_EQ(received(ann), "");
  ack_all(ann, m, low.at(0));
  EXPECT_EQ(received(ann), "0/2@0=hx1 0@2=l3");
}

TEST_F(group_priority, one_message_in_ten_is_a_lower_one_while_higher_ones_wait) {
  start(1);
  publish_as(0, 0, texts("l", 300));
  publish_as(2, 0, texts("h", 300));
  const auto m = join_as(ann);
  std::vector<std::uint32_t> sum(priorities_);
  for (int i = 0; i < 20; ++i) {
    credit(ann, m, 9);
    const auto got = counts(ann);
    for (std::size_t p = 0; p < sum.size(); ++p)
      sum[p] += got[p];
  }
  EXPECT_THAT(sum, ElementsAre(testing::AnyOf(17, 18), 0, testing::AnyOf(162, 163))) << "of 180";
}

TEST_F(group_priority, the_share_of_lower_ones_can_be_changed_and_strict_is_strict) {
  group_definition_.options.low_share = 0;
  start(1);
  publish_as(0, 0, texts("l", 100));
  publish_as(2, 0, texts("h", 100));
  const auto m = join_as(ann);
  for (int i = 0; i < 4; ++i)
    credit(ann, m, 20);
  EXPECT_THAT(counts(ann), ElementsAre(0, 0, 80));
  group_definition_.options.low_share = 2;
  redefine();
  credit(ann, m, 10);
  credit(ann, m, 10);
  EXPECT_THAT(counts(ann), ElementsAre(10, 0, 10));
  credit(ann, m, 200);
  EXPECT_THAT(counts(ann), ElementsAre(90, 0, 10));
}

TEST_F(group_priority, each_lane_has_its_own_progress_which_a_restart_keeps) {
  start(2);
  publish_as(2, 1, {"h1", "h2"});
  publish_as(0, 1, {"l1", "l2", "l3"});
  auto m = join_as(ann);
  credit(ann, m, 3);
  EXPECT_EQ(received(ann), "1/2@0=h1 1/2@1=h2 1@0=l1");
  for (const auto& d : std::vector(last))
    ack_all(ann, m, d);
  commit();
  EXPECT_EQ(progress_of(1, 2).row.floor, queue_offset{2});
  EXPECT_EQ(progress_of(1, 0).row.floor, queue_offset{1});
  const auto s = status();
  ASSERT_THAT(s.queues, SizeIs(6));
  EXPECT_EQ(s.queues[3].number, 1u);
  EXPECT_EQ(s.queues[3].priority, 0u);
  EXPECT_EQ(s.queues[3].unsettled, 2u);
  EXPECT_EQ(s.queues[5].priority, 2u);
  EXPECT_EQ(s.queues[5].unsettled, 0u);
  restart_group();
  publish_as(1, 1, {"m1"});
  m = join_as(bob);
  credit(bob, m, 100);
  EXPECT_EQ(received(bob), "1/1@0=m1 1@1=l2 1@2=l3");
}

TEST_F(group_priority, a_reset_of_a_queue_is_of_all_its_lanes_and_told_for_each) {
  start(2);
  publish_as(0, 0, {"l1"});
  publish_as(2, 0, {"h1", "h2"});
  publish_as(2, 1, {"o1"});
  const auto m = join_as(ann);
  credit(ann, m, 4);
  received(ann);
  for (const auto& d : std::vector(last))
    ack_all(ann, m, d);
  commit();
  const auto done =
      world_.ask<group_reset>(aut, reset_group{.name = "billing", .topic = "orders", .queue = 0});
  ASSERT_TRUE(done) << troupe::to_string(done.error());
  ASSERT_THAT(done->queues, SizeIs(3));
  for (std::uint8_t p = 0; p < 3; ++p) {
    EXPECT_EQ(done->queues[p].number, 0u);
    EXPECT_EQ(done->queues[p].priority, p);
  }
  EXPECT_EQ(done->queues[2].from, queue_offset{2});
  EXPECT_EQ(done->queues[2].to, queue_offset{0});
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0/2@0=h1 0/2@1=h2 0@0=l1") << "and queue 1 is as it was";
}

TEST_F(group_priority, a_redriven_dead_letter_keeps_its_priority) {
  start(1);
  publish_as(2, 0, {"h1"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0/2@0=h1");
  settle(ann, m, last[0], 0, 1, settle_action::dead);
  commit();
  publish_as(0, 0, {"l1"});
  publish_as(1, 0, {"m1"});
  const auto page = world_.ask<dead_page>(aut, list_dead{.group = "billing"});
  ASSERT_TRUE(page);
  ASSERT_THAT(page->letters, SizeIs(1));
  EXPECT_EQ(page->letters[0].priority, 2u);
  const auto done = world_.ask<dead_settled>(
      aut, settle_dead{.group = "billing", .ids = {page->letters[0].id}, .redrive = true});
  ASSERT_TRUE(done) << troupe::to_string(done.error());
  ASSERT_EQ(done->results.at(0).code, errc::none);
  run();
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0/2@1=h1 0/1@0=m1 0@0=l1");
}

TEST_F(group_priority, queues_take_turns_and_within_each_the_highest_goes_first) {
  group_definition_.options.low_share = 0;
  start(2);
  for (std::uint32_t n = 0; n < 2; ++n) {
    publish_as(0, n, texts("l", 40));
    publish_as(2, n, texts("h", 40));
  }
  const auto m = join_as(ann);
  for (int i = 0; i < 4; ++i)
    credit(ann, m, 20);
  received(ann);
  std::vector<std::string> order;
  for (const auto& d : last)
    order.push_back(std::to_string(d.number) + "/" + std::to_string(d.priority));
  EXPECT_THAT(order, ElementsAre("0/2", "1/2", "0/2", "1/2"));
}

TEST_F(group_priority, a_lane_whose_subscription_died_comes_back_as_the_lane_it_was) {
  start(1);
  const auto m = join_as(ann);
  publish_as(0, 0, {"l1"});
  publish_as(2, 0, {"h1"});
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0/2@0=h1");
  caf::anon_send_exit(ann.sender(), caf::exit_reason::unhandled_exception);
  run();
  advance(1s);
  publish_as(2, 0, {"h2"});
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0/2@0=h1");
  credit(ann, m, 2);
  EXPECT_EQ(received(ann), "0/2@1=h2 0@0=l1");
}

TEST_F(group_priority, an_ordered_group_keeps_the_order_of_a_key_within_a_priority) {
  group_definition_.options = default_options(group_mode::ordered);
  retry_ = group_definition_.options.retry;
  start(1);
  const auto of_key = [](const std::string& body, std::uint8_t priority) {
    return message{.body = body, .order_key = "k", .priority = priority};
  };
  publish_messages(0, {of_key("l1", 0), of_key("l2", 0)}, 0);
  publish_messages(0, {of_key("h1", 2), of_key("h2", 2)}, 2);
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0/2@0=h1 0@0=l1") << "one of the key out in each priority";
  const auto high = last.at(0);
  settle(ann, m, high, 0, 1);
  EXPECT_EQ(received(ann), "0/2@1=h2");
}

} // namespace
} // namespace troupe::test
