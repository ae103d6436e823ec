#include "troupe/producer_eviction.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
const timestamp now = from_unix_ms(1'700'000'000'000);
const producer_limits limits{10'000, std::chrono::hours{48}};
const timestamp limit = now - limits.memory;

TEST(producer_eviction, lets_all_stay_within_the_limits) {
  EXPECT_EQ(decide(limits, {0, {}}, now, true), std::nullopt);
  EXPECT_EQ(decide(limits, {10'000, limit + milliseconds{1}}, now, true), std::nullopt);
}

TEST(producer_eviction, is_due_once_the_hour_of_the_oldest_ended_long_enough_ago) {
  EXPECT_EQ(decide(limits, {1, limit}, now, true), (eviction{limit, all, 1}));
  EXPECT_EQ(decide(limits, {1, limit}, now, false), std::nullopt) << "by a clock that was set nothing ages";
}

TEST(producer_eviction, above_the_number_makes_room_for_some_more) {
  EXPECT_EQ(decide(limits, {10'001, now}, now, true), (eviction{timestamp{}, 10'000 - 156, 1}));
  EXPECT_EQ(decide(limits, {10'001, limit}, now, true), (eviction{limit, 10'000 - 156, 1}));
  EXPECT_EQ(decide(limits, {10'001, limit}, now, false), (eviction{timestamp{}, 10'000 - 156, 1}));
  EXPECT_EQ(decide({1, limits.memory}, {2, now}, now, true), (eviction{timestamp{}, 1, 1}));
  EXPECT_EQ(decide({1'000'000, limits.memory}, {1'000'001, now}, now, true),
            (eviction{timestamp{}, 1'000'000 - 1024, 1}));
}

TEST(producer_eviction, takes_more_steps_at_once_the_more_there_are_but_not_any_number) {
  EXPECT_EQ(decide(limits, {13'000, now}, now, true)->steps, 3u);
  EXPECT_EQ(decide(limits, {10'000'000, now}, now, true)->steps, eviction::most_steps);
}

TEST(producer_eviction, knows_no_time_before_1970) {
  EXPECT_EQ(decide({10, std::chrono::hours{24 * 365 * 100}}, {1, timestamp{}}, now, true), std::nullopt);
}

} // namespace
} // namespace troupe
