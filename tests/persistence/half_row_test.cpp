#include "half_row.hpp"

#include "random_source.hpp"

#include <gtest/gtest.h>

namespace troupe::test {
namespace {

using enum transaction_state;

constexpr std::int64_t start = 1'800'000'000'000;

TEST(half_rows, come_back_from_their_bytes_and_hold_what_they_were_given) {
  random_source random(17);
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 300; ++round) {
    std::vector<half_span> spans, wanted;
    std::uint32_t at = 0;
    for (auto n = random.between(1, 40); n > 0; --n) {
      at += static_cast<std::uint32_t>(random.below(3));
      half_of whose{random.letters(random.one_in(3) ? random.below(256) : 4), {}};
      if (whose.group.empty() || random.one_in(3))
        whose.transaction = {shard_id{static_cast<std::uint16_t>(random.next())},
                             log_index{random.next() | 1}};
      const auto count = static_cast<std::uint32_t>(random.between(1, random.one_in(10) ? 16384 : 5));
      add_half(spans, at, count, whose);
      at += count;
    }
    wanted = spans;
    std::vector<half_span> got;
    while (!spans.empty()) {
      auto row = half_row::take(spans, from_unix_ms(start));
      std::uint32_t messages = 0;
      for (const auto& span : row.spans()) {
        add_half(got, span.first, span.count, span.whose);
        messages += span.count;
        ASSERT_EQ(row.undecided(span, log_index{1}).size(), span.count);
      }
      ASSERT_EQ(row.undecided(), messages);
      const auto& span = row.spans()[random.below(row.spans().size())];
      const auto one = row.find(span.first + static_cast<std::uint32_t>(random.below(span.count)));
      ASSERT_TRUE(one && row.state(*one) == prepared);
      row.decide(*one, random.one_in(2));
      std::vector<char> bytes, again;
      row.encode(bytes);
      ASSERT_LE(bytes.size(), half_row::max_size);
      const auto read = half_row::decode(bytes);
      ASSERT_EQ(read.spans(), row.spans());
      ASSERT_EQ(read.undecided(), messages - 1);
      read.encode(again);
      ASSERT_EQ(again, bytes);
    }
    ASSERT_EQ(got, wanted);
  }
}

TEST(half_rows, that_are_damaged_are_refused_or_read_within_their_bytes) {
  random_source random(18);
  SCOPED_TRACE(random.describe());
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<half_span> spans{{3, 9, {"orders", {}}}, {12, 5, {"orders", {shard_id{2}, log_index{700}}}}};
    std::vector<char> bytes;
    half_row::take(spans, from_unix_ms(start)).encode(bytes);
    for (auto n = random.between(1, 3); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (random.one_in(4))
      bytes.resize(random.below(bytes.size()));
    try {
      const auto row = half_row::decode(bytes);
      for (std::uint32_t i = 0; i < 30; ++i)
        if (const auto at = row.find(i))
          (void)row.state(*at);
      ++read;
    } catch (const storage_error&) {
    }
  }
  EXPECT_GT(read, 500);
}

} // namespace
} // namespace troupe::test
