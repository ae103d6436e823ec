#include "troupe/latency_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

TEST(latency_window, of_nothing_is_zero) {
  latency_window w;
  EXPECT_EQ(w.quantile(0.5), 0us);
  EXPECT_EQ(w.count(), 0u);
}

TEST(latency_window, is_exact_for_a_few_microseconds) {
  latency_window w;
  for (int i = 1; i <= 10; ++i)
    w.add(std::chrono::microseconds{i});
  EXPECT_EQ(w.quantile(0.5), 5us);
  EXPECT_EQ(w.quantile(1), 10us);
  EXPECT_EQ(w.quantile(0), 1us);
}

TEST(latency_window, is_never_below_and_at_most_an_eighth_above_the_true_quantile) {
  constexpr std::uint64_t seed = 42;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 rng{seed};
  for (int round = 0; round < 50; ++round) {
    latency_window w;
    std::vector<std::uint64_t> all;
    for (std::size_t i = 0; i < latency_window::window; ++i) {
      all.push_back(rng() >> (40 + rng() % 20));
      w.add(std::chrono::microseconds{all.back()});
    }
    std::sort(all.begin(), all.end());
    for (double q : {0.5, 0.9, 0.99}) {
      const auto exact = all[static_cast<std::size_t>(q * static_cast<double>(all.size()) + 0.999999) - 1];
      const auto got = static_cast<std::uint64_t>(w.quantile(q).count());
      EXPECT_GE(got, exact) << q;
      EXPECT_LE(got, exact + exact / 8) << q;
    }
  }
}

TEST(latency_window, forgets_what_is_older_than_the_window) {
  latency_window w;
  for (std::size_t i = 0; i < latency_window::window; ++i)
    w.add(1s);
  for (std::size_t i = 0; i < latency_window::window; ++i)
    w.add(1us);
  EXPECT_EQ(w.quantile(1), 1us);
  EXPECT_EQ(w.count(), 2 * latency_window::window);
}

TEST(latency_window, counts_absurd_durations_in_its_last_bucket) {
  latency_window w;
  w.add(std::chrono::hours{24 * 365 * 200});
  w.add(-5us);
  EXPECT_GT(w.quantile(1), 60s);
  EXPECT_EQ(w.quantile(0.5), 0us);
}

} // namespace
} // namespace troupe
