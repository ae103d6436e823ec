#include "sequence_guard.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

constexpr queue_id q1{1};
constexpr queue_id q2{2};
const timestamp t0 = from_unix_ms(1'700'000'000'000);

batch_header batch_of(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence) {
  return {.producer = producer_id{producer},
          .epoch = producer_epoch{epoch},
          .sequence = batch_sequence{sequence}};
}

TEST(sequence_guard, is_not_sure_of_a_producer_before_one_of_its_batches_was_accepted) {
  sequence_guard aut;
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 1)));
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 2)));
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 3))) << "behind one that waits for its commit";
  EXPECT_FALSE(aut.enters(q2, batch_of(7, 1, 2))) << "sequences are those of one queue";
  EXPECT_FALSE(aut.enters(q1, batch_of(8, 1, 2)));
}

TEST(sequence_guard, is_sure_of_nobody_while_it_is_closed_and_of_those_that_stayed_afterwards) {
  sequence_guard aut;
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  aut.accepted(q1, batch_of(8, 1, 1), t0 + milliseconds{1});
  EXPECT_TRUE(aut.enters(q1, batch_of(8, 1, 2)));
  aut.close();
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 2)));
  EXPECT_FALSE(aut.enters(q1, batch_of(8, 1, 3)));
  aut.evicted(t0 + milliseconds{1});
  aut.open();
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 3))) << "it may be unknown by now";
  EXPECT_TRUE(aut.enters(q1, batch_of(8, 1, 4)));
}

TEST(sequence_guard, is_not_sure_of_repeats_and_stays_sure_of_what_follows) {
  sequence_guard aut;
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 2)));
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 1)));
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 2)));
  aut.accepted(q1, batch_of(7, 1, 2), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 3)));
}

TEST(sequence_guard, is_not_sure_of_anything_after_a_gap_until_a_batch_is_accepted) {
  sequence_guard aut;
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 3)));
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 2)));
  aut.accepted(q1, batch_of(7, 1, 2), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 3)));
}

TEST(sequence_guard, is_not_sure_of_what_follows_a_refused_batch) {
  sequence_guard aut;
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 1, 2)));
  aut.refused(q1, batch_of(7, 1, 2));
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 3)));
}

TEST(sequence_guard, is_not_sure_of_another_incarnation_until_apply_took_it) {
  sequence_guard aut;
  aut.accepted(q1, batch_of(7, 1, 1), t0);
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 2, 1)));
  EXPECT_FALSE(aut.enters(q1, batch_of(7, 1, 2))) << "it may be fenced by now";
  aut.accepted(q1, batch_of(7, 2, 1), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 2, 2)));
  aut.accepted(q1, batch_of(7, 1, 9), t0);
  EXPECT_TRUE(aut.enters(q1, batch_of(7, 2, 3))) << "an old epoch cannot set it back";
}

TEST(sequence_guard, remembers_a_bounded_number_of_producers) {
  sequence_guard aut{10};
  for (std::uint64_t p = 1; p <= 100; ++p)
    aut.accepted(q1, batch_of(p, 1, 1), t0);
  int sure = 0;
  for (std::uint64_t p = 1; p <= 100; ++p)
    sure += aut.enters(q1, batch_of(p, 1, 2)) ? 1 : 0;
  EXPECT_GT(sure, 0);
  EXPECT_LE(sure, 10);
}

} // namespace
} // namespace troupe
