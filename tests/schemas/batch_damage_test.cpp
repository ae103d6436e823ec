#include "troupe/batch.hpp"

#include "schemas/random_records.hpp"

#include "batch.capnp.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <functional>

namespace troupe {
namespace {

using test::build;
using test::random_source;

batch sample(random_source& random) {
  auto messages = test::random_messages(random, 20);
  messages.push_back(test::random_message(random));
  return build(messages);
}

/// Opens bytes under a header that fits them: only the structure is left to object to.
result<batch_reader> open_resealed(block data, std::uint32_t count) {
  batch_header header;
  header.count = count;
  header.size = data.size;
  header.crc = crc32c(data.bytes());
  return batch_reader::open(header, std::move(data));
}

TEST(batch_reader, refuses_every_shorter_length) {
  random_source random{20};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 20; ++round) {
    auto b = sample(random);
    for (std::uint32_t n = 0; n < b.data.size; ++n) {
      test::writable_copy cut(b.data.bytes().first(n));
      ASSERT_EQ(batch_reader::open(b.header, cut.as_block()).error().code, errc::corrupt) << n;
      // A liar whose header fits the shorter bytes. What still opens must be safe to read.
      if (auto reader = open_resealed(cut.as_block(), b.header.count))
        test::walk(*reader);
    }
  }
}

TEST(batch_reader, refuses_20000_flips_of_up_to_3_bits) {
  random_source random{21};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 20'000; ++round) {
    auto b = build(std::vector{test::random_message(random), test::random_message(random)});
    test::writable_copy copy(b.data.bytes());
    for (auto flips = random.between(1, 3); flips > 0; --flips)
      copy.bytes()[random.below(b.data.size)] ^= static_cast<char>(1u << random.below(8));
    if (copy.as_block().view() == b.data.view())
      continue;
    ASSERT_EQ(batch_reader::open(b.header, copy.as_block()).error().code, errc::corrupt) << "round " << round;
  }
}

TEST(batch_reader, never_reads_outside_when_damage_has_a_right_checksum) {
  random_source random{22};
  SCOPED_TRACE(random.describe());
  int opened = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto b = build(std::vector{test::random_message(random), test::random_message(random)});
    test::writable_copy copy(b.data.bytes());
    // Most of what matters lies in front of the blob.
    auto reach = random.one_in(2) ? std::min<std::uint64_t>(b.data.size, 128) : b.data.size;
    for (auto changes = random.between(1, 4); changes > 0; --changes)
      copy.bytes()[random.below(reach)] =
          static_cast<char>(random.one_in(2) ? random.next() : random.below(2) * 255);
    if (auto reader = open_resealed(copy.as_block(), b.header.count)) {
      test::walk(*reader);
      ++opened;
    }
  }
  // Changed bodies open, of course; if nothing did, this test would prove nothing.
  EXPECT_GT(opened, 1000);
}

TEST(batch_reader, refuses_a_header_that_contradicts_the_bytes) {
  auto b = build(std::vector<message>(3, [] {
    message m;
    m.body = "b";
    return m;
  }()));
  auto refused = [&](std::function<void(batch_header&)> change) {
    auto header = b.header;
    change(header);
    auto reader = batch_reader::open(header, b.data);
    return !reader && reader.error().code == errc::corrupt;
  };
  EXPECT_TRUE(refused([](auto& h) { h.count = 2; }));
  EXPECT_TRUE(refused([](auto& h) { h.count = 4; }));
  EXPECT_TRUE(refused([](auto& h) { h.count = 0; }));
  EXPECT_TRUE(refused([](auto& h) { h.count = max_batch_count + 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.size -= 8; }));
  EXPECT_TRUE(refused([](auto& h) { h.size += 8; }));
  EXPECT_TRUE(refused([](auto& h) { h.crc ^= 1; }));
  EXPECT_FALSE(refused([](auto&) {}));
}

TEST(batch_reader, refuses_bytes_that_are_too_many) {
  batch_header header;
  header.count = 1;
  header.size = max_batch_size + 8;
  auto data = block::copy_of(std::string(header.size, '\0'));
  header.crc = crc32c(data.bytes());
  EXPECT_EQ(batch_reader::open(header, data).error().code, errc::corrupt);
}

// -- batches that no builder of ours makes --

block encode(const std::function<void(schema::Batch::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<schema::Batch>());
  auto segments = message.getSegmentsForOutput();
  if (segments.size() != 1)
    throw std::logic_error("the test needs one segment");
  auto bytes = segments[0].asChars();
  return test::writable_copy({bytes.begin(), bytes.size()}).as_block();
}

/// Two messages of which the first has 4 bytes of attributes and 4 of body; `change` spoils them.
block two_messages(const std::function<void(schema::Batch::Builder)>& change) {
  return encode([&](schema::Batch::Builder root) {
    auto blob = root.initBlob(12);
    std::memset(blob.begin(), 'b', blob.size());
    auto metas = root.initMetas(2);
    metas[0].setTagLength(2);
    metas[0].setOrderKeyLength(2);
    metas[1].setBlobBegin(8);
    change(root);
  });
}

errc code_of(const block& data) {
  auto reader = open_resealed(data, 2);
  if (!reader)
    return reader.error().code;
  test::walk(*reader);
  return errc::none;
}

TEST(batch_reader, refuses_messages_that_do_not_lie_in_the_blob) {
  EXPECT_EQ(code_of(two_messages([](auto) {})), errc::none);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[0].setBlobBegin(1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setBlobBegin(13); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setBlobBegin(0xffffffff); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setBlobBegin(3); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setTagLength(5); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setKeysLength(0xffff); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.disownBlob(); })), errc::corrupt);
}

TEST(batch_reader, refuses_keys_and_properties_that_contradict_their_lengths) {
  auto with = [](std::uint16_t keys, std::uint16_t properties, std::string_view bytes) {
    return two_messages([=](auto b) {
      auto meta = b.getMetas()[0];
      meta.setTagLength(0);
      meta.setOrderKeyLength(0);
      meta.setKeysLength(keys);
      meta.setPropertiesLength(properties);
      auto blob = b.getBlob();
      std::memcpy(blob.begin(), bytes.data(), bytes.size());
    });
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(code_of(with(4, 0, "\2\0ab"sv)), errc::none);
  EXPECT_EQ(code_of(with(4, 0, "\3\0ab"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(4, 0, "\1\0ab"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(4, 0, "\xff\xff"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(1, 0, "\0"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(0, 6, "\1\0\1\0nv"sv)), errc::none);
  EXPECT_EQ(code_of(with(0, 6, "\1\0\2\0nv"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(0, 6, "\1\0\0\0nv"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(0, 3, "\0\0\0"sv)), errc::corrupt);
  EXPECT_EQ(code_of(with(0, 4, "\xff\xff\xff\xff"sv)), errc::corrupt);
}

TEST(batch_reader, refuses_times_that_could_overflow) {
  constexpr std::int64_t last = 253'402'300'799'999;
  EXPECT_EQ(code_of(two_messages([](auto b) { b.setBornBase(last); })), errc::none);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.setBornBase(last + 1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.setBornBase(-1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.initTtls(2).set(1, ~0ull); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.initDues(2).set(1, -1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.initBorns(2).set(0, last + 1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.initTtls(1); })), errc::corrupt);
  EXPECT_EQ(code_of(two_messages([](auto b) { b.initTtls(3); })), errc::corrupt);
}

TEST(batch_reader, never_takes_an_expiring_message_for_one_that_does_not) {
  auto data = two_messages([](auto b) {
    b.getMetas()[0].setBornDelta(-5);
    b.initTtls(2).set(0, 5);
  });
  auto reader = open_resealed(data, 2);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->meta(0).expires, from_unix_ms(1));
}

TEST(batch_reader, refuses_flags_of_a_later_version) {
  EXPECT_EQ(code_of(two_messages([](auto b) { b.getMetas()[1].setFlags(1); })), errc::unknown_version);
}

TEST(batch_reader, reads_descriptions_that_a_later_version_made_longer) {
  // A list whose elements have 4 words: the 3 of today and one more.
  std::vector<std::uint64_t> words(1 + 1 + 5 + 1 + 2 * 4 + 2);
  words[0] = 0 | (0ull << 2) | (1ull << 32) | (5ull << 48);               // root: 1 data word, 5 pointers
  words[2] = 1 | (std::uint64_t{4} << 2) | (7ull << 32) | (8ull << 35);   // metas: composite, 8 words
  words[3] = 1 | (std::uint64_t{12} << 2) | (2ull << 32) | (10ull << 35); // blob: bytes, 10
  words[7] = (2ull << 2) | (4ull << 32);                                  // tag: 2 elements of 4 words
  words[12 + 1] = 5ull << 32;                                             // second message begins at 5
  std::memcpy(&words[16], "aaaaabbbbb", 10);
  auto data = test::writable_copy({reinterpret_cast<const char*>(words.data()), words.size() * 8}).as_block();
  auto reader = open_resealed(data, 2);
  ASSERT_TRUE(reader) << to_string(reader.error());
  EXPECT_EQ(reader->body(0), "aaaaa");
  EXPECT_EQ(reader->body(1), "bbbbb");
}

} // namespace
} // namespace troupe
