#include "troupe/settled_bits.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace troupe {
namespace {

TEST(settled_bits, agrees_with_a_plain_list_whatever_is_settled) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 rng(seed);
    constexpr std::uint64_t size = 6000;
    const auto begin = rng() % 1500;
    settled_bits aut{begin};
    std::vector<bool> model(size + 1);
    for (std::uint64_t i = 0; i < begin; ++i)
      model[i] = true;
    const auto open = [&](std::uint64_t at) {
      while (at < size && model[at])
        ++at;
      return at;
    };
    for (int step = 0; step < 300; ++step) {
      const auto first = rng() % size;
      const auto longest = step % 7 == 0 ? 3000u : 40u;
      const auto next = std::min(size, first + 1 + rng() % longest);
      aut.add(step % 5 == 0 ? aut.floor() : first, next);
      for (auto i = step % 5 == 0 ? open(0) : first; i < next; ++i)
        model[i] = true;
      const auto floor = open(0);
      ASSERT_EQ(aut.floor(), floor);
      std::uint64_t above = 0;
      for (auto i = floor; i < size; ++i)
        above += model[i];
      ASSERT_EQ(aut.count(), above);
      const auto at = rng() % size;
      ASSERT_EQ(aut.contains(at), model[at]);
      ASSERT_EQ(std::min(size, aut.next_open(at)), open(at));
      auto settled = std::max(at, floor);
      while (settled < size && !model[settled])
        ++settled;
      ASSERT_EQ(aut.next_settled(std::max(at, floor), size), settled);
    }
  }
}

TEST(settled_bits, forgets_what_the_floor_has_passed) {
  settled_bits aut;
  for (std::uint64_t at = 1; at < 1'000'000; at += 2)
    aut.add(at, at + 1);
  EXPECT_EQ(aut.floor(), 0u);
  EXPECT_EQ(aut.chunks(), 977u);
  for (std::uint64_t at = 0; at < 1'000'000; at += 2)
    aut.add(at, at + 1);
  EXPECT_EQ(aut.floor(), 1'000'000u);
  EXPECT_EQ(aut.count(), 0u);
  EXPECT_EQ(aut.chunks(), 0u);
}

TEST(settled_bits, a_run_of_a_thousand_million_costs_nothing) {
  settled_bits aut;
  aut.add(5, 1'000'000'005);
  EXPECT_EQ(aut.count(), 1'000'000'000u);
  EXPECT_LE(aut.chunks(), 2u);
  aut.add(0, 5);
  EXPECT_EQ(aut.floor(), 1'000'000'005u);
}

} // namespace
} // namespace troupe
