#include "publish_fixture.hpp"
#include "timer.hpp"

#include <gmock/gmock.h>

#include <map>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class timer_test : public publish_fixture {
protected:
  void SetUp() override {
    aut = ctx_->timers[0];
    follow();
    told();
  }
  void follow() {
    producer.send(aut, timed_queue{queue_id{1}, caf::actor_cast<queue_actor>(queue_handle.handle())});
    run();
  }
  static batch delayed(std::uint64_t sequence,
                       const std::vector<std::pair<std::string, timestamp>>& messages) {
    batch_builder builder;
    for (const auto& [body, due] : messages)
      builder.add(message{.body = body, .deliver_at = due});
    auto b = builder.finish();
    b.header.producer = producer_id{7};
    b.header.epoch = producer_epoch{1};
    b.header.sequence = batch_sequence{sequence};
    b.header.kind = batch_kind::delayed;
    return b;
  }
  /// Publishes messages that are due so long from now.
  publish_result publish(const std::vector<std::pair<std::string, milliseconds>>& messages) {
    std::vector<std::pair<std::string, timestamp>> due;
    for (const auto& [body, delay] : messages)
      due.emplace_back(body, now_ + delay);
    producer.send(ctx_->stores[0], request(1, delayed(++sequence_, due), producer, queue_handle));
    run();
    return producer.take<published>().at(0).results.at(0);
  }
  std::vector<std::string> visible_now() { return stored(queue_id{1}); }
  /// Where the QUEUE was told that the queue ends, each time.
  std::vector<std::uint64_t> told() {
    std::vector<std::uint64_t> ends;
    for (const auto& v : queue_handle.take<visible>())
      if (v.answered == 0)
        ends.push_back(v.next.value);
    return ends;
  }
  result<cancelled_timer> cancel(const publish_result& r) {
    return world_.ask<cancelled_timer>(aut, cancel_timer{{r.index, r.first_ordinal}});
  }
  std::uint64_t waiting() { return ctx_->shards[0]->extent(queue_id{1}).value().delayed; }
  void expect_sound() { EXPECT_THAT(ctx_->shards[0]->verify({}), IsEmpty()); }

  timer_actor aut;
  producer_probe producer = world_.make_probe<published, route>();
  queue_probe queue_handle = world_.make_probe<visible>();
  std::uint64_t sequence_ = 0;
};

TEST_F(timer_test, makes_messages_visible_when_they_are_due_in_that_order_and_tells_their_queue) {
  const auto r = publish({{"c", 30ms}, {"a", 10ms}, {"b", 20ms}});
  EXPECT_TRUE(r.placed);
  EXPECT_FALSE(r.visible);
  EXPECT_EQ(r.index, log_index{1});
  advance(9ms);
  EXPECT_THAT(visible_now(), IsEmpty());
  advance(1ms);
  EXPECT_THAT(visible_now(), ElementsAre("a"));
  EXPECT_THAT(told(), ElementsAre(1));
  advance(100ms);
  EXPECT_THAT(visible_now(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(told(), ElementsAre(3));
  EXPECT_EQ(waiting(), 0u);
  expect_sound();
}

TEST_F(timer_test, looks_earlier_when_it_hears_of_a_message_that_is_due_earlier) {
  publish({{"late", 1h}});
  publish({{"soon", 5ms}});
  advance(5ms);
  EXPECT_THAT(visible_now(), ElementsAre("soon"));
  for (int i = 0; i < 60; ++i)
    advance(1min);
  EXPECT_THAT(visible_now(), ElementsAre("soon", "late"));
}

TEST_F(timer_test, splits_buckets_on_the_way_to_a_time_far_ahead_and_is_there_in_time) {
  publish({{"far", 72h}, {"further", 72h + 1s}});
  for (int i = 0; i < 72 * 60; ++i)
    advance(1min);
  EXPECT_THAT(visible_now(), ElementsAre("far"));
  advance(1s);
  EXPECT_THAT(visible_now(), ElementsAre("far", "further"));
  expect_sound();
}

TEST_F(timer_test, that_starts_anew_fires_at_once_and_in_order_what_came_due_meanwhile) {
  publish({{"3", 3h}, {"1", 5ms}, {"4", 90h}, {"2", 1h}});
  caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
  run();
  now_ += 4h;
  world_.advance(1ms);
  EXPECT_THAT(visible_now(), IsEmpty());
  auto restarted = std::make_shared<node_clock>(ctx_->now, world_.system().clock().now());
  aut = world_.owned(timer_actor{world_.system().spawn(
      timers, timer_config{ctx_->shards[0], ctx_->stores[0], std::move(restarted), ctx_->log})});
  run();
  EXPECT_THAT(visible_now(), ElementsAre("1", "2", "3"));
  expect_sound();
}

TEST_F(timer_test, goes_on_by_the_time_that_passes_while_the_wall_clock_is_wrong) {
  publish({{"due", 1h}});
  advance(1min);
  now_ += 48h;
  for (int i = 0; i < 58; ++i)
    advance(1min);
  EXPECT_THAT(visible_now(), IsEmpty()) << "not early";
  EXPECT_THAT(logged_, Contains("clock_not_trusted"));
  advance(1min);
  EXPECT_THAT(visible_now(), ElementsAre("due"));
  now_ -= 48h;
  publish({{"next", 1h}});
  EXPECT_THAT(logged_, Contains("clock_trusted"));
  now_ -= 48h;
  for (int i = 0; i < 60; ++i)
    advance(1min);
  EXPECT_THAT(visible_now(), ElementsAre("due", "next")) << "not late either";
  expect_sound();
}

TEST_F(timer_test, follows_a_clock_that_is_set_a_little) {
  publish({{"due", 5min}});
  now_ += 5min;
  advance(10s);
  EXPECT_THAT(visible_now(), ElementsAre("due"));
  publish({{"next", 1min}});
  now_ -= 2min;
  for (int i = 0; i < 12; ++i)
    advance(14s);
  EXPECT_THAT(visible_now(), ElementsAre("due")) << "2 minutes and 48 seconds passed of 3";
  advance(14s);
  EXPECT_THAT(visible_now(), ElementsAre("due", "next"));
}

TEST_F(timer_test, tries_again_when_the_store_refuses) {
  publish({{"a", 10ms}, {"b", 10ms}});
  faults_->what = {errc::overloaded, "not now", {}};
  faults_->times = 2;
  advance(10ms);
  EXPECT_THAT(visible_now(), IsEmpty());
  EXPECT_THAT(logged_, Contains("fire_failed"));
  for (int i = 0; i < 10; ++i)
    advance(100ms);
  EXPECT_THAT(visible_now(), ElementsAre("a", "b"));
  EXPECT_EQ(faults_->times, 0);
}

TEST_F(timer_test, tells_a_queue_that_comes_late_what_it_missed) {
  publish({{"a", 10ms}});
  queue_handle = world_.make_probe<visible>();
  advance(10ms);
  EXPECT_THAT(told(), IsEmpty());
  follow();
  EXPECT_THAT(told(), ElementsAre(1));
}

TEST_F(timer_test, cancels_what_waits_and_says_when_it_is_too_late) {
  const auto a = publish({{"a", 10ms}});
  const auto b = publish({{"b", 10ms}});
  const auto answer = cancel(a).value();
  EXPECT_TRUE(answer.cancelled);
  EXPECT_EQ(answer.queue, queue_id{1});
  EXPECT_EQ(answer.due, now_ + 10ms);
  EXPECT_EQ(cancel(a).error().code, errc::not_found);
  advance(10ms);
  EXPECT_THAT(visible_now(), ElementsAre("b"));
  EXPECT_FALSE(cancel(b).value().cancelled);
  publish_result never;
  never.index = log_index{77};
  EXPECT_EQ(cancel(never).error().code, errc::not_found);
  expect_sound();
}

TEST_F(timer_test, lets_a_cancel_win_that_comes_before_the_fire_in_the_same_commit) {
  const auto a = publish({{"a", 10ms}});
  publish({{"b", 10ms}});
  auto client = world_.make_probe<cancelled_timer>();
  client.send(aut, cancel_timer{{a.index, a.first_ordinal}});
  advance(10ms);
  EXPECT_TRUE(client.all<cancelled_timer>().at(0).cancelled);
  EXPECT_THAT(visible_now(), ElementsAre("b"));
  EXPECT_EQ(waiting(), 0u);
  expect_sound();
}

TEST_F(timer_test, finds_a_message_that_moved_on_while_it_was_cancelled) {
  const auto a = publish({{"a", 72h}});
  const auto row = ctx_->shards[0]->find_delayed({a.index, 0}).value()->row;
  // The split is in the mailbox of the STORE when the TIMER looks.
  auto other = world_.make_probe<applied>();
  other.send(ctx_->stores[0], propose_request{split_entry{row->bucket, 10}});
  EXPECT_TRUE(cancel(a).value().cancelled);
  EXPECT_EQ(waiting(), 0u);
  expect_sound();
}

} // namespace
} // namespace troupe::test
