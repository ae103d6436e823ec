#include "troupe/entry.hpp"

#include "entry_layout.hpp"
#include "schemas/random_records.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace troupe {
namespace {

namespace at = entry_layout;
namespace record = entry_layout::record;
using test::encode_entry;
using test::random_source;
using test::writable_copy;

template <class T> void put(std::span<char> bytes, std::size_t where, T value) {
  std::memcpy(bytes.data() + where, &value, sizeof value);
}

/// Reads all of an entry as a careful reader does: header, body, every batch. The first error, if any.
error read_all(const block& bytes) {
  auto header = decode_header(bytes.bytes());
  if (!header)
    return header.error();
  auto body = decode_body(*header, bytes);
  if (!body)
    return body.error();
  if (const auto* append = std::get_if<append_entry>(&*body))
    for (const auto& b : append->batches) {
      auto reader = batch_reader::open(b.header, b.data);
      if (!reader)
        return reader.error();
      test::walk(*reader);
    }
  return {};
}

bool is_refusal(const error& err) { return err.code == errc::corrupt || err.code == errc::unknown_version; }

TEST(entry, is_refused_at_every_shorter_length) {
  random_source random{70};
  SCOPED_TRACE(random.describe());
  for (std::size_t kind = 0; kind < std::variant_size_v<entry_body>; ++kind) {
    auto bytes = encode_entry(test::random_body(random, kind));
    for (std::uint32_t n = 0; n < bytes.size; ++n) {
      writable_copy cut(bytes.bytes().first(n));
      ASSERT_EQ(decode_header(cut.bytes()).error().code, errc::corrupt)
          << "kind " << kind << ", length " << n;
      // A liar whose length and checksum fit the shorter bytes.
      if (n < entry_header::size)
        continue;
      put(cut.bytes(), at::length_at, n);
      if (std::uint32_t covered; std::memcpy(&covered, cut.bytes().data() + at::covered_at, 4), covered > n)
        put(cut.bytes(), at::covered_at, n);
      test::reseal_entry(cut.bytes());
      ASSERT_TRUE(is_refusal(read_all(cut.as_block()))) << "kind " << kind << ", length " << n;
    }
  }
}

TEST(entry, is_refused_at_a_longer_length) {
  random_source random{71};
  for (std::size_t kind = 0; kind < std::variant_size_v<entry_body>; ++kind) {
    std::string longer(encode_entry(test::random_body(random, kind)).view());
    longer.append(8, '\0');
    EXPECT_EQ(decode_header(longer).error().code, errc::corrupt);
  }
}

TEST(entry, is_refused_after_20000_flips_of_up_to_3_bits) {
  random_source random{72};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = encode_entry(test::random_body(random, random.below(std::variant_size_v<entry_body>)));
    writable_copy copy(bytes.bytes());
    for (auto flips = random.between(1, 3); flips > 0; --flips)
      copy.bytes()[random.below(bytes.size)] ^= static_cast<char>(1u << random.below(8));
    if (copy.as_block().view() == bytes.view())
      continue;
    ASSERT_TRUE(is_refusal(read_all(copy.as_block()))) << "round " << round;
  }
}

TEST(entry, is_never_read_outside_when_damage_has_a_right_checksum) {
  random_source random{73};
  SCOPED_TRACE(random.describe());
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = encode_entry(test::random_body(random, random.below(std::variant_size_v<entry_body>)));
    writable_copy copy(bytes.bytes());
    for (auto changes = random.between(1, 3); changes > 0; --changes)
      copy.bytes()[random.below(bytes.size)] =
          static_cast<char>(random.one_in(2) ? random.next() : random.below(2) * 255);
    test::reseal_entry(copy.bytes());
    auto err = read_all(copy.as_block());
    ASSERT_TRUE(!err || is_refusal(err)) << to_string(err);
    accepted += !err;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(entry, of_an_unknown_version_is_refused_as_such_whatever_follows) {
  random_source random{74};
  auto bytes = encode_entry(test::random_body(random, 2));
  for (std::uint16_t version : {0, 2, 65535}) {
    writable_copy copy(bytes.bytes());
    put(copy.bytes(), at::version_at, version);
    EXPECT_EQ(decode_header(copy.bytes()).error().code, errc::unknown_version);
    test::reseal_entry(copy.bytes());
    auto err = decode_header(copy.bytes()).error();
    EXPECT_EQ(err.code, errc::unknown_version);
    EXPECT_NE(err.reason.find(std::to_string(version)), std::string::npos) << to_string(err);
    EXPECT_FALSE(err.hint.empty());
  }
}

TEST(entry, of_an_unknown_or_later_kind_is_refused_as_such_when_its_checksum_is_right) {
  random_source random{75};
  auto bytes = encode_entry(test::random_body(random, 4));
  for (std::uint16_t kind : {1, 8, 15, 65535}) {
    writable_copy copy(bytes.bytes());
    put(copy.bytes(), at::kind_at, kind);
    EXPECT_EQ(decode_header(copy.bytes()).error().code, errc::corrupt) << kind;
    test::reseal_entry(copy.bytes());
    EXPECT_EQ(decode_header(copy.bytes()).error().code, errc::unknown_version) << kind;
  }
}

/// What reading says once `change` was made and the checksum put right.
errc after(const entry_body& body, const std::function<void(std::span<char>)>& change) {
  auto bytes = encode_entry(body);
  writable_copy copy(bytes.bytes());
  change(copy.bytes());
  test::reseal_entry(copy.bytes());
  return read_all(copy.as_block()).code;
}

TEST(entry, is_refused_when_its_header_contradicts_itself) {
  entry_body trim = trim_entry{queue_id{1}, queue_offset{2}};
  auto changed = [&](std::size_t where, auto value) {
    return after(trim, [=](auto b) { put(b, where, value); });
  };
  EXPECT_EQ(after(trim, [](auto) {}), errc::none);
  EXPECT_EQ(changed(at::magic_at, std::uint32_t{0}), errc::corrupt);
  EXPECT_EQ(changed(at::length_at, std::uint32_t{56}), errc::corrupt);
  EXPECT_EQ(changed(at::batches_at, std::uint32_t{1}), errc::corrupt);
  EXPECT_EQ(changed(at::queue_at, std::uint32_t{1}), errc::corrupt);
  EXPECT_EQ(changed(at::index_at, std::uint64_t{0}), errc::corrupt);
  EXPECT_EQ(changed(at::time_at, std::int64_t{-1}), errc::corrupt);
  EXPECT_EQ(changed(at::time_at, std::int64_t{253'402'300'800'000}), errc::corrupt);
  EXPECT_EQ(changed(at::covered_at, std::uint32_t{56}), errc::corrupt);
  EXPECT_EQ(changed(at::covered_at, std::uint32_t{0}), errc::corrupt);
  EXPECT_EQ(changed(at::covered_at, std::uint32_t{0xffffffff}), errc::corrupt);
  EXPECT_EQ(changed(at::window_at, std::uint32_t{1}), errc::unknown_version);
}

TEST(entry, is_refused_when_its_directory_contradicts_its_batches) {
  message m;
  m.body = "body";
  auto b = test::build(std::vector{m});
  entry_body append = append_entry{queue_id{1}, {b, b}};
  constexpr std::size_t first = entry_header::size, second = first + record::size;
  auto changed = [&](std::size_t where, auto value) {
    return after(append, [=](auto s) { put(s, where, value); });
  };
  EXPECT_EQ(after(append, [](auto) {}), errc::none);
  EXPECT_EQ(changed(at::batches_at, std::uint32_t{0xffffffff}), errc::corrupt);
  EXPECT_EQ(changed(at::batches_at, std::uint32_t{1}), errc::corrupt);
  EXPECT_EQ(changed(first + record::begin_at, std::uint32_t{0}), errc::corrupt);
  EXPECT_EQ(changed(second + record::begin_at, std::uint32_t{56 + 2 * 48}), errc::corrupt);
  EXPECT_EQ(changed(second + record::begin_at, std::uint32_t{0xfffffff8}), errc::corrupt);
  EXPECT_EQ(changed(first + record::size_at, std::uint32_t{0}), errc::corrupt);
  EXPECT_EQ(changed(second + record::size_at, b.header.size + 8), errc::corrupt);
  EXPECT_EQ(changed(second + record::size_at, b.header.size - 8), errc::corrupt);
  EXPECT_EQ(changed(first + record::count_at, std::uint32_t{max_batch_count + 1}), errc::corrupt);
  EXPECT_EQ(changed(first + record::count_at, std::uint32_t{2}), errc::corrupt);
  EXPECT_EQ(changed(second + record::first_ordinal_at, std::uint32_t{0}), errc::corrupt);
  EXPECT_EQ(changed(second + record::first_ordinal_at, std::uint32_t{0xffffffff}), errc::corrupt);
  EXPECT_EQ(changed(first + record::crc_at, b.header.crc ^ 1), errc::corrupt);
  EXPECT_EQ(changed(first + record::kind_at, std::uint8_t{3}), errc::unknown_version);
  EXPECT_EQ(changed(first + record::reserved_at, std::uint8_t{1}), errc::unknown_version);
  EXPECT_EQ(changed(first + record::reserved_at + 5, std::uint8_t{1}), errc::unknown_version);
}

TEST(entry, may_have_gaps_in_its_ordinals_where_messages_were_taken_out) {
  message m;
  m.body = "body";
  auto b = test::build(std::vector{m});
  entry_body append = append_entry{queue_id{1}, {b, b}};
  EXPECT_EQ(
      after(append,
            [](auto s) { put(s, entry_header::size + 48 + record::first_ordinal_at, std::uint32_t{7}); }),
      errc::none);
}

TEST(entry, is_refused_when_its_values_are_impossible) {
  auto code_of = [](const entry_body& body) { return after(body, [](auto) {}); };
  settle_range range{queue_offset{1}, 1, settle_action::ack, 0, {}};
  auto settle = [&](auto change) {
    auto r = range;
    change(r);
    return settle_entry{{{group_id{1}, queue_id{1}, 0, generation{1}, {r}}}};
  };
  EXPECT_EQ(code_of(settle([](auto&) {})), errc::none);
  EXPECT_EQ(code_of(settle([](auto& r) { r.count = 0; })), errc::corrupt);
  EXPECT_EQ(code_of(settle([](auto& r) { r.first = queue_offset{~0ull}; })), errc::corrupt);
  EXPECT_EQ(code_of(settle([](auto& r) { r.retry_at = from_unix_ms(-1); })), errc::corrupt);
  EXPECT_EQ(code_of(settle([](auto& r) { r.action = static_cast<settle_action>(5); })),
            errc::unknown_version);
}

TEST(entry, does_not_take_a_header_for_that_of_other_bytes) {
  random_source random{76};
  auto one = encode_entry(trim_entry{queue_id{1}, queue_offset{2}});
  auto other = encode_entry(trim_entry{queue_id{1}, queue_offset{3}});
  auto longer = encode_entry(test::random_body(random, 1));
  auto header = *decode_header(one.bytes());
  EXPECT_EQ(decode_body(header, other).error().code, errc::corrupt);
  EXPECT_EQ(decode_body(header, longer).error().code, errc::corrupt);
  EXPECT_EQ(decode_directory(*decode_header(longer.bytes()), one.bytes()).error().code, errc::corrupt);
}

// -- definitions --

TEST(definition, is_refused_at_every_shorter_length_and_after_20000_flips) {
  random_source random{80};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 20'000; ++round) {
    bool is_topic = random.one_in(2);
    auto bytes = is_topic ? encode(test::random_topic(random)) : encode(test::random_group(random));
    auto code_of = [&](std::span<const char> b) {
      return is_topic ? decode_topic(b).error().code : decode_group(b).error().code;
    };
    if (round < 20) {
      for (std::size_t n = 0; n < bytes.size(); ++n)
        ASSERT_EQ(code_of(writable_copy(std::span(bytes).first(n)).bytes()), errc::corrupt) << n;
    }
    auto copy = bytes;
    copy[random.below(copy.size())] ^= static_cast<char>(1u << random.below(8));
    auto code = code_of(copy);
    ASSERT_TRUE(code == errc::corrupt || code == errc::unknown_version) << round;
  }
}

TEST(definition, is_never_read_outside_when_damage_has_a_right_checksum) {
  random_source random{81};
  SCOPED_TRACE(random.describe());
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    bool is_topic = random.one_in(2);
    auto bytes = is_topic ? encode(test::random_topic(random)) : encode(test::random_group(random));
    for (auto changes = random.between(1, 3); changes > 0; --changes)
      bytes[random.below(bytes.size())] =
          static_cast<char>(random.one_in(2) ? random.next() : random.below(2) * 255);
    test::reseal_definition(bytes);
    auto code = errc::none;
    if (is_topic) {
      auto topic = decode_topic(bytes);
      code = topic ? errc::none : topic.error().code;
      // Whatever was accepted keeps the promise that others build on.
      if (topic && topic->options.queues > 0) {
        EXPECT_NE(topic->queue(topic->options.queues - 1), queue_id{});
      }
    } else {
      auto group = decode_group(bytes);
      code = group ? errc::none : group.error().code;
    }
    ASSERT_TRUE(code == errc::none || code == errc::corrupt || code == errc::unknown_version);
    accepted += code == errc::none;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(definition, is_refused_when_its_queues_do_not_add_up) {
  random_source random{82};
  auto code_of = [&](auto change) {
    auto topic = test::random_topic(random);
    topic.options.queues = 8;
    topic.queues = {{queue_id{1}, 8}};
    change(topic);
    auto again = decode_topic(encode(topic));
    return again ? errc::none : again.error().code;
  };
  EXPECT_EQ(code_of([](auto&) {}), errc::none);
  EXPECT_EQ(code_of([](auto& t) { t.queues = {}; }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.queues = {{queue_id{1}, 7}}; }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.queues = {{queue_id{1}, 8}, {queue_id{9}, 0}}; }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.queues = {{queue_id{0}, 8}}; }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.queues = {{queue_id{0xfffffff9}, 8}}; }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.name.clear(); }), errc::corrupt);
  EXPECT_EQ(code_of([](auto& t) { t.id = topic_id{}; }), errc::corrupt);
}

TEST(definition, of_a_later_version_is_refused_as_such) {
  random_source random{83};
  auto group = test::random_group(random);
  group.options.mode = static_cast<group_mode>(3);
  EXPECT_EQ(decode_group(encode(group)).error().code, errc::unknown_version);
  auto bytes = encode(test::random_topic(random));
  bytes[4] = 2;
  EXPECT_EQ(decode_topic(bytes).error().code, errc::unknown_version);
}

} // namespace
} // namespace troupe
