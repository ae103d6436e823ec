#include "troupe/retention.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

constexpr timestamp at(std::int64_t minute) { return from_unix_ms(minute * 60'000); }

/// Rows of ten messages and 100 bytes each, one a minute from minute 0 on.
std::vector<retained_row> rows(std::size_t n) {
  std::vector<retained_row> result;
  for (std::size_t i = 0; i < n; ++i)
    result.push_back({queue_offset{(i + 1) * 10}, at(static_cast<std::int64_t>(i)), (i + 1) * 100});
  return result;
}

retained_queue queue_of(const std::vector<retained_row>& r, std::size_t rows_in_all) {
  return {.first = queue_offset{0},
          .next = queue_offset{rows_in_all * 10},
          .bytes = rows_in_all * 100,
          .rows = r};
}

TEST(retention, keeps_everything_without_limits) {
  auto r = rows(3);
  auto d = decide({}, queue_of(r, 3), at(1'000'000));
  EXPECT_EQ(d.trim_to, queue_offset{0});
  EXPECT_FALSE(d.due);
}

TEST(retention, trims_rows_that_are_of_age_and_says_when_the_next_one_is) {
  auto r = rows(5);
  auto d = decide({.age = 60min}, queue_of(r, 5), at(61));
  EXPECT_EQ(d.trim_to, queue_offset{20}) << "rows of minutes 0 and 1 are 60 minutes old or more";
  ASSERT_TRUE(d.due);
  EXPECT_EQ(*d.due, at(62));
}

TEST(retention, keeps_a_row_until_its_newest_message_is_of_age_to_the_millisecond) {
  auto r = rows(1);
  EXPECT_EQ(decide({.age = 60min}, queue_of(r, 1), at(60) - 1ms).trim_to, queue_offset{0});
  EXPECT_EQ(decide({.age = 60min}, queue_of(r, 1), at(60)).trim_to, queue_offset{10});
}

TEST(retention, removes_even_the_newest_message_by_age_and_then_has_nothing_due) {
  auto r = rows(2);
  auto d = decide({.age = 1min}, queue_of(r, 2), at(100));
  EXPECT_EQ(d.trim_to, queue_offset{20});
  EXPECT_FALSE(d.due);
}

TEST(retention, asks_for_more_when_all_rows_shown_go_but_the_queue_has_others) {
  auto r = rows(64);
  auto d = decide({.age = 1min}, queue_of(r, 200), at(1000));
  EXPECT_EQ(d.trim_to, queue_offset{640});
}

TEST(retention, trims_by_size_until_the_rest_fits_the_limit) {
  auto r = rows(5);
  EXPECT_EQ(decide({.bytes = 500}, queue_of(r, 5), at(0)).trim_to, queue_offset{0});
  EXPECT_EQ(decide({.bytes = 499}, queue_of(r, 5), at(0)).trim_to, queue_offset{10});
  EXPECT_EQ(decide({.bytes = 250}, queue_of(r, 5), at(0)).trim_to, queue_offset{30});
}

TEST(retention, never_removes_the_newest_message_by_size) {
  auto r = rows(5);
  auto d = decide({.bytes = 1}, queue_of(r, 5), at(0));
  EXPECT_EQ(d.trim_to, queue_offset{40});
}

TEST(retention, trims_by_whichever_limit_reaches_further) {
  auto r = rows(10);
  EXPECT_EQ(decide({.age = 60min, .bytes = 300}, queue_of(r, 10), at(60)).trim_to, queue_offset{70});
  EXPECT_EQ(decide({.age = 60min, .bytes = 900}, queue_of(r, 10), at(64)).trim_to, queue_offset{50});
}

TEST(retention, of_an_empty_queue_decides_nothing) {
  auto d = decide({.age = 1min, .bytes = 1}, {.first = queue_offset{7}, .next = queue_offset{7}}, at(0));
  EXPECT_EQ(d.trim_to, queue_offset{7});
  EXPECT_FALSE(d.due);
}

TEST(retention, decides_by_the_extent_alone_when_nothing_can_go) {
  const auto r = rows(5);
  auto q = queue_of(r, 5);
  q.oldest = at(0);
  const auto kept = decide_by_extent({.age = 60min, .bytes = 500}, q, at(59));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->trim_to, queue_offset{0});
  EXPECT_EQ(kept->due, at(60));
  EXPECT_FALSE(decide_by_extent({.age = 60min}, q, at(60))) << "the oldest message is of age";
  EXPECT_FALSE(decide_by_extent({.bytes = 499}, q, at(0))) << "too large";
  const auto for_ever = decide_by_extent({}, q, at(1'000'000));
  ASSERT_TRUE(for_ever);
  EXPECT_FALSE(for_ever->due);
  q.first = q.next;
  const auto empty = decide_by_extent({.age = 1min, .bytes = 1}, q, at(1'000'000));
  ASSERT_TRUE(empty);
  EXPECT_FALSE(empty->due);
}

TEST(clock_guard, trusts_a_clock_that_goes_with_the_monotonic_one) {
  clock_guard g{at(0), 0ms};
  EXPECT_TRUE(g.trusts(at(0), 0ms));
  EXPECT_TRUE(g.trusts(at(600), 600min));
}

TEST(clock_guard, does_not_trust_a_jump_of_more_than_ten_minutes_until_the_clock_is_back) {
  for (auto jump : {11min, -11min}) {
    clock_guard g{at(1000), 0ms};
    EXPECT_FALSE(g.trusts(at(1001) + jump, 1min));
    EXPECT_EQ(g.off(), jump);
    EXPECT_FALSE(g.trusts(at(1300) + jump, 300min)) << "time alone does not make it right";
    EXPECT_TRUE(g.trusts(at(1301), 301min));
  }
}

TEST(clock_guard, tolerates_ten_minutes) {
  clock_guard g{at(1000), 0ms};
  EXPECT_TRUE(g.trusts(at(1011), 1min));
  EXPECT_FALSE(g.trusts(at(1011) + 1ms, 1min));
}

TEST(clock_guard, follows_slow_drift_but_not_many_small_steps_within_an_hour) {
  clock_guard slow{at(0), 0ms};
  for (int hour = 1; hour <= 100; ++hour)
    EXPECT_TRUE(slow.trusts(at(hour * 61), std::chrono::hours{hour})) << "one minute an hour, hour " << hour;
  clock_guard steps{at(0), 0ms};
  for (int minute = 1; minute <= 10; ++minute)
    EXPECT_TRUE(steps.trusts(at(2 * minute), std::chrono::minutes{minute}));
  EXPECT_FALSE(steps.trusts(at(22), 11min));
}

} // namespace
} // namespace troupe
