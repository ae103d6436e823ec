#include "troupe/batch.hpp"

#include "schemas/random_records.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using test::build;
using test::random_source;

message simple(std::string body) {
  message m;
  m.body = std::move(body);
  m.born = from_unix_ms(1'700'000'000'000);
  return m;
}

batch_reader open(const batch& b) {
  auto reader = batch_reader::open(b.header, b.data);
  if (!reader)
    throw std::runtime_error(to_string(reader.error()));
  return std::move(*reader);
}

void expect_messages(const batch& b, const std::vector<message>& messages) {
  auto reader = open(b);
  ASSERT_EQ(reader.count(), messages.size());
  for (std::uint32_t i = 0; i < reader.count(); ++i)
    ASSERT_EQ(reader.at(i).materialize(), messages[i]) << "message " << i;
  test::walk(reader);
}

TEST(batch, gives_back_random_messages) {
  random_source random{10};
  SCOPED_TRACE(random.describe());
  batch_builder builder;
  for (int round = 0; round < 500; ++round) {
    auto messages = test::random_messages(random, round % 10 == 0 ? 300 : 10);
    for (const auto& m : messages)
      builder.add(m);
    ASSERT_EQ(builder.count(), messages.size());
    auto expected_size = builder.size();
    auto b = builder.finish();
    EXPECT_TRUE(builder.empty());
    EXPECT_EQ(b.header.size, expected_size);
    EXPECT_EQ(b.header.size, b.data.size);
    EXPECT_EQ(b.header.size % 8, 0u);
    expect_messages(b, messages);
  }
}

TEST(batch, repacks_messages_out_of_another_batch) {
  random_source random{11};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 100; ++round) {
    auto messages = test::random_messages(random, 50);
    auto b = build(messages);
    auto reader = open(b);
    batch_builder builder;
    std::vector<message> kept;
    for (std::uint32_t i = 0; i < reader.count(); ++i)
      if (random.one_in(3)) {
        builder.add(reader.at(i));
        kept.push_back(messages[i]);
      }
    expect_messages(builder.finish(), kept);
  }
}

TEST(batch, of_the_same_messages_has_the_same_bytes) {
  random_source random{12};
  SCOPED_TRACE(random.describe());
  auto messages = test::random_messages(random, 100);
  auto first = build(messages), second = build(messages);
  EXPECT_EQ(first.header, second.header);
  EXPECT_EQ(first.data.view(), second.data.view());
}

TEST(batch, without_messages_has_no_bytes) {
  auto b = batch_builder{}.finish();
  EXPECT_EQ(b.header, batch_header{});
  EXPECT_TRUE(b.data.empty());
  EXPECT_EQ(open(b).count(), 0u);
}

TEST(batch, holds_one_message_that_uses_every_limit) {
  auto m = simple(std::string(4u << 20, 'b'));
  m.tag = std::string(255, 't');
  m.order_key = std::string(255, 'o');
  m.keys.assign(64, std::string(509, 'k'));
  m.properties = {{"name", std::string(32767 - 4 - 4, 'v')}};
  m.ttl = milliseconds{1};
  m.deliver_at = m.born;
  auto b = build(std::vector{m});
  EXPECT_LE(b.header.size, max_batch_size);
  expect_messages(b, {m});
  // And the builder goes on with small ones.
  expect_messages(build(std::vector{simple("x")}), {simple("x")});
}

TEST(batch, holds_as_many_messages_as_it_may) {
  std::vector<message> messages(max_batch_count, simple("b"));
  expect_messages(build(messages), messages);
  messages.push_back(simple("b"));
  auto b = build(messages);
  EXPECT_EQ(batch_reader::open(b.header, b.data).error().code, errc::corrupt);
}

TEST(batch, costs_at_most_25_bytes_a_message_beyond_its_contents) {
  std::vector<message> messages(1000, simple(std::string(100, 'b')));
  EXPECT_LE(build(messages).header.size, 1000u * 125);
}

TEST(batch, never_says_of_an_order_key_that_there_is_none) {
  auto keyed = simple("body");
  keyed.order_key = "user-666848069";
  ASSERT_EQ(short_hash(keyed.order_key), 0u);
  auto b = build(std::vector{simple("plain"), keyed});
  auto reader = open(b);
  EXPECT_EQ(reader.meta(0).order_key_hash, 0u);
  EXPECT_NE(reader.meta(1).order_key_hash, 0u) << "it would be in no order";
}

TEST(batch, tells_what_the_broker_looks_at) {
  auto with_all = simple("body");
  with_all.tag = "created";
  with_all.order_key = "customer 7";
  with_all.priority = 4;
  with_all.ttl = milliseconds{500};
  auto b = build(std::vector{simple("plain"), with_all});
  auto reader = open(b);
  EXPECT_EQ(reader.meta(0).tag_hash, 0u);
  EXPECT_EQ(reader.meta(0).order_key_hash, 0u);
  EXPECT_EQ(reader.meta(0).expires, timestamp{});
  auto meta = reader.meta(1);
  EXPECT_EQ(meta.tag_hash, short_hash("created"));
  EXPECT_EQ(meta.order_key_hash, short_hash("customer 7"));
  EXPECT_EQ(meta.priority, 4);
  EXPECT_EQ(meta.born, with_all.born);
  EXPECT_EQ(meta.expires, with_all.born + milliseconds{500});
  EXPECT_EQ(reader.tag(1), "created");
}

TEST(batch, says_without_being_opened_whether_messages_of_it_may_expire) {
  auto mortal = simple("mortal");
  mortal.ttl = milliseconds{1};
  auto delayed = simple("delayed");
  delayed.deliver_at = delayed.born;
  auto old = simple("old");
  old.born = from_unix_ms(0);
  EXPECT_FALSE(may_expire(build(std::vector{simple("a"), simple("b")}).data.bytes()));
  EXPECT_FALSE(may_expire(build(std::vector{simple("a"), delayed, old}).data.bytes()))
      << "other lists than that of times to live";
  EXPECT_TRUE(may_expire(build(std::vector{mortal}).data.bytes()));
  EXPECT_TRUE(may_expire(build(std::vector{simple("a"), mortal, simple("b")}).data.bytes()));
  EXPECT_TRUE(may_expire(build(std::vector{mortal, delayed, old}).data.bytes()));
  EXPECT_FALSE(may_expire({})) << "of no messages";
  auto all = build(std::vector{mortal}).data;
  for (std::size_t n = 0; n < all.size; ++n)
    may_expire(test::writable_copy(all.bytes().first(n)).bytes()); // a sanitizer looks on
}

TEST(batch, tells_properties_and_keys_without_a_view_of_the_message) {
  message m = simple("body");
  m.tag = "tag";
  m.order_key = "key";
  m.keys = {"a", "bc", "d"};
  m.properties = {{"price", "10"}, {"empty", ""}, {"region", "eu"}};
  const std::vector<message> messages{simple("first"), m, simple("last")};
  auto reader = open(build(messages));
  EXPECT_EQ(reader.property(1, "price"), "10");
  EXPECT_EQ(reader.property(1, "empty"), "");
  EXPECT_EQ(reader.property(1, "region"), "eu");
  for (const auto* absent : {"", "pric", "prices", "10", "Price"})
    EXPECT_EQ(reader.property(1, absent), std::nullopt) << absent;
  std::uint32_t cursor = 0;
  for (const auto* key : {"a", "bc", "d"})
    EXPECT_EQ(reader.next_key(1, cursor), key);
  EXPECT_EQ(reader.next_key(1, cursor), std::nullopt);
  EXPECT_EQ(reader.next_key(1, cursor), std::nullopt);
  for (std::uint32_t other : {0u, 2u}) {
    cursor = 0;
    EXPECT_EQ(reader.next_key(other, cursor), std::nullopt);
    EXPECT_EQ(reader.property(other, "price"), std::nullopt);
  }
}

TEST(batch, keeps_births_that_lie_far_apart) {
  std::vector<message> messages{simple("a"), simple("b"), simple("c")};
  messages[1].born = from_unix_ms(0);
  messages[2].born = from_unix_ms(253'402'300'799'999);
  expect_messages(build(messages), messages);
  // Exactly at the edge of what the narrow form holds, and one beyond.
  messages[1].born = messages[0].born + milliseconds{2147483647};
  messages[2].born = messages[0].born - milliseconds{2147483648};
  auto narrow = build(messages);
  expect_messages(narrow, messages);
  messages[2].born -= milliseconds{1};
  auto wide = build(messages);
  expect_messages(wide, messages);
  EXPECT_EQ(wide.header.size, narrow.header.size + 3 * 8);
}

TEST(batch_reader, copies_bytes_that_are_not_aligned) {
  random_source random{13};
  SCOPED_TRACE(random.describe());
  auto messages = test::random_messages(random, 20);
  messages.push_back(simple("x"));
  auto b = build(messages);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    test::writable_copy copy(b.data.bytes(), shift);
    expect_messages({b.header, copy.as_block()}, messages);
  }
}

TEST(batch_reader, keeps_the_bytes_alive) {
  auto reader = [] {
    auto b = build(std::vector{simple("still here")});
    return open(b);
  }();
  auto moved = std::move(reader);
  EXPECT_EQ(moved.body(0), "still here");
}

} // namespace
} // namespace troupe
