#include "consumer_fixture.hpp"

#include <gmock/gmock.h>

/// What a member of an ordered group does with several messages of one key at a time.
namespace troupe::test {
namespace {

using ::testing::ElementsAre;

class OrderedConsumer : public ConsumerActor {
protected:
  OrderedConsumer() { broker.mode = group_mode::ordered; }
  void open_pull() {
    open({100, 1 << 20, false});
    broker.consumed.clear();
  }
};

TEST_F(OrderedConsumer, GivesWhatIsOfOneKeyToOneThreadAndOtherKeysToOthers) {
  open();
  deliver_keys("aba-ab");
  EXPECT_THAT(bodies(take_share()), ElementsAre("a0", "a2", "a4"));
  EXPECT_THAT(bodies(take_share()), ElementsAre("b1", "b5"));
  EXPECT_THAT(bodies(take_share()), ElementsAre("-3"));
}

TEST_F(OrderedConsumer, TakesMoreThanItsShareRatherThanDivideAKey) {
  open();
  deliver_keys("abcabc");
  EXPECT_THAT(bodies(take_share(3)), ElementsAre("a0", "a3")) << "a share of two of six";
  EXPECT_THAT(bodies(take(3)), ElementsAre("b1", "b4", "c2", "c5"));
}

TEST_F(OrderedConsumer, KeepsWhatIsOfOneKeyTogetherWhenAThreadPutsItBack) {
  open();
  deliver_keys("aaab");
  const auto taken = take(2);
  ASSERT_THAT(bodies(taken), ElementsAre("a0", "a1", "a2"));
  box->put_back(taken.begin() + 1, taken.end());
  EXPECT_THAT(bodies(take_share()), ElementsAre("a1", "a2"));
  EXPECT_THAT(bodies(take_share()), ElementsAre("b3"));
}

TEST_F(OrderedConsumer, GivesAWholeQueueInOrderToOneThread) {
  broker.order_by = group_order::queue;
  open();
  deliver_keys("ab-a");
  EXPECT_THAT(bodies(take_share()), ElementsAre("a0", "b1", "-2", "a3"));
}

TEST_F(OrderedConsumer, InASharedGroupKeysHoldNothingTogether) {
  broker.mode = group_mode::shared;
  open();
  deliver_keys("aaa");
  EXPECT_THAT(bodies(take_share()), ElementsAre("a0"));
}

TEST_F(OrderedConsumer, BeginsNothingBehindAFailureInItsKeyAndSettlesNothingThere) {
  open_pull();
  deliver_keys("aabab");
  const auto taken = take(2);
  ASSERT_THAT(bodies(taken), ElementsAre("a0", "a1"));
  EXPECT_TRUE(settle(taken[0], outcome::retry()));
  const auto c = only();
  ASSERT_EQ(c.settles.size(), 1u) << "the broker takes back the others of the key by itself";
  EXPECT_EQ(c.settles[0].action, settle_action::retry);
  EXPECT_FALSE(settle(taken[1], outcome::ack()));
  EXPECT_THAT(bodies(take(10)), ElementsAre("b2", "b4"));
  fixture.advance(10ms);
  for (const auto& later : broker.consumed)
    EXPECT_TRUE(later.settles.empty());
}

TEST_F(OrderedConsumer, GoesOnBehindWhatIsRejectedAndStopsBehindWhatIsGivenBack) {
  open_pull();
  deliver_keys("aaaa");
  const auto taken = take(3);
  EXPECT_TRUE(settle(taken[0], outcome::reject()));
  EXPECT_TRUE(settle(taken[1], outcome::ack()));
  outcomes became;
  EXPECT_TRUE(became.give_back(taken[2]));
  became.tell(*box);
  EXPECT_TRUE(take(10).empty());
}

TEST_F(OrderedConsumer, WhatIsSettledBeforeTheMessageInFrontOfItFailedStaysSettled) {
  open_pull();
  deliver_keys("aaa");
  const auto taken = take(3);
  EXPECT_TRUE(settle(taken[1], outcome::ack()));
  EXPECT_TRUE(settle(taken[0], outcome::retry()));
  EXPECT_FALSE(settle(taken[2], outcome::ack()));
}

TEST_F(OrderedConsumer, LetsTheSettlesOfAKeyWaitForItsLastOneBecauseTheKeyDoes) {
  open_pull();
  deliver_keys("aaab");
  const auto taken = take(3);
  settle(taken[0], outcome::ack());
  settle(taken[1], outcome::ack());
  EXPECT_TRUE(broker.consumed.empty());
  settle(taken[2], outcome::ack());
  const auto c = only();
  ASSERT_EQ(c.settles.size(), 1u);
  EXPECT_EQ(c.settles[0].count, 3u);
  settle(take(1).at(0), outcome::ack());
  EXPECT_EQ(only().settles.size(), 1u) << "nothing of its key is behind it";
}

TEST_F(OrderedConsumer, SettlesWhatIsNotTheLastOfItsKeyAfterALittle) {
  open_pull();
  deliver_keys("aa");
  settle(take(1).at(0), outcome::ack());
  EXPECT_TRUE(broker.consumed.empty());
  fixture.advance(10ms);
  EXPECT_EQ(only().settles.size(), 1u);
}

TEST_F(OrderedConsumer, RenewsNoLeaseForWhatLiesBehindAFailure) {
  open();
  deliver_keys("aaa");
  const auto taken = take(1);
  ASSERT_EQ(taken.size(), 3u);
  box->put_back(taken.begin() + 1, taken.end());
  settle(taken[0], outcome::retry());
  --taken[0].delivery->unhandled;
  deliver_keys("b", 2);
  const auto other = take_share(10);
  EXPECT_THAT(bodies(other), ElementsAre("b0")) << "what was put back has been passed over";
  fixture.advance(20s);
  ASSERT_EQ(broker.renewed.size(), 1u);
  EXPECT_EQ(broker.renewed[0].leases, std::vector{lease_id{2}});
}

} // namespace
} // namespace troupe::test
