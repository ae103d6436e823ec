#include "publish_window.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

batch_header batch_of(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence) {
  return {.producer = producer_id{producer},
          .epoch = producer_epoch{epoch},
          .sequence = batch_sequence{sequence}};
}

TEST(publish_window, lets_64_batches_of_a_producer_wait_and_another_when_one_was_answered) {
  publish_window aut;
  for (std::uint64_t s = 1; s <= 64; ++s) {
    ASSERT_EQ(aut.judge(batch_of(1, 1, s), 100).code, errc::none);
    aut.entered(batch_of(1, 1, s), 100);
  }
  EXPECT_EQ(aut.judge(batch_of(1, 1, 65), 100).code, errc::overloaded);
  EXPECT_EQ(aut.judge(batch_of(2, 1, 1), 100).code, errc::none) << "another producer is not concerned";
  aut.answered(producer_id{1});
  EXPECT_EQ(aut.judge(batch_of(1, 1, 65), 100).code, errc::none);
}

TEST(publish_window, lets_8_mib_of_a_queue_wait_but_always_one_batch) {
  publish_window aut;
  EXPECT_EQ(aut.judge(batch_of(1, 1, 1), 20u << 20).code, errc::none);
  aut.entered(batch_of(1, 1, 1), 8u << 20);
  const auto v = aut.judge(batch_of(2, 1, 1), 1);
  EXPECT_EQ(v.code, errc::overloaded);
  EXPECT_NE(v.reason.find("8388608"), std::string::npos) << v.reason;
  aut.answered_bytes(8u << 20);
  EXPECT_EQ(aut.judge(batch_of(2, 1, 1), 1).code, errc::none);
}

TEST(publish_window, after_a_refusal_refuses_later_batches_with_a_gap_until_the_refused_one_comes_again) {
  publish_window aut;
  aut.refused(batch_of(1, 1, 5));
  auto v = aut.judge(batch_of(1, 1, 7), 1);
  EXPECT_EQ(v.code, errc::gap);
  EXPECT_EQ(v.expected, batch_sequence{5});
  EXPECT_EQ(aut.judge(batch_of(1, 1, 5), 1).code, errc::none);
  aut.entered(batch_of(1, 1, 5), 1);
  EXPECT_EQ(aut.judge(batch_of(1, 1, 6), 1).code, errc::none);
}

TEST(publish_window, expects_the_earliest_of_several_refused_batches) {
  publish_window aut;
  aut.refused(batch_of(1, 1, 5));
  aut.refused(batch_of(1, 1, 6));
  EXPECT_EQ(aut.judge(batch_of(1, 1, 6), 1).expected, batch_sequence{5});
}

TEST(publish_window, forgets_a_refusal_when_the_producer_starts_a_new_epoch) {
  publish_window aut;
  aut.refused(batch_of(1, 1, 5));
  EXPECT_EQ(aut.judge(batch_of(1, 2, 6), 1).code, errc::none);
  EXPECT_EQ(aut.judge(batch_of(1, 1, 6), 1).code, errc::none) << "apply() knows that the old epoch is fenced";
}

TEST(publish_window, does_not_let_an_old_epoch_change_what_the_new_one_owes) {
  publish_window aut;
  aut.refused(batch_of(1, 2, 5));
  aut.refused(batch_of(1, 1, 3));
  EXPECT_EQ(aut.judge(batch_of(1, 1, 9), 1).code, errc::none) << "left to apply(), which fences it";
  EXPECT_EQ(aut.judge(batch_of(1, 2, 6), 1).expected, batch_sequence{5});
}

TEST(publish_window, forgets_producers_that_have_nothing_on_its_way) {
  publish_window aut{{.producers = 10}};
  for (std::uint64_t p = 1; p <= 1000; ++p) {
    aut.entered(batch_of(p, 1, 1), 1);
    aut.answered(producer_id{p});
  }
  EXPECT_EQ(aut.producers(), 0u);
  for (std::uint64_t p = 1; p <= 1000; ++p)
    aut.refused(batch_of(p, 1, 1));
  EXPECT_LE(aut.producers(), 10u);
}

TEST(publish_window, does_not_wait_for_a_batch_that_has_no_place_in_any_order) {
  publish_window aut;
  aut.refused(batch_of(1, 1, 0));
  aut.refused(batch_of(1, 0, 1));
  EXPECT_EQ(aut.judge(batch_of(1, 1, 1), 1).code, errc::none);
  EXPECT_EQ(aut.producers(), 0u);
}

TEST(publish_window, is_not_confused_by_answers_it_does_not_expect) {
  publish_window aut;
  aut.answered(producer_id{9});
  aut.answered_bytes(1000);
  EXPECT_EQ(aut.bytes(), 0u);
  EXPECT_EQ(aut.producers(), 0u);
}

} // namespace
} // namespace troupe
