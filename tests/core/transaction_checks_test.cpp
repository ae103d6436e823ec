#include "troupe/transaction_checks.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

constexpr timestamp start = from_unix_ms(1'700'000'000'000);

TEST(CheckSchedule, AsksAfterSixSecondsThenEveryThirtyFifteenTimesAndThenNoMore) {
  const check_schedule s;
  EXPECT_FALSE(validate(s));
  auto at = s.first(start);
  EXPECT_EQ(at, start + 6s);
  std::uint32_t checks = 0;
  for (; checks < 14; at += 30s)
    EXPECT_EQ(s.next(++checks, at), at + 30s);
  EXPECT_EQ(s.next(++checks, at), std::nullopt);
  EXPECT_EQ(checks, 15u);
}

TEST(CheckSchedule, RefusesTimesAndNumbersThatMakeNoSense) {
  EXPECT_EQ(validate(check_schedule{.after = 0ms}).code, errc::invalid_argument);
  EXPECT_EQ(validate(check_schedule{.every = 24h * 31}).code, errc::invalid_argument);
  EXPECT_EQ(validate(check_schedule{.most = 0}).code, errc::invalid_argument);
  EXPECT_EQ(validate(check_schedule{.most = 1'000'001}).code, errc::invalid_argument);
  EXPECT_EQ(validate(check_schedule{.gathering = -1ms}).code, errc::invalid_argument);
}

TEST(CheckStep, WhatIsPreparedIsAskedAboutWhenSomebodyCouldAnswer) {
  EXPECT_EQ(step_for(check_subject::prepared, true), check_step::ask);
  EXPECT_EQ(step_for(check_subject::prepared, false), check_step::rollback);
}

TEST(CheckStep, WhatWasNotPreparedInTimeIsRolledBack) {
  EXPECT_EQ(step_for(check_subject::begun, true), check_step::rollback);
  EXPECT_EQ(step_for(check_subject::begun, false), check_step::rollback);
}

TEST(CheckStep, WhatIsInDoubtGoesByHomeAndUnknownThereMeansRolledBack) {
  EXPECT_EQ(step_for(check_subject::in_doubt, true, home_answer::committed), check_step::commit);
  EXPECT_EQ(step_for(check_subject::in_doubt, true, home_answer::rolled_back), check_step::rollback);
  EXPECT_EQ(step_for(check_subject::in_doubt, true, home_answer::undecided), check_step::later);
  using state = transaction_state;
  EXPECT_EQ(answer_of(state::unknown, false), home_answer::rolled_back);
  EXPECT_EQ(answer_of(state::rolled_back, true), home_answer::rolled_back);
  EXPECT_EQ(answer_of(state::begun, false), home_answer::undecided);
  EXPECT_EQ(answer_of(state::prepared, true), home_answer::undecided);
  EXPECT_EQ(answer_of(state::committed, true), home_answer::committed);
}

TEST(CheckStep, WhatTheCommitDidNotListIsRolledBack) {
  EXPECT_EQ(answer_of(transaction_state::committed, false), home_answer::rolled_back);
}

TEST(CheckStep, ARowAtHomeIsWhatItsStateSays) {
  EXPECT_EQ(subject_of(transaction_state::begun), check_subject::begun);
  EXPECT_EQ(subject_of(transaction_state::prepared), check_subject::prepared);
  EXPECT_EQ(subject_of(transaction_state::committed), check_subject::unconfirmed);
  EXPECT_EQ(subject_of(transaction_state::rolled_back), check_subject::unconfirmed);
  EXPECT_EQ(step_for(check_subject::unconfirmed, true), check_step::spread);
}

using turn = checker_groups::turn;

TEST(CheckerGroups, AreAskedInTurn) {
  checker_groups all;
  for (std::uint64_t member : {3, 1, 2})
    EXPECT_FALSE(all.add("shop", member));
  EXPECT_FALSE(all.add("bank", 9));
  for (std::uint64_t expected : {1, 2, 3, 1})
    EXPECT_EQ(all.next("shop", 1, 0ms).member, expected);
  EXPECT_EQ(all.next("bank", 1, 0ms).member, 9u);
  EXPECT_EQ(all.next("nobody", 1, 0ms).what, turn::nobody);
}

TEST(CheckerGroups, AMemberThatIsGoneIsAskedNoMoreAndTheNextHasItsTurn) {
  checker_groups all;
  for (std::uint64_t member : {1, 2, 3})
    ASSERT_FALSE(all.add("shop", member));
  EXPECT_EQ(all.next("shop", 1, 0ms).member, 1u);
  all.remove(2);
  EXPECT_EQ(all.next("shop", 1, 0ms).member, 3u);
  all.remove(1);
  all.remove(3);
  all.remove(3);
  EXPECT_EQ(all.next("shop", 1, 0ms).what, turn::nobody);
  EXPECT_EQ(all.members(), 0u);
}

TEST(CheckerGroups, AMemberThatDoesNotDealWithItsQuestionsGetsNoMoreOfThem) {
  checker_groups all;
  ASSERT_FALSE(all.add("shop", 1));
  ASSERT_FALSE(all.add("shop", 2));
  for (std::uint32_t i = 0; i < 2 * checker_groups::most_open; ++i)
    ASSERT_EQ(all.next("shop", 1, 0ms).what, turn::found);
  EXPECT_EQ(all.next("shop", 1, 0ms).what, turn::busy);
  all.answered(2, 1);
  EXPECT_EQ(all.next("shop", 1, 0ms).member, 2u);
  EXPECT_EQ(all.next("shop", 1, 0ms).what, turn::busy);
  all.answered(1, 1'000'000);
  EXPECT_EQ(all.next("shop", 1, 0ms).member, 1u);
  all.answered(7, 1);
}

TEST(CheckerGroups, OneQuestionOfAnySizeIsAskedAndNoOtherBesideIt) {
  checker_groups all;
  ASSERT_FALSE(all.add("shop", 1));
  EXPECT_EQ(all.next("shop", 1'000'000, 0ms).what, turn::found);
  EXPECT_EQ(all.next("shop", 1, 0ms).what, turn::busy);
  all.answered(1, 1'000'000);
  EXPECT_EQ(all.next("shop", 1, 0ms).what, turn::found);
}

TEST(CheckerGroups, AGroupThatDealsWithNothingForHalfAMinuteCountsAsNobody) {
  checker_groups all;
  ASSERT_FALSE(all.add("shop", 1));
  ASSERT_EQ(all.next("shop", checker_groups::most_open, 0ms).what, turn::found);
  EXPECT_EQ(all.next("shop", 1, 5s).what, turn::busy);
  EXPECT_EQ(all.next("shop", 1, 34s).what, turn::busy);
  EXPECT_EQ(all.next("shop", 1, 35s).what, turn::nobody);
  all.answered(1, 1);
  EXPECT_EQ(all.next("shop", 1, 36s).what, turn::found);
  EXPECT_EQ(all.next("shop", 1, 36s).what, turn::busy);
}

TEST(CheckerGroups, TakeNoMoreThanTheyMay) {
  checker_groups all;
  for (std::uint64_t i = 1; i <= checker_groups::most_members; ++i)
    ASSERT_FALSE(all.add("shop", i));
  EXPECT_EQ(all.add("shop", 1 << 20).code, errc::overloaded);
  EXPECT_FALSE(all.add("shop", 1));
}

} // namespace
} // namespace troupe
