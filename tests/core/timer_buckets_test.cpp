#include "troupe/timer_buckets.hpp"

#include "random_source.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe {
namespace {

using namespace std::chrono_literals;

constexpr auto now = from_unix_ms(1'800'000'000'000);

TEST(timer_buckets, cover_each_other_and_hold_the_times_that_fall_into_them) {
  test::random_source random(1);
  for (int i = 0; i < 10'000; ++i) {
    const auto due = from_unix_ms(static_cast<std::int64_t>(random.below(253402300799999)));
    timer_bucket wider;
    for (auto level : timer_levels) {
      const auto b = bucket_at(level, due);
      EXPECT_LE(b.start, due);
      EXPECT_LT(due, b.end());
      EXPECT_EQ(b.start.time_since_epoch() % width_of(level), 0ms);
      if (level != timer_level::days) {
        EXPECT_LE(wider.start, b.start);
        EXPECT_LE(b.end(), wider.end());
        EXPECT_LT(wider, b) << "a bucket comes before those that it covers";
      }
      wider = b;
    }
  }
}

TEST(timer_buckets, are_coarse_far_ahead_and_fine_when_their_time_is_near_or_past) {
  EXPECT_EQ(bucket_for(now + 40 * 24h, now).level, timer_level::days);
  EXPECT_EQ(bucket_for(now + 24h, now).level, timer_level::days);
  EXPECT_EQ(bucket_for(now + 1h, now).level, timer_level::minutes);
  EXPECT_EQ(bucket_for(now + 1min, now).level, timer_level::seconds);
  EXPECT_EQ(bucket_for(now, now).level, timer_level::seconds);
  EXPECT_EQ(bucket_for(now - 1h, now).level, timer_level::seconds);
  EXPECT_EQ(bucket_for(from_unix_ms(0), now).level, timer_level::seconds);
}

TEST(timer_buckets, take_nothing_more_once_they_are_due_to_be_split) {
  for (auto level : {timer_level::days, timer_level::minutes}) {
    const auto bucket = bucket_at(level, now + 3 * width_of(level));
    const auto split = look_at(bucket, bucket.end());
    EXPECT_EQ(split, bucket.start - width_of(level) / 4);
    EXPECT_EQ(bucket_for(bucket.start, split - 1ms), bucket);
    EXPECT_EQ(bucket_for(bucket.start, split).level, finer(level));
  }
}

TEST(timer_buckets, that_are_finest_want_a_look_when_their_first_message_is_due) {
  EXPECT_EQ(look_at(bucket_at(timer_level::seconds, now), now + 7ms), now + 7ms);
}

TEST(timer_row_estimate, is_exact_for_times_that_ascend_and_counts_far_ones_once_whatever_their_order) {
  test::random_source random(2);
  for (int round = 0; round < 100; ++round) {
    timer_row_estimate far(now);
    std::set<timer_bucket> buckets;
    for (int i = 0; i < 1000; ++i) {
      const auto due = now + 48h + milliseconds{random.below(38ull * 24 * 3600 * 1000)};
      far.add(due);
      buckets.insert(bucket_for(due, now));
    }
    EXPECT_EQ(far.rows(), buckets.size());
  }
  timer_row_estimate near(now);
  for (int i = 0; i < 1000; ++i)
    near.add(now + 1h + milliseconds{i});
  EXPECT_LE(near.rows(), 2u);
  near.add(now + 1s);
  near.add(now + 50 * 365 * 24h);
  EXPECT_LE(near.rows(), 4u);
}

TEST(delay_levels, are_those_of_rocketmq) {
  EXPECT_EQ(delay_of_level(0), 0ms);
  EXPECT_EQ(delay_of_level(1), 1s);
  EXPECT_EQ(delay_of_level(5), 1min);
  EXPECT_EQ(delay_of_level(14), 10min);
  EXPECT_EQ(delay_of_level(18), 2h);
  EXPECT_EQ(delay_of_level(19), 0ms);
}

} // namespace
} // namespace troupe
