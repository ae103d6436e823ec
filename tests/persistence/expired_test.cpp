#include "shard_harness.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace troupe::test {
namespace {

using testing::IsEmpty;

settle_range over(std::uint64_t first, std::uint32_t count = 1) {
  return {queue_offset{first}, count, settle_action::expired, 0, {}};
}

/// What every shard_log makes of expired messages.
class expired_messages : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};

  /// 5000 messages at the offsets from 0 on of queue 1, subscribed by groups 1 and 2.
  void messages() {
    for (std::uint64_t sequence = 1; sequence <= 5; ++sequence)
      h.apply(publish(1, {make_batch(7, 1, sequence, 1000)}));
    h.apply(reset(1, 1, 0));
    h.apply(reset(2, 1, 0));
  }
  subscription_row row(std::uint32_t group) {
    return h.store().subscription(group_id{group}, queue_id{1}).value().value().row;
  }
  std::uint64_t counted(std::uint32_t group) {
    const auto count = h.store().expired_count(queue_id{1}, group_id{group}).value();
    EXPECT_EQ(row(group).expired, count);
    const auto all = h.store().subscriptions(queue_id{1}).value();
    EXPECT_EQ(std::ranges::count(all, std::pair{group_id{group}, row(group)}), 1);
    return count;
  }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(logs, expired_messages, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(expired_messages, are_settled_and_counted_once_for_their_group) {
  messages();
  EXPECT_EQ(h.apply(settle(1, 1, 1, {over(0, 2), ack(2), over(10)})).subscriptions.at(0),
            (subscription_row{generation{1}, queue_offset{3}, 3}));
  EXPECT_EQ(counted(1), 3u);
  EXPECT_EQ(counted(2), 0u);
  h.apply(settle(1, 1, 1, {over(0, 12)}));
  EXPECT_EQ(counted(1), 11u) << "2 were settled before, and so was the acknowledged one";
  EXPECT_EQ(row(1).floor, queue_offset{12});
  h.apply(settle(1, 1, 1, {over(4000, 5000)}));
  EXPECT_EQ(counted(1), 1011u) << "no more than there are";
  EXPECT_EQ(row(1).floor, queue_offset{12}) << "a count may change where the floor does not";
  h.apply(settle(1, 1, 9, {over(12, 100)}));
  EXPECT_EQ(counted(1), 1011u) << "another generation's";
  h.apply(settle(1, 1, 1, {retry(20, 1, 9000)}));
  h.apply(settle(1, 1, 1, {over(12, 3988)}));
  EXPECT_EQ(counted(1), 4999u) << "a retry that expired counts, too";
  EXPECT_EQ(row(1).floor, queue_offset{5000});
  expect_sound();
}

TEST_P(expired_messages, that_become_dead_letters_count_and_others_that_die_do_not) {
  messages();
  h.apply(settle(1, 1, 1, {dead(0, 3, dead_reason::expired), dead(3, 2), over(5)}));
  EXPECT_EQ(counted(1), 4u);
  EXPECT_EQ(h.store().dead_count(queue_id{1}, group_id{1}).value(), 5u);
  expect_sound();
}

TEST_P(expired_messages, stay_counted_over_settles_resets_and_restarts_until_the_group_goes) {
  messages();
  h.apply(settle(1, 1, 1, {over(0, 7)}));
  h.apply(settle(1, 1, 1, {ack(7, 3)}));
  EXPECT_EQ(counted(1), 7u);
  EXPECT_EQ(h.apply(reset(1, 1, 0)).subscriptions.at(0),
            (subscription_row{generation{2}, queue_offset{0}, 7}));
  h.reopen();
  EXPECT_EQ(counted(1), 7u);
  h.apply(settle(1, 1, 2, {over(0, 7)}));
  EXPECT_EQ(counted(1), 14u) << "what expires again after a reset counts again";
  h.apply(drop(1, 1));
  EXPECT_EQ(h.store().expired_count(queue_id{1}, group_id{1}).value(), 0u);
  h.apply(reset(1, 1, 0));
  EXPECT_EQ(counted(1), 0u);
  expect_sound();
}

} // namespace
} // namespace troupe::test
