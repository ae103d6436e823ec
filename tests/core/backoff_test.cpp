#include "troupe/backoff.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(Backoff, DoublesUpToTheMostAndStartsAnewAfterASuccess) {
  backoff b(milliseconds{50}, milliseconds{300});
  EXPECT_EQ(b.next(0), milliseconds{50});
  EXPECT_EQ(b.next(0), milliseconds{100});
  EXPECT_EQ(b.next(0), milliseconds{200});
  EXPECT_EQ(b.next(0), milliseconds{300});
  EXPECT_EQ(b.next(0), milliseconds{300});
  b.reset();
  EXPECT_EQ(b.next(0), milliseconds{50});
}

TEST(Backoff, ShortensEachPauseByAtMostHalf) {
  for (std::uint64_t random = 0; random < 1000; ++random) {
    backoff b(milliseconds{100}, milliseconds{100});
    const auto pause = b.next(random * 7919);
    EXPECT_GE(pause, milliseconds{50});
    EXPECT_LE(pause, milliseconds{100});
  }
}

} // namespace
} // namespace troupe
