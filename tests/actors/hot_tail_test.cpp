#include "hot_tail.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace troupe {
namespace {

stored_batch batch_at(std::uint64_t base, std::uint32_t count, std::uint32_t bytes) {
  stored_batch b;
  b.base = queue_offset{base};
  b.header.count = count;
  b.header.size = bytes;
  b.data = block::copy_of(std::vector<char>(bytes));
  return b;
}

std::vector<std::uint64_t> bases(const std::optional<std::vector<stored_batch>>& found) {
  std::vector<std::uint64_t> out;
  for (const auto& b : found.value_or(std::vector<stored_batch>{}))
    out.push_back(b.base.value);
  return out;
}

class tail : public testing::Test {
protected:
  std::shared_ptr<byte_budget> budget_ = std::make_shared<byte_budget>(100'000);
  using list = std::vector<std::uint64_t>;
};

TEST_F(tail, gives_batches_from_the_one_that_holds_the_offset) {
  hot_tail aut{budget_};
  for (std::uint64_t base : {100, 110, 120})
    aut.push(batch_at(base, 10, 100));
  EXPECT_EQ(bases(aut.read(queue_offset{100}, 1000)), (list{100, 110, 120}));
  EXPECT_EQ(bases(aut.read(queue_offset{119}, 1000)), (list{110, 120}));
  EXPECT_EQ(bases(aut.read(queue_offset{129}, 1000)), (list{120}));
  EXPECT_FALSE(aut.read(queue_offset{99}, 1000));
  EXPECT_FALSE(aut.read(queue_offset{130}, 1000));
}

TEST_F(tail, keeps_to_the_bytes_asked_for_but_gives_one_batch_at_least) {
  hot_tail aut{budget_};
  for (std::uint64_t base : {0, 1, 2})
    aut.push(batch_at(base, 1, 100));
  EXPECT_EQ(bases(aut.read(queue_offset{0}, 200)), (list{0, 1}));
  EXPECT_EQ(bases(aut.read(queue_offset{0}, 1)), (list{0}));
}

TEST_F(tail, holds_the_newest_batches_within_its_limit) {
  hot_tail aut{budget_, 2'000};
  for (std::uint64_t base = 0; base < 100; ++base)
    aut.push(batch_at(base, 1, 500));
  EXPECT_LE(aut.bytes(), 2'000u);
  EXPECT_EQ(budget_->used(), aut.bytes());
  EXPECT_FALSE(aut.read(queue_offset{90}, 1000));
  EXPECT_TRUE(aut.read(queue_offset{99}, 1000));
}

TEST_F(tail, is_empty_after_a_batch_above_its_limit) {
  hot_tail aut{budget_, 2'000};
  aut.push(batch_at(0, 1, 100));
  aut.push(batch_at(1, 1, 5'000));
  EXPECT_TRUE(aut.empty());
  EXPECT_EQ(budget_->used(), 0u);
}

TEST_F(tail, starts_anew_at_a_batch_that_does_not_follow) {
  hot_tail aut{budget_};
  aut.push(batch_at(0, 10, 100));
  aut.push(batch_at(20, 10, 100));
  EXPECT_FALSE(aut.read(queue_offset{5}, 1000));
  EXPECT_EQ(bases(aut.read(queue_offset{20}, 1000)), (list{20}));
}

TEST_F(tail, gives_up_its_own_oldest_batches_when_the_nodes_budget_is_used_up) {
  hot_tail aut{budget_};
  for (std::uint64_t base = 0; base < 5; ++base)
    aut.push(batch_at(base, 1, 10'000));
  const auto others = budget_->limit() - budget_->used();
  ASSERT_TRUE(budget_->try_take(others));
  aut.push(batch_at(5, 1, 10'000));
  EXPECT_EQ(bases(aut.read(queue_offset{1}, 100'000)), (list{1, 2, 3, 4, 5}));
  aut.clear();
  ASSERT_TRUE(budget_->try_take(budget_->limit() - budget_->used()));
  aut.push(batch_at(6, 1, 10'000));
  EXPECT_TRUE(aut.empty()) << "there is nothing left to take";
}

TEST_F(tail, returns_its_budget_when_it_ends) {
  {
    hot_tail aut{budget_};
    aut.push(batch_at(0, 1, 1'000));
    EXPECT_GT(budget_->used(), 1'000u);
  }
  EXPECT_EQ(budget_->used(), 0u);
}

} // namespace
} // namespace troupe
