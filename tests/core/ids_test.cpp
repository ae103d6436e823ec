#include "troupe/ids.hpp"

#include "random_source.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

TEST(message_id, comes_back_from_its_text) {
  test::random_source random{1};
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 1000; ++i) {
    message_id id{shard_id{static_cast<std::uint16_t>(random.next())},
                  log_index{random.next() >> random.below(63)}, static_cast<std::uint32_t>(random.next())};
    id.index.value += id.index.value == 0;
    EXPECT_EQ(parse_message_id(to_string(id)), id) << to_string(id);
  }
}

TEST(message_id, is_written_as_shard_index_and_ordinal) {
  EXPECT_EQ(to_string(message_id{shard_id{3}, log_index{42}, 7}), "3-42-7");
  message_id largest{shard_id{65535}, log_index{std::numeric_limits<std::uint64_t>::max()}, 4294967295u};
  EXPECT_EQ(to_string(largest), "65535-18446744073709551615-4294967295");
  EXPECT_EQ(parse_message_id(to_string(largest)), largest);
}

TEST(message_id, is_not_read_from_anything_else) {
  for (const auto* text : {"",
                           "-",
                           "--",
                           "1",
                           "1-2",
                           "1-2-",
                           "-2-3",
                           "1--3",
                           "1-2-3-",
                           "1-2-3 ",
                           " 1-2-3",
                           "1-2-3-4",
                           "+1-2-3",
                           "1-+2-3",
                           "a-2-3",
                           "1-2-x",
                           "01-2-3",
                           "1-02-3",
                           "1-2-00",
                           "65536-2-3",
                           "1-18446744073709551616-3",
                           "1-2-4294967296",
                           "1-0-3",
                           "1.2.3",
                           "0x1-2-3"})
    EXPECT_FALSE(parse_message_id(text)) << text;
}

TEST(transaction_id, comes_back_from_its_text_and_is_not_read_from_anything_else) {
  const transaction_id largest{shard_id{65535}, log_index{std::numeric_limits<std::uint64_t>::max()}};
  EXPECT_EQ(to_string(transaction_id{shard_id{3}, log_index{42}}), "3-42");
  EXPECT_EQ(parse_transaction_id("3-42"), (transaction_id{shard_id{3}, log_index{42}}));
  EXPECT_EQ(parse_transaction_id(to_string(largest)), largest);
  for (const auto* text :
       {"", "3", "3-", "-42", "3-0", "3-42-", "3-42-1", "03-42", "3-042", "+3-42", "3 -42", "65536-1"})
    EXPECT_FALSE(parse_transaction_id(text)) << text;
}

} // namespace
} // namespace troupe
