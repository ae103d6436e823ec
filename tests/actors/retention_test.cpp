#include "publish_fixture.hpp"

#include <gmock/gmock.h>

#include <map>
#include <string>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::IsEmpty;
using testing::Not;

class retention : public publish_fixture {
protected:
  void SetUp() override { aut = ctx_->retentions[0]; }
  void rule(std::vector<queue_id> queues, milliseconds age, std::uint64_t bytes = 0, bool removed = false) {
    producer.send(aut, retention_rule{std::move(queues), age, bytes, removed});
    run();
  }
  void publish_to(std::uint32_t queue, std::size_t bytes = 10) {
    producer.send(ctx_->stores[0],
                  request(queue, make_batch(7, ++sequences_[queue], {std::string(bytes, 'x')}), producer,
                          queue_handle));
    run();
  }
  queue_extent extent(std::uint32_t queue) { return ctx_->shards[0]->extent(queue_id{queue}).value(); }
  std::uint64_t first(std::uint32_t queue) { return extent(queue).first.value; }
  void expect_sound() { EXPECT_THAT(ctx_->shards[0]->verify({}), IsEmpty()); }

  retention_actor aut;
  producer_probe producer = world_.make_probe<published, route>();
  queue_probe queue_handle = world_.make_probe<visible>();
  std::map<std::uint32_t, std::uint64_t> sequences_;
};

TEST_F(retention, trims_messages_when_they_come_of_age_and_not_before) {
  rule({queue_id{1}}, 60min);
  for (int i = 0; i < 3; ++i) {
    publish_to(1);
    advance(10min);
  }
  advance(29min); // the first message is 59 minutes old
  EXPECT_EQ(first(1), 0u);
  advance(1min);
  EXPECT_EQ(first(1), 1u);
  advance(10min);
  EXPECT_EQ(first(1), 2u);
  advance(10min);
  EXPECT_EQ(first(1), 3u);
  EXPECT_EQ(extent(1).next, queue_offset{3});
  expect_sound();
}

TEST_F(retention, forgets_keys_when_their_window_is_over_or_was_taken_away) {
  auto publish_key = [&](std::uint32_t queue, const std::string& key, milliseconds delay = 0ms) {
    batch_builder builder;
    message m{.body = "b", .keys = {key}};
    if (delay > 0ms)
      m.deliver_at = now_ + delay;
    builder.add(m);
    auto b = builder.finish();
    if (delay > 0ms)
      b.header.kind = batch_kind::delayed;
    b.header.producer = producer_id{7};
    b.header.epoch = producer_epoch{1};
    b.header.sequence = batch_sequence{++sequences_[queue]};
    auto r = request(queue, std::move(b), producer, queue_handle);
    r.window = 10min;
    producer.send(ctx_->stores[0], std::move(r));
    run();
  };
  auto oldest = [&](std::uint32_t queue) { return ctx_->shards[0]->oldest_keys(queue_id{queue}).value(); };
  producer.send(aut, retention_rule{.queues = {queue_id{1}, queue_id{2}}, .keys = 10min});
  run();
  const auto t0 = now_;
  publish_key(1, "a");
  publish_key(2, "a");
  advance(5min);
  publish_key(1, "b");
  advance(4min);
  EXPECT_EQ(oldest(1), t0);
  advance(1min);
  EXPECT_EQ(oldest(1), t0 + 5min);
  EXPECT_EQ(oldest(2), std::nullopt);
  producer.send(aut, retention_rule{.queues = {queue_id{1}}});
  run();
  EXPECT_EQ(oldest(1), std::nullopt);
  publish_key(2, "waits", 30min);
  EXPECT_NE(oldest(2), std::nullopt);
  advance(10min);
  EXPECT_EQ(oldest(2), std::nullopt) << "its message waits on";
  EXPECT_EQ(extent(2).delayed, 1u);
  EXPECT_EQ(extent(1).next.value - first(1), 2u) << "messages stay";
  expect_sound();
}

TEST_F(retention, trims_interleaved_topics_of_one_hour_and_thirty_days_each_by_its_own_rule) {
  constexpr auto day = 24h;
  rule({queue_id{1}, queue_id{2}}, 1h);
  rule({queue_id{3}}, 30 * day);
  for (int hour = 0; hour < 48; ++hour) {
    for (std::uint32_t q : {1u, 3u, 2u})
      publish_to(q, 1000);
    for (int i = 0; i < 4; ++i)
      advance(15min);
  }
  EXPECT_EQ(first(1), 48u);
  EXPECT_EQ(first(2), 48u);
  EXPECT_EQ(first(3), 0u);
  EXPECT_EQ(ctx_->shards[0]->stats().entries, 48u) << "only the records of the long topic are left";
  expect_sound();
  for (int i = 0; i < 30; ++i)
    advance(day);
  EXPECT_EQ(first(3), 48u);
  expect_sound();
}

TEST_F(retention, keeps_a_queue_within_its_byte_limit_and_its_newest_message_always) {
  rule({queue_id{1}}, 0ms, 10'000);
  for (int i = 0; i < 50; ++i)
    publish_to(1, 1000);
  EXPECT_LE(extent(1).bytes, 10'000u);
  EXPECT_GT(extent(1).bytes, 8'000u);
  publish_to(1, 100'000);
  EXPECT_EQ(extent(1).first, queue_offset{50});
  EXPECT_EQ(extent(1).next, queue_offset{51});
  expect_sound();
}

TEST_F(retention, trims_a_long_backlog_in_steps_when_a_rule_is_made_stricter) {
  for (int i = 0; i < 300; ++i)
    publish_to(1);
  rule({queue_id{1}}, 1h);
  EXPECT_EQ(first(1), 0u);
  advance(2h);
  EXPECT_EQ(first(1), 300u);
  for (int i = 0; i < 300; ++i)
    publish_to(2, 1000);
  rule({queue_id{2}}, 0ms, 5000);
  EXPECT_GE(first(2), 295u);
  expect_sound();
}

TEST_F(retention, keeps_everything_of_a_queue_without_limits) {
  rule({queue_id{1}}, 0ms);
  publish_to(1);
  for (int i = 0; i < 100; ++i)
    advance(24h);
  EXPECT_EQ(first(1), 0u);
}

TEST_F(retention, removes_everything_of_a_deleted_topic_and_nothing_else) {
  for (int i = 0; i < 200; ++i) {
    publish_to(1);
    publish_to(2);
  }
  rule({queue_id{1}}, 0ms, 0, true);
  EXPECT_EQ(extent(1).next, queue_offset{0});
  EXPECT_EQ(extent(2).next, queue_offset{200});
  EXPECT_EQ(first(2), 0u);
  EXPECT_EQ(ctx_->shards[0]->stats().entries, 200u);
  expect_sound();
}

TEST_F(retention, finds_a_batch_that_was_on_its_way_when_its_topic_was_deleted) {
  publish_to(1);
  rule({queue_id{1}}, 0ms, 0, true);
  sequences_[1] = 0;
  publish_to(1);
  advance(1min);
  advance(1min);
  EXPECT_EQ(extent(1).next, queue_offset{0});
  EXPECT_EQ(ctx_->shards[0]->stats().entries, 0u);
}

TEST_F(retention, trims_nothing_by_age_while_the_wall_clock_is_wrong_and_catches_up_when_it_is_right) {
  rule({queue_id{1}}, 60min);
  publish_to(1);
  now_ += 24h; // somebody set the clock
  advance(1min);
  advance(1min);
  EXPECT_EQ(first(1), 0u);
  EXPECT_THAT(logged_, Contains("clock_not_trusted"));
  publish_to(1);
  now_ -= 24h;
  advance(1min);
  EXPECT_THAT(logged_, Contains("clock_trusted"));
  EXPECT_EQ(first(1), 0u);
  for (int i = 0; i < 60; ++i)
    advance(1min);
  EXPECT_EQ(first(1), 1u);
}

TEST_F(retention, goes_on_trimming_by_size_while_the_wall_clock_is_wrong) {
  rule({queue_id{1}}, 60min, 5000);
  publish_to(1, 1000);
  now_ += 24h;
  for (int i = 0; i < 10; ++i)
    publish_to(1, 1000);
  EXPECT_LE(extent(1).bytes, 5000u);
}

TEST_F(retention, tries_again_after_a_failure) {
  rule({queue_id{1}}, 60min);
  publish_to(1);
  faults_->what = {errc::overloaded, "not now", {}};
  faults_->times = 2; // as one of several, and alone
  advance(30min);
  advance(30min);
  EXPECT_EQ(first(1), 0u);
  EXPECT_THAT(logged_, Contains("trim_failed"));
  faults_->times = 0;
  advance(1s);
  EXPECT_EQ(first(1), 1u);
}

TEST_F(retention, gives_up_when_the_store_is_at_its_end) {
  rule({queue_id{1}}, 60min);
  publish_to(1);
  faults_->what = {errc::storage_failed, "input/output error", {}};
  faults_->times = 1000;
  advance(60min);
  const auto calls = faults_->calls;
  for (int i = 0; i < 10; ++i)
    advance(60min);
  EXPECT_EQ(faults_->calls, calls);
  EXPECT_THAT(logged_, Not(Contains("trim_failed")));
}

} // namespace
} // namespace troupe::test
