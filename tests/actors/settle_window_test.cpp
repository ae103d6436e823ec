#include "settle_window.hpp"

#include "troupe/shared_subscription.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;

constexpr auto start = from_unix_ms(1'700'000'000'000);

struct settle_window_test : testing::Test {
  shared_subscription core{{}, std::make_shared<scheduled_retry>(retry_schedule::fixed(1s))};
  settle_window aut{queue_id{1}};
  std::vector<settle_window::news> news;
  timestamp now = start;
  lease_id lease;

  void SetUp() override {
    core.restore({generation{1}, queue_offset{0}, {}, {}});
    core.extent(queue_offset{0}, queue_offset{100'000}, now);
    lease = core.begin(1, now);
    std::vector<leased_run> runs;
    core.take(queue_offset{0}, 100'000, 100'000, nullptr, runs);
    core.commit();
  }
  void ack(std::uint64_t first, std::uint32_t count = 1) {
    core.settle({settle_wish::ack, generation{1}, lease, queue_offset{first}, count, 0ms}, now);
  }
  void settle(std::vector<settle_item> items, std::uint64_t confirm = 0) {
    aut.settle({.member = 1, .consumer = {}, .items = std::move(items), .confirm = confirm}, core, now, news);
  }
  std::optional<settle_window::write> begin() { return aut.begin(core, now, news); }
  bool end(std::uint64_t tag, errc code = errc::none) { return aut.end(tag, code, core, now, news); }
  /// "tag:code*refused ..." of everybody who was told since the last call.
  std::string told() {
    std::string out;
    for (const auto& n : std::exchange(news, {}))
      out += std::to_string(n.what.tag) + ":" + std::string{to_string(n.what.code)} +
             (n.what.refused > 0 ? "*" + std::to_string(n.what.refused) : "") + " ";
    return out;
  }
};

TEST_F(settle_window_test,
       a_retry_that_comes_too_late_is_refused_and_what_is_given_back_too_late_is_back_already) {
  const auto other = lease_id{lease.value + 1};
  settle_item late{queue_id{1}, generation{1}, other, queue_offset{0}, 1, settle_action::retry, 0, true};
  settle({late});
  EXPECT_EQ(told(), "");
  late.give_back = false;
  settle({late});
  EXPECT_EQ(told(), "0:lease_lost*1 ");
}

TEST_F(settle_window_test, has_one_write_under_way_and_the_rest_goes_with_the_next) {
  ack(0, 5);
  const auto first = begin();
  ASSERT_TRUE(first);
  ASSERT_EQ(first->ranges.size(), 1u);
  EXPECT_EQ(first->ranges[0], (settle_range{queue_offset{0}, 5, settle_action::ack}));
  EXPECT_FALSE(first->now);
  ack(5, 2);
  ack(7, 2);
  EXPECT_FALSE(begin());
  EXPECT_TRUE(end(first->tag));
  const auto second = begin();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->ranges[0], (settle_range{queue_offset{5}, 4, settle_action::ack}));
}

TEST_F(settle_window_test, takes_so_many_confirmations_that_wait_and_no_more) {
  ack(0);
  aut.add({nullptr, 1});
  const auto first = begin();
  ASSERT_TRUE(first);
  ack(1);
  for (std::uint64_t tag = 2; tag < settle_window::most_waiting + 2; ++tag)
    ASSERT_TRUE(aut.add({nullptr, tag}));
  EXPECT_FALSE(aut.add({nullptr, 5000}));
  end(first->tag);
  EXPECT_EQ(told(), "1:none ");
  ASSERT_TRUE(begin());
  EXPECT_TRUE(aut.add({nullptr, 5001}));
}

TEST_F(settle_window_test, tells_who_asked_when_it_is_durable_and_not_before) {
  ack(0);
  aut.add({{}, 7, 2});
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_TRUE(w->now);
  EXPECT_EQ(told(), "");
  EXPECT_TRUE(end(w->tag));
  EXPECT_EQ(told(), "7:none*2 ");
}

TEST_F(settle_window_test, what_came_too_late_is_told_at_once_and_once_also_to_who_did_not_ask) {
  const settle_item in_time{.gen = generation{1}, .lease = lease, .first = queue_offset{0}, .count = 2};
  auto late = in_time;
  late.gen = generation{7};
  auto never_leased = in_time;
  never_leased.first = queue_offset{200'000};
  settle({late});
  EXPECT_EQ(told(), "0:lease_lost*1 ");
  EXPECT_FALSE(begin());
  EXPECT_EQ(told(), "");
  settle({in_time, late, never_leased});
  EXPECT_EQ(told(), "0:lease_lost*2 ");
  const auto w = begin();
  ASSERT_TRUE(w);
  end(w->tag);
  EXPECT_EQ(told(), "");
}

TEST_F(settle_window_test, what_came_too_late_is_told_with_the_confirmation_to_who_asked) {
  settle({{.gen = generation{1}, .lease = lease, .first = queue_offset{0}, .count = 2},
          {.gen = generation{7}, .lease = lease, .first = queue_offset{2}, .count = 2}},
         5);
  EXPECT_EQ(told(), "");
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(told(), "");
  end(w->tag);
  EXPECT_EQ(told(), "5:none*1 ");
}

TEST_F(settle_window_test, what_cannot_be_done_is_told_with_the_reason_and_the_rest_is_done) {
  const settle_item done{.gen = generation{1}, .lease = lease, .first = queue_offset{0}, .count = 2};
  auto skip = done;
  skip.first = queue_offset{2};
  skip.action = settle_action::skip; // that is for the broker to say
  settle({skip, done});
  EXPECT_EQ(told(), "0:invalid_argument*1 ");
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->ranges, (std::vector<settle_range>{{queue_offset{0}, 2, settle_action::ack}}));
  end(w->tag);
  EXPECT_EQ(told(), "");
}

TEST_F(settle_window_test, who_has_nothing_to_wait_for_is_told_at_once) {
  aut.add({{}, 7});
  EXPECT_FALSE(begin());
  EXPECT_EQ(told(), "7:none ");
}

TEST_F(settle_window_test, who_settled_while_a_write_is_under_way_waits_for_it_or_the_next) {
  ack(0);
  const auto w = begin();
  aut.add({{}, 8}); // what it settled is in that write, for all we know
  EXPECT_FALSE(begin());
  EXPECT_EQ(told(), "");
  end(w->tag);
  EXPECT_FALSE(begin());
  EXPECT_EQ(told(), "8:none ");
}

TEST_F(settle_window_test, confirms_only_after_the_last_piece_of_much_progress) {
  for (std::uint64_t i = 0; i < 2 * settle_window::most_runs + 2; i += 2)
    ack(i);
  aut.add({{}, 9});
  auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->ranges.size(), settle_window::most_runs);
  end(w->tag);
  EXPECT_EQ(told(), "");
  w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->ranges.size(), 1u);
  EXPECT_EQ(told(), "");
  end(w->tag);
  EXPECT_EQ(told(), "9:none ");
}

TEST_F(settle_window_test, a_write_that_failed_is_told_to_everybody_in_it_and_made_again_after_a_pause) {
  ack(0);
  aut.add({{}, 0});
  aut.add({{}, 0}); // the same consumer: told once
  aut.add({{}, 7});
  const auto w = begin();
  EXPECT_TRUE(end(w->tag, errc::overloaded));
  EXPECT_EQ(told(), "0:overloaded 7:overloaded ");
  EXPECT_FALSE(begin());
  EXPECT_EQ(aut.next_deadline(core), start + 1s);
  now += 1s;
  const auto again = begin();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ranges, w->ranges);
  EXPECT_FALSE(end(w->tag)) << "the first answer means nothing any more";
  EXPECT_TRUE(end(again->tag));
}

TEST_F(settle_window_test, a_write_without_an_answer_is_made_again) {
  ack(0);
  aut.add({{}, 7});
  const auto w = begin();
  EXPECT_EQ(aut.next_deadline(core), start + 30s);
  now += 30s;
  aut.expire(core, now, news);
  EXPECT_EQ(told(), "7:timeout ");
  now += 1s;
  const auto again = begin();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ranges, w->ranges);
}

TEST_F(settle_window_test, a_store_that_takes_nothing_any_more_is_told_at_every_settle) {
  for (auto code : {errc::shutting_down, errc::storage_failed}) {
    settle_window closing{queue_id{1}};
    ack(code == errc::shutting_down ? 0 : 1);
    const auto w = closing.begin(core, now, news);
    ASSERT_TRUE(w);
    EXPECT_TRUE(closing.end(w->tag, code, core, now, news));
    EXPECT_EQ(closing.closed(), code);
    EXPECT_EQ(closing.next_deadline(core), std::nullopt);
    now += 10s;
    closing.add({{}, 3});
    EXPECT_FALSE(closing.begin(core, now, news));
    EXPECT_EQ(told(), "3:" + std::string{to_string(code)} + " ");
  }
}

TEST_F(settle_window_test, a_retry_carries_its_attempts_and_due_time) {
  core.settle({settle_wish::retry, generation{1}, lease, queue_offset{4}, 2, 5s}, now);
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->ranges,
            (std::vector<settle_range>{{queue_offset{4}, 2, settle_action::retry, 1, start + 5s}}));
}

TEST_F(settle_window_test, a_reject_is_a_dead_letter_with_what_the_consumer_said) {
  settle({{.gen = generation{1},
           .lease = lease,
           .first = queue_offset{4},
           .count = 2,
           .action = settle_action::dead,
           .detail = "no such customer"}});
  EXPECT_EQ(told(), "");
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(
      w->ranges,
      (std::vector<settle_range>{
          {queue_offset{4}, 2, settle_action::dead, 1, {}, dead_reason::rejected, "no such customer"}}));
}

TEST_F(settle_window_test, many_dead_letters_are_written_one_piece_after_the_other) {
  constexpr auto piece = static_cast<std::uint32_t>(unwritten_progress::most_dead);
  settle({{.gen = generation{1},
           .lease = lease,
           .first = queue_offset{0},
           .count = piece + 1,
           .action = settle_action::dead}});
  const auto first = begin();
  ASSERT_TRUE(first);
  ASSERT_EQ(first->ranges.size(), 1u);
  EXPECT_EQ(first->ranges[0].count, piece);
  EXPECT_FALSE(begin());
  EXPECT_TRUE(end(first->tag));
  const auto second = begin();
  ASSERT_TRUE(second) << "at once";
  ASSERT_EQ(second->ranges.size(), 1u);
  EXPECT_EQ(second->ranges[0].first, queue_offset{piece});
  EXPECT_EQ(second->ranges[0].count, 1u);
}

TEST_F(settle_window_test, the_last_failure_carries_its_text) {
  core.configure({.max_attempts = 1}, std::make_shared<scheduled_retry>(retry_schedule::fixed(1s)));
  settle({{.gen = generation{1},
           .lease = lease,
           .first = queue_offset{7},
           .count = 1,
           .action = settle_action::retry,
           .detail = "timeout"}});
  const auto w = begin();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->ranges,
            (std::vector<settle_range>{
                {queue_offset{7}, 1, settle_action::dead, 1, {}, dead_reason::attempts, "timeout"}}));
}

} // namespace
} // namespace troupe::test
