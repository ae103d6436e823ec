#include "publish_fixture.hpp"

#include "reader.hpp"

#include <gmock/gmock.h>

#include <string>

namespace troupe::test {
namespace {

using testing::ElementsAre;

TEST(fetch_queue, serves_a_queue_in_order_and_the_queues_in_turn) {
  fetch_queue aut;
  for (std::uint64_t tag = 1; tag <= 4; ++tag)
    aut.add({.queue = queue_id{1}, .tag = tag});
  aut.add({.queue = queue_id{2}, .tag = 11});
  aut.add({.queue = queue_id{3}, .tag = 21});
  aut.add({.queue = queue_id{2}, .tag = 12});
  std::string order;
  while (!aut.empty())
    order += std::to_string(aut.take().tag) + ' ';
  EXPECT_EQ(order, "1 11 21 2 12 3 4 ");
}

class reader : public publish_fixture {
protected:
  using subscriber_probe = probe<fetched>;

  void SetUp() override { aut = ctx_->readers[0]; }
  void fill(std::uint32_t queue, std::uint64_t batches, std::size_t bytes) {
    auto producer = world_.make_probe<published, route>();
    auto handle = world_.make_probe<visible>();
    for (std::uint64_t s = 1; s <= batches; ++s) {
      producer.send(ctx_->stores[0],
                    request(queue, make_batch(7, s, {std::string(bytes, 'x')}), producer, handle));
      run();
    }
  }

  reader_actor aut;
  subscriber_probe subscriber = world_.make_probe<fetched>();
};

TEST_F(reader, reads_from_an_offset_and_says_where_to_go_on) {
  fill(1, 3, 10);
  subscriber.send(aut, fetch{queue_id{1}, queue_offset{1}, 1000, 9, subscriber.handle()});
  run();
  const auto f = subscriber.take<fetched>().at(0);
  EXPECT_EQ(f.queue, queue_id{1});
  EXPECT_EQ(f.tag, 9u);
  EXPECT_EQ(f.batches.size(), 2u);
  EXPECT_EQ(f.next, queue_offset{3});
  EXPECT_FALSE(f.failed);
}

TEST_F(reader, of_an_unknown_queue_or_beyond_the_end_finds_nothing) {
  for (std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{5}, ~std::uint64_t{0}}) {
    subscriber.send(aut, fetch{queue_id{99}, queue_offset{offset}, 1000, 9, subscriber.handle()});
    run();
    const auto f = subscriber.take<fetched>().at(0);
    EXPECT_TRUE(f.batches.empty());
    EXPECT_EQ(f.next, queue_offset{offset});
    EXPECT_FALSE(f.failed);
  }
}

TEST_F(reader, reads_at_most_a_mebibyte_before_the_next_queue_has_its_turn) {
  fill(1, 8, 400u << 10);
  fill(2, 1, 10);
  auto other = world_.make_probe<fetched>();
  for (int i = 0; i < 3; ++i)
    subscriber.send(aut, fetch{queue_id{1}, queue_offset{0}, 100u << 20, 1, subscriber.handle()});
  other.send(aut, fetch{queue_id{2}, queue_offset{0}, 100u << 20, 2, other.handle()});
  run();
  for (const auto& f : subscriber.all<fetched>()) {
    std::uint64_t bytes = 0;
    for (const auto& b : f.batches)
      bytes += b.data.size;
    EXPECT_LE(bytes, 1u << 20);
    EXPECT_GT(bytes, 0u);
  }
  EXPECT_EQ(subscriber.all<fetched>().size(), 3u);
  EXPECT_EQ(other.all<fetched>().size(), 1u);
}

TEST_F(reader, finds_a_message_by_its_id) {
  fill(4, 2, 10);
  const auto m = world_.ask<found_message>(aut, get_message{{shard_id{0}, log_index{2}, 0}});
  ASSERT_TRUE(m) << to_string(m.error());
  EXPECT_EQ(m->number, 4u) << "the queue's id, for the CATALOG to translate";
  EXPECT_EQ(m->base, queue_offset{1});
  EXPECT_EQ(m->index, log_index{2});
  EXPECT_EQ(m->stored, to_unix_ms(now_));
  EXPECT_TRUE(batch_reader::open(m->header, m->data));
}

TEST_F(reader, says_when_there_is_no_such_message) {
  for (const message_id& id :
       {message_id{shard_id{0}, log_index{7}, 0}, message_id{shard_id{3}, log_index{1}, 0}}) {
    const auto m = world_.ask<found_message>(aut, get_message{id});
    ASSERT_FALSE(m);
    EXPECT_EQ(m.error().code, errc::not_found);
  }
}

TEST_F(reader, says_extents_in_the_order_asked) {
  fill(1, 3, 10);
  fill(2, 1, 10);
  const auto e = world_.ask<queue_extents>(aut, extents_request{{queue_id{2}, queue_id{9}, queue_id{1}}});
  ASSERT_TRUE(e);
  ASSERT_EQ(e->extents.size(), 3u);
  EXPECT_EQ(e->extents[0].next, queue_offset{1});
  EXPECT_EQ(e->extents[1].next, queue_offset{0});
  EXPECT_EQ(e->extents[2].next, queue_offset{3});
}

} // namespace
} // namespace troupe::test
