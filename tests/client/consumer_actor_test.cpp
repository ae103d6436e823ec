#include "consumer_fixture.hpp"

#include <thread>

namespace troupe::test {
namespace {

TEST_F(ConsumerActor, JoinsWithItsSubscriptionAndGivesAllItsCredit) {
  open();
  ASSERT_EQ(broker.joins.size(), 1u);
  EXPECT_EQ(broker.joins[0].group, "audit");
  EXPECT_EQ(broker.joins[0].member, "m1");
  EXPECT_EQ(broker.joins[0].topics[0].filter, "paid||sent");
  EXPECT_EQ(broker.joins[0].start, 2);
  EXPECT_EQ(broker.joins[0].start_time, 9);
  EXPECT_EQ(broker.joins[0].consumer, aut);
  const auto c = only();
  EXPECT_EQ(c.member, 41u);
  EXPECT_EQ(c.messages, 100u);
  EXPECT_EQ(c.bytes, 1u << 20);
  EXPECT_FALSE(box->wait_open(0ms));
}

TEST_F(ConsumerActor, HandsOutDeliveriesInOrderWithTheirPlaces) {
  open();
  deliver(0, 3, 1);
  deliver(5, 7, 2, 12);
  const auto taken = take(10);
  ASSERT_EQ(taken.size(), 5u);
  EXPECT_EQ(taken[1].body(), "1");
  EXPECT_EQ(taken[1].offset(), queue_offset{1});
  EXPECT_EQ(taken[1].id(), (message_id{shard_id{0}, log_index{50}, 1}));
  EXPECT_EQ(taken[1].attempt(), 3u);
  EXPECT_EQ(taken[1].topic(), "orders");
  EXPECT_EQ(taken[1].stored(), from_unix_ms(1234));
  EXPECT_EQ(taken[4].queue(), 1u);
  EXPECT_EQ(taken[4].copy().content.body, "6");
}

TEST_F(ConsumerActor, SendsCreditAndSettlesTogetherAndAtOnceWhenThereAreMany) {
  open();
  only();
  deliver(0, 60, 1);
  const auto taken = take(60);
  const auto credit = only();
  EXPECT_EQ(credit.messages, 60u);
  EXPECT_GT(credit.bytes, 0u);
  ack(taken);
  fixture.advance(10ms);
  const auto settles = only();
  ASSERT_EQ(settles.settles.size(), 1u);
  EXPECT_EQ(settles.settles[0].queue, queue_id{11});
  EXPECT_EQ(settles.settles[0].gen, generation{3});
  EXPECT_EQ(settles.settles[0].lease, lease_id{1});
  EXPECT_EQ(settles.settles[0].first, queue_offset{0});
  EXPECT_EQ(settles.settles[0].count, 60u);
}

TEST_F(ConsumerActor, LetsSmallNewsWaitALittleForCompany) {
  open();
  only();
  deliver(0, 2, 1);
  ack(take(1));
  ack(take(1));
  EXPECT_TRUE(broker.consumed.empty());
  fixture.advance(10ms);
  const auto c = only();
  EXPECT_EQ(c.messages, 2u);
  ASSERT_EQ(c.settles.size(), 1u);
  EXPECT_EQ(c.settles[0].count, 2u);
}

TEST_F(ConsumerActor, SettlesAtOnceWhatABrokerWithFewUnsettledMessagesWaitsFor) {
  broker.max_unsettled = 4;
  open();
  only();
  deliver(0, 4, 1);
  const auto taken = take(4);
  ack({taken[0]});
  EXPECT_EQ(only().settles.size(), 1u);
}

TEST_F(ConsumerActor, InAnOrderedGroupSettlesAtOnceBecauseTheNextOfTheKeyWaitsForIt) {
  broker.mode = group_mode::ordered;
  open();
  only();
  deliver(0, 2, 1);
  const auto taken = take(1);
  EXPECT_TRUE(broker.consumed.empty()) << "credit alone waits for company";
  ack(taken);
  EXPECT_EQ(only().settles.size(), 1u);
}

TEST_F(ConsumerActor, RenewsTheLeasesOfWhatItHoldsAtAThirdOfTheirTime) {
  open();
  deliver(0, 2, 1);
  deliver(2, 4, 2);
  auto first = take(2);
  fixture.advance(20s);
  ASSERT_EQ(broker.renewed.size(), 1u);
  EXPECT_EQ(broker.renewed[0].member, 41u);
  EXPECT_EQ(broker.renewed[0].leases.size(), 2u);
  ack(first);
  fixture.advance(20s);
  ASSERT_EQ(broker.renewed.size(), 2u);
  EXPECT_EQ(broker.renewed[1].leases, std::vector{lease_id{2}});
}

TEST_F(ConsumerActor, BeginsNothingThatItHeldWhileItWasStoppedForLongerThanALease) {
  open();
  deliver(0, 4, 1);
  pass(20s); // renewed
  const auto taken = take(2);
  EXPECT_FALSE(box->late(taken[0]));
  broker.consumed.clear();
  stand_still(60s);
  EXPECT_TRUE(box->late(taken[1]));
  EXPECT_TRUE(take(10).empty());
  fixture.advance(20s);
  EXPECT_EQ(broker.renewed.size(), 1u) << "a lease that is over is not renewed";
  EXPECT_TRUE(box->late(taken[1])) << "for good";
  ASSERT_FALSE(broker.consumed.empty());
  const auto c = broker.consumed.front();
  std::uint32_t credit = 0;
  for (const auto& each : broker.consumed)
    credit += each.messages;
  EXPECT_EQ(credit, 4u) << "it comes back";
  ASSERT_EQ(c.settles.size(), 1u);
  EXPECT_TRUE(c.settles[0].give_back);
  EXPECT_EQ(c.settles[0].first, queue_offset{2});
  EXPECT_EQ(c.settles[0].count, 2u);
  EXPECT_EQ(box->statistics().late, 4u);
  EXPECT_EQ(box->statistics().retried, 0u);
  EXPECT_EQ(logged, std::vector<std::string>{"late-messages"});
  broker.consumed.clear();
  deliver(4, 6, 2);
  EXPECT_TRUE(take(10).empty()) << "it may have waited to be read all the time";
  fixture.advance(1s);
  EXPECT_EQ(broker.consumed.size(), 1u);
  EXPECT_EQ(only().messages, 0u) << "with credit it would come again at once, and be late again";
  pass(20s);
  EXPECT_EQ(only().messages, 2u);
  deliver(6, 8, 3);
  EXPECT_EQ(take(10).size(), 2u) << "this one came when it ran again";
}

TEST_F(ConsumerActor, BeginsNothingThatWasSentToItWhileItWasStoppedForLongerThanALease) {
  open();
  pass(20s);
  stand_still(60s);
  deliver(0, 2, 1);
  EXPECT_TRUE(take(10).empty());
  EXPECT_EQ(box->statistics().late, 2u);
}

TEST_F(ConsumerActor, GivesBackWhatIsLateWhileTheProgramWaitsForSomethingElse) {
  open();
  deliver(0, 4, 1);
  stand_still(60s);
  std::promise<void> woken;
  box->wake_with([&, first = true](inbox::urgency) mutable {
    if (std::exchange(first, false))
      woken.set_value();
  });
  std::thread program{[this] { EXPECT_TRUE(box->take(10, 10min).empty()); }};
  EXPECT_EQ(woken.get_future().wait_for(30s), std::future_status::ready);
  box->stop_taking();
  program.join();
  EXPECT_EQ(box->statistics().late, 4u);
}

TEST_F(ConsumerActor, AStopThatIsShorterThanALeaseIsNoReasonToGiveAnythingBack) {
  open();
  pass(20s);
  deliver(0, 2, 1);
  stand_still(15s);
  EXPECT_EQ(take(10).size(), 2u);
  EXPECT_EQ(box->statistics().late, 0u);
}

TEST_F(ConsumerActor, LeavesLeasesOfFetchedMessagesToAPullProgram) {
  open({100, 1 << 20, false});
  deliver(0, 2, 1);
  deliver(2, 4, 2);
  auto held = take(3);
  fixture.advance(20s);
  ASSERT_EQ(broker.renewed.size(), 1u);
  EXPECT_EQ(broker.renewed[0].leases, std::vector{lease_id{2}});
  tell(held_lease{queue_id{11}, lease_id{1}});
  ASSERT_EQ(broker.renewed.size(), 2u);
  EXPECT_EQ(broker.renewed[1].leases, std::vector{lease_id{1}});
}

TEST_F(ConsumerActor, ReturnsTheCreditOfADeliveryItCannotRead) {
  open();
  only();
  auto d = make_delivery(0, 60, 1);
  std::vector<char> bytes(d.frame.bytes().begin(), d.frame.bytes().end());
  bytes[bytes.size() / 2] ^= 1;
  d.frame = block::copy_of(bytes);
  tell(std::move(d));
  EXPECT_EQ(only().messages, 60u);
  EXPECT_TRUE(take(1).empty());
  EXPECT_EQ(logged, std::vector<std::string>{"damaged-delivery"});
}

TEST_F(ConsumerActor, JoinsAgainAndForgetsWhatItHadNotHandled) {
  open();
  deliver(0, 4, 1);
  const auto taken = take(2);
  broker.die();
  line.down();
  EXPECT_TRUE(take(2).empty());
  EXPECT_FALSE(box->wanted(taken[0]));
  ack({taken[0]});
  fake_broker again{fixture};
  again.members = 7;
  line.up(again.directory);
  ASSERT_EQ(again.consumed.size(), 1u);
  EXPECT_EQ(again.consumed[0].member, 8u);
  EXPECT_EQ(again.consumed[0].messages, 100u);
  ASSERT_EQ(again.consumed[0].settles.size(), 1u) << "an acknowledgement that came late still counts";
  EXPECT_EQ(again.consumed[0].settles[0].gen, generation{3});
  EXPECT_EQ(box->statistics().rejoins, 1u);
}

TEST_F(ConsumerActor, JoinsAgainWhenTheGroupDismissesIt) {
  open();
  tell(dismissed{41, errc::timeout, "it seemed gone"});
  fixture.advance(100ms);
  EXPECT_EQ(broker.joins.size(), 2u);
  tell(dismissed{41, errc::timeout, "an old membership"});
  fixture.advance(100ms);
  EXPECT_EQ(broker.joins.size(), 2u);
}

TEST_F(ConsumerActor, AsksForItsModeAndSaysWhetherItsNameWasChosen) {
  mode = group_mode::broadcast;
  made_up = true;
  open();
  ASSERT_EQ(broker.joins.size(), 1u);
  EXPECT_EQ(broker.joins[0].mode, group_mode::broadcast);
  EXPECT_TRUE(broker.joins[0].made_up);
}

TEST_F(ConsumerActor, TakesAnyModeWhenItAsksForNone) {
  open();
  ASSERT_EQ(broker.joins.size(), 1u);
  EXPECT_EQ(broker.joins[0].mode, any_mode);
  EXPECT_FALSE(broker.joins[0].made_up);
}

TEST_F(ConsumerActor, KeepsWhatItsGroupSubscribesToForItsReconnects) {
  open();
  ASSERT_EQ(broker.joins.size(), 1u);
  EXPECT_EQ(broker.joins[0].version, 0u) << "it has learned nothing yet";
  tell(group_news{41, 6, {{"orders", "paid"}, {"refunds", "*"}}});
  tell(group_news{99, 7, {{"nonsense", "*"}}}); // of a membership that is not ours
  line.down();
  line.up(broker.directory);
  ASSERT_EQ(broker.joins.size(), 2u);
  EXPECT_EQ(broker.joins[1].version, 6u);
  ASSERT_EQ(broker.joins[1].topics.size(), 2u);
  EXPECT_EQ(broker.joins[1].topics[0].filter, "paid");
  EXPECT_EQ(broker.joins[1].topics[1].topic, "refunds");
}

TEST_F(ConsumerActor, EndsWithTheReasonWhenItsGroupIsDeleted) {
  open();
  tell(dismissed{41, errc::not_found, "the group was deleted"});
  EXPECT_EQ(box->ended().code, errc::not_found);
  EXPECT_TRUE(box->wait_ended(0ms));
}

TEST_F(ConsumerActor, EndsWhenAnotherConsumerJoinedUnderItsName) {
  open();
  tell(dismissed{41, errc::fenced, "another consumer joined as m1"});
  fixture.advance(10s);
  EXPECT_EQ(box->ended().code, errc::fenced);
  EXPECT_NE(box->ended().hint.find("--member NAME"), std::string::npos);
  EXPECT_EQ(broker.joins.size(), 1u);
}

TEST_F(ConsumerActor, CountsSettlesThatWereRefused) {
  open();
  tell(settled{queue_id{11}, 0, 2, errc::lease_lost});
  EXPECT_EQ(box->statistics().refused_settles, 2u);
}

TEST_F(ConsumerActor, SaysWhyItMayNotJoin) {
  broker.refuse_join = {errc::inconsistent_subscription, "the group follows orders with *"};
  open();
  EXPECT_EQ(box->wait_open(0ms).code, errc::inconsistent_subscription);
}

TEST_F(ConsumerActor, TriesAgainWhenItMayNotJoinAfterAReconnect) {
  open();
  line.down();
  broker.refuse_join = {errc::overloaded, "the group starts"};
  line.up(broker.directory);
  fixture.advance(5s);
  fixture.advance(5s);
  EXPECT_FALSE(box->ended());
  broker.refuse_join = {};
  fixture.advance(10s);
  EXPECT_TRUE(box->is_member());
}

TEST_F(ConsumerActor, FlushWaitsForEveryQueueThatWasSettled) {
  open();
  deliver(0, 2, 1);
  deliver(0, 2, 2, 12);
  auto taken = take(4);
  ack({taken[0], taken[1]});
  fixture.advance(10ms);
  ack({taken[2]});
  broker.consumed.clear();
  std::optional<error> outcome;
  std::thread flusher([&] { outcome = box->flush(20s); });
  while (broker.consumed.empty())
    fixture.run();
  const auto c = only();
  EXPECT_NE(c.confirm, 0u);
  ASSERT_EQ(c.settles.size(), 2u);
  EXPECT_EQ(c.settles[0].count + c.settles[1].count, 1u) << "one of them is empty and only names its queue";
  tell(settled{queue_id{11}, c.confirm, 0, errc::none});
  tell(settled{queue_id{11}, c.confirm, 0, errc::none});
  tell(settled{queue_id{12}, c.confirm, 1, errc::none});
  flusher.join();
  EXPECT_EQ(outcome->code, errc::lease_lost);
  EXPECT_EQ(box->statistics().refused_settles, 1u);
}

TEST_F(ConsumerActor, FlushFailsWhenTheConnectionIsLost) {
  open();
  deliver(0, 2, 1);
  ack(take(2));
  broker.consumed.clear();
  std::optional<error> outcome;
  std::thread flusher([&] { outcome = box->flush(20s); });
  while (broker.consumed.empty())
    fixture.run();
  line.down();
  flusher.join();
  EXPECT_EQ(outcome->code, errc::disconnected);
}

TEST_F(ConsumerActor, AFlushAfterOneThatTimedOutAsksAboutTheSameQueuesAgain) {
  open();
  deliver(0, 2, 1);
  ack(take(2));
  broker.consumed.clear();
  EXPECT_EQ(box->flush(0ms).code, errc::timeout);
  fixture.run();
  const auto first = only();
  auto again = begin_flush();
  const auto second = only();
  ASSERT_EQ(second.settles.size(), 1u);
  EXPECT_EQ(second.settles[0].queue, queue_id{11});
  tell(settled{queue_id{11}, first.confirm, 0, errc::timeout});
  EXPECT_FALSE(is_over(again)) << "the answer to the first is none to the second";
  tell(settled{queue_id{11}, second.confirm, 0, errc::no_space});
  EXPECT_EQ(again.get().code, errc::no_space);
  auto last = begin_flush();
  tell(settled{queue_id{11}, only().confirm, 0, errc::none});
  EXPECT_FALSE(last.get());
}

TEST_F(ConsumerActor, AFlushAfterOneThatTimedOutTellsWhatCameTooLate) {
  open();
  deliver(0, 2, 1);
  ack(take(2));
  broker.consumed.clear();
  EXPECT_EQ(box->flush(0ms).code, errc::timeout);
  fixture.run();
  tell(settled{queue_id{11}, only().confirm, 1, errc::none});
  EXPECT_EQ(finish_flush().code, errc::lease_lost);
  EXPECT_FALSE(finish_flush()) << "it is told once";
}

TEST_F(ConsumerActor, FlushTellsOnceThatAnEarlierConnectionLostSettles) {
  open();
  deliver(0, 2, 1);
  ack(take(1));
  fixture.advance(10ms);
  line.down();
  line.up(broker.directory);
  ASSERT_TRUE(box->is_member());
  EXPECT_EQ(finish_flush().code, errc::disconnected);
  EXPECT_FALSE(finish_flush());
}

TEST_F(ConsumerActor, FlushWithoutAConnectionWaitsOnlyForWhatWasNotSent) {
  open();
  deliver(0, 2, 1);
  const auto taken = take(2);
  line.down();
  EXPECT_FALSE(box->flush(0ms));
  ack(taken);
  EXPECT_EQ(box->flush(0ms).code, errc::timeout);
}

TEST_F(ConsumerActor, EachFlushHasItsOwnOutcome) {
  open();
  deliver(0, 2, 1);
  deliver(0, 2, 2, 12);
  auto taken = take(4);
  ack({taken[0], taken[1]});
  broker.consumed.clear();
  auto first = begin_flush();
  const auto asked_first = only();
  ack({taken[2], taken[3]});
  auto second = begin_flush();
  const auto asked_second = only();
  EXPECT_EQ(asked_second.settles.size(), 2u) << "the first queue is not confirmed yet";
  tell(settled{queue_id{11}, asked_first.confirm, 0, errc::no_space});
  EXPECT_EQ(first.get().code, errc::no_space);
  tell(settled{queue_id{12}, asked_second.confirm, 0, errc::none});
  EXPECT_FALSE(is_over(second));
  tell(settled{queue_id{11}, asked_second.confirm, 0, errc::none});
  EXPECT_FALSE(second.get());
}

TEST_F(ConsumerActor, LeavesTheGroupAfterItsSettles) {
  open();
  deliver(0, 2, 1);
  ack(take(1));
  broker.consumed.clear();
  tell(leave_atom::value);
  EXPECT_EQ(only().settles.size(), 1u);
  EXPECT_EQ(broker.left, std::vector<std::uint64_t>{41});
  EXPECT_TRUE(box->wait_ended(0ms));
  EXPECT_FALSE(box->ended());
}

TEST_F(ConsumerActor, EndsAMembershipThatCameTooLate) {
  open();
  caf::anon_send(line.attached, line_down{{errc::disconnected, "lost"}});
  caf::anon_send(line.attached, line_up{broker.directory, 2});
  caf::anon_send(line.attached, line_down{{errc::disconnected, "lost"}});
  fixture.run();
  EXPECT_EQ(broker.left, std::vector<std::uint64_t>{42});
  EXPECT_FALSE(box->is_member());
}

TEST_F(ConsumerActor, HandsOutTheHighestPriorityFirstAndEachInItsOrder) {
  using strings = std::vector<std::string>;
  open();
  deliver_as(0, 0, 4);
  EXPECT_EQ(bodies(take(1)), strings{"0"});
  deliver_as(2, 20, 22);
  deliver_as(1, 10, 11);
  EXPECT_EQ(bodies(take(2)), (strings{"20", "21"}));
  deliver_as(2, 22, 23);
  const auto rest = take(10);
  EXPECT_EQ(bodies(rest), (strings{"22", "10", "1", "2", "3"}));
  box->put_back(rest.begin() + 1, rest.begin() + 3);
  deliver_as(2, 23, 24);
  EXPECT_EQ(bodies(take(10)), (strings{"23", "10", "1"})) << "also what a thread gave back";
}

TEST_F(ConsumerActor, PassesOverALowerPriorityNoLongerThanItsCreditLasts) {
  open({10, 1 << 20, true});
  deliver_as(0, 0, 2);
  std::vector<std::string> came;
  for (std::uint64_t i = 0; i < 20; ++i) {
    deliver_as(1, 100 + i, 101 + i);
    for (const auto& body : bodies(take(1)))
      came.push_back(body);
  }
  const auto first = std::find(came.begin(), came.end(), "0");
  ASSERT_NE(first, came.end());
  EXPECT_EQ(first - came.begin(), 10) << "ten of the higher one, as many as it may hold";
  EXPECT_EQ(came.at(11), "1");
  EXPECT_EQ(came.at(12), "110");
}

} // namespace
} // namespace troupe::test
