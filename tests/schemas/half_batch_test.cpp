#include "schemas/random_records.hpp"
#include "troupe/transaction.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using test::random_source;

std::vector<message> some_messages() {
  return {message{.body = "first"}, message{.body = "second", .born = from_unix_ms(5)}};
}

TEST(half_batch, says_whose_decision_its_messages_wait_for) {
  const half_of cases[] = {{"orders", {}},
                           {"", {shard_id{7}, log_index{12}}},
                           {std::string(max_transaction_name, 'g'), {shard_id{65535}, log_index{~0ull}}}};
  for (const auto& half : cases) {
    const auto b = test::build(some_messages(), half);
    EXPECT_EQ(b.header.kind, batch_kind::transactional);
    const auto reader = batch_reader::open(b.header, b.data);
    ASSERT_TRUE(reader) << to_string(reader.error());
    EXPECT_EQ(reader->half().copy(), half);
    EXPECT_EQ(reader->at(1).materialize(), some_messages()[1]);
    for (std::size_t shift = 0; shift < 8; ++shift) {
      test::writable_copy copy(b.data.bytes(), shift);
      const auto looked = half_of_batch(b.header, copy.bytes());
      ASSERT_TRUE(looked) << to_string(looked.error());
      EXPECT_EQ(*looked, half);
    }
  }
}

TEST(half_batch, costs_other_batches_nothing) {
  const auto plain = test::build(some_messages());
  const auto half = test::build(some_messages(), half_of{"seven", {}});
  EXPECT_EQ(half.header.size, plain.header.size + 3 * 8 + 8); // two numbers, a pointer, the name
  const auto reader = batch_reader::open(plain.header, plain.data);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->half(), half_view{});
}

TEST(half_batch, is_refused_without_anybody_to_decide_and_with_an_impossible_name) {
  auto code_of = [](const half_of& half) {
    const auto b = test::build(some_messages(), half);
    const auto looked = half_of_batch(b.header, b.data.bytes());
    return looked ? errc::none : looked.error().code;
  };
  EXPECT_EQ(code_of({"g", {}}), errc::none);
  EXPECT_EQ(code_of({}), errc::corrupt);
  EXPECT_EQ(code_of({std::string(256, 'g'), {}}), errc::corrupt);
  EXPECT_EQ(code_of({"\xff", {}}), errc::corrupt);
  auto b = test::build(some_messages());
  EXPECT_EQ(half_of_batch(b.header, b.data.bytes()).error().code, errc::corrupt);
  b.header.kind = batch_kind::transactional; // a plain batch's bytes
  EXPECT_EQ(half_of_batch(b.header, b.data.bytes()).error().code, errc::corrupt);
  EXPECT_EQ(half_of_batch(b.header, b.data.bytes().first(8)).error().code, errc::corrupt);
  // Reading one that is repacked without its name is no error: nobody asks any more.
  EXPECT_TRUE(batch_reader::open(b.header, b.data));
}

TEST(half_batch, is_never_read_outside_when_it_is_damaged) {
  random_source random{24};
  SCOPED_TRACE(random.describe());
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto b = test::build(some_messages(), half_of{random.letters(random.between(1, 40)), {}});
    test::writable_copy copy(b.data.bytes());
    for (auto changes = random.between(1, 3); changes > 0; --changes)
      copy.bytes()[random.below(80)] = static_cast<char>(random.next());
    const auto looked = half_of_batch(b.header, copy.bytes());
    ASSERT_TRUE(looked || looked.error().code == errc::corrupt);
    read += looked.has_value();
    auto header = b.header;
    header.crc = crc32c(copy.bytes());
    if (auto reader = batch_reader::open(header, copy.as_block()))
      test::walk(*reader);
  }
  EXPECT_GT(read, 1000);
}

} // namespace
} // namespace troupe
