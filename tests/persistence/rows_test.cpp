#include "rows.hpp"

#include "lmdb.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <string>

namespace troupe::test {
namespace {

std::string hex(std::span<const char> bytes) {
  std::string out;
  for (char c : bytes) {
    constexpr const char* digits = "0123456789abcdef";
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// The bytes below are what is on disks: a change here is a new format version (docs/disk-format.md).

TEST(golden_rows, of_keys) {
  EXPECT_EQ(hex(key_of(log_index{0x0102030405060708})), "0807060504030201");
  EXPECT_EQ(hex(key_of(queue_id{0x01020304}, queue_offset{5})), "010203040000000000000005");
  EXPECT_EQ(hex(key_of(queue_id{1}, producer_id{0xaabb})), "00000001000000000000aabb");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2}, 3)), "000000010000000203");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2}, 3, 4)), "0000000100000002030000000000000004");
  EXPECT_EQ(hex(key_of(topic_id{7})), "7400000007");
  EXPECT_EQ(hex(key_of(group_id{7})), "6700000007");
  EXPECT_EQ(hex(end_key(queue_id{1})), "000000020000000000000000");
  EXPECT_EQ(hex(end_key(queue_id{0xffffffff})), "ffffffffffffffffffffffff");
}

TEST(golden_rows, of_meta) {
  EXPECT_EQ(hex(encode(format_row{1, shard_id{2}, 3})), "01000000020003000000000000000000");
  EXPECT_EQ(hex(encode(state_row{log_index{9}, log_index{10}, from_unix_ms(11), 12})),
            "09000000000000000a000000000000000b000000000000000c00000000000000");
  EXPECT_EQ(hex(encode(ids_row{topic_id{1}, queue_id{2}, group_id{3}})), "01000000020000000300000000000000");
}

TEST(golden_rows, of_queues) {
  const queue_row row{queue_id{1},     queue_offset{2}, log_index{3},  4, 5,
                      from_unix_ms(6), from_unix_ms(7), 0x0800000000u, 9, 10};
  EXPECT_EQ(hex(encode(row)), "0300000000000000"
                              "04000000"
                              "05000000"
                              "0600000000000000"
                              "0700000000000000"
                              "0000000008000000"
                              "09000000"
                              "0a000000");
  EXPECT_EQ(decode_queue(key_of(row.queue, row.base), encode(row)), row);
}

TEST(golden_rows, of_producers) {
  producer_row row{producer_epoch{2}, batch_sequence{300}, from_unix_ms(5), {}};
  row.verdicts.push_back({log_index{1000}, 1, queue_offset{500}, 20});
  row.verdicts.push_back({log_index{998}, 0, queue_offset{300}, 200});
  std::vector<char> out;
  encode(row, out);
  EXPECT_EQ(hex(out), "02000000"
                      "0200"
                      "0000"
                      "2c01000000000000"
                      "0500000000000000"
                      "e807"
                      "01"
                      "f403"
                      "14"
                      "02"
                      "00"
                      "c801"
                      "c801");
  EXPECT_EQ(decode_producer(out).verdicts, row.verdicts);
}

TEST(golden_rows, of_subscriptions_and_settled_chunks) {
  EXPECT_EQ(hex(encode(generation{1}, queue_offset{258})), "01000000000000000201000000000000");
  settled_row row;
  row.settle(1, 3);
  row.settle(8, 9);
  row.settle(1023, 1024);
  row.retry({5, 2, from_unix_ms(7)});
  std::vector<char> out;
  encode(row, out);
  EXPECT_EQ(hex(out), "0601" + std::string(250, '0') + "80" +
                          "0500"
                          "0200"
                          "0700000000000000");
}

TEST(rows, refuse_bytes_of_another_size_or_order) {
  const std::string bytes(200, '\x7f');
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const std::span<const char> value(bytes.data(), n);
    if (n != 48) {
      EXPECT_THROW(decode_queue(key_of(queue_id{1}, queue_offset{1}), value), storage_error) << n;
    }
    if (n != 16) {
      EXPECT_THROW(decode_subscription(value), storage_error) << n;
      EXPECT_THROW(decode_ids(value), storage_error) << n;
    }
    if (n != 32) {
      EXPECT_THROW(decode_state(value), storage_error) << n;
    }
    EXPECT_THROW(decode_producer(value), storage_error) << n; // 0x7f7f verdicts
    if (n < 128 || (n - 128) % 12 || n > 128) {
      EXPECT_THROW(decode_settled(value), storage_error) << n; // position 0x7f7f
    }
  }
}

TEST(rows, come_back_as_they_were_written) {
  random_source random(1);
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 1000; ++i) {
    producer_row row{producer_epoch{static_cast<std::uint32_t>(random.next())},
                     batch_sequence{random.next() | 64},
                     from_unix_ms(static_cast<std::int64_t>(random.below(1u << 30))),
                     {}};
    std::uint64_t index = random.next() >> random.below(40), base = random.next() >> random.below(40);
    for (auto n = random.between(1, 64); n > 0; --n) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(random.below(5000), base));
      base -= count;
      row.verdicts.push_back(
          {log_index{index}, static_cast<std::uint32_t>(random.next()), queue_offset{base}, count});
      index -= std::min<std::uint64_t>(index, random.below(3));
    }
    std::vector<char> out;
    encode(row, out);
    const auto again = decode_producer(out);
    EXPECT_EQ(again.verdicts, row.verdicts);
    EXPECT_EQ(again.last, row.last);
    EXPECT_EQ(again.epoch, row.epoch);
    EXPECT_EQ(again.last_time, row.last_time);
  }
}

TEST(rows, made_of_random_bytes_are_refused_or_read_but_never_bring_the_program_down) {
  random_source random(99);
  SCOPED_TRACE(random.describe());
  std::vector<char> good;
  producer_row row{producer_epoch{1}, batch_sequence{70}, {}, {}};
  for (std::uint64_t i = 0; i < 64; ++i)
    row.verdicts.push_back({log_index{1000 - i}, 3, queue_offset{900 - i}, 1});
  encode(row, good);
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes =
        random.one_in(2) ? std::string(good.begin(), good.end()) : random.bytes(random.below(300));
    for (auto n = random.below(4); n > 0 && !bytes.empty(); --n)
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (random.one_in(8))
      bytes.resize(random.below(bytes.size() + 1));
    auto attempt = [&](auto&& decode) {
      try {
        decode();
        ++read;
      } catch (const storage_error& e) {
        EXPECT_EQ(e.code, MDB_CORRUPTED);
      }
    };
    attempt([&] { EXPECT_LE(decode_producer(bytes).verdicts.size(), producer_row::window); });
    attempt([&] { EXPECT_LE(decode_settled(bytes).retries.size(), settled_row::chunk); });
    attempt([&] { decode_queue(bytes, bytes); });
    attempt([&] { decode_subscription(bytes); });
    attempt([&] { decode_state(bytes); });
    attempt([&] { decode_ids(bytes); });
    attempt([&] { decode_format(bytes); });
    attempt([&] { chunk_of(bytes); });
    attempt([&] { producer_of(bytes); });
    attempt([&] { index_of(bytes); });
  }
  EXPECT_GT(read, 1000);
}

TEST(settled_rows, agree_with_a_plain_array_of_flags) {
  random_source random(7);
  SCOPED_TRACE(random.describe());
  settled_row row;
  std::array<bool, settled_row::chunk> flags{};
  for (int i = 0; i < 200; ++i) {
    const auto from = static_cast<std::uint32_t>(random.below(settled_row::chunk));
    const auto to = static_cast<std::uint32_t>(
        random.between(from + 1, std::min<std::uint64_t>(from + 40, settled_row::chunk)));
    if (random.one_in(3)) {
      row.retry({static_cast<std::uint16_t>(from), 1, {}});
    } else {
      row.settle(from, to);
      std::fill(flags.begin() + from, flags.begin() + to, true);
    }
    const auto at = static_cast<std::uint32_t>(random.below(settled_row::chunk));
    EXPECT_EQ(row.settled(at), flags[at]);
    const auto open = std::find(flags.begin() + at, flags.end(), false) - flags.begin();
    EXPECT_EQ(row.first_open(at), static_cast<std::uint32_t>(open));
    EXPECT_THAT(row.retries, testing::Each(testing::Truly([&](const retry_row& r) { return !flags[r.at]; })));
    const bool retries = std::ranges::any_of(row.retries, [&](const retry_row& r) { return r.at >= at; });
    EXPECT_EQ(row.empty_from(at),
              !retries && std::find(flags.begin() + at, flags.end(), true) == flags.end());
    std::vector<char> out;
    encode(row, out);
    EXPECT_EQ(decode_settled(out).bits, row.bits);
    EXPECT_EQ(decode_settled(out).retries, row.retries);
  }
}

} // namespace
} // namespace troupe::test
