#include "troupe/retention_schedule.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe {
namespace {

using namespace std::chrono_literals;

constexpr timestamp at(std::int64_t minute) { return from_unix_ms(minute * 60'000); }
constexpr queue_id q1{1};
constexpr queue_id q2{2};
constexpr queue_id q3{3};
constexpr retention_limits one_hour{.age = 60min};
constexpr retention_limits small{.bytes = 1000};

/// The queues that are due now, "1 2 -3": a removed one has a minus.
std::string due(retention_schedule& s, timestamp now) {
  std::string out;
  while (auto w = s.next(now)) {
    if (!out.empty())
      out += ' ';
    out += (w->remove ? "-" : "") + std::to_string(w->queue.value);
  }
  return out;
}

TEST(retention_schedule, of_nothing_is_never_due) {
  retention_schedule aut;
  EXPECT_EQ(due(aut, at(1'000'000)), "");
  EXPECT_FALSE(aut.next_due());
}

TEST(retention_schedule, looks_at_a_new_queue_once_at_once) {
  retention_schedule aut;
  aut.keep(q1, one_hour);
  aut.keep(q2, small);
  aut.keep(q1, one_hour);
  EXPECT_LT(*aut.next_due(), at(0));
  EXPECT_EQ(due(aut, at(0)), "1 2");
  EXPECT_EQ(due(aut, at(0)), "");
  EXPECT_FALSE(aut.next_due());
}

TEST(retention_schedule, looks_again_at_the_date_that_was_set_earliest_first) {
  retention_schedule aut;
  for (auto q : {q1, q2, q3})
    aut.keep(q, one_hour);
  due(aut, at(0));
  aut.look_at(q1, at(30));
  aut.look_at(q2, at(10));
  aut.look_at(q3, at(20));
  EXPECT_EQ(*aut.next_due(), at(10));
  EXPECT_EQ(due(aut, at(9)), "");
  EXPECT_EQ(due(aut, at(20)), "2 3");
  EXPECT_EQ(*aut.next_due(), at(30));
}

TEST(retention_schedule, believes_the_last_date_only) {
  retention_schedule aut;
  aut.keep(q1, one_hour);
  due(aut, at(0));
  aut.look_at(q1, at(10));
  aut.look_at(q1, at(50));
  EXPECT_EQ(*aut.next_due(), at(50));
  EXPECT_EQ(due(aut, at(49)), "");
  aut.look_at(q1, std::nullopt);
  EXPECT_FALSE(aut.next_due());
  EXPECT_EQ(due(aut, at(1000)), "");
}

TEST(retention_schedule, looks_at_a_queue_with_a_byte_limit_when_it_got_messages) {
  retention_schedule aut;
  aut.keep(q1, small);
  due(aut, at(0));
  aut.appended(q1, at(5));
  aut.appended(q1, at(5));
  EXPECT_EQ(due(aut, at(5)), "1");
}

TEST(retention_schedule, lets_a_queue_with_an_age_limit_get_messages_without_looking_before_they_can_be_old) {
  retention_schedule aut;
  aut.keep(q1, one_hour);
  due(aut, at(0));
  aut.appended(q1, at(5));
  aut.appended(q1, at(50));
  EXPECT_EQ(due(aut, at(64)), "");
  EXPECT_EQ(due(aut, at(65)), "1");
}

TEST(retention_schedule, looks_earlier_when_something_of_new_messages_has_to_go_before_the_old_ones) {
  retention_schedule aut;
  aut.keep(q1, {.age = 1000min, .keys = 10min});
  due(aut, at(0));
  aut.look_at(q1, at(900));
  aut.appended(q1, at(50));
  EXPECT_EQ(aut.next_due(), at(60));
  aut.appended(q1, at(55));
  EXPECT_EQ(aut.next_due(), at(60));
}

TEST(retention_schedule, ignores_queues_it_has_no_rule_for) {
  retention_schedule aut;
  aut.appended(q1, at(0));
  aut.look(q1);
  aut.look_at(q1, at(1));
  EXPECT_EQ(due(aut, at(10)), "");
  EXPECT_EQ(aut.size(), 0u);
}

TEST(retention_schedule, removes_until_it_is_told_to_forget_and_no_rule_brings_a_queue_back) {
  retention_schedule aut;
  aut.keep(q1, one_hour);
  due(aut, at(0));
  aut.remove(q1);
  EXPECT_EQ(due(aut, at(0)), "-1");
  aut.look(q1);
  EXPECT_EQ(due(aut, at(0)), "-1");
  aut.keep(q1, one_hour);
  EXPECT_EQ(due(aut, at(0)), "");
  aut.look_at(q1, at(1));
  aut.forget(q1);
  EXPECT_EQ(due(aut, at(100)), "");
  EXPECT_EQ(aut.size(), 0u);
}

TEST(retention_schedule, looks_at_all_queues_again_whatever_their_dates) {
  retention_schedule aut;
  aut.keep(q1, one_hour);
  aut.keep(q2, small);
  due(aut, at(0));
  aut.look_at(q1, at(1'000'000));
  aut.look_at_all();
  EXPECT_EQ(due(aut, at(0)).size(), 3u);
  EXPECT_FALSE(aut.next_due());
}

TEST(retention_schedule, takes_queues_in_turn) {
  retention_schedule aut;
  for (auto q : {q1, q2, q3})
    aut.keep(q, small);
  std::string order;
  for (int i = 0; i < 6; ++i) {
    const auto w = aut.next(at(0));
    order += std::to_string(w->queue.value);
    aut.look(w->queue);
  }
  EXPECT_EQ(order, "123123") << "one with much to do does not keep the others waiting";
}

} // namespace
} // namespace troupe
