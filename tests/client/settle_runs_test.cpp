#include "settle_runs.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

settle_item one(std::uint32_t queue, std::uint64_t lease, std::uint64_t offset,
                settle_action what = settle_action::ack) {
  settle_item item;
  item.queue = queue_id{queue};
  item.lease = lease_id{lease};
  item.first = queue_offset{offset};
  item.count = 1;
  item.action = what;
  return item;
}

std::string text(const std::vector<settle_item>& items) {
  std::string out;
  for (const auto& i : items)
    out += std::to_string(i.queue.value) + "/" + std::to_string(i.lease.value) + ":" +
           std::to_string(i.first.value) + "+" + std::to_string(i.count) +
           (i.action == settle_action::ack ? "a " : "r ");
  return out;
}

TEST(SettleRuns, MakesOneItemOfARun) {
  settle_runs runs;
  for (std::uint64_t i = 0; i < 1000; ++i)
    runs.add(one(1, 1, i));
  EXPECT_EQ(runs.messages(), 1000u);
  EXPECT_EQ(text(runs.take()), "1/1:0+1000a ");
  EXPECT_TRUE(runs.empty());
}

TEST(SettleRuns, MergesWhatSeveralThreadsFinishedOutOfOrder) {
  settle_runs runs;
  for (auto i : {3, 4, 0, 7, 1, 5, 2, 6})
    runs.add(one(1, 1, static_cast<std::uint64_t>(i)));
  EXPECT_EQ(text(runs.take()), "1/1:0+8a ");
}

TEST(SettleRuns, KeepsLeasesQueuesAndOutcomesApart) {
  settle_runs runs;
  runs.add(one(2, 1, 5));
  runs.add(one(1, 2, 1));
  runs.add(one(1, 1, 0));
  runs.add(one(1, 1, 1, settle_action::retry));
  runs.add(one(1, 1, 2));
  EXPECT_EQ(text(runs.take()), "1/1:0+1a 1/1:1+1r 1/1:2+1a 1/2:1+1a 2/1:5+1a ");
}

TEST(SettleRuns, KeepsRetriesWithDifferentDelaysApart) {
  settle_runs runs;
  auto a = one(1, 1, 0, settle_action::retry);
  auto b = one(1, 1, 1, settle_action::retry);
  b.delay_ms = 5;
  runs.add(a);
  runs.add(b);
  b.first = queue_offset{2};
  b.give_back = true;
  runs.add(b);
  EXPECT_EQ(runs.take().size(), 3u);
}

} // namespace
} // namespace troupe
