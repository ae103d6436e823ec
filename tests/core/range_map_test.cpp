#include "troupe/range_map.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace troupe {
namespace {

std::string trace(const range_map<int>& m) {
  std::string out;
  for (const auto& [first, span] : m)
    out += "[" + std::to_string(first) + "," + std::to_string(span.next) + ")=" + std::to_string(span.value) +
           " ";
  return out;
}

TEST(range_map, joins_neighbours_of_equal_value_only) {
  range_map<int> m;
  m.assign(0, 5, 1);
  m.assign(5, 9, 1);
  m.assign(9, 10, 2);
  EXPECT_EQ(trace(m), "[0,9)=1 [9,10)=2 ");
}

TEST(range_map, splits_a_range_around_what_is_overwritten_or_erased) {
  range_map<int> m;
  m.assign(0, 100, 1);
  m.assign(40, 60, 2);
  m.erase(10, 20);
  EXPECT_EQ(trace(m), "[0,10)=1 [20,40)=1 [40,60)=2 [60,100)=1 ");
  m.assign(10, 60, 1);
  EXPECT_EQ(trace(m), "[0,100)=1 ");
}

TEST(range_map, visits_values_and_gaps_clipped_to_the_question) {
  range_map<int> m;
  m.assign(10, 20, 1);
  m.assign(30, 40, 2);
  std::string seen;
  m.visit(15, 35, [&](auto a, auto b, int v) {
    seen += std::to_string(a) + "-" + std::to_string(b) + "=" + std::to_string(v) + " ";
  });
  m.visit_gaps(15, 50, [&](auto a, auto b) { seen += std::to_string(a) + "-" + std::to_string(b) + " "; });
  EXPECT_EQ(seen, "15-20=1 30-35=2 20-30 40-50 ");
}

TEST(range_map, is_what_an_array_would_be_after_random_changes) {
  constexpr std::uint64_t seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 rng{seed};
  constexpr std::size_t size = 64;
  range_map<int> m;
  std::array<int, size> model{}; // 0: no value
  for (int step = 0; step < 20000; ++step) {
    auto first = rng() % size;
    auto next = first + rng() % (size - first + 1);
    int value = static_cast<int>(rng() % 4);
    if (value == 0)
      m.erase(first, next);
    else
      m.assign(first, next, value);
    for (auto i = first; i < next; ++i)
      model[i] = value;
    std::array<int, size> seen{};
    std::uint64_t before = 0;
    int last = 0;
    for (const auto& [a, span] : m) {
      ASSERT_LT(a, span.next);
      ASSERT_FALSE(a == before && span.value == last) << "neighbours not joined: " << trace(m);
      for (auto i = a; i < span.next; ++i)
        seen[i] = span.value;
      before = span.next;
      last = span.value;
    }
    ASSERT_EQ(seen, model) << trace(m);
    for (std::uint64_t i = 0; i < size; ++i)
      ASSERT_EQ(m.find(i) == m.end(), model[i] == 0);
  }
}

TEST(offset_set, moves_a_floor_over_what_it_holds) {
  offset_set s;
  s.add(5, 8);
  s.add(10, 12);
  EXPECT_EQ(s.merge_floor(4), 4u);
  EXPECT_EQ(s.merge_floor(5), 8u);
  EXPECT_FALSE(s.contains(6));
  s.add(8, 10);
  EXPECT_EQ(s.merge_floor(8), 12u);
  EXPECT_TRUE(s.empty());
}

TEST(offset_set, holds_millions_of_offsets_in_one_range) {
  offset_set s;
  for (std::uint64_t i = 0; i < 3'000'000; i += 1000)
    s.add(i, i + 1000);
  EXPECT_EQ(s.ranges(), 1u);
  s.remove(1'000'000, 1'000'001);
  EXPECT_EQ(s.ranges(), 2u);
  EXPECT_TRUE(s.contains(2'999'999));
  EXPECT_FALSE(s.contains(1'000'000));
}

} // namespace
} // namespace troupe
