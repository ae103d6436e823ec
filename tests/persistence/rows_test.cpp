#include "firsts_row.hpp"
#include "index_block.hpp"
#include "producer_record.hpp"
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
  EXPECT_EQ(hex(key_of(queue_id{0x01020304})), "01020304");
  EXPECT_EQ(hex(key_of(queue_id{1}, producer_id{0xaabb})), "00000001000000000000aabb");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2}, 3)), "000000010000000203");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2}, 3, 4)), "0000000100000002030000000000000004");
  EXPECT_EQ(hex(key_of(topic_id{7})), "7400000007");
  EXPECT_EQ(hex(key_of(group_id{7})), "6700000007");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2}, {log_index{0x0304}, 5})),
            "0000000100000002000000000000030400000005");
  EXPECT_EQ(hex(key_of(queue_id{1}, group_id{2})), "0000000100000002");
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
  std::vector<queue_run> runs{{queue_offset{5}, log_index{1000}, 1, 20, from_unix_ms(300), 104, 1104, 0},
                              {queue_offset{25}, log_index{1002}, 0, 200, from_unix_ms(300), 8, 1112, 0}};
  std::vector<char> out;
  index_block::of(runs).encode(out);
  const std::string head = "0500000000000000"
                           "e100000000000000"
                           "e803000000000000"
                           "5804000000000000"
                           "ea03000000000000"
                           "2c01000000000000"
                           "0200"
                           "000000000000";
  EXPECT_EQ(hex(out), head +
                          "e807"
                          "01"
                          "14"
                          "ac02"
                          "68"
                          "00" +
                          "02"
                          "00"
                          "c801"
                          "00"
                          "08"
                          "00");
  EXPECT_EQ(index_block::decode(out).runs(), runs);
}

TEST(golden_rows, of_a_run_that_lists_messages_of_other_entries) {
  std::vector<queue_run> runs{
      {queue_offset{5}, log_index{9}, 1, 2, from_unix_ms(3), 32, 32, 0, true},
      {queue_offset{7}, log_index{10}, 0, 1, from_unix_ms(3), 64, 96, 255, false},
  };
  std::vector<char> out;
  index_block::of(runs).encode(out);
  EXPECT_EQ(hex(out).substr(2 * 56), "09"
                                     "01"
                                     "02"
                                     "03"
                                     "20"
                                     "8002"
                                     "01"
                                     "00"
                                     "01"
                                     "00"
                                     "40"
                                     "ff01");
  EXPECT_EQ(index_block::decode(out).runs(), runs);
  out[out.size() - 1] = 4; // lane 0x27f
  EXPECT_THROW(index_block::decode(out), storage_error);
}

TEST(golden_rows, of_dead_letters_and_pins) {
  const dead_row row{queue_offset{258}, from_unix_ms(7), 16, dead_reason::rejected, "why"};
  std::vector<char> out;
  encode(row, out);
  EXPECT_EQ(hex(out), "0201000000000000"
                      "0700000000000000"
                      "1000"
                      "02"
                      "0000000000"
                      "776879");
  EXPECT_EQ(decode_dead(out), row);
  EXPECT_EQ(hex(encode_count(258)), "0201000000000000");
  EXPECT_EQ(decode_count(encode_count(258)), 258u);
  EXPECT_EQ(hex(encode_pins(258)), "02010000");
  EXPECT_EQ(decode_pins(encode_pins(258)), 258u);
}

TEST(golden_rows, of_producers) {
  producer_record r;
  r.accept(producer_epoch{2}, batch_sequence{1}, {log_index{998}, 0, queue_offset{300}, 200},
           from_unix_ms(4));
  r.accept(producer_epoch{2}, batch_sequence{2}, {log_index{1000}, 1, queue_offset{500}, 20},
           from_unix_ms(5));
  EXPECT_EQ(hex(r.value()), "02000000"
                            "0200"
                            "0000"
                            "0200000000000000"
                            "0500000000000000"
                            "e603000000000000"
                            "2c01000000000000"
                            "e803000000000000"
                            "f401000000000000"
                            "00"
                            "00"
                            "00"
                            "c801"
                            "02"
                            "01"
                            "c801"
                            "14");
}

TEST(golden_rows, of_a_producer_whose_delayed_batch_had_repeats) {
  producer_record r;
  r.accept(producer_epoch{2}, batch_sequence{1}, {log_index{998}, 0, queue_offset{300}, 0, true},
           from_unix_ms(4));
  EXPECT_EQ(hex(r.value()).substr(112), "00"
                                        "00"
                                        "00"
                                        "8080808008");
  std::string more(r.value().begin(), r.value().end());
  more[more.size() - 5] = '\x81';
  EXPECT_THROW(producer_record(more).verdicts(), storage_error);
}

TEST(golden_rows, of_the_ages_of_producers) {
  const auto key =
      key_of(producer_age{hour_of(from_unix_ms(258 * 3'600'000 + 1)), queue_id{5}, producer_id{0x0102}});
  EXPECT_EQ(hex(key), "0000000000000102"
                      "00000005"
                      "0000000000000102");
  EXPECT_EQ(age_of(key).hour, 258u);
  EXPECT_EQ(end_of_hour(258), from_unix_ms(259 * 3'600'000));
  EXPECT_THROW(age_of(std::span(key).first(19)), storage_error);
}

TEST(golden_rows, of_the_first_messages_of_keys) {
  EXPECT_EQ(hex(key_of(queue_id{5}, first_place{from_unix_ms(0x0102), log_index{0x0304}})),
            "00000005"
            "0000000000000102"
            "0000000000000304");
  std::vector<first_of_key> messages{{{0x0b, 0x01}, 7, queue_offset{258}},
                                     {{0x0a, 0x02}, 9, queue_offset{260}},
                                     {{0x0c, 0x03}, 11, std::nullopt}};
  std::vector<char> value;
  encode(messages, value);
  EXPECT_EQ(hex(value), "0201000000000000"
                        "0a00000000000000"
                        "0200000000000000"
                        "09000000"
                        "02000000"
                        "0b00000000000000"
                        "0100000000000000"
                        "07000000"
                        "00000000"
                        "0c00000000000000"
                        "0300000000000000"
                        "0b000000"
                        "ffffffff");
  const firsts_row row(value);
  EXPECT_EQ(row.find({0x0c, 0x03}), (first_of_key{{0x0c, 0x03}, 11, std::nullopt})) << "it was delayed";
  EXPECT_EQ(row.find({0x0b, 0x01}), (first_of_key{{0x0b, 0x01}, 7, queue_offset{258}}));
  EXPECT_EQ(row.find({0x0b, 0x02}), std::nullopt);
  EXPECT_THROW(firsts_row(std::span<const char>(value).first(8)), storage_error);
  EXPECT_THROW(firsts_row(std::span<const char>(value).first(33)), storage_error);
}

TEST(golden_rows, of_subscriptions_and_settled_chunks) {
  EXPECT_EQ(hex(encode(generation{1}, queue_offset{258})), "01000000000000000201000000000000");
  const auto with_expired = encode(generation{1}, queue_offset{258}, 515);
  EXPECT_EQ(hex(with_expired), "010000000000000002010000000000000302000000000000");
  EXPECT_EQ(decode_subscription(with_expired), (std::pair{generation{1}, queue_offset{258}}));
  EXPECT_EQ(decode_expired(with_expired), 515u);
  EXPECT_EQ(decode_expired(encode(generation{1}, queue_offset{258})), 0u);
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
    if (n != 16 && n != 24) {
      EXPECT_THROW(decode_subscription(value), storage_error) << n;
    }
    if (n != 16) {
      EXPECT_THROW(decode_ids(value), storage_error) << n;
    }
    if (n != 32) {
      EXPECT_THROW(decode_state(value), storage_error) << n;
    }
    EXPECT_THROW(index_block::decode(value), storage_error) << n; // 0x7f7f runs
    EXPECT_THROW(block_tail{value}, storage_error) << n;
    EXPECT_THROW(producer_record{value}, storage_error) << n; // 0x7f7f verdicts
    if (n != 128) {
      EXPECT_THROW(decode_settled(value), storage_error) << n; // position 0x7f7f
    }
  }
}

TEST(rows, of_dead_letters_refuse_what_no_dead_letter_has) {
  std::vector<char> good;
  encode(dead_row{queue_offset{1}, from_unix_ms(7), 16, dead_reason::rejected, std::string(1024, 'x')}, good);
  EXPECT_NO_THROW(decode_dead(good));
  auto with = [&](auto change) {
    auto bytes = good;
    change(bytes);
    return bytes;
  };
  EXPECT_THROW(decode_dead(with([](auto& b) { b.push_back('x'); })), storage_error);
  EXPECT_THROW(decode_dead(with([](auto& b) { b.resize(23); })), storage_error);
  EXPECT_THROW(decode_dead(with([](auto& b) { b[18] = 0; })), storage_error);
  EXPECT_THROW(decode_dead(with([](auto& b) { b[18] = 5; })), storage_error);
  EXPECT_THROW(decode_dead(with([](auto& b) { b.back() = '\xff'; })), storage_error);
  EXPECT_THROW(decode_count(encode_count(0)), storage_error);
  EXPECT_THROW(decode_count(encode_pins(1)), storage_error);
  EXPECT_THROW(decode_pins(encode_pins(0)), storage_error);
  EXPECT_THROW(decode_pins(encode_count(1)), storage_error);
}

TEST(index_blocks, appended_to_in_their_stored_form_hold_what_was_appended) {
  random_source random(1);
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 200; ++round) {
    block_tail tail;
    std::vector<queue_run> runs;
    queue_run run;
    while (!tail.full()) {
      run.index = log_index{run.index.value + random.below(1u << random.below(30)) + 1};
      run.first_ordinal = static_cast<std::uint32_t>(random.next() >> random.below(32) & 0xffffffff);
      run.count = static_cast<std::uint32_t>(random.between(1, 1u << random.below(31)));
      run.time += milliseconds{random.below(100000)};
      run.bytes = static_cast<std::uint32_t>(random.below(1u << 31));
      run.lane = static_cast<std::uint8_t>(random.below(256));
      run.lists = random.one_in(3);
      tail.append(run);
      EXPECT_EQ(run.base, runs.empty() ? queue_offset{} : runs.back().next());
      runs.push_back(run);
    }
    EXPECT_EQ(runs.size(), index_block::capacity);
    const auto block = index_block::decode(tail.value());
    EXPECT_EQ(block.runs(), runs);
    std::vector<char> again;
    block.encode(again);
    EXPECT_TRUE(std::ranges::equal(again, tail.value()));
    const auto part = random.between(1, runs.size() - 1);
    const auto rest = index_block::of(std::span(runs).subspan(part));
    rest.encode(again);
    EXPECT_EQ(index_block::decode(again).runs(),
              std::vector(runs.begin() + static_cast<std::ptrdiff_t>(part), runs.end()));
    tail.restart();
    EXPECT_TRUE(tail.empty());
    EXPECT_EQ(tail.next(), runs.back().next());
    EXPECT_EQ(tail.first(), runs.back().next());
    EXPECT_EQ(tail.end_bytes(), runs.back().end_bytes);
  }
}

TEST(producer_records, keep_the_last_64_verdicts) {
  random_source random(2);
  SCOPED_TRACE(random.describe());
  producer_record record;
  std::vector<stored_verdict> all;
  stored_verdict v;
  for (std::uint64_t sequence = 1; sequence <= 300; ++sequence) {
    v.base = queue_offset{v.base.value + v.count + random.below(1000)};
    v.index = log_index{v.index.value + random.below(1u << random.below(30))};
    v.ordinal = static_cast<std::uint32_t>(random.below(1u << random.below(32)));
    v.had_repeats = random.one_in(4);
    v.count = v.had_repeats ? 0 : static_cast<std::uint32_t>(random.below(20000));
    all.push_back(v);
    record.accept(producer_epoch{1}, batch_sequence{sequence}, v,
                  from_unix_ms(static_cast<std::int64_t>(sequence)));
    record = producer_record(record.value());
    const auto kept = std::min<std::size_t>(64, all.size());
    EXPECT_EQ(record.verdicts(), std::vector(all.end() - static_cast<std::ptrdiff_t>(kept), all.end()));
    EXPECT_EQ(record.last().value, sequence);
    const auto asked = random.between(1, sequence);
    const auto found = record.find(batch_sequence{asked});
    EXPECT_EQ(found.has_value(), asked + kept > sequence);
    if (found) {
      EXPECT_EQ(*found, all[asked - 1]);
    }
  }
  record.accept(producer_epoch{2}, batch_sequence{1}, v, from_unix_ms(5));
  EXPECT_EQ(record.verdicts(), std::vector{v});
  EXPECT_EQ(record.epoch(), producer_epoch{2});
}

TEST(rows, made_of_random_bytes_are_refused_or_read_but_never_bring_the_program_down) {
  random_source random(99);
  SCOPED_TRACE(random.describe());
  producer_record producer;
  block_tail tail;
  for (std::uint64_t i = 0; i < index_block::capacity; ++i) {
    producer.accept(producer_epoch{1}, batch_sequence{i + 1},
                    {log_index{1000 + i}, 3, queue_offset{900 + i}, 1}, {});
    queue_run run{{}, log_index{1000 + i}, 3, 20, from_unix_ms(1'700'000'000'000), 800, 0, 0};
    tail.append(run);
  }
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto good = random.one_in(2) ? producer.value() : tail.value();
    std::string bytes =
        random.one_in(3) ? random.bytes(random.below(300)) : std::string(good.begin(), good.end());
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
    attempt([&] { EXPECT_LE(producer_record(bytes).verdicts().size(), producer_record::window); });
    attempt([&] { EXPECT_LE(index_block::decode(bytes).runs().size(), index_block::capacity); });
    attempt([&] { EXPECT_LE(decode_settled(bytes).retries.size(), settled_row::chunk); });
    attempt([&] { decode_subscription(bytes); });
    attempt([&] { EXPECT_LE(decode_dead(bytes).detail.size(), max_dead_detail); });
    attempt([&] { place_of(bytes); });
    attempt([&] { decode_count(bytes); });
    attempt([&] { decode_pins(bytes); });
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
