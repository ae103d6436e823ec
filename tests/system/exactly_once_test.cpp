#include "system_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <random>

/// Processors and a node that are killed at random, by the script of examples/exactly_once.
namespace troupe::test {

TEST(exactly_once_test, counts_of_two_stages_are_exact_whatever_was_killed) {
  const auto seed = std::to_string(std::random_device{}() % 32768);
  SCOPED_TRACE("seed " + seed);
  const std::filesystem::path script{TROUPE_SOURCE_DIR "/examples/exactly_once/kill_and_count"};
  const auto said = run("/bin/bash", {script.string(), TROUPE_BIN_DIR, "15", seed}, {}, 300s);
  EXPECT_EQ(said.status, 0) << said.out << said.err;
  EXPECT_THAT(said.out, testing::HasSubstr("15 kills"));
  EXPECT_THAT(said.out, testing::HasSubstr("every count is exact"));
  std::cout << said.out;
}

} // namespace troupe::test
