#include "subscription_fixture.hpp"

/// How messages die: attempts, rejects, and what the group says of them.
namespace troupe::test {
namespace {

TEST_F(subscription_test, the_failure_of_the_last_number_makes_a_dead_letter) {
  limits.max_attempts = 2;
  aut.configure(limits, policy);
  deliver(ann, 0, 4);
  settle(settle_wish::retry, 0, 4, 0ms, "not this one");
  EXPECT_EQ(written(), "0-4 retry1@1000; ");
  now += 1s;
  EXPECT_EQ(deliver(ann, 0, 4), "0-4x1 ");
  released();
  EXPECT_EQ(settle(settle_wish::retry, 0, 1, 5s, "no such customer"), 0u)
      << "a pause that was asked for is too late";
  EXPECT_EQ(settle(settle_wish::retry, 1, 2, 0ms, "no such customer"), 0u);
  EXPECT_EQ(settle(settle_wish::retry, 3, 1, 0ms, "bad\xff"), 0u);
  EXPECT_EQ(aut.write_at(), now);
  EXPECT_EQ(written(), "0-3 dead2 attempts 'no such customer'; 3-4 dead2 attempts 'bad?'; ");
  EXPECT_EQ(released(), "1:4 ");
  EXPECT_EQ(aut.floor(), queue_offset{4}) << "it is settled";
  EXPECT_EQ(aut.retrying(), 0u);
}

TEST_F(subscription_test, lost_consumers_and_leases_that_ended_say_so_in_the_dead_letter) {
  limits.max_attempts = 1;
  aut.configure(limits, policy);
  deliver(ann, 0, 2);
  deliver(bob, 2, 2);
  aut.member_gone(ann, true, now);
  now += limits.lease;
  aut.expire(now);
  EXPECT_EQ(written(), "0-2 dead1 attempts 'its consumer was lost'; 2-4 dead1 attempts 'its lease ended'; ");
  EXPECT_EQ(plan(), queue_offset{4}) << "no message was leased twice";
}

TEST_F(subscription_test, giving_back_is_no_attempt) {
  limits.max_attempts = 1;
  aut.configure(limits, policy);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(deliver(ann, 0, 4), "0-4x0 ");
    settle(settle_wish::give_back, 0, 4);
  }
  EXPECT_FALSE(aut.has_progress());
}

TEST_F(subscription_test, what_is_exhausted_is_dropped_or_tried_for_ever_as_the_group_says) {
  limits.max_attempts = 1;
  limits.on_exhausted = exhausted_action::drop;
  aut.configure(limits, policy);
  deliver(ann, 0, 2);
  settle(settle_wish::retry, 0, 2);
  EXPECT_EQ(aut.write_at(), now) << "it does not wait for company as skips do";
  EXPECT_EQ(written(), "0-2 done; ");
  EXPECT_EQ(aut.floor(), queue_offset{2});
  limits.on_exhausted = exhausted_action::block;
  aut.configure(limits, policy);
  deliver(ann, 2, 1);
  for (std::uint16_t failures = 1; failures < 40; ++failures) {
    settle(settle_wish::retry, 2, 1);
    now += 1s;
    EXPECT_EQ(deliver(ann, 2, 1), trace({{queue_offset{2}, queue_offset{3}, failures}}));
  }
}

TEST_F(subscription_test, rocketmqs_last_pause_repeats_until_the_last_attempt) {
  policy = std::make_shared<scheduled_retry>(retry_schedule{});
  limits.max_attempts = 18;
  aut.configure(limits, policy);
  deliver(ann, 0, 1);
  std::vector<milliseconds> pauses;
  for (int failures = 1; failures < 18; ++failures) {
    settle(settle_wish::retry, 0, 1);
    const auto run = aut.take_progress(1).at(0);
    ASSERT_EQ(run.what, progress::outcome::retry);
    pauses.push_back(run.due - now);
    now = run.due;
    deliver(ann, 0, 1);
  }
  auto expected = retry_schedule::rocketmq_steps();
  expected.push_back(2h);
  EXPECT_EQ(pauses, expected);
  settle(settle_wish::retry, 0, 1);
  EXPECT_EQ(written(), "0-1 dead18 attempts ''; ");
}

TEST_F(subscription_test, without_a_last_attempt_a_message_is_tried_for_ever) {
  limits.max_attempts = 0;
  aut.configure(limits, policy);
  deliver(ann, 0, 1);
  for (int i = 0; i < 100; ++i) {
    settle(settle_wish::retry, 0, 1);
    now += 1s;
    EXPECT_EQ(deliver(ann, 0, 1),
              trace({{queue_offset{0}, queue_offset{1}, static_cast<std::uint16_t>(i + 1)}}));
  }
}

TEST_F(subscription_test, a_reject_is_a_dead_letter_at_once_and_that_attempt_counts) {
  deliver(ann, 0, 3);
  released();
  EXPECT_EQ(settle(settle_wish::reject, 0, 1, 0ms, "unknown format"), 0u);
  EXPECT_EQ(settle(settle_wish::retry, 1, 1), 0u);
  now += 1s;
  EXPECT_EQ(deliver(ann, 0, 3), "1-2x1 ");
  EXPECT_EQ(settle(settle_wish::reject, 1, 1), 0u);
  EXPECT_EQ(written(), "0-1 dead1 rejected 'unknown format'; 1-2 dead2 rejected ''; ");
  EXPECT_EQ(released(), "1:3 ");
}

TEST_F(subscription_test, a_reject_is_dropped_where_exhausted_ones_are_and_no_reason_to_block) {
  limits.on_exhausted = exhausted_action::drop;
  aut.configure(limits, policy);
  deliver(ann, 0, 2);
  settle(settle_wish::reject, 0, 1);
  EXPECT_EQ(written(), "0-1 done; ");
  limits.on_exhausted = exhausted_action::block;
  aut.configure(limits, policy);
  settle(settle_wish::reject, 1, 1);
  EXPECT_EQ(written(), "1-2 dead1 rejected ''; ");
}

TEST_F(subscription_test, dead_letters_are_handed_out_in_pieces) {
  aut.extent(queue_offset{0}, queue_offset{20'000}, now);
  deliver(ann, 0, 20'000, 20'000);
  settle(settle_wish::ack, 0, 10);
  settle(settle_wish::reject, 10, 5000);
  settle(settle_wish::ack, 5010, 10'000);
  EXPECT_EQ(written(), "0-10 done; 10-4106 dead1 rejected ''; ");
  EXPECT_TRUE(aut.has_progress());
  EXPECT_EQ(written(), "4106-5010 dead1 rejected ''; 5010-15010 done; ");
  EXPECT_FALSE(aut.has_progress());
}

TEST_F(subscription_test, dead_letters_that_could_not_be_written_stay_dead_letters) {
  deliver(ann, 0, 3);
  settle(settle_wish::reject, 0, 3, 0ms, "no");
  const auto lost = aut.take_progress(1000);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, lease, queue_offset{0}, 3}, now).refused, 0u)
      << "settled is settled";
  aut.put_back(lost, now);
  EXPECT_EQ(written(), "0-3 dead1 rejected 'no'; ");
}

} // namespace
} // namespace troupe::test
