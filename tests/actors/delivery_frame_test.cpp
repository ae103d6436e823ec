#include "troupe/delivery_frame.hpp"

#include "random_source.hpp"
#include "schemas/random_records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace troupe {
namespace {

using test::random_source;
using testing::ElementsAre;

constexpr shard_id shard{3};

std::vector<message> plain_messages(std::size_t n, std::size_t size = 100) {
  std::vector<message> all(n);
  for (std::size_t i = 0; i < n; ++i) {
    all[i].body = std::to_string(i) + std::string(size, 'x');
    all[i].tag = i % 2 ? "odd" : "even";
    all[i].born = from_unix_ms(1'700'000'000'000);
  }
  return all;
}

delivery_segment segment(const std::vector<message>& messages, std::uint64_t base, std::uint32_t from,
                         std::uint32_t to) {
  auto b = test::build(messages);
  b.header.producer = producer_id{77};
  b.header.epoch = producer_epoch{2};
  b.header.sequence = batch_sequence{9};
  return {b.header, queue_offset{base}, log_index{40}, 7, from_unix_ms(1'700'000'000'123), 2, {}, from, to,
          b.data};
}

struct row {
  std::uint64_t offset;
  std::uint32_t ordinal;
  std::uint16_t attempts;
  std::string body;
  bool operator==(const row&) const = default;
};

std::vector<row> rows(const block& frame) {
  std::vector<row> out;
  auto all = unpack_frame(frame, shard);
  EXPECT_TRUE(all) << to_string(all.error());
  if (all)
    for (const auto& d : *all)
      out.push_back({d.offset.value, d.id.ordinal, d.attempts, std::string{d.message.body}});
  return out;
}

TEST(delivery_frame, carries_whole_batches_as_they_are) {
  const auto messages = plain_messages(3);
  auto frame = pack_frame({segment(messages, 1000, 0, 3)});
  auto all = unpack_frame(frame, shard);
  ASSERT_TRUE(all) << to_string(all.error());
  ASSERT_EQ(all->size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto& d = (*all)[i];
    EXPECT_EQ(d.offset, queue_offset{1000 + i});
    EXPECT_EQ(d.id, (message_id{shard, log_index{40}, 7 + i}));
    EXPECT_EQ(d.attempts, 2);
    EXPECT_EQ(d.stored, from_unix_ms(1'700'000'000'123));
    EXPECT_EQ(d.message.materialize(), messages[i]);
  }
}

TEST(delivery_frame, carries_only_the_messages_that_are_meant) {
  const auto messages = plain_messages(4, 1);
  auto picked = segment(messages, 50, 0, 0);
  picked.picked = {1, 3};
  const auto all = rows(pack_frame({segment(messages, 10, 1, 3), segment(messages, 20, 2, 2), picked}));
  EXPECT_THAT(
      all, ElementsAre(row{11, 8, 2, "1x"}, row{12, 9, 2, "2x"}, row{51, 8, 2, "1x"}, row{53, 10, 2, "3x"}));
}

TEST(delivery_frame, repacks_a_large_batch_of_which_little_is_meant) {
  const auto messages = plain_messages(1000);
  auto sparse = segment(messages, 5000, 0, 0);
  sparse.picked = {0, 500, 999};
  const auto whole = pack_frame({segment(messages, 5000, 0, 1000)});
  const auto frame = pack_frame({sparse, segment(messages, 6000, 10, 20)});
  EXPECT_LT(frame.size, whole.size / 20);
  auto all = rows(frame);
  ASSERT_EQ(all.size(), 13u);
  EXPECT_EQ(all[1], (row{5500, 507, 2, messages[500].body}));
  EXPECT_EQ(all[2], (row{5999, 1006, 2, messages[999].body}));
  EXPECT_EQ(all[3], (row{6010, 17, 2, messages[10].body}));
}

TEST(delivery_frame, gives_messages_of_one_batch_with_different_attempts_in_offset_order) {
  const auto messages = plain_messages(4, 1);
  auto even = segment(messages, 0, 0, 0);
  even.picked = {0, 2};
  auto odd = even;
  odd.picked = {1, 3};
  odd.attempts = 5;
  EXPECT_THAT(rows(pack_frame({even, odd})),
              ElementsAre(row{0, 7, 2, "0x"}, row{1, 8, 5, "1x"}, row{2, 9, 2, "2x"}, row{3, 10, 5, "3x"}));
}

TEST(delivery_frame, without_messages_is_a_frame_too) {
  EXPECT_THAT(rows(pack_frame({})), ElementsAre());
  auto reader = frame_reader::open(pack_frame({}), shard);
  ASSERT_TRUE(reader);
  EXPECT_FALSE(reader->next());
  EXPECT_FALSE(reader->next());
}

TEST(delivery_frame, the_reader_walks_over_what_unpacking_gives) {
  random_source random{5};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 200; ++round) {
    std::vector<delivery_segment> segments;
    std::vector<message> expected;
    std::uint64_t base = 0;
    for (auto n = random.between(1, 4); n > 0; --n) {
      auto messages = test::random_messages(random, 60);
      messages.push_back(test::random_message(random));
      const auto count = static_cast<std::uint32_t>(messages.size());
      auto s = segment(messages, base, 0, 0);
      base += count + random.below(3);
      if (random.one_in(2)) {
        s.from = static_cast<std::uint32_t>(random.below(count));
        s.to = s.from + 1 + static_cast<std::uint32_t>(random.below(count - s.from));
        for (auto i = s.from; i < s.to; ++i)
          expected.push_back(messages[i]);
      } else {
        for (std::uint32_t i = 0; i < count; ++i)
          if (random.one_in(4)) {
            s.picked.push_back(i);
            expected.push_back(messages[i]);
          }
      }
      segments.push_back(std::move(s));
    }
    const auto frame = pack_frame(segments);
    auto reader = frame_reader::open(frame, shard);
    auto all = unpack_frame(frame, shard);
    ASSERT_TRUE(reader) << to_string(reader.error());
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), expected.size());
    ASSERT_EQ(reader->size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(reader->next());
      ASSERT_EQ(reader->offset(), (*all)[i].offset);
      ASSERT_EQ(reader->id(), (*all)[i].id);
      ASSERT_EQ(reader->attempts(), (*all)[i].attempts);
      ASSERT_EQ(reader->stored(), (*all)[i].stored);
      ASSERT_EQ(reader->body(), expected[i].body);
      ASSERT_EQ(reader->message().materialize(), expected[i]);
      ASSERT_EQ((*all)[i].message.materialize(), expected[i]);
    }
    ASSERT_FALSE(reader->next());
  }
}

TEST(delivery_frame, a_flipped_bit_in_a_batch_is_found) {
  const auto frame = pack_frame({segment(plain_messages(10), 0, 0, 10)});
  test::writable_copy copy{frame.bytes()};
  copy.bytes()[copy.bytes().size() - 20] ^= 4;
  auto all = unpack_frame(copy.as_block(), shard);
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code, errc::corrupt);
}

TEST(delivery_frame, every_shorter_or_longer_frame_is_refused) {
  auto sparse = segment(plain_messages(100), 0, 0, 0);
  sparse.picked = {1, 50};
  const auto frame = pack_frame({segment(plain_messages(2, 1), 0, 0, 2), sparse});
  for (std::uint32_t n = 0; n < frame.size; ++n)
    ASSERT_FALSE(unpack_frame(frame.slice(0, n), shard)) << n << " bytes";
  std::string longer{frame.view()};
  longer.append(8, '\0');
  EXPECT_FALSE(unpack_frame(block::copy_of(longer), shard));
}

TEST(delivery_frame, another_version_is_refused_as_unknown) {
  const auto frame = pack_frame({segment(plain_messages(1), 0, 0, 1)});
  test::writable_copy copy{frame.bytes()};
  copy.bytes()[4] = 2;
  EXPECT_EQ(unpack_frame(copy.as_block(), shard).error().code, errc::unknown_version);
}

TEST(delivery_frame, heads_that_contradict_themselves_are_refused) {
  auto sparse = segment(plain_messages(100), 0, 0, 0);
  sparse.picked = {1, 50};
  const auto whole = pack_frame({segment(plain_messages(5), 0, 1, 4)});
  const auto few = pack_frame({sparse});
  constexpr std::size_t at_segment = 16;
  struct damage {
    const block& frame;
    std::size_t at;
    std::uint32_t value;
  };
  const damage all[] = {
      {whole, 8, 0}, // segments
      {whole, 8, 2},
      {whole, 12, 99},              // messages
      {whole, at_segment + 4, ~0u}, // base
      {whole, at_segment + 60, 4},  // from = to
      {whole, at_segment + 64, 6},  // to > count
      {whole, at_segment + 68, 1},  // positions that are not there
      {whole, at_segment + 68, ~0u},
      {whole, at_segment + 52, ~0u}, // size
      {whole, at_segment + 48, 4},   // count
      {whole, at_segment + 76, 1},   // repacked without positions
      {whole, at_segment + 76, 2},   // unknown flags
      {few, at_segment + 80, 50},    // positions that do not ascend
      {few, at_segment + 84, 20000}, // beyond any batch
      {few, at_segment + 68, 1},
  };
  for (const auto& d : all) {
    test::writable_copy copy{d.frame.bytes()};
    std::memcpy(copy.bytes().data() + d.at, &d.value, sizeof d.value);
    EXPECT_FALSE(unpack_frame(copy.as_block(), shard)) << "value " << d.value << " at " << d.at;
  }
}

} // namespace
} // namespace troupe
