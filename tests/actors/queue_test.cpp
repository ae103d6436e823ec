#include "publish_fixture.hpp"

#include "queue.hpp"

#include <gmock/gmock.h>

#include <deque>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr queue_id q1{1};

class queue : public publish_fixture {
protected:
  using publish_fixture::publish_fixture;
  using subscriber_probe = probe<fetched, tail_moved>;

  void SetUp() override { start(); }
  void start(topic_options options = {}) {
    aut = world_.owned(spawn_queue(world_.system(), ctx_, topic_of(1, options), {}));
    run();
  }
  void publish_batch(batch b, durability wanted = durability::durable) {
    producer.send(aut, publish_of(q1, std::move(b), wanted));
  }
  /// Publishes and waits for the answers to all that was published.
  std::vector<publish_result> answers() {
    run();
    std::vector<publish_result> all;
    for (auto& p : producer.take<published>())
      all.insert(all.end(), p.results.begin(), p.results.end());
    return all;
  }
  publish_result answer_to(batch b, durability wanted = durability::durable) {
    publish_batch(std::move(b), wanted);
    auto all = answers();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? publish_result{} : all[0];
  }
  fetched fetch_from(std::uint64_t offset, std::uint32_t bytes = 1u << 20) {
    subscriber.send(aut, fetch{q1, queue_offset{offset}, bytes, 42, subscriber.handle()});
    run();
    auto got = subscriber.take<fetched>();
    EXPECT_EQ(got.size(), 1u);
    return got.empty() ? fetched{} : got[0];
  }
  fetched read_from(std::uint64_t offset, std::uint32_t bytes = 1u << 20) {
    subscriber.send(ctx_->readers[0], fetch{q1, queue_offset{offset}, bytes, 42, subscriber.handle()});
    run();
    return subscriber.take<fetched>().at(0);
  }

  queue_actor aut;
  producer_probe producer = world_.make_probe<published, route>();
  subscriber_probe subscriber = world_.make_probe<fetched, tail_moved>();
};

TEST_F(queue, passes_a_good_batch_on_and_its_producer_is_answered_with_the_offset) {
  const auto r = answer_to(make_batch(7, 1, {"a", "b"}));
  EXPECT_EQ(r.code, errc::none);
  EXPECT_EQ(r.base, queue_offset{0});
  EXPECT_TRUE(r.placed);
  EXPECT_THAT(stored(q1), ElementsAre("a", "b"));
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, refuses_what_its_header_forbids_with_the_reason) {
  const auto good = make_batch(7, 1, {"a"});
  auto refusal = [&](auto change) {
    auto p = publish_of(q1, good);
    change(p);
    producer.send(aut, p);
    const auto all = answers();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? publish_result{} : all[0];
  };
  auto code = [&](auto change) { return refusal(change).code; };
  EXPECT_EQ(code([](publish& p) { p.queue = queue_id{9}; }), errc::not_found);
  EXPECT_EQ(code([](publish& p) { p.wanted = static_cast<durability>(3); }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.kind = static_cast<batch_kind>(9); }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.kind = batch_kind::delayed; }), errc::invalid_argument)
      << "its messages have no time";
  EXPECT_EQ(code([](publish& p) { p.header.kind = batch_kind::transactional; }), errc::invalid_argument)
      << "nobody decides about its messages";
  EXPECT_EQ(code([](publish& p) { p.header.lane = 1; }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.producer = producer_id{0}; }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.epoch = producer_epoch{0}; }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.sequence = batch_sequence{0}; }), errc::invalid_argument);
  EXPECT_EQ(code([](publish& p) { p.header.count = max_batch_count + 1; }), errc::too_large);
  EXPECT_EQ(code([](publish& p) { p.header.size += 8; }), errc::corrupt);
  EXPECT_EQ(code([](publish& p) { p.data = {}; }), errc::corrupt);
  const auto large = refusal([](publish& p) {
    p.data = block::copy_of(std::vector<char>(max_batch_size + 8));
    p.header.size = p.data.size;
  });
  EXPECT_EQ(large.code, errc::too_large);
  EXPECT_THAT(large.reason, HasSubstr(std::to_string(max_batch_size)));
  EXPECT_THAT(stored(q1), ElementsAre());
  EXPECT_EQ(answer_to(good).code, errc::none) << "and takes the right one afterwards";
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, refuses_a_batch_with_any_flipped_bit_or_a_wrong_count) {
  const auto good = make_batch(7, 1, {"hello", "world"});
  for (std::uint32_t byte = 0; byte < good.data.size; ++byte) {
    std::vector<char> bytes(good.data.bytes().begin(), good.data.bytes().end());
    bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << (byte % 8)));
    batch bad{good.header, block::copy_of(bytes)};
    ASSERT_EQ(answer_to(bad).code, errc::corrupt) << "byte " << byte;
  }
  auto miscounted = good;
  miscounted.header.count = 3;
  EXPECT_EQ(answer_to(miscounted).code, errc::corrupt);
  EXPECT_EQ(answer_to(good).code, errc::none);
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, reads_batches_that_arrive_misaligned) {
  const auto good = make_batch(7, 1, {"hello"});
  std::vector<char> shifted(good.data.size + 1);
  std::copy(good.data.bytes().begin(), good.data.bytes().end(), shifted.begin() + 1);
  const auto whole = block::copy_of(shifted);
  EXPECT_EQ(answer_to({good.header, whole.slice(1, good.data.size)}).code, errc::none);
  EXPECT_THAT(stored(q1), ElementsAre("hello"));
}

TEST_F(queue, refuses_a_body_above_the_topics_limit_and_follows_a_changed_limit) {
  auto definition = topic_of(1, {.max_message = 100});
  producer.send(aut, topic_changed{definition});
  const auto r = answer_to(make_batch(7, 1, {"ok", std::string(101, 'x')}));
  EXPECT_EQ(r.code, errc::too_large);
  EXPECT_THAT(r.reason, HasSubstr("is 101; the limit is 100"));
  EXPECT_EQ(answer_to(make_batch(7, 1, {std::string(100, 'x'), std::string(100, 'y')})).code, errc::none);
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, of_a_deleted_topic_answers_not_found) {
  auto gone = topic_of(1);
  gone.queues.clear();
  producer.send(aut, topic_changed{gone});
  const auto r = answer_to(make_batch(7, 1, {"a"}));
  EXPECT_EQ(r.code, errc::not_found);
  EXPECT_THAT(r.reason, HasSubstr("orders was deleted"));
}

TEST_F(queue, answers_later_batches_with_a_gap_after_one_was_refused) {
  auto bad = make_batch(7, 1, {"a"});
  bad.header.crc ^= 1;
  publish_batch(bad);
  publish_batch(make_batch(7, 2, {"b"}), durability::buffered);
  publish_batch(make_batch(7, 3, {"c"}), durability::buffered);
  const auto all = answers();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].code, errc::corrupt);
  EXPECT_EQ(all[1].code, errc::gap) << "a buffered batch is not acknowledged when it cannot be stored";
  EXPECT_EQ(all[1].expected, batch_sequence{1});
  EXPECT_EQ(all[2].expected, batch_sequence{1});
  for (std::uint64_t s = 1; s <= 3; ++s)
    publish_batch(make_batch(7, s, {std::string(1, static_cast<char>('a' + s - 1))}));
  for (const auto& r : answers())
    EXPECT_EQ(r.code, errc::none);
  EXPECT_THAT(stored(q1), ElementsAre("a", "b", "c"));
}

TEST_F(queue, answers_overloaded_when_the_nodes_budget_is_used_up_and_goes_on_when_it_is_not) {
  ASSERT_TRUE(ctx_->in_flight->try_take(ctx_->in_flight->limit()));
  const auto r = answer_to(make_batch(7, 1, {"a"}));
  EXPECT_EQ(r.code, errc::overloaded);
  EXPECT_GT(r.retry_after, 0u);
  EXPECT_THAT(r.reason, HasSubstr(std::to_string(ctx_->in_flight->limit())));
  ctx_->in_flight->give(ctx_->in_flight->limit());
  EXPECT_EQ(answer_to(make_batch(7, 1, {"a"})).code, errc::none);
}

TEST_F(queue, bounds_what_waits_for_the_store_whatever_its_producers_send) {
  auto other = world_.make_probe<published, route>();
  const std::string body(1u << 20, 'x');
  for (std::uint64_t s = 1; s <= 20; ++s)
    other.send(aut, publish_of(q1, make_batch(8, s, {body})));
  for (std::uint64_t s = 1; s <= 100; ++s)
    publish_batch(make_batch(7, s, {"a"}));
  run();
  std::size_t placed = 0, overloaded = 0, gaps = 0;
  auto count = [&](const std::vector<published>& all) {
    for (const auto& p : all)
      for (const auto& r : p.results) {
        placed += r.placed ? 1 : 0;
        overloaded += r.code == errc::overloaded ? 1 : 0;
        gaps += r.code == errc::gap ? 1 : 0;
      }
  };
  count(other.take<published>());
  EXPECT_EQ(placed, 7u) << "8 MiB hold 7 batches of a little over 1 MiB";
  EXPECT_EQ(overloaded, 1u);
  EXPECT_EQ(gaps, 12u);
  placed = overloaded = gaps = 0;
  count(producer.take<published>());
  EXPECT_EQ(placed, 64u) << "64 batches of a producer";
  EXPECT_EQ(overloaded, 1u);
  EXPECT_EQ(gaps, 35u);
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, takes_an_empty_batch_in_the_place_of_one_that_was_given_up) {
  EXPECT_EQ(answer_to(make_batch(7, 1, {"a"})).code, errc::none);
  batch nothing{make_batch(7, 2, {"x"}).header, {}};
  nothing.header.count = nothing.header.size = nothing.header.crc = 0;
  const auto r = answer_to(nothing);
  EXPECT_EQ(r.code, errc::none) << r.reason;
  EXPECT_FALSE(r.duplicate);
  EXPECT_EQ(answer_to(make_batch(7, 3, {"b"})).base, queue_offset{1});
  EXPECT_THAT(stored(q1), ElementsAre("a", "b"));
  EXPECT_THAT(bodies(fetch_from(0).batches), ElementsAre("a", "b"));
  EXPECT_TRUE(answer_to(nothing).duplicate);
  nothing.header.sequence = batch_sequence{4};
  nothing.header.count = 1;
  EXPECT_EQ(answer_to(nothing).code, errc::corrupt);
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, drops_a_batch_that_nobody_sent) {
  caf::anon_send(caf::actor_cast<caf::actor>(aut), publish_of(q1, make_batch(7, 1, {"a"})));
  run();
  EXPECT_THAT(stored(q1), ElementsAre());
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(queue, tells_watchers_where_the_tail_is_at_once_and_after_each_commit) {
  subscriber.send(aut, watch{subscriber.handle()});
  run();
  ASSERT_EQ(subscriber.all<tail_moved>().size(), 1u);
  EXPECT_EQ(subscriber.take<tail_moved>()[0].next, queue_offset{0});
  publish_batch(make_batch(7, 1, {"a", "b"}));
  publish_batch(make_batch(7, 2, {"c"}));
  answers();
  const auto moved = subscriber.take<tail_moved>();
  ASSERT_EQ(moved.size(), 1u) << "one per commit";
  EXPECT_EQ(moved[0].queue, q1);
  EXPECT_EQ(moved[0].next, queue_offset{3});
}

TEST_F(queue, forgets_a_watcher_that_ended_and_tells_one_that_watches_twice_only_once) {
  auto second = world_.make_probe<fetched, tail_moved>();
  for (int i = 0; i < 2; ++i)
    second.send(aut, watch{second.handle()});
  subscriber.send(aut, watch{subscriber.handle()});
  run();
  second.take<tail_moved>();
  subscriber.take<tail_moved>();
  subscriber.kill();
  answer_to(make_batch(7, 1, {"a"}));
  EXPECT_EQ(second.take<tail_moved>().size(), 1u);
  EXPECT_TRUE(subscriber.take<tail_moved>().empty());
}

TEST_F(queue, answers_a_fetch_from_its_tail_exactly_as_the_store_would) {
  for (std::uint64_t s = 1; s <= 5; ++s)
    answer_to(make_batch(7, s, {"a" + std::to_string(s), "b" + std::to_string(s)}));
  for (std::uint64_t from = 0; from < 10; ++from) {
    const auto hot = fetch_from(from, 250);
    const auto cold = read_from(from, 250);
    EXPECT_EQ(hot.tag, 42u);
    EXPECT_EQ(hot.next, cold.next) << from;
    EXPECT_EQ(bodies(hot.batches), bodies(cold.batches)) << from;
    ASSERT_FALSE(hot.batches.empty());
    EXPECT_EQ(hot.batches[0].base, cold.batches[0].base);
    EXPECT_EQ(hot.batches[0].index, cold.batches[0].index);
    EXPECT_EQ(hot.batches[0].first_ordinal, cold.batches[0].first_ordinal);
    EXPECT_EQ(hot.batches[0].stored, cold.batches[0].stored);
    EXPECT_EQ(hot.batches[0].header, cold.batches[0].header);
  }
}

TEST_F(queue, answers_a_fetch_at_its_end_with_nothing) {
  answer_to(make_batch(7, 1, {"a"}));
  const auto f = fetch_from(1);
  EXPECT_TRUE(f.batches.empty());
  EXPECT_EQ(f.next, queue_offset{1});
  EXPECT_FALSE(f.failed);
}

TEST_F(queue, reads_from_the_store_what_is_older_than_its_tail) {
  const std::string body(400u << 10, 'x');
  for (std::uint64_t s = 1; s <= 5; ++s)
    answer_to(make_batch(7, s, {body + std::to_string(s)}));
  const auto f = fetch_from(0);
  ASSERT_FALSE(f.batches.empty());
  EXPECT_EQ(f.batches[0].base, queue_offset{0});
  EXPECT_EQ(bodies(f.batches)[0].back(), '1');
}

TEST_F(queue, gives_up_its_tail_when_nobody_used_it_for_a_while) {
  answer_to(make_batch(7, 1, {"a"}));
  EXPECT_GT(ctx_->tails->used(), 0u);
  advance(10s);
  EXPECT_GT(ctx_->tails->used(), 0u) << "it was used in these seconds";
  fetch_from(0);
  advance(10s);
  EXPECT_GT(ctx_->tails->used(), 0u);
  advance(10s);
  EXPECT_EQ(ctx_->tails->used(), 0u);
  EXPECT_THAT(bodies(fetch_from(0).batches), ElementsAre("a"));
}

TEST_F(queue, goes_on_where_the_store_ends_when_it_starts_again) {
  answer_to(make_batch(7, 1, {"a", "b"}));
  start();
  subscriber.send(aut, watch{subscriber.handle()});
  run();
  EXPECT_EQ(subscriber.take<tail_moved>().at(0).next, queue_offset{2});
  EXPECT_EQ(answer_to(make_batch(7, 2, {"c"})).base, queue_offset{2});
  EXPECT_THAT(bodies(fetch_from(0).batches), ElementsAre("a", "b", "c"));
}

TEST_F(queue, says_its_extent) {
  answer_to(make_batch(7, 1, {"a", "b"}));
  const auto s = world_.ask<queue_status>(aut, status_atom::value);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->id, q1);
  EXPECT_EQ(s->first, queue_offset{0});
  EXPECT_EQ(s->next, queue_offset{2});
  EXPECT_GT(s->bytes, 0u);
}

TEST_F(queue, refuses_while_the_node_drains) {
  ASSERT_TRUE(world_.ask<bool>(ctx_->stores[0], drain_atom::value));
  EXPECT_EQ(answer_to(make_batch(7, 1, {"a"})).code, errc::shutting_down);
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

} // namespace
} // namespace troupe::test
