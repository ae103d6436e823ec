#include "subscription_fixture.hpp"

#include "troupe/ordered_subscription.hpp"

/// Messages whose time to live is over before they are delivered.
namespace troupe::test {
namespace {

struct subscription_expiry : subscription_test {
  judged_view::expiry expired_;
  judged_view::passes wanted_;

  /// Delivers out of one batch at 0 what has not expired.
  std::string offer(subscription& to, std::uint32_t count, std::uint32_t most = 1000,
                    const judged_view::keys& keys = {}) {
    std::vector<leased_run> runs;
    judged_view judged{wanted_, keys, expired_};
    lease = to.begin(ann, now);
    to.take(queue_offset{0}, count, most, judged.view(), runs);
    EXPECT_EQ(to.commit(), !runs.empty());
    return trace(runs);
  }
  std::string offer(std::uint32_t count, std::uint32_t most = 1000) { return offer(aut, count, most); }
};

TEST_F(subscription_expiry, what_expired_is_passed_over_and_settled_as_such) {
  expired_ = [](auto i) { return i < 2 || i == 4; };
  EXPECT_EQ(offer(6), "2-4x0 5-6x0 ");
  EXPECT_EQ(aut.floor(), queue_offset{2});
  EXPECT_EQ(aut.leased(), 3u);
  EXPECT_EQ(written(), "0-2 expired; 4-5 expired; ");
  settle(settle_wish::ack, 2, 4);
  EXPECT_EQ(aut.floor(), queue_offset{6});
}

TEST_F(subscription_expiry, waits_for_company_before_it_is_written_as_a_skip_does) {
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(6), "");
  EXPECT_EQ(aut.write_at(), now + limits.skip_delay);
  EXPECT_EQ(aut.floor(), queue_offset{6});
}

TEST_F(subscription_expiry, a_message_that_the_filter_does_not_want_is_skipped_whether_it_expired_or_not) {
  expired_ = [](auto i) { return i < 4; };
  wanted_ = [](auto i, auto) { return i % 2 == 0; };
  EXPECT_EQ(offer(6), "4-5x0 ");
  EXPECT_EQ(written(), "0-1 expired; 1-2 skipped; 2-3 expired; 3-4 skipped; 5-6 skipped; ");
}

TEST_F(subscription_expiry, a_group_may_keep_what_expired_as_dead_letters_with_their_attempts) {
  limits.on_expired = expired_action::dead_letter;
  aut.configure(limits, policy);
  EXPECT_EQ(offer(2), "0-2x0 ");
  settle(settle_wish::retry, 0, 1);
  settle(settle_wish::ack, 1, 1);
  written();
  now += 1s;
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(4), "");
  EXPECT_EQ(written(), "0-1 dead1 expired ''; 2-4 dead0 expired ''; ");
  EXPECT_EQ(aut.retrying(), 0u);
  EXPECT_EQ(aut.floor(), queue_offset{4});
}

TEST_F(subscription_expiry, a_retry_that_is_not_due_is_not_judged) {
  EXPECT_EQ(offer(1), "0-1x0 ");
  settle(settle_wish::retry, 0, 1, 10s);
  written();
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(1), "");
  EXPECT_EQ(written(), "");
  now += 10s;
  EXPECT_EQ(offer(1), "");
  EXPECT_EQ(written(), "0-1 expired; ");
}

TEST_F(subscription_expiry, a_suspect_message_that_expired_is_passed_over) {
  EXPECT_EQ(offer(2), "0-2x0 ");
  aut.member_gone(ann, true, now);
  written();
  now += 1s;
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(2), "");
  EXPECT_EQ(offer(2), "");
  EXPECT_EQ(written(), "0-2 expired; ");
}

TEST_F(subscription_expiry, a_million_of_them_are_one_run_and_dead_letters_go_out_in_bounded_parts) {
  constexpr std::uint32_t million = 1'000'000;
  aut.extent(queue_offset{0}, queue_offset{million}, now);
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(million), "");
  EXPECT_EQ(aut.floor(), queue_offset{million});
  EXPECT_EQ(written(), "0-1000000 expired; ");

  limits.on_expired = expired_action::dead_letter;
  aut.configure(limits, policy);
  aut.restore({gen, queue_offset{0}, {}, {}});
  aut.extent(queue_offset{0}, queue_offset{million}, now);
  EXPECT_EQ(offer(million), "");
  std::uint64_t next = 0;
  while (aut.has_progress()) {
    const auto runs = aut.take_progress(4096);
    ASSERT_EQ(runs.size(), 1u);
    ASSERT_EQ(runs[0].first.value, next);
    ASSERT_LE(runs[0].next.value - next, unwritten_progress::most_dead);
    ASSERT_LT(next, runs[0].next.value);
    next = runs[0].next.value;
  }
  EXPECT_EQ(next, million);
}

TEST_F(subscription_expiry, bounded_parts_keep_the_outcomes_between_dead_letters) {
  unwritten_progress some;
  const offset_outcome dead{progress::outcome::dead, 1, 0, dead_reason::expired};
  static_assert(unwritten_progress::most_dead == 4096);
  some.write(0, 3000, dead, now);
  some.write(3000, 3001, {progress::outcome::done}, now);
  some.write(3001, 8000, dead, now);
  some.write(8000, 8001, {progress::outcome::done}, now);
  EXPECT_EQ(trace(some.take(100)), "0-3000 dead1 expired ''; 3000-3001 done; 3001-4097 dead1 expired ''; ");
  EXPECT_EQ(trace(some.take(100)), "4097-8000 dead1 expired ''; 8000-8001 done; ");
  EXPECT_TRUE(some.empty());
}

TEST_F(subscription_expiry, a_key_goes_on_behind_what_expired) {
  ordered_subscription ordered{limits, policy};
  ordered.restore({gen, queue_offset{0}, {}, {}});
  ordered.extent(queue_offset{0}, queue_offset{6}, now);
  const auto one_key = [](auto) { return 5u; };
  EXPECT_EQ(offer(ordered, 6, 10, one_key), "0-1x0 ");
  expired_ = [](auto i) { return i == 1 || i == 2; };
  ordered.settle({settle_wish::ack, gen, lease, queue_offset{0}, 1, 0ms, {}}, now);
  EXPECT_EQ(offer(ordered, 6, 10, one_key), "3-4x0 ");
  EXPECT_EQ(trace(ordered.take_progress(10)), "0-1 done; 1-3 expired; ");
  EXPECT_EQ(ordered.floor(), queue_offset{3});
  ordered.settle({settle_wish::retry, gen, lease, queue_offset{3}, 1, 0ms, {}}, now);
  ordered.take_progress(10);
  now += 1s;
  expired_ = [](auto i) { return i <= 3; };
  EXPECT_EQ(offer(ordered, 6, 10, one_key), "4-5x0 ") << "a failed one that expired holds its key no longer";
  EXPECT_EQ(trace(ordered.take_progress(10)), "3-4 expired; ");
  EXPECT_EQ(ordered.retrying(), 0u);
}

TEST_F(subscription_expiry, a_suspect_message_of_a_key_that_expired_lets_the_key_go_on) {
  ordered_subscription ordered{limits, policy};
  ordered.restore({gen, queue_offset{0}, {}, {}});
  ordered.extent(queue_offset{0}, queue_offset{3}, now);
  const auto one_key = [](auto) { return 5u; };
  EXPECT_EQ(offer(ordered, 3, 10, one_key), "0-1x0 ");
  ordered.member_gone(ann, true, now);
  ordered.take_progress(10);
  now += 1s;
  expired_ = [](auto i) { return i == 0; };
  EXPECT_EQ(offer(ordered, 3, 10, one_key), "") << "it would have been alone";
  EXPECT_EQ(trace(ordered.take_progress(10)), "0-1 expired; ");
  EXPECT_EQ(offer(ordered, 3, 10, one_key), "1-2x0 ");
}

TEST_F(subscription_expiry, an_ordered_group_forgets_a_key_whose_messages_all_expired) {
  ordered_subscription ordered{limits, policy};
  ordered.restore({gen, queue_offset{0}, {}, {}});
  ordered.extent(queue_offset{0}, queue_offset{6}, now);
  const auto one_key = [](auto) { return 5u; };
  EXPECT_EQ(offer(ordered, 6, 10, one_key), "0-1x0 ");
  ordered.settle({settle_wish::ack, gen, lease, queue_offset{0}, 1, 0ms, {}}, now);
  expired_ = [](auto) { return true; };
  EXPECT_EQ(offer(ordered, 6, 10, one_key), "");
  EXPECT_EQ(ordered.keys(), 0u);
  EXPECT_EQ(ordered.floor(), queue_offset{6});
}

} // namespace
} // namespace troupe::test
