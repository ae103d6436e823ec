#include "crc32c_chain.hpp"

#include "random_source.hpp"

#include "troupe/batch.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(crc32c, gives_the_check_values_of_rfc_3720) {
  EXPECT_EQ(crc32c(std::string_view{"123456789"}), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(crc32c, of_parts_is_that_of_the_whole) {
  test::random_source random{5};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 200; ++round) {
    auto bytes = random.bytes(random.below(5000));
    std::span<const char> all(bytes);
    auto first = random.below(all.size() + 1);
    EXPECT_EQ(crc32c_chain{}.add(all.first(first)).add(all.subspan(first)).value(), crc32c(all));
  }
}

} // namespace
} // namespace troupe
