#include "subscription_fixture.hpp"

namespace troupe::test {
namespace {

TEST_F(subscription_test, spreads_what_failed_together_when_the_policy_does) {
  const retry_schedule jittery{.steps = {10s, 100s}, .jitter = 50};
  aut = shared_subscription{limits, std::make_shared<scheduled_retry>(jittery), queue_id{5}};
  aut.restore({gen, queue_offset{0}, {}, {}});
  aut.extent(queue_offset{0}, queue_offset{100}, now);
  deliver(ann, 0, 8);
  EXPECT_EQ(settle(settle_wish::retry, 0, 8), 0u);
  const auto first = aut.take_progress(1000);
  EXPECT_EQ(first.size(), 8u);
  const scheduled_retry policy{jittery};
  for (const auto& run : first)
    EXPECT_EQ(run.due - now, policy.decide({queue_id{5}, run.first, 1}).delay);
  EXPECT_EQ(aut.retrying(), 8u);
  now += 15s;
  EXPECT_EQ(deliver(bob, 0, 8), "0-8x1 ");
  EXPECT_EQ(settle(settle_wish::retry, 0, 8, 7s), 0u);
  EXPECT_EQ(written(), "0-8 retry2@22000; ") << "a delay that was asked for is one for all";
}

TEST_F(subscription_test, a_delivery_settled_in_parts_gives_back_exactly_its_bytes) {
  std::vector<leased_run> runs;
  lease = aut.begin(ann, now);
  aut.take(queue_offset{0}, 7, 7, nullptr, runs);
  EXPECT_TRUE(aut.commit(1000));
  settle(settle_wish::ack, 0, 2);
  EXPECT_EQ(aut.take_releases(), (std::vector<release>{{ann, 2, 285}}));
  settle(settle_wish::retry, 2, 1);
  settle(settle_wish::ack, 3, 3);
  EXPECT_EQ(aut.take_releases(), (std::vector<release>{{ann, 4, 143 + 429}}));
  settle(settle_wish::give_back, 6, 1);
  EXPECT_EQ(aut.take_releases(), (std::vector<release>{{ann, 1, 143}}));
}

TEST_F(subscription_test, a_reset_gives_back_the_bytes_that_were_held) {
  std::vector<leased_run> runs;
  lease = aut.begin(ann, now);
  aut.take(queue_offset{0}, 7, 7, nullptr, runs);
  EXPECT_TRUE(aut.commit(1000));
  aut.restore({generation{4}, queue_offset{0}, {}, {}});
  EXPECT_EQ(aut.take_releases(), (std::vector<release>{{ann, 7, 1000}}));
}

TEST_F(subscription_test, delivers_each_message_once_from_the_cursor_on) {
  EXPECT_EQ(plan(), queue_offset{0});
  EXPECT_EQ(aut.available(now), 100u);
  EXPECT_EQ(deliver(ann, 0, 60), "0-60x0 ");
  EXPECT_EQ(plan(), queue_offset{60});
  EXPECT_EQ(deliver(bob, 60, 40, 30), "60-90x0 ");
  EXPECT_EQ(deliver(bob, 60, 40), "90-100x0 ");
  EXPECT_EQ(plan(), std::nullopt);
  EXPECT_EQ(aut.leased(), 100u);
  EXPECT_FALSE(aut.has_progress()) << "a lease is not progress";
}

TEST_F(subscription_test, a_whole_queue_acknowledged_in_order_costs_one_run_and_moves_the_floor) {
  deliver(ann, 0, 100);
  for (std::uint64_t i = 0; i < 100; i += 10)
    EXPECT_EQ(settle(settle_wish::ack, i, 10), 0u);
  EXPECT_EQ(aut.floor(), queue_offset{100});
  EXPECT_EQ(written(), "0-100 done; ");
  EXPECT_EQ(released(), "1:100 ");
  EXPECT_EQ(aut.next_deadline(now), std::nullopt);
}

TEST_F(subscription_test, a_slow_message_holds_back_the_floor_and_nothing_else) {
  deliver(ann, 0, 10);
  settle(settle_wish::ack, 1, 9);
  EXPECT_EQ(aut.floor(), queue_offset{0});
  EXPECT_EQ(written(), "1-10 done; ");
  EXPECT_EQ(deliver(bob, 10, 10), "10-20x0 ");
}

TEST_F(subscription_test, a_lease_that_ends_is_a_failure_and_comes_again_after_the_delay) {
  deliver(ann, 0, 10);
  settle(settle_wish::ack, 0, 5);
  EXPECT_EQ(aut.next_deadline(now), start + 60s);
  now = start + 60s;
  aut.expire(now);
  EXPECT_EQ(aut.leased(), 0u);
  EXPECT_EQ(aut.retrying(), 5u);
  EXPECT_EQ(written(), "0-5 done; 5-10 retry1@61000; ");
  EXPECT_EQ(released(), "1:10 ");
  EXPECT_EQ(aut.next_deadline(now), start + 61s);
  EXPECT_EQ(plan(), queue_offset{10}) << "not due yet";
  now = start + 61s;
  EXPECT_EQ(plan(), queue_offset{5});
  EXPECT_EQ(deliver(bob, 0, 10), "5-6x1 ");
}

TEST_F(subscription_test, a_renewed_lease_lives_on_and_only_for_its_member) {
  deliver(ann, 0, 10);
  now = start + 50s;
  EXPECT_FALSE(aut.renew(lease, bob, now));
  EXPECT_TRUE(aut.renew(lease, ann, now));
  now = start + 60s;
  aut.expire(now);
  EXPECT_EQ(aut.leased(), 10u);
  now = start + 110s;
  EXPECT_FALSE(aut.renew(lease, ann, now)) << "it is over";
  aut.expire(now);
  EXPECT_EQ(aut.leased(), 0u);
}

TEST_F(subscription_test, a_retry_takes_its_own_delay_or_the_policys) {
  deliver(ann, 0, 10);
  EXPECT_EQ(settle(settle_wish::retry, 2, 1), 0u);
  EXPECT_EQ(settle(settle_wish::retry, 3, 2, 5s), 0u);
  EXPECT_EQ(written(), "2-3 retry1@1000; 3-5 retry1@5000; ");
  now = start + 1s;
  EXPECT_EQ(deliver(bob, 0, 10), "2-3x1 ");
  EXPECT_EQ(settle(settle_wish::retry, 2, 1), 0u);
  EXPECT_EQ(written(), "2-3 retry2@2000; ");
}

TEST_F(subscription_test, where_losses_do_not_fail_only_what_is_said_to_have_failed_is_passed_over) {
  limits.losses_fail = false;
  limits.max_attempts = 1;
  limits.on_exhausted = exhausted_action::drop;
  aut.configure(limits, policy);
  EXPECT_EQ(deliver(ann, 0, 4), "0-4x0 ");
  EXPECT_EQ(settle(settle_wish::retry, 1, 1), 0u);
  aut.member_gone(ann, true, now);
  EXPECT_EQ(aut.floor(), queue_offset{0});
  EXPECT_EQ(deliver(bob, 0, 4), "0-1x0 2-4x0 ") << "what it held, together, and as if it had not been out";
  EXPECT_EQ(settle(settle_wish::reject, 0, 1), 0u);
  now += limits.lease;
  aut.expire(now);
  EXPECT_EQ(deliver(bob, 0, 4), "2-4x0 ");
  EXPECT_EQ(settle(settle_wish::ack, 2, 2), 0u);
  EXPECT_EQ(written(), "0-4 done; ");
  EXPECT_EQ(aut.retrying(), 0u);
}

TEST_F(subscription_test, what_is_given_back_is_available_at_once_without_a_failure) {
  deliver(ann, 0, 10);
  EXPECT_EQ(settle(settle_wish::give_back, 4, 6), 0u);
  EXPECT_FALSE(aut.has_progress());
  EXPECT_EQ(released(), "1:6 ");
  EXPECT_EQ(plan(), queue_offset{4});
  EXPECT_EQ(deliver(bob, 0, 10), "4-10x0 ");
}

TEST_F(subscription_test, a_lost_member_fails_what_it_held_and_one_that_left_does_not) {
  deliver(ann, 0, 10);
  deliver(bob, 10, 10);
  aut.member_gone(ann, true, now);
  aut.member_gone(bob, false, now);
  EXPECT_EQ(written(), "0-10 retry1@1000; ");
  EXPECT_EQ(deliver(3, 10, 10), "10-20x0 ");
  EXPECT_EQ(deliver(3, 0, 10), "");
  now += 1s;
  EXPECT_EQ(deliver(3, 0, 10), "0-1x1 ");
}

TEST_F(subscription_test, attempts_survive_giving_back_after_a_failure) {
  deliver(ann, 0, 1);
  settle(settle_wish::retry, 0, 1);
  now += 1s;
  EXPECT_EQ(deliver(ann, 0, 1), "0-1x1 ");
  settle(settle_wish::give_back, 0, 1);
  EXPECT_EQ(deliver(ann, 0, 1), "0-1x1 ");
}

TEST_F(subscription_test, a_late_ack_counts_even_when_another_member_holds_the_message) {
  deliver(ann, 0, 10);
  const auto old = lease;
  now += 60s;
  aut.expire(now);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{0}, 3}, now).refused, 0u)
      << "it waits for a retry";
  now += 1s;
  EXPECT_EQ(deliver(bob, 0, 10), "3-4x1 ");
  released();
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{3}, 4}, now).refused, 0u) << "bob has it";
  EXPECT_EQ(released(), "2:1 ");
  EXPECT_EQ(settle(settle_wish::ack, 3, 4), 0u) << "settled twice is settled";
  settle(settle_wish::ack, 7, 3);
  EXPECT_EQ(aut.floor(), queue_offset{10});
  EXPECT_EQ(aut.leased(), 0u);
}

TEST_F(subscription_test, a_late_retry_or_give_back_is_refused_and_changes_nothing) {
  deliver(ann, 0, 10);
  const auto old = lease;
  now += 60s;
  aut.expire(now);
  written();
  for (auto wish : {settle_wish::retry, settle_wish::give_back, settle_wish::reject})
    EXPECT_EQ(aut.settle({wish, gen, old, queue_offset{0}, 10}, now).refused, 10u);
  EXPECT_FALSE(aut.has_progress());
  EXPECT_EQ(aut.retrying(), 10u);
}

TEST_F(subscription_test, a_settle_of_another_generation_is_void) {
  deliver(ann, 0, 10);
  for (auto wish : {settle_wish::ack, settle_wish::retry, settle_wish::give_back, settle_wish::reject})
    EXPECT_EQ(aut.settle({wish, generation{2}, lease, queue_offset{0}, 10}, now).refused, 10u);
  EXPECT_EQ(aut.leased(), 10u);
}

TEST_F(subscription_test, what_does_not_exist_cannot_be_settled) {
  deliver(ann, 0, 10);
  EXPECT_EQ(settle(settle_wish::ack, 95, 0xffffffffu), 0xffffffffu - 5);
  EXPECT_EQ(settle(settle_wish::ack, 100, 3), 3u);
  EXPECT_EQ(settle(settle_wish::ack, ~std::uint64_t{0}, 5), 0u);
  EXPECT_EQ(settle(settle_wish::retry, 50, 10), 10u);
  EXPECT_EQ(settle(settle_wish::ack, 0, 0), 0u);
  EXPECT_EQ(written(), "95-100 done; ");
  EXPECT_EQ(deliver(bob, 10, 90), "10-95x0 ");
}

TEST_F(subscription_test, skips_travel_with_the_next_settle_as_one_run) {
  const auto even = [](std::uint32_t i, std::uint16_t) { return i % 2 == 0; };
  EXPECT_EQ(deliver(ann, 0, 10, 1000, even), "0-1x0 2-3x0 4-5x0 6-7x0 8-9x0 ");
  EXPECT_EQ(aut.write_at(), start + 1s) << "alone they may wait";
  for (std::uint64_t i = 0; i < 10; i += 2)
    settle(settle_wish::ack, i, 1);
  EXPECT_EQ(aut.write_at(), start);
  EXPECT_EQ(written(), "0-10 done; ");
  EXPECT_EQ(aut.floor(), queue_offset{10});
}

TEST_F(subscription_test, skips_alone_are_written_after_a_while_or_when_they_are_many) {
  limits.skip_ranges = 3;
  aut.configure(limits, policy);
  EXPECT_EQ(deliver(ann, 0, 10, 1000, [](std::uint32_t, std::uint16_t) { return false; }), "");
  EXPECT_EQ(aut.floor(), queue_offset{10});
  EXPECT_EQ(aut.write_at(), start + 1s);
  deliver(ann, 10, 10, 1000, [](std::uint32_t i, std::uint16_t) { return i % 4 == 0; });
  EXPECT_EQ(aut.write_at(), start);
  EXPECT_EQ(written(), "0-10 skipped; 11-14 skipped; 15-18 skipped; 19-20 skipped; ");
}

TEST_F(subscription_test, a_filter_stops_at_the_granted_number_and_goes_on_behind_it) {
  const auto odd = [](std::uint32_t i, std::uint16_t) { return i % 2 == 1; };
  EXPECT_EQ(deliver(ann, 0, 10, 2, odd), "1-2x0 3-4x0 ");
  EXPECT_EQ(aut.cursor(), queue_offset{4});
  EXPECT_EQ(deliver(ann, 0, 10, 1000, odd), "5-6x0 7-8x0 9-10x0 ");
}

TEST_F(subscription_test, a_filter_is_told_of_the_failures_of_each_message) {
  deliver(ann, 0, 4);
  settle(settle_wish::retry, 1, 2, 10ms);
  settle(settle_wish::give_back, 3, 1);
  now += 10ms;
  std::string seen;
  const auto note = [&](std::uint32_t i, std::uint16_t attempts) {
    seen += std::to_string(i) + "x" + std::to_string(attempts) + " ";
    return attempts == 0;
  };
  EXPECT_EQ(deliver(ann, 0, 6, 1000, note), "3-6x0 ");
  EXPECT_EQ(seen, "1x1 2x1 3x0 4x0 5x0 ");
  settle(settle_wish::ack, 0, 1);
  EXPECT_EQ(aut.floor(), queue_offset{3}) << "what it refuses is settled, also after a failure";
}

TEST_F(subscription_test, trimmed_messages_count_as_settled_so_that_the_floor_moves) {
  deliver(ann, 0, 10);
  settle(settle_wish::give_back, 0, 5);
  aut.extent(queue_offset{50}, queue_offset{100}, now);
  EXPECT_EQ(aut.cursor(), queue_offset{50});
  EXPECT_EQ(aut.floor(), queue_offset{5}) << "leased messages can still be settled";
  EXPECT_EQ(written(), "0-5 skipped; 10-50 skipped; ");
  settle(settle_wish::ack, 5, 5);
  EXPECT_EQ(aut.floor(), queue_offset{50});
}

TEST_F(subscription_test, damaged_messages_count_as_settled_wherever_they_lie) {
  deliver(ann, 0, 10);
  settle(settle_wish::give_back, 0, 10);
  aut.hole(queue_offset{3}, queue_offset{5}, now);
  aut.hole(queue_offset{20}, queue_offset{30}, now);
  EXPECT_EQ(aut.cursor(), queue_offset{10}) << "messages before the hole are still to come";
  EXPECT_EQ(deliver(ann, 0, 20), "0-3x0 5-20x0 ");
  aut.hole(queue_offset{20}, queue_offset{30}, now);
  EXPECT_EQ(plan(), queue_offset{30});
}

TEST_F(subscription_test, restores_progress_and_delivers_what_was_leased_again_with_its_attempts) {
  subscription::stored_state state{
      gen,
      queue_offset{10},
      {{queue_offset{12}, queue_offset{15}}, {queue_offset{20}, queue_offset{22}}},
      {}};
  state.retries.push_back({queue_offset{16}, 2, start + 5s});
  aut.restore(state);
  aut.extent(queue_offset{0}, queue_offset{100}, now);
  EXPECT_EQ(aut.floor(), queue_offset{10});
  EXPECT_EQ(aut.cursor(), queue_offset{22});
  EXPECT_EQ(deliver(ann, 0, 50), "10-12x0 15-16x0 17-20x0 22-50x0 ");
  now = start + 5s;
  EXPECT_EQ(deliver(ann, 0, 50), "16-17x2 ");
}

TEST_F(subscription_test, a_late_retry_of_a_lease_before_a_restart_does_not_meet_a_new_lease) {
  deliver(ann, 0, 5);
  const auto old = lease;
  aut = shared_subscription{limits, policy};
  aut.restore({gen, queue_offset{0}, {}, {}}, lease_id{1000});
  aut.extent(queue_offset{0}, queue_offset{100}, now);
  EXPECT_EQ(deliver(bob, 0, 5), "0-5x0 ");
  EXPECT_GT(aut.settle({settle_wish::retry, gen, old, queue_offset{0}, 5}, now).refused, 0u);
  EXPECT_EQ(aut.leased(), 5u);
  const auto bobs = lease;
  aut.restore({gen, queue_offset{0}, {}, {}});
  aut.extent(queue_offset{0}, queue_offset{100}, now);
  deliver(ann, 0, 5);
  EXPECT_GT(lease, bobs) << "numbers never begin again";
}

TEST_F(subscription_test, beyond_the_span_only_retries_are_served) {
  limits.span = 50;
  aut.configure(limits, policy);
  deliver(ann, 0, 100, 50);
  const auto old = lease;
  EXPECT_TRUE(aut.bounded());
  EXPECT_EQ(plan(), std::nullopt);
  settle(settle_wish::ack, 10, 40);
  EXPECT_TRUE(aut.bounded()) << "the floor counts, not the number";
  settle(settle_wish::retry, 5, 5);
  now += 1s;
  EXPECT_EQ(deliver(bob, 0, 100), "5-10x1 ");
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{0}, 5}, now).refused, 0u);
  EXPECT_FALSE(aut.bounded());
  EXPECT_EQ(plan(), queue_offset{50});
}

TEST_F(subscription_test, beyond_the_number_of_retries_only_retries_are_served) {
  limits.retries = 5;
  aut.configure(limits, policy);
  deliver(ann, 0, 10);
  settle(settle_wish::retry, 0, 5);
  EXPECT_TRUE(aut.bounded());
  EXPECT_EQ(plan(), std::nullopt);
  now += 1s;
  EXPECT_EQ(plan(), queue_offset{0});
  EXPECT_EQ(deliver(bob, 0, 10), "0-5x1 ");
  EXPECT_FALSE(aut.bounded());
  EXPECT_EQ(plan(), queue_offset{10});
}

TEST_F(subscription_test, progress_that_could_not_be_written_is_written_later_and_newer_outcomes_win) {
  deliver(ann, 0, 10);
  settle(settle_wish::ack, 0, 3);
  settle(settle_wish::retry, 3, 3);
  auto lost = aut.take_progress(1000);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, lease, queue_offset{4}, 1}, now).refused, 0u);
  aut.put_back(lost, now);
  EXPECT_EQ(written(), "0-3 done; 3-4 retry1@1000; 4-5 done; 5-6 retry1@1000; ");
  EXPECT_FALSE(aut.has_progress());
}

TEST_F(subscription_test, hands_out_progress_in_pieces) {
  deliver(ann, 0, 10);
  for (std::uint64_t i = 0; i < 10; i += 2)
    settle(settle_wish::ack, i, 1);
  EXPECT_EQ(trace(aut.take_progress(2)), "0-1 done; 2-3 done; ");
  EXPECT_TRUE(aut.write_at());
  EXPECT_EQ(written(), "4-5 done; 6-7 done; 8-9 done; ");
}

TEST_F(subscription_test, a_queue_that_has_less_than_it_seemed_is_not_asked_again) {
  aut.exhausted(queue_offset{0});
  EXPECT_EQ(plan(), std::nullopt);
  aut.extent(queue_offset{0}, queue_offset{101}, now);
  EXPECT_EQ(plan(), queue_offset{0});
}

TEST_F(subscription_test, attempts_stop_counting_at_their_largest_value) {
  limits.max_attempts = 0;
  aut.configure(limits, policy);
  subscription::stored_state state{gen, queue_offset{0}, {}, {{queue_offset{0}, 65535, start}}};
  aut.restore(state);
  EXPECT_EQ(deliver(ann, 0, 1), "0-1x65535 ");
  settle(settle_wish::retry, 0, 1);
  EXPECT_EQ(written(), "0-1 retry65535@1000; ");
}

TEST_F(subscription_test, long_retries_that_are_acknowledged_late_leave_nothing_behind) {
  aut.extent(queue_offset{0}, queue_offset{1'000'000}, now);
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    deliver(ann, i, 1);
    settle(settle_wish::retry, i, 1, std::chrono::hours{24 * 40});
    settle(settle_wish::ack, i, 1);
  }
  EXPECT_EQ(aut.floor(), queue_offset{200'000});
  EXPECT_EQ(aut.retrying(), 0u);
  EXPECT_EQ(aut.next_deadline(now), std::nullopt);
}

TEST_F(subscription_test, counts_as_unsettled_what_is_neither_acknowledged_nor_skipped_wherever_it_is) {
  EXPECT_EQ(aut.unsettled(), 100u);
  deliver(ann, 0, 50);
  EXPECT_EQ(aut.unsettled(), 100u);
  settle(settle_wish::ack, 10, 20);
  EXPECT_EQ(aut.floor(), queue_offset{0});
  EXPECT_EQ(aut.unsettled(), 80u);
  settle(settle_wish::retry, 0, 5);
  EXPECT_EQ(aut.unsettled(), 80u);
  settle(settle_wish::ack, 5, 5);
  EXPECT_EQ(aut.unsettled(), 75u);
}

TEST_F(subscription_test, leases_alone_what_was_held_by_a_consumer_that_was_lost) {
  deliver(ann, 0, 4);
  aut.member_gone(ann, true, now);
  EXPECT_EQ(written(), "0-4 retry1@1000; ");
  now += 1s;
  EXPECT_EQ(aut.plan(ann, now), (delivery_plan{queue_offset{0}, true}));
  EXPECT_EQ(deliver(ann, 0, 100), "0-1x1 ") << "one, and nothing else of the batch with it";
  EXPECT_EQ(aut.plan(ann, now), std::nullopt) << "until that one is settled";
  EXPECT_EQ(deliver(ann, 0, 100), "");
  EXPECT_EQ(deliver(bob, 0, 100), "1-2x1 ") << "one per member";
  EXPECT_EQ(settle(settle_wish::ack, 0, 1), 0u);
  EXPECT_EQ(deliver(ann, 0, 100), "2-3x1 ");
  EXPECT_EQ(settle(settle_wish::ack, 2, 1), 0u);
  EXPECT_EQ(deliver(ann, 0, 100), "3-4x1 ");
  EXPECT_EQ(settle(settle_wish::ack, 1, 3), 0u);
  EXPECT_EQ(deliver(ann, 0, 100), "4-100x0 ") << "what was never in doubt goes on in one delivery";
}

TEST_F(subscription_test, leases_alone_what_was_held_by_a_lease_that_ended) {
  deliver(ann, 0, 3);
  now += limits.lease;
  aut.expire(now);
  now += 1s;
  EXPECT_EQ(deliver(bob, 0, 100), "0-1x1 ");
}

TEST_F(subscription_test, blames_the_message_that_was_leased_alone_and_not_its_neighbours) {
  deliver(ann, 0, 2);
  aut.member_gone(ann, true, now);
  written();
  EXPECT_EQ(deliver(bob, 0, 100, 3), "2-5x0 ") << "the suspects wait for their retry";
  now += 1s;
  EXPECT_EQ(deliver(bob, 0, 100), "0-1x1 ");
  aut.member_gone(bob, true, now);
  EXPECT_EQ(written(), "0-1 retry2@2000; ") << "what bob held besides has not failed";
  EXPECT_EQ(deliver(ann, 0, 100), "2-3x0 ") << "but is leased alone from now on";
  EXPECT_EQ(settle(settle_wish::ack, 2, 3), 0u);
  EXPECT_EQ(deliver(ann, 0, 100), "1-2x1 ");
}

TEST_F(subscription_test, trusts_a_message_again_whose_consumer_said_itself_that_it_failed) {
  deliver(ann, 0, 2);
  aut.member_gone(ann, true, now);
  for (std::uint64_t offset : {0, 1}) {
    now += 1s;
    EXPECT_EQ(deliver(ann, 0, 100), trace({{queue_offset{offset}, queue_offset{offset + 1}, 1}}));
    EXPECT_EQ(settle(settle_wish::retry, offset, 1, 10s), 0u);
  }
  now += 10s;
  EXPECT_EQ(deliver(ann, 0, 2), "0-2x2 ");
}

TEST_F(subscription_test, keeps_suspecting_a_message_that_was_given_back) {
  deliver(ann, 0, 2);
  aut.member_gone(ann, true, now);
  now += 1s;
  EXPECT_EQ(deliver(bob, 0, 100), "0-1x1 ");
  EXPECT_EQ(settle(settle_wish::give_back, 0, 1), 0u);
  EXPECT_EQ(deliver(bob, 0, 100), "0-1x1 ");
}

TEST_F(subscription_test, passes_over_a_suspect_message_that_the_filter_does_not_want_any_more) {
  deliver(ann, 0, 2);
  aut.member_gone(ann, true, now);
  now += 1s;
  EXPECT_EQ(deliver(ann, 0, 100, 1000, [](std::uint32_t i, std::uint16_t) { return i != 0; }), "");
  EXPECT_EQ(deliver(ann, 0, 100, 1000, [](std::uint32_t i, std::uint16_t) { return i != 0; }), "1-2x1 ");
}

TEST_F(subscription_test, an_ack_of_a_lease_before_a_restart_counts) {
  deliver(ann, 0, 30);
  const auto old = lease;
  aut = shared_subscription{limits, policy};
  aut.restore({gen, queue_offset{0}, {}, {}}, lease_id{1000});
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{20}, 10}, now).refused, 10u)
      << "nothing is known of the queue yet";
  aut.extent(queue_offset{0}, queue_offset{100}, now);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{20}, 10}, now).refused, 0u);
  EXPECT_EQ(aut.cursor(), queue_offset{30});
  EXPECT_EQ(aut.unsettled(), 90u);
  EXPECT_EQ(aut.settle({settle_wish::ack, gen, old, queue_offset{0}, 10}, now).refused, 0u);
  EXPECT_EQ(aut.settle({settle_wish::retry, gen, old, queue_offset{10}, 5}, now).refused, 5u);
  EXPECT_EQ(written(), "0-10 done; 20-30 done; ");
  EXPECT_EQ(plan(), queue_offset{10});
  EXPECT_EQ(deliver(bob, 0, 100), "10-20x0 30-100x0 ");
  EXPECT_EQ(aut.unsettled(), 80u);
}

} // namespace
} // namespace troupe::test
