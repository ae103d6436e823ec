#include "publish_fixture.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class topic : public publish_fixture {
protected:
  void SetUp() override { aut = world_.owned(spawn_topic(world_.system(), ctx_, topic_of(3, {}, 5))); }
  route ask_route(producer_probe& who) {
    who.send(aut, route_request{"orders"});
    run();
    auto got = who.take<route>();
    EXPECT_EQ(got.size(), 1u);
    return got.empty() ? route{} : got.back();
  }
  publish_result publish_to(const route& r, std::size_t n, batch b) {
    producer.send(r.queues.at(n), publish_of(r.ids.at(n), std::move(b)));
    run();
    auto got = producer.take<published>();
    EXPECT_EQ(got.size(), 1u);
    return got.empty() ? publish_result{} : got[0].results.at(0);
  }

  topic_actor aut;
  producer_probe producer = world_.make_probe<published, route>();
};

TEST_F(topic, gives_a_route_with_all_queues_in_order_of_number) {
  const auto r = ask_route(producer);
  EXPECT_EQ(r.topic, topic_id{1});
  EXPECT_EQ(r.max_message, topic_options{}.max_message);
  EXPECT_THAT(r.ids, ElementsAre(queue_id{5}, queue_id{6}, queue_id{7}));
  ASSERT_EQ(r.queues.size(), 3u);
  EXPECT_EQ(publish_to(r, 2, make_batch(7, 1, {"a"})).base, queue_offset{0});
  EXPECT_THAT(stored(queue_id{7}), ElementsAre("a"));
}

TEST_F(topic, gives_the_same_queues_to_everybody) {
  auto other = world_.make_probe<published, route>();
  EXPECT_EQ(ask_route(producer).queues, ask_route(other).queues);
  const auto h = world_.ask<queue_handle>(aut, queue_request{1});
  ASSERT_TRUE(h);
  EXPECT_EQ(h->id, queue_id{6});
  EXPECT_EQ(caf::actor_cast<caf::actor>(h->queue), ask_route(producer).queues[1]);
}

TEST_F(topic, refuses_a_queue_number_that_does_not_exist) {
  const auto h = world_.ask<queue_handle>(aut, queue_request{3});
  ASSERT_FALSE(h);
  EXPECT_EQ(h.error().code, errc::not_found);
  EXPECT_EQ(h.error().hint, "it has queues 0 to 2 of priorities 0 to 0");
}

TEST_F(topic, has_a_queue_for_each_priority_and_routes_in_order_of_number_then_priority) {
  const auto lanes = world_.owned(spawn_topic(world_.system(), ctx_, topic_of(2, {.priorities = 3}, 11)));
  const auto r = world_.ask<route>(lanes, route_request{"orders"});
  ASSERT_TRUE(r) << to_string(r.error());
  EXPECT_EQ(r->priorities, 3u);
  ASSERT_EQ(r->queues.size(), 6u);
  EXPECT_EQ(r->ids.front(), queue_id{11});
  EXPECT_EQ(r->ids.back(), queue_id{16});
  const auto h = world_.ask<queue_handle>(lanes, queue_request{1, 2});
  ASSERT_TRUE(h);
  EXPECT_EQ(h->id, queue_id{16});
  EXPECT_EQ(caf::actor_cast<caf::actor>(h->queue), r->queues[5]);
  EXPECT_EQ(world_.ask<queue_handle>(lanes, queue_request{1, 3}).error().code, errc::not_found);
  publish_to(*r, 5, make_batch(7, 1, {"a", "b"}));
  const auto s = world_.ask<topic_status>(lanes, status_atom::value);
  ASSERT_TRUE(s);
  ASSERT_EQ(s->queues.size(), 6u);
  EXPECT_EQ(s->queues[5].number, 1u);
  EXPECT_EQ(s->queues[5].priority, 2u);
  EXPECT_EQ(s->queues[5].next, queue_offset{2});
  EXPECT_EQ(s->queues[4].next, queue_offset{0});
}

TEST_F(topic, that_grows_gets_all_lanes_of_the_new_queues_and_starts_any_that_dies) {
  const auto lanes = world_.owned(spawn_topic(world_.system(), ctx_, topic_of(1, {.priorities = 2}, 11)));
  producer.send(lanes, route_request{"orders"});
  run();
  auto bigger = topic_of(1, {.priorities = 2}, 11);
  bigger.options.queues = 2;
  bigger.queues.push_back({queue_id{20}, 2});
  producer.send(lanes, topic_changed{bigger});
  run();
  const auto r = world_.ask<route>(lanes, route_request{"orders"});
  ASSERT_TRUE(r);
  EXPECT_THAT(r->ids, ElementsAre(queue_id{11}, queue_id{12}, queue_id{20}, queue_id{21}));
  const auto h = world_.ask<queue_handle>(lanes, queue_request{1, 1});
  ASSERT_TRUE(h);
  caf::anon_send_exit(h->queue, caf::exit_reason::unhandled_exception);
  run();
  const auto again = world_.ask<queue_handle>(lanes, queue_request{1, 1});
  ASSERT_TRUE(again);
  EXPECT_NE(again->queue, h->queue);
  EXPECT_EQ(again->id, queue_id{21});
}

TEST_F(topic, sends_a_new_route_to_all_who_asked_when_it_got_more_queues) {
  const auto before = ask_route(producer);
  auto bigger = topic_of(3, {}, 5);
  bigger.options.queues = 5;
  bigger.queues.push_back({queue_id{20}, 2});
  bigger.version = 2;
  producer.send(aut, topic_changed{bigger});
  run();
  const auto after = producer.take<route>();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_GT(after[0].version, before.version);
  EXPECT_THAT(after[0].ids, ElementsAre(queue_id{5}, queue_id{6}, queue_id{7}, queue_id{20}, queue_id{21}));
  EXPECT_EQ(after[0].queues[0], before.queues[0]);
  EXPECT_EQ(publish_to(after[0], 4, make_batch(7, 1, {"a"})).code, errc::none);
}

TEST_F(topic, passes_changed_limits_on_to_its_queues) {
  const auto r = ask_route(producer);
  producer.send(aut, topic_changed{topic_of(3, {.max_message = 4}, 5)});
  run();
  EXPECT_EQ(producer.take<route>().at(0).max_message, 4u);
  EXPECT_EQ(publish_to(r, 0, make_batch(7, 1, {"12345"})).code, errc::too_large);
}

TEST_F(topic, that_is_deleted_says_so_to_everybody) {
  const auto r = ask_route(producer);
  auto gone = topic_of(3, {}, 5);
  gone.queues.clear();
  gone.options.queues = 0;
  producer.send(aut, topic_changed{gone});
  run();
  const auto told = producer.take<route>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].queues.empty());
  EXPECT_EQ(publish_to(r, 0, make_batch(7, 1, {"a"})).code, errc::not_found);
  EXPECT_EQ(world_.ask<route>(aut, route_request{"orders"}).error().code, errc::not_found);
  EXPECT_EQ(world_.ask<queue_handle>(aut, queue_request{0}).error().code, errc::not_found);
  EXPECT_EQ(world_.ask<topic_status>(aut, status_atom::value).error().code, errc::not_found);
}

TEST_F(topic, says_options_and_extents_of_queues_whether_they_run_or_not) {
  const auto r = ask_route(producer);
  publish_to(r, 1, make_batch(7, 1, {"a", "b"}));
  auto other = world_.owned(spawn_topic(world_.system(), ctx_, topic_of(3, {}, 5)));
  for (const auto& t : {aut, other}) {
    const auto s = world_.ask<topic_status>(t, status_atom::value);
    ASSERT_TRUE(s) << to_string(s.error());
    EXPECT_EQ(s->name, "orders");
    EXPECT_EQ(s->options.queues, 3u);
    ASSERT_EQ(s->queues.size(), 3u);
    EXPECT_EQ(s->queues[1].number, 1u);
    EXPECT_EQ(s->queues[1].id, queue_id{6});
    EXPECT_EQ(s->queues[1].next, queue_offset{2});
    EXPECT_EQ(s->queues[2].next, queue_offset{0});
  }
}

TEST_F(topic, starts_a_queue_again_that_died_and_tells_who_asked) {
  const auto before = ask_route(producer);
  publish_to(before, 0, make_batch(7, 1, {"a"}));
  // A batch is on its way when the QUEUE dies: the new one must hear of it.
  producer.send(before.queues[0], publish_of(before.ids[0], make_batch(7, 2, {"b"})));
  caf::anon_send_exit(before.queues[0], caf::exit_reason::unhandled_exception);
  run();
  const auto after = producer.take<route>();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_NE(after[0].queues[0], before.queues[0]);
  EXPECT_EQ(after[0].queues[1], before.queues[1]);
  EXPECT_THAT(logged_, ElementsAre("queue_restarted"));
  producer.take<published>();
  auto watcher = world_.make_probe<tail_moved>();
  watcher.send(after[0].queues[0], watch{watcher.handle()});
  run();
  const auto n = stored(queue_id{5}).size();
  EXPECT_EQ(watcher.take<tail_moved>().at(0).next, queue_offset{n});
  EXPECT_EQ(publish_to(after[0], 0, make_batch(7, n + 1, {"c"})).base, queue_offset{n});
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(topic, starts_a_queue_that_dies_again_and_again_once_a_second) {
  auto last = ask_route(producer);
  for (int i = 0; i < 3; ++i) {
    caf::anon_send_exit(last.queues[0], caf::exit_reason::unhandled_exception);
    run();
    if (i > 0) {
      EXPECT_TRUE(producer.take<route>().empty());
      world_.advance(999ms);
      EXPECT_TRUE(producer.take<route>().empty());
      world_.advance(1ms);
    }
    const auto told = producer.take<route>();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_NE(told[0].queues[0], last.queues[0]);
    last = told[0];
  }
  EXPECT_EQ(publish_to(last, 0, make_batch(7, 1, {"a"})).code, errc::none);
}

TEST_F(topic, starts_no_queue_again_because_a_stranger_says_so) {
  const auto r = ask_route(producer);
  const auto restart = caf::atom_constant<caf::atom("restart")>::value;
  caf::anon_send(caf::actor_cast<caf::actor>(aut), restart, 0u);
  producer.send(aut, restart, 4'294'967'295u);
  run();
  EXPECT_TRUE(producer.take<route>().empty());
  EXPECT_EQ(ask_route(producer).queues, r.queues);
}

TEST_F(topic, that_replaces_a_dead_one_tells_of_what_that_ones_queues_had_sent_to_the_store) {
  const auto before = ask_route(producer);
  // The new QUEUE looks into the store while the old one's batch is not committed yet.
  const auto old =
      std::exchange(aut, world_.owned(spawn_topic(world_.system(), ctx_, topic_of(3, {}, 5), true)));
  producer.send(before.queues[0], publish_of(before.ids[0], make_batch(7, 1, {"a"})));
  run();
  caf::anon_send_exit(old, caf::exit_reason::kill);
  auto watcher = world_.make_probe<tail_moved>();
  const auto q = world_.ask<queue_handle>(aut, queue_request{0});
  ASSERT_TRUE(q) << to_string(q.error());
  watcher.send(q->queue, watch{watcher.handle()});
  run();
  ASSERT_THAT(stored(queue_id{5}), ElementsAre("a"));
  EXPECT_EQ(watcher.take<tail_moved>().back().next, queue_offset{1});
}

TEST_F(topic, ends_with_its_queues) {
  const auto r = ask_route(producer);
  auto monitor = world_.system().spawn([q = r.queues[0]](caf::event_based_actor* self) -> caf::behavior {
    self->link_to(q);
    return {[](int) {}};
  });
  run();
  caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
  run();
  EXPECT_EQ(world_.ask<int>(monitor, 1).error().code, errc::disconnected) << "it was linked to a queue";
}

} // namespace
} // namespace troupe::test
