#include "troupe/router.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

TEST(router, keeps_an_order_key_on_its_queue) {
  key_or_round_robin a{0};
  key_or_round_robin b{5};
  for (int i = 0; i < 200; ++i) {
    const auto key = "package-" + std::to_string(i);
    const auto queue = a.pick({.order_key = key}, 8);
    EXPECT_LT(queue, 8u);
    EXPECT_EQ(b.pick({.order_key = key}, 8), queue);
  }
}

TEST(router, spreads_similar_keys_over_all_queues) {
  std::vector<int> hits(16);
  key_or_round_robin r;
  for (int i = 0; i < 16000; ++i)
    ++hits[r.pick({.order_key = "order-" + std::to_string(i)}, 16)];
  for (int n : hits) {
    EXPECT_GT(n, 800);
    EXPECT_LT(n, 1200);
  }
}

TEST(router, deals_messages_without_a_key_in_turn) {
  key_or_round_robin r{3};
  std::vector<std::uint32_t> picks;
  for (int i = 0; i < 6; ++i)
    picks.push_back(r.pick({}, 4));
  EXPECT_EQ(picks, (std::vector<std::uint32_t>{3, 0, 1, 2, 3, 0}));
}

} // namespace
} // namespace troupe
