#include "troupe/entry.hpp"

#include "schemas/random_records.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

// The bytes of every stored record, kept as text in tests/schemas/golden/. A difference means that data
// written by other versions of this program would be misread: change the format version, not the file. A new
// record's file is made by running this test with TROUPE_WRITE_GOLDEN=1, which writes what is missing or
// differs and fails.

namespace troupe {
namespace {

using test::encode_entry;

std::filesystem::path path_of(const std::string& name) {
  return std::filesystem::path(TROUPE_TEST_DATA) / "golden" / (name + ".hex");
}

std::string to_hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto c = static_cast<unsigned char>(bytes[i]);
    out += digits[c >> 4];
    out += digits[c & 15];
    out += i % 8 == 7 || i + 1 == bytes.size() ? '\n' : ' ';
  }
  return out;
}

std::string from_hex(const std::string& text) {
  std::istringstream in(text);
  std::string out, byte;
  while (in >> byte)
    out += static_cast<char>(std::stoul(byte, nullptr, 16));
  return out;
}

/// The bytes that an older program wrote: this one only reads them.
std::string written_before(const std::string& name) {
  std::ifstream in(path_of(name));
  return from_hex({std::istreambuf_iterator<char>(in), {}});
}

/// The stored bytes of a golden file, after a comparison with what this program writes.
std::string golden(const std::string& name, std::string_view written) {
  std::ifstream in(path_of(name));
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (std::getenv("TROUPE_WRITE_GOLDEN") && text != to_hex(written)) {
    std::ofstream(path_of(name)) << to_hex(written);
    ADD_FAILURE() << path_of(name) << " was written; look at the difference before you commit it";
  } else {
    EXPECT_EQ(text, to_hex(written)) << path_of(name);
  }
  return from_hex(text);
}

std::vector<message> messages() {
  message all;
  all.body = "all attributes";
  all.keys = {"key-1", "k2"};
  all.tag = "created";
  all.properties = {{"version", "1.2"}, {"empty", ""}};
  all.order_key = "customer 7";
  all.priority = 4;
  all.born = from_unix_ms(1'714'566'600'000);
  message plain;
  plain.body = "plain";
  plain.born = all.born + milliseconds{5};
  message earlier;
  earlier.body = "earlier";
  earlier.born = all.born - milliseconds{5};
  return {all, plain, earlier};
}

std::vector<message> messages_with_times() {
  auto out = messages();
  out[0].ttl = milliseconds{60'000};
  out[1].deliver_at = out[1].born + milliseconds{3'600'000};
  out[2].born = from_unix_ms(946'684'800'000);
  return out;
}

batch numbered(batch b, std::uint64_t sequence) {
  b.header.producer = producer_id{0x1122334455667788};
  b.header.epoch = producer_epoch{3};
  b.header.sequence = batch_sequence{sequence};
  return b;
}

topic_definition topic() {
  return {.id = topic_id{7},
          .name = "packages",
          .options = {.queues = 12,
                      .retention = std::chrono::hours{1},
                      .retention_bytes = 1u << 30,
                      .max_message = 1u << 20},
          .queues = {{queue_id{1}, 8}, {queue_id{33}, 4}},
          .created = from_unix_ms(1'714'566'600'000),
          .version = 2};
}

topic_definition topic_with_window() {
  auto t = topic();
  t.options.dedupe_window = std::chrono::hours{36};
  return t;
}

/// As written before groups had dead letters.
group_definition group() {
  return {.id = group_id{9},
          .name = "inventory",
          .options = {.lease = std::chrono::seconds{30},
                      .retry = retry_schedule::fixed(std::chrono::seconds{2}),
                      .max_unsettled = 500,
                      .max_attempts = 0,
                      .dead_letter_retention = milliseconds{0}},
          .subscriptions = {{topic_id{7},
                             "install || remove",
                             {start_position::kind::time, from_unix_ms(1'714'566'600'000)}},
                            {topic_id{8}, "*", {}}},
          .created = from_unix_ms(1'714'566'600'001),
          .version = 1};
}

group_definition group_with_steps() {
  auto g = group();
  g.options.retry = {.steps = {milliseconds{10}, std::chrono::seconds{30}, std::chrono::hours{2}},
                     .jitter = 20};
  g.paused = true;
  return g;
}

group_definition group_with_growing_pauses() {
  auto g = group();
  g.id = group_id{10};
  g.options.retry = {
      .steps = {}, .initial = milliseconds{250}, .factor = 150, .maximum = std::chrono::minutes{10}};
  return g;
}

group_definition ordered_group() {
  auto g = group();
  g.id = group_id{11};
  g.options.mode = group_mode::ordered;
  g.options.order_by = group_order::queue;
  g.options.order_batch = 32;
  g.options.max_attempts = 5;
  g.options.on_exhausted = exhausted_action::block;
  g.options.dead_letter_retention = std::chrono::hours{24};
  return g;
}

group_definition group_with_bounds() {
  auto g = group();
  g.id = group_id{13};
  g.options.max_unsettled_bytes = std::uint64_t{5} << 30;
  g.options.low_share = 0;
  g.options.on_expired = expired_action::dead_letter;
  return g;
}

group_definition broadcast_member() {
  auto g = group();
  g.id = group_id{12};
  g.options.mode = group_mode::broadcast;
  g.parent = group_id{10};
  g.seen = from_unix_ms(1'714'566'700'000);
  return g;
}

/// Reads a golden entry and writes it again: nothing may be lost on the way.
void expect_entry(const std::string& name, const entry_body& body) {
  entry_header header{.term = 1, .index = log_index{42}, .time = from_unix_ms(1'714'566'600'123)};
  auto stored = golden(name, encode_entry(body, header).view());
  auto bytes = test::writable_copy(stored).as_block();
  auto read = decode_header(bytes.bytes());
  ASSERT_TRUE(read) << to_string(read.error());
  auto again = decode_body(*read, bytes);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(to_hex(encode_entry(*again, *read).view()), to_hex(stored));
}

void expect_batch(const std::string& name, const std::vector<message>& wanted) {
  auto b = test::build(wanted);
  auto stored = golden(name, b.data.view());
  auto reader = batch_reader::open(b.header, test::writable_copy(stored).as_block());
  ASSERT_TRUE(reader) << to_string(reader.error());
  for (std::uint32_t i = 0; i < reader->count(); ++i)
    EXPECT_EQ(reader->at(i).materialize(), wanted[i]);
}

TEST(golden_bytes, of_a_batch) { expect_batch("batch", messages()); }
TEST(golden_bytes, of_a_batch_with_times) { expect_batch("batch_with_times", messages_with_times()); }

TEST(golden_bytes, of_batches_of_half_messages) {
  const half_of alone{"orders", {}}, together{"", {shard_id{3}, log_index{41}}};
  for (const auto& [name, half] : {std::pair{"batch_of_half_messages", alone},
                                   std::pair{"batch_of_half_messages_of_a_transaction", together}}) {
    auto b = test::build(messages(), half);
    auto stored = golden(name, b.data.view());
    auto reader = batch_reader::open(b.header, test::writable_copy(stored).as_block());
    ASSERT_TRUE(reader) << to_string(reader.error());
    EXPECT_EQ(reader->half().copy(), half);
    for (std::uint32_t i = 0; i < reader->count(); ++i)
      EXPECT_EQ(reader->at(i).materialize(), messages()[i]);
  }
}

TEST(golden_bytes, of_a_noop) { expect_entry("entry_noop", {}); }

TEST(golden_bytes, of_an_append) {
  auto delayed = numbered(test::build(messages_with_times()), 6);
  delayed.header.lane = 1;
  delayed.header.kind = batch_kind::delayed;
  expect_entry("entry_append",
               append_entry{queue_id{5}, {numbered(test::build(messages()), 4), numbered({}, 5), delayed}});
}

TEST(golden_bytes, of_a_settle) {
  settle_section first{group_id{9}, queue_id{5}, 0, generation{2}, {}};
  first.ranges = {
      {queue_offset{100}, 50, settle_action::ack, 0, {}},
      {queue_offset{150}, 1, settle_action::skip, 0, {}},
      {queue_offset{151}, 1, settle_action::retry, 3, from_unix_ms(1'714'566'610'000)},
      {queue_offset{152}, 1, settle_action::dead, 16, {}, dead_reason::attempts, "no such customer"},
      {queue_offset{154}, 2, settle_action::dead, 1, {}, dead_reason::rejected, ""},
      {queue_offset{153}, 1, settle_action::expired, 0, {}}};
  settle_section second{
      group_id{10}, queue_id{6}, 1, generation{1}, {{queue_offset{0}, 1, settle_action::ack, 0, {}}}};
  expect_entry("entry_settle_with_reasons", settle_entry{{first, second}});
}

TEST(golden_bytes, of_a_settle_from_before_there_were_dead_letters_mean_used_up_attempts) {
  auto stored = written_before("entry_settle");
  auto bytes = test::writable_copy(stored).as_block();
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto body = decode_body(*header, bytes);
  ASSERT_TRUE(body) << to_string(body.error());
  const auto& ranges = std::get<settle_entry>(*body).sections.at(0).ranges;
  EXPECT_EQ(ranges.at(3), (settle_range{queue_offset{152}, 1, settle_action::dead, 16, {}}));
  EXPECT_EQ(ranges.at(3).reason, dead_reason::attempts);
}

TEST(golden_bytes, of_a_define) {
  expect_entry("entry_define_with_window",
               define_entry{{topic(), topic_with_window()},
                            {group_with_steps(), group_with_growing_pauses(), ordered_group(),
                             broadcast_member(), group_with_bounds()},
                            {topic_id{1}, topic_id{2}},
                            {group_id{3}}});
}

TEST(golden_bytes, of_a_define_from_before_there_were_windows_for_keys_mean_none) {
  auto stored = written_before("entry_define_with_bounds");
  auto bytes = test::writable_copy(stored).as_block();
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto body = decode_body(*header, bytes);
  ASSERT_TRUE(body) << to_string(body.error());
  EXPECT_EQ(std::get<define_entry>(*body).topics, std::vector{topic()});
}

TEST(golden_bytes, of_a_define_from_before_there_were_bounds_in_bytes_and_shares_mean_the_defaults) {
  auto stored = written_before("entry_define_with_modes");
  auto bytes = test::writable_copy(stored).as_block();
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto body = decode_body(*header, bytes);
  ASSERT_TRUE(body) << to_string(body.error());
  EXPECT_EQ(std::get<define_entry>(*body), (define_entry{{topic()},
                                                         {group_with_steps(), group_with_growing_pauses(),
                                                          ordered_group(), broadcast_member()},
                                                         {topic_id{1}, topic_id{2}},
                                                         {group_id{3}}}));
}

TEST(golden_bytes, of_a_define_from_before_there_were_retry_policies_mean_a_fixed_pause) {
  auto stored = written_before("entry_define");
  auto bytes = test::writable_copy(stored).as_block();
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto body = decode_body(*header, bytes);
  ASSERT_TRUE(body) << to_string(body.error());
  EXPECT_EQ(std::get<define_entry>(*body),
            (define_entry{{topic()}, {group()}, {topic_id{1}, topic_id{2}}, {group_id{3}}}));
}

TEST(golden_bytes, of_a_define_from_before_there_were_dead_letters_mean_retries_for_ever) {
  auto stored = written_before("entry_define_with_retry");
  auto bytes = test::writable_copy(stored).as_block();
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto body = decode_body(*header, bytes);
  ASSERT_TRUE(body) << to_string(body.error());
  EXPECT_EQ(std::get<define_entry>(*body), (define_entry{{topic()},
                                                         {group_with_steps(), group_with_growing_pauses()},
                                                         {topic_id{1}, topic_id{2}},
                                                         {group_id{3}}}));
}

TEST(golden_bytes, of_a_trim) { expect_entry("entry_trim", trim_entry{queue_id{5}, queue_offset{1000}}); }
TEST(golden_bytes, of_a_drop_queue) {
  expect_entry("entry_drop_queue", drop_queue_entry{queue_id{5}, group_id{9}});
}
TEST(golden_bytes, of_a_reset) {
  expect_entry("entry_reset", reset_entry{group_id{9}, queue_id{5}, 1, queue_offset{1000}});
}

TEST(golden_bytes, of_a_redrive) {
  expect_entry(
      "entry_redrive",
      redrive_entry{group_id{9}, queue_id{5}, {{log_index{40}, 0}, {log_index{40}, 7}, {log_index{41}, 0}}});
}
TEST(golden_bytes, of_a_purge) {
  expect_entry("entry_purge", purge_entry{group_id{9}, queue_id{5}, {{log_index{40}, 3}}});
}

TEST(golden_bytes, of_a_fire) {
  const auto due = from_unix_ms(1'714'566'600'123);
  expect_entry("entry_fire", fire_entry{queue_id{5},
                                        120,
                                        {{bucket_at(timer_level::minutes, due), log_index{40}, 2},
                                         {bucket_at(timer_level::seconds, due), log_index{39}, 0}},
                                        {{log_index{40}, 3}, {log_index{12}, 70'000}, {log_index{40}, 1}}});
}
TEST(golden_bytes, of_a_split) {
  expect_entry("entry_split",
               split_entry{bucket_at(timer_level::days, from_unix_ms(1'714'566'600'123)), 2048});
}
TEST(golden_bytes, of_a_cancel) {
  expect_entry("entry_cancel",
               cancel_entry{queue_id{5},
                            {bucket_at(timer_level::days, from_unix_ms(1'714'566'600'123)), log_index{40}, 1},
                            {log_index{40}, 3}});
}
TEST(golden_bytes, of_an_evict) {
  expect_entry("entry_evict", evict_entry{from_unix_ms(1'714'566'600'000), 1'000'000});
}

TEST(golden_bytes, of_a_forget_keys) {
  expect_entry("entry_forget_keys", forget_keys_entry{queue_id{5}, from_unix_ms(1'714'566'600'000)});
}
TEST(golden_bytes, of_an_append_that_repeats_were_taken_out_of) {
  expect_entry("entry_append_with_window",
               append_entry{queue_id{5},
                            {numbered(test::build(messages()), 4), numbered({}, 5)},
                            std::chrono::hours{24},
                            {3, 90}});
}

TEST(golden_bytes, of_the_steps_of_a_transaction) {
  const auto time = from_unix_ms(1'714'566'606'123);
  const message_id here{shard_id{3}, log_index{42}, 1}, there{shard_id{2}, log_index{9}, 70'000};
  expect_entry("entry_begin", begin_entry{"orders", "order 7", time});
  expect_entry("entry_seal", seal_entry{log_index{41}, time, {here, there}});
  expect_entry(
      "entry_decide",
      decide_entry{.commit = true, .queues = {{queue_id{5}, 120, {{log_index{40}, 3}, {log_index{40}, 4}}}}});
  expect_entry("entry_decide_at_home",
               decide_entry{.transaction = {shard_id{3}, log_index{41}},
                            .home = true,
                            .commit = true,
                            .guard = settle_section{group_id{9},
                                                    queue_id{5},
                                                    0,
                                                    generation{2},
                                                    {{queue_offset{100}, 50, settle_action::ack, 0, {}}}},
                            .queues = {{queue_id{5}, 120, {{log_index{42}, 1}}},
                                       {queue_id{6}, 90, {{log_index{43}, 0}}}},
                            .elsewhere = {there},
                            .next_check = time});
  expect_entry("entry_confirm", confirm_entry{log_index{41}, shard_id{2}});
  expect_entry("entry_checked", checked_entry{{{{queue_id{5}, log_index{40}, 3}, time},
                                               {{queue_id{}, log_index{41}, 0}, never()}}});
  expect_entry("entry_forget_transactions", forget_transactions_entry{time});
}

TEST(golden_bytes, of_a_topic) {
  auto bytes = encode(topic_with_window());
  auto stored = golden("topic_with_window", {bytes.data(), bytes.size()});
  auto again = decode_topic(stored);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, topic_with_window());
}

TEST(golden_bytes, of_a_topic_from_before_there_were_windows_for_keys_mean_none) {
  auto again = decode_topic(written_before("topic"));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, topic());
}

TEST(golden_bytes, of_a_group) {
  auto bytes = encode(group_with_bounds());
  auto stored = golden("group_with_bounds", {bytes.data(), bytes.size()});
  auto again = decode_group(stored);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, group_with_bounds());
}

TEST(golden_bytes, of_a_group_from_before_there_were_bounds_in_bytes_and_shares_mean_the_defaults) {
  auto again = decode_group(written_before("group_with_modes"));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, ordered_group());
}

TEST(golden_bytes, of_a_group_from_before_there_were_dead_letters_mean_retries_for_ever) {
  auto again = decode_group(written_before("group_with_retry"));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, group_with_steps());
}

TEST(golden_bytes, of_a_group_from_before_there_were_retry_policies_mean_a_fixed_pause) {
  auto again = decode_group(written_before("group"));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, group());
  EXPECT_EQ(pauses_of(again->options.retry), std::vector<milliseconds>{std::chrono::seconds{2}});
}

} // namespace
} // namespace troupe
