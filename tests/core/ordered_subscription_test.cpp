#include "subscription_fixture.hpp"

#include "troupe/ordered_subscription.hpp"

/// The rules of ordered groups, each with simulated time. Offsets have the keys that key_ says.
namespace troupe::test {
namespace {

struct ordered_test : testing::Test {
  subscription_limits limits;
  std::shared_ptr<const retry_policy> policy = std::make_shared<scheduled_retry>(retry_schedule::fixed(1s));
  ordered_subscription aut{limits, policy};
  timestamp now = start;
  lease_id lease;
  /// Of 0, 1, 2, ...: '-' has none.
  std::string keys_ = "aabbcc--aabbcc--";

  void SetUp() override { begin(); }
  void begin(group_order by = group_order::key) {
    aut = ordered_subscription{limits, policy, by};
    aut.restore({gen, queue_offset{0}, {}, {}});
    aut.extent(queue_offset{0}, queue_offset{keys_.size()}, now);
  }
  std::uint32_t key(std::uint64_t at) const {
    return keys_[at] == '-' ? 0 : static_cast<std::uint32_t>(keys_[at]);
  }
  /// One delivery, as the actor makes it: reads from where the plan says, batches of four.
  std::string deliver(std::uint64_t member, std::uint32_t most = 1000, const judged_view::passes& pass = {}) {
    const auto p = aut.plan(member, now);
    if (!p)
      return "none";
    lease = aut.begin(member, now);
    std::vector<leased_run> runs;
    std::uint32_t taken = 0;
    for (auto base = p->from.value / 4 * 4; base < keys_.size() && taken < most; base += 4) {
      judged_view view{[&](auto i, auto attempts) {
                         return !pass || pass(static_cast<std::uint32_t>(base + i), attempts);
                       },
                       [&](auto i) { return key(base + i); }};
      taken += aut.take(queue_offset{base}, 4, most - taken, &view, runs);
    }
    EXPECT_EQ(aut.commit(), !runs.empty());
    return trace(runs);
  }
  std::uint64_t settle(settle_wish wish, std::uint64_t at, milliseconds delay = 0ms) {
    return settle_by(lease, wish, at, delay);
  }
  std::uint64_t settle_by(lease_id by, settle_wish wish, std::uint64_t at, milliseconds delay = 0ms) {
    return aut.settle({wish, gen, by, queue_offset{at}, 1, delay, "why"}, now).refused;
  }
  std::string written() { return trace(aut.take_progress(1000)); }
};

TEST_F(ordered_test, one_message_of_a_key_is_out_at_a_time_and_those_without_a_key_as_they_come) {
  EXPECT_EQ(deliver(ann), "0-1x0 2-3x0 4-5x0 6-8x0 14-16x0 ");
  EXPECT_EQ(deliver(bob), "none");
  EXPECT_EQ(settle(settle_wish::ack, 2), 0u);
  EXPECT_EQ(deliver(bob), "3-4x0 ") << "the next of b may go to anybody";
  EXPECT_EQ(settle(settle_wish::ack, 3), 0u);
  EXPECT_EQ(deliver(ann), "10-11x0 ");
  EXPECT_EQ(aut.cursor(), queue_offset{16});
}

TEST_F(ordered_test, a_key_is_forgotten_with_its_last_message) {
  keys_ = "abcdefgh";
  begin();
  EXPECT_EQ(deliver(ann), "0-8x0 ");
  EXPECT_EQ(aut.keys(), 8u);
  for (std::uint64_t at = 0; at < 8; ++at)
    settle(settle_wish::ack, at);
  EXPECT_EQ(aut.keys(), 0u);
  EXPECT_EQ(aut.floor(), queue_offset{8});
  EXPECT_EQ(written(), "0-8 done; ");
}

TEST_F(ordered_test, so_many_of_a_key_go_out_together_as_the_group_says_and_the_next_when_all_are_settled) {
  limits.order_batch = 3;
  keys_ = "aaaaaaba";
  begin();
  EXPECT_EQ(deliver(ann), "0-3x0 6-7x0 ");
  settle(settle_wish::ack, 0);
  settle(settle_wish::ack, 1);
  EXPECT_EQ(deliver(bob), "none");
  settle(settle_wish::ack, 2);
  EXPECT_EQ(deliver(bob), "3-6x0 ");
}

TEST_F(ordered_test, a_failure_stops_its_key_only_and_comes_again_in_place) {
  deliver(ann);
  settle(settle_wish::retry, 0);
  EXPECT_EQ(written(), "0-1 retry1@1000; ");
  settle(settle_wish::ack, 2);
  EXPECT_EQ(deliver(bob), "3-4x0 ");
  EXPECT_EQ(aut.retrying(), 1u);
  EXPECT_EQ(aut.next_deadline(now), start + 1s);
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(bob), "1-2x0 ");
}

TEST_F(ordered_test, what_comes_behind_a_failure_in_its_lease_is_taken_back_without_one) {
  limits.order_batch = 4;
  keys_ = "aaaabbbb";
  begin();
  EXPECT_EQ(deliver(ann), "0-8x0 ");
  const auto anns = lease;
  settle(settle_wish::ack, 0);
  EXPECT_EQ(settle(settle_wish::retry, 1), 0u);
  EXPECT_EQ(settle(settle_wish::retry, 2), 1u) << "it is not ann's any more";
  EXPECT_EQ(settle(settle_wish::ack, 4), 0u) << "other keys are";
  EXPECT_EQ(written(), "0-1 done; 1-2 retry1@1000; 4-5 done; ");
  now += 1s;
  EXPECT_EQ(deliver(bob), "1-2x1 2-4x0 ");
  EXPECT_EQ(settle_by(anns, settle_wish::retry, 3), 1u);
}

TEST_F(ordered_test, a_lost_consumer_fails_the_first_of_each_key_and_leaves_the_others_their_order) {
  limits.order_batch = 2;
  keys_ = "aabb";
  begin();
  deliver(ann);
  aut.member_gone(ann, true, now);
  EXPECT_EQ(written(), "0-1 retry1@1000; 2-3 retry1@1000; ");
  EXPECT_EQ(deliver(bob), "none");
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 ") << "leased alone: its consumer was lost";
  EXPECT_EQ(deliver(bob), "none") << "and bob gets nothing else";
  EXPECT_EQ(deliver(3), "2-3x1 ");
  EXPECT_EQ(settle_by(lease_id{lease.value - 1}, settle_wish::ack, 0), 0u);
  EXPECT_EQ(deliver(bob), "1-2x0 ");
}

TEST_F(ordered_test, what_a_lost_consumer_had_of_a_key_comes_one_by_one_until_what_killed_it_is_found) {
  limits.order_batch = 3;
  keys_ = "aaaabb";
  begin();
  EXPECT_EQ(deliver(ann), "0-3x0 4-6x0 ");
  const auto anns = lease;
  aut.member_gone(ann, true, now);
  EXPECT_EQ(aut.retrying(), 2u) << "the first of each key";
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(bob), "1-2x0 ");
  aut.member_gone(bob, true, now);
  EXPECT_EQ(written(), "0-1 done; 1-2 retry1@2000; 4-5 retry1@1000; ");
  EXPECT_EQ(settle_by(anns, settle_wish::ack, 1), 0u);
  EXPECT_EQ(deliver(3), "2-3x0 ");
  settle(settle_wish::ack, 2);
  EXPECT_EQ(deliver(3), "3-4x0 ") << "this one nobody had";
}

TEST_F(ordered_test, an_ack_behind_a_message_that_failed_counts_and_the_failed_one_comes_again_in_place) {
  limits.order_batch = 3;
  keys_ = "aaaa";
  begin();
  EXPECT_EQ(deliver(ann), "0-3x0 ");
  settle(settle_wish::ack, 1);
  settle(settle_wish::retry, 0);
  EXPECT_EQ(settle(settle_wish::ack, 2), 0u) << "nobody can undo what was done";
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 3-4x0 ");
}

TEST_F(ordered_test, a_batch_that_is_given_back_from_its_middle_goes_on_there_at_once) {
  limits.order_batch = 4;
  keys_ = "aaaaaa";
  begin();
  EXPECT_EQ(deliver(ann), "0-4x0 ");
  settle(settle_wish::give_back, 2);
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(bob), "none") << "ann has 1 yet";
  settle_by(lease, settle_wish::ack, 1);
  EXPECT_EQ(deliver(bob), "2-6x0 ");
  EXPECT_FALSE(aut.next_deadline(now) && *aut.next_deadline(now) < now + limits.lease);
}

TEST_F(ordered_test, says_how_much_of_its_keys_could_go_out_as_one_batch_each) {
  limits.order_batch = 32;
  keys_.assign(100, 'a');
  begin();
  EXPECT_EQ(deliver(ann), "0-32x0 ");
  EXPECT_EQ(aut.available(now), 0u);
  for (std::uint64_t at = 0; at < 32; ++at)
    settle(settle_wish::ack, at);
  EXPECT_EQ(aut.available(now), 32u) << "a grant for less would make small batches";
  EXPECT_EQ(deliver(ann), "32-64x0 ");
  for (std::uint64_t at = 32; at < 64; ++at)
    settle(settle_wish::ack, at);
  EXPECT_EQ(deliver(ann), "64-96x0 ");
  for (std::uint64_t at = 64; at < 96; ++at)
    settle(settle_wish::ack, at);
  EXPECT_EQ(aut.available(now), 4u);
}

TEST_F(ordered_test, another_batch_size_counts_from_the_next_delivery_on) {
  keys_ = "aaaaaaaa";
  begin();
  EXPECT_EQ(deliver(ann), "0-1x0 ");
  limits.order_batch = 4;
  aut.configure(limits, policy);
  EXPECT_EQ(deliver(bob), "none") << "the key is ann's";
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(bob), "1-5x0 ");
  limits.order_batch = 2;
  aut.configure(limits, policy);
  for (std::uint64_t at = 1; at < 5; ++at)
    settle(settle_wish::ack, at);
  EXPECT_EQ(deliver(bob), "5-7x0 ");
}

TEST_F(ordered_test, a_consumer_that_leaves_gives_its_keys_back_at_once) {
  deliver(ann);
  aut.member_gone(ann, false, now);
  EXPECT_FALSE(aut.has_progress());
  EXPECT_EQ(deliver(bob), "0-1x0 2-3x0 4-5x0 6-8x0 14-16x0 ");
  now += limits.lease;
  aut.expire(now);
  EXPECT_EQ(aut.retrying(), 7u);
}

TEST_F(ordered_test, after_the_last_attempt_the_key_goes_on) {
  limits.max_attempts = 2;
  begin();
  deliver(ann);
  settle(settle_wish::retry, 0);
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 ");
  written();
  settle(settle_wish::retry, 0);
  EXPECT_EQ(written(), "0-1 dead2 attempts 'why'; ");
  EXPECT_EQ(deliver(bob), "1-2x0 ");
}

TEST_F(ordered_test, a_blocked_key_is_tried_for_ever_and_others_go_on) {
  limits.max_attempts = 2;
  limits.on_exhausted = exhausted_action::block;
  begin();
  deliver(ann);
  for (int i = 0; i < 30; ++i) {
    settle(settle_wish::retry, 0);
    now += 1s;
    ASSERT_EQ(deliver(bob), "0-1x" + std::to_string(i + 1) + " ");
  }
}

TEST_F(ordered_test, a_reject_is_no_failure_and_the_key_goes_on) {
  limits.order_batch = 2;
  keys_ = "aaa";
  begin();
  deliver(ann);
  EXPECT_EQ(settle(settle_wish::reject, 0), 0u);
  EXPECT_EQ(settle(settle_wish::ack, 1), 0u) << "it was not taken back";
  EXPECT_EQ(written(), "0-1 dead1 rejected 'why'; 1-2 done; ");
  EXPECT_EQ(deliver(ann), "2-3x0 ");
}

TEST_F(ordered_test, a_late_ack_lets_the_key_go_on_before_its_pause_is_over) {
  deliver(ann);
  const auto anns = lease;
  now += limits.lease;
  aut.expire(now);
  EXPECT_EQ(deliver(bob), "none");
  EXPECT_EQ(settle_by(anns, settle_wish::ack, 0), 0u);
  EXPECT_EQ(deliver(bob), "1-2x0 ");
}

TEST_F(ordered_test, by_queue_nothing_is_looked_at_while_one_is_out) {
  begin(group_order::queue);
  EXPECT_EQ(deliver(ann), "0-1x0 ");
  EXPECT_EQ(deliver(bob), "none");
  EXPECT_EQ(aut.available(now), 0u);
  EXPECT_EQ(aut.cursor(), queue_offset{1});
  settle(settle_wish::retry, 0);
  EXPECT_EQ(deliver(bob), "none");
  now += 1s;
  EXPECT_EQ(deliver(bob), "0-1x1 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(ann), "1-2x0 ");
}

TEST_F(ordered_test, by_queue_a_batch_stays_in_order_around_a_failure) {
  limits.order_batch = 6;
  begin(group_order::queue);
  EXPECT_EQ(deliver(ann), "0-6x0 ");
  settle(settle_wish::ack, 0);
  settle(settle_wish::retry, 1);
  now += 1s;
  EXPECT_EQ(deliver(bob), "1-2x1 2-7x0 ");
}

TEST_F(ordered_test, restores_the_order_from_what_is_stored_alone) {
  subscription::stored_state state{gen, queue_offset{0}, {{queue_offset{2}, queue_offset{4}}}, {}};
  state.retries.push_back({queue_offset{0}, 3, start + 5s});
  aut.restore(state);
  aut.extent(queue_offset{0}, queue_offset{16}, now);
  EXPECT_EQ(aut.unsettled(), 14u);
  EXPECT_EQ(aut.retrying(), 1u);
  EXPECT_EQ(deliver(ann), "4-5x0 6-8x0 10-11x0 14-16x0 ") << "1, 8 and 9 wait behind 0";
  EXPECT_EQ(deliver(ann), "none");
  now += 5s;
  EXPECT_EQ(deliver(ann), "0-1x3 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(ann), "1-2x0 ");
}

TEST_F(ordered_test, an_ack_above_the_cursor_counts_after_a_restart) {
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, lease_id{7}, queue_offset{8}, 2}, now).refused, 0u);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, lease_id{7}, queue_offset{15}, 5}, now).refused, 4u);
  EXPECT_EQ(aut.unsettled(), 13u);
  EXPECT_EQ(deliver(ann), "0-1x0 2-3x0 4-5x0 6-8x0 14-15x0 ");
}

TEST_F(ordered_test, trimmed_messages_hold_back_no_key) {
  deliver(ann);
  settle(settle_wish::give_back, 0);
  aut.extent(queue_offset{8}, queue_offset{16}, now);
  EXPECT_EQ(deliver(bob), "8-9x0 ");
  settle_by(lease_id{1}, settle_wish::retry, 2);
  now += 1s;
  aut.hole(queue_offset{0}, queue_offset{8}, now);
  EXPECT_EQ(deliver(bob), "10-11x0 ") << "the retry is gone with its body";
}

TEST_F(ordered_test, a_key_whose_messages_were_all_trimmed_has_nothing_to_deliver) {
  keys_ = "aaaaaaaa";
  begin();
  deliver(ann);
  settle(settle_wish::give_back, 0);
  aut.extent(queue_offset{8}, queue_offset{8}, now);
  EXPECT_EQ(deliver(bob), "none") << "it would be read in vain again and again";
  EXPECT_EQ(aut.available(now), 0u);
  EXPECT_EQ(aut.keys(), 0u);
}

TEST_F(ordered_test, goes_on_after_a_restart_with_as_many_retries_as_its_bound) {
  limits.retries = 2;
  begin();
  const auto due = now + 1s;
  aut.restore({gen, queue_offset{0}, {}, {{queue_offset{0}, 1, due}, {queue_offset{6}, 1, due}}});
  aut.extent(queue_offset{0}, queue_offset{keys_.size()}, now);
  EXPECT_EQ(deliver(ann), "2-3x0 4-5x0 ") << "until their keys are known, to find them";
  EXPECT_TRUE(aut.bounded());
  EXPECT_EQ(deliver(ann), "none");
  ASSERT_EQ(aut.next_deadline(now), due);
  now = due;
  EXPECT_EQ(deliver(ann), "0-1x1 6-7x1 7-8x0 14-16x0 ") << "with the retries out there is room again";
}

TEST_F(ordered_test, the_end_of_a_consumer_with_a_hundred_thousand_keys_is_no_work_for_minutes) {
  keys_.assign(100'000, '-');
  begin();
  deliver(ann, 100'000);
  aut.member_gone(ann, true, now);
  EXPECT_EQ(aut.leased(), 0u);
  EXPECT_EQ(aut.retrying(), 100'000u);
}

TEST_F(ordered_test, the_filter_passes_over_what_is_not_wanted_also_behind_a_stopped_key) {
  const auto pass = [](std::uint32_t at, std::uint16_t) { return at != 1 && at != 8; };
  EXPECT_EQ(deliver(ann, 1000, pass), "0-1x0 2-3x0 4-5x0 6-8x0 14-16x0 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(ann, 1000, pass), "9-10x0 ");
}

TEST_F(ordered_test, stops_at_the_granted_number_and_goes_on_behind_it) {
  EXPECT_EQ(deliver(ann, 2), "0-1x0 2-3x0 ");
  EXPECT_EQ(aut.cursor(), queue_offset{3});
  EXPECT_EQ(deliver(ann, 2), "4-5x0 6-7x0 ");
}

TEST_F(ordered_test, beyond_the_span_only_what_is_below_the_cursor_is_served) {
  limits.span = 4;
  begin();
  EXPECT_EQ(deliver(ann), "0-1x0 2-3x0 ");
  EXPECT_TRUE(aut.bounded());
  EXPECT_EQ(deliver(ann), "none");
  settle(settle_wish::ack, 2);
  EXPECT_EQ(deliver(bob), "3-4x0 ");
  settle_by(lease_id{1}, settle_wish::ack, 0);
  EXPECT_EQ(deliver(bob), "1-2x0 4-5x0 ");
}

TEST_F(ordered_test, a_key_that_is_stuck_costs_the_same_with_a_million_messages_behind_it) {
  keys_.assign(1'000'000, 's');
  for (std::size_t at = 0; at < keys_.size(); at += 1000)
    keys_[at] = '-';
  keys_[0] = 's';
  begin();
  deliver(ann, 2000);
  settle(settle_wish::retry, 0, 30s);
  EXPECT_EQ(aut.cursor(), queue_offset{1'000'000});
  for (std::uint64_t at = 1000; at < keys_.size(); at += 1000)
    ASSERT_EQ(settle(settle_wish::ack, at), 0u);
  EXPECT_EQ(aut.keys(), 1u);
  EXPECT_LE(aut.chunks(), 1000u);
  EXPECT_EQ(deliver(ann), "none");
  now += 30s;
  EXPECT_EQ(deliver(ann), "0-1x1 ");
  settle(settle_wish::ack, 0);
  EXPECT_EQ(deliver(ann), "1-2x0 ");
}

} // namespace
} // namespace troupe::test
