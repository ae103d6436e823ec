#include "troupe/byte_budget.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace troupe {
namespace {

TEST(byte_budget, grants_up_to_its_limit) {
  byte_budget budget{100};
  EXPECT_TRUE(budget.try_take(60));
  EXPECT_TRUE(budget.try_take(40));
  EXPECT_FALSE(budget.try_take(1));
  EXPECT_TRUE(budget.try_take(0));
  EXPECT_EQ(budget.used(), 100u);
  budget.give(1);
  EXPECT_TRUE(budget.try_take(1));
  EXPECT_EQ(budget.limit(), 100u);
}

TEST(byte_budget, takes_nothing_when_it_refuses) {
  byte_budget budget{100};
  EXPECT_TRUE(budget.try_take(50));
  EXPECT_FALSE(budget.try_take(51));
  EXPECT_FALSE(budget.try_take(~0ull));
  EXPECT_EQ(budget.used(), 50u);
}

TEST(byte_budget, grants_one_amount_above_its_limit_only_when_it_is_empty) {
  byte_budget budget{100};
  EXPECT_TRUE(budget.try_take(500));
  EXPECT_FALSE(budget.try_take(1));
  budget.give(500);
  EXPECT_TRUE(budget.try_take(1));
  EXPECT_FALSE(budget.try_take(500));
}

TEST(byte_budget, never_wraps_when_too_much_is_given_back) {
  byte_budget budget{100};
  EXPECT_TRUE(budget.try_take(10));
  budget.give(20);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_TRUE(budget.try_take(100));
}

TEST(byte_budget, is_kept_by_many_threads_together) {
  byte_budget budget{1000};
  std::atomic<bool> exceeded = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&budget, &exceeded, t] {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        auto n = (i * 7 + static_cast<std::uint64_t>(t)) % 400;
        if (!budget.try_take(n))
          continue;
        if (budget.used() > 1000)
          exceeded = true;
        budget.give(n);
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.used(), 0u);
}

} // namespace
} // namespace troupe
