#include "catalog_fixture.hpp"

#include "catalog.hpp"
#include "troupe/units.hpp"

#include <gmock/gmock.h>

namespace troupe::test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

} // namespace

TEST_F(catalog_fixture, a_topic_is_durable_when_its_creation_is_answered) {
  auto made = create("orders", 3);
  ASSERT_TRUE(made) << to_string(made.error());
  EXPECT_EQ(made->name, "orders");
  ASSERT_EQ(made->queues.size(), 3u);
  EXPECT_EQ(made->queues[2].number, 2u);
  EXPECT_EQ(made->queues[2].id, queue_id{3});
  EXPECT_THAT(durable_topics(), ElementsAre("orders"));
}

TEST_F(catalog_fixture, creations_in_flight_share_entries) {
  std::vector<create_topic> requests;
  for (int i = 0; i < 500; ++i)
    requests.push_back({"t" + std::to_string(i), {}});
  auto before = faults_->calls;
  pipelining_client client;
  client.send_all<topic_status>(world_, caf::actor_cast<caf::actor>(aut), requests);
  run();
  EXPECT_EQ(client.got->done, 500);
  EXPECT_LE(faults_->calls - before, 10);
  EXPECT_EQ(topics().size(), 500u);
  EXPECT_EQ(durable_topics().size(), 500u);
}

TEST_F(catalog_fixture, of_two_creations_of_one_name_in_flight_one_is_refused) {
  pipelining_client client;
  client.send_all<topic_status>(world_, caf::actor_cast<caf::actor>(aut),
                                std::vector<create_topic>{{"orders", {}}, {"orders", {}}});
  run();
  EXPECT_EQ(client.got->done, 1);
  ASSERT_EQ(client.got->refused.size(), 1u);
  EXPECT_EQ(client.got->refused[0].code, errc::already_exists);
}

TEST_F(catalog_fixture, what_the_store_refused_does_not_exist_and_can_be_asked_for_again) {
  faults_->what = {errc::too_large, "too much", "less"};
  faults_->times = 1000;
  auto refused = create("orders");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::too_large);
  faults_->times = 0;
  EXPECT_THAT(topics(), IsEmpty());
  EXPECT_TRUE(create("orders"));
}

TEST_F(catalog_fixture, after_a_storage_failure_nothing_is_changed_but_questions_are_answered) {
  ASSERT_TRUE(create("orders"));
  faults_->what = {errc::storage_failed, "I/O error", "look at the disk"};
  faults_->times = 1000;
  EXPECT_EQ(create("more").error().code, errc::storage_failed);
  EXPECT_EQ(create("more").error().code, errc::storage_failed);
  EXPECT_THAT(topics(), ElementsAre("orders"));
  EXPECT_THAT(logged_, testing::Contains("catalog_broken"));
}

TEST_F(catalog_fixture, definitions_and_ids_survive_a_restart) {
  create("a", 2);
  create("b", 2);
  ASSERT_TRUE(world_.ask<bool>(aut, delete_atom::value, topic_name{"b"}));
  end(aut);
  aut = start();
  EXPECT_THAT(topics(), ElementsAre("a"));
  auto made = create("c", 1);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->queues[0].id, queue_id{5});
}

TEST_F(catalog_fixture, options_can_be_changed_and_a_running_topic_learns_of_it) {
  create("orders", 1);
  auto client = world_.make_probe<route>();
  client.send(aut, route_request{"orders"});
  run();
  client.take<route>();
  topic_options wider;
  wider.queues = 3;
  auto changed = world_.ask<topic_status>(aut, set_topic{"orders", wider});
  ASSERT_TRUE(changed) << to_string(changed.error());
  EXPECT_EQ(changed->queues.size(), 3u);
  auto routes = client.take<route>();
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_EQ(routes[0].queues.size(), 3u);
  wider.queues = 1;
  EXPECT_EQ(world_.ask<topic_status>(aut, set_topic{"orders", wider}).error().code, errc::invalid_argument);
}

TEST_F(catalog_fixture, describing_shows_what_the_queues_hold) {
  create("orders");
  publish_one("orders", "one");
  auto status = world_.ask<topic_status>(aut, describe_atom::value, topic_name{"orders"});
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->queues[0].next, queue_offset{1});
  EXPECT_EQ(status->queues[1].next, queue_offset{0});
}

TEST_F(catalog_fixture, an_unknown_topic_is_not_made_by_asking_for_it) {
  create("orders");
  for (const auto& err : {world_.ask<route>(aut, route_request{"ordres"}).error(),
                          world_.ask<topic_status>(aut, describe_atom::value, topic_name{"ordres"}).error(),
                          world_.ask<bool>(aut, delete_atom::value, topic_name{"ordres"}).error()}) {
    EXPECT_EQ(err.code, errc::not_found);
    EXPECT_THAT(err.hint, HasSubstr("did you mean \"orders\"?"));
    EXPECT_THAT(err.hint, HasSubstr("troupe topic create ordres"));
  }
  EXPECT_THAT(topics(), ElementsAre("orders"));
}

TEST_F(catalog_fixture, a_deleted_topic_is_gone_for_its_producers_and_in_the_store) {
  create("orders", 1);
  auto producer = world_.make_probe<route>();
  producer.send(aut, route_request{"orders"});
  publish_one("orders", "one");
  producer.take<route>();
  ASSERT_TRUE(world_.ask<bool>(aut, delete_atom::value, topic_name{"orders"}));
  auto routes = producer.take<route>();
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_THAT(routes[0].queues, IsEmpty());
  EXPECT_EQ(world_.ask<route>(aut, route_request{"orders"}).error().code, errc::not_found);
  EXPECT_THAT(durable_topics(), IsEmpty());
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
}

TEST_F(catalog_fixture, queues_whose_topic_is_gone_are_dropped_after_a_crash) {
  create("orders", 1);
  publish_one("orders", "one");
  end(aut);
  // The crash: the definition is removed, the data not yet.
  auto removed =
      world_.ask<applied>(ctx_->stores[0], propose_request{define_entry{{}, {}, {topic_id{1}}, {}}});
  ASSERT_TRUE(removed) << to_string(removed.error());
  ASSERT_THAT(stored(queue_id{1}), ElementsAre("one"));
  aut = start();
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
}

TEST_F(catalog_fixture, a_topic_that_died_is_started_again_on_use) {
  create("orders", 1);
  publish_one("orders", "one");
  auto queue = world_.ask<route>(aut, route_request{"orders"})->queues[0];
  // Its QUEUE is linked to it; whoever goes, the next route works.
  caf::anon_send_exit(queue, caf::exit_reason::kill);
  run();
  auto again = world_.ask<route>(aut, route_request{"orders"});
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_NE(again->queues[0], queue);
}

TEST_F(catalog_fixture, a_group_goes_on_when_its_topic_died_and_a_route_brought_it_back_first) {
  create("orders", 1);
  auto consumer = world_.make_probe<delivery, settled, dismissed>();
  auto member = world_.ask<joined>(aut, join{"workers", "me", {{"orders", "*"}}, 0, 0, consumer.handle()});
  ASSERT_TRUE(member) << to_string(member.error());
  consumer.send(member->group, consume{.member = member->member, .messages = 100, .bytes = 1u << 20});
  publish_one("orders", "one");
  ASSERT_EQ(consumer.take<delivery>().size(), 1u);
  auto topic = topic_behind("orders");
  caf::anon_send_exit(topic, caf::exit_reason::kill);
  run();
  auto producer = world_.make_probe<published, route>();
  producer.send(aut, route_request{"orders"});
  run();
  auto routes = producer.take<route>();
  ASSERT_EQ(routes.size(), 1u);
  advance(milliseconds{500});
  advance(milliseconds{5000});
  producer.send(routes[0].queues[0], publish_of(routes[0].ids[0], make_batch(8, 1, {"two"})));
  run();
  EXPECT_EQ(consumer.take<delivery>().size(), 1u);
  EXPECT_NE(topic_behind("orders"), topic);
}

TEST_F(catalog_fixture, a_topic_that_died_can_be_changed_and_deleted) {
  create("orders", 1);
  caf::anon_send_exit(topic_behind("orders"), caf::exit_reason::kill);
  run();
  topic_options wider;
  wider.queues = 2;
  auto changed = world_.ask<topic_status>(aut, set_topic{"orders", wider});
  ASSERT_TRUE(changed) << to_string(changed.error());
  EXPECT_EQ(changed->queues.size(), 2u);
  caf::anon_send_exit(topic_behind("orders"), caf::exit_reason::kill);
  run();
  EXPECT_TRUE(world_.ask<bool>(aut, delete_atom::value, topic_name{"orders"}));
  EXPECT_TRUE(create("orders", 1));
}

TEST_F(catalog_fixture, a_join_that_no_record_can_hold_takes_nobody_along) {
  create("orders", 1);
  auto consumer = world_.make_probe<delivery, dismissed>();
  pipelining_client good, bad;
  const auto me = caf::actor_cast<caf::actor>(aut);
  for (auto time : {std::int64_t{-1}, to_unix_ms(max_time) + 1})
    bad.send_all<joined>(world_, me,
                         std::vector{join{"workers", "me", {{"orders", "*"}}, 2, time, consumer.handle()}});
  good.send_all<topic_status>(world_, me, std::vector<create_topic>{{"other", {}}});
  run();
  EXPECT_EQ(good.got->done, 1);
  ASSERT_EQ(bad.got->refused.size(), 2u);
  for (const auto& err : bad.got->refused)
    EXPECT_EQ(err.code, errc::invalid_argument);
  EXPECT_THAT(world_.ask<names>(aut, list_groups_atom::value)->values, IsEmpty());
}

TEST_F(catalog_fixture, a_group_that_starts_at_the_latest_message_keeps_the_time_of_its_choice) {
  create("orders", 1);
  const auto far = to_unix_ms(now_ + std::chrono::hours{1});
  auto consumer = world_.make_probe<delivery, dismissed>();
  ASSERT_TRUE(world_.ask<joined>(aut, join{"a", "me", {{"orders", "*"}}, 1, 0, consumer.handle()}));
  ASSERT_TRUE(world_.ask<joined>(aut, join{"b", "me", {{"orders", "*"}}, 2, far, consumer.handle()}));
  const auto groups = ctx_->shards[0]->load_definitions()->groups;
  ASSERT_EQ(groups.size(), 2u);
  for (const auto& g : groups)
    EXPECT_EQ(g.subscriptions[0].start, (start_position{start_position::kind::latest, now_}));
}

TEST_F(catalog_fixture, a_message_is_found_by_its_id_with_its_topic_and_queue) {
  create("other", 3);
  create("orders", 2);
  publish_one("orders", "one");
  auto found = ctx_->shards[0]->read(queue_id{4}, queue_offset{0}, 1000);
  ASSERT_TRUE(found && found->batches.size() == 1);
  message_id id{shard_id{0}, found->batches[0].index, 0};
  auto message = world_.ask<found_message>(aut, get_message{id});
  ASSERT_TRUE(message) << to_string(message.error());
  EXPECT_EQ(message->topic, "orders");
  EXPECT_EQ(message->number, 0u);
  id.shard = shard_id{1};
  EXPECT_EQ(world_.ask<found_message>(aut, get_message{id}).error().code, errc::not_found);
}

TEST_F(catalog_fixture, requests_under_way_are_answered_when_the_catalog_ends) {
  auto store = ctx_->stores[0];
  // A STORE that never answers.
  ctx_->stores[0] = world_.owned(
      store_actor{world_.system().spawn([](store_actor::pointer self) -> store_actor::behavior_type {
        auto held = std::make_shared<std::vector<caf::typed_response_promise<applied>>>();
        return {[](append_request&) {}, [](settle_request&) {},
                [self, held](propose_request&) {
                  held->push_back(self->make_response_promise<applied>());
                  return held->back();
                },
                [](status_atom) { return store_status{}; }, [](drain_atom) { return true; }};
      })});
  pipelining_client client;
  client.send_all<topic_status>(world_, caf::actor_cast<caf::actor>(aut),
                                std::vector<create_topic>{{"a", {}}, {"a", {}}, {"b", {}}});
  run();
  EXPECT_EQ(client.got->done, 0);
  end(aut);
  ASSERT_EQ(client.got->refused.size(), 3u);
  for (const auto& err : client.got->refused)
    EXPECT_EQ(err.code, errc::shutting_down);
  ctx_->stores[0] = store;
}

TEST_F(catalog_fixture, a_join_is_refused_for_bad_filters_positions_and_unknown_topics) {
  create("orders");
  auto consumer = world_.make_probe<delivery>();
  join good{"workers", "me", {{"orders", "*"}}, 0, 0, consumer.handle()};
  auto refused = [&](const join& j) { return world_.ask<joined>(aut, j).error(); };
  auto bad = good;
  bad.topics[0].filter = "A ||";
  EXPECT_EQ(refused(bad).code, errc::invalid_argument);
  bad = good;
  bad.start = 9;
  EXPECT_EQ(refused(bad).code, errc::invalid_argument);
  bad = good;
  bad.consumer = nullptr;
  EXPECT_EQ(refused(bad).code, errc::invalid_argument);
  bad = good;
  bad.topics[0].topic = "order";
  EXPECT_EQ(refused(bad).code, errc::not_found);
  EXPECT_THAT(refused(bad).hint, HasSubstr("\"orders\"?"));
  EXPECT_THAT(world_.ask<names>(aut, list_groups_atom::value)->values, IsEmpty());
}

TEST_F(catalog_fixture, members_join_a_group_when_they_subscribe_alike) {
  create("orders");
  std::vector<probe<delivery, dismissed>> consumers;
  auto joins = [&](const std::string& filter) {
    consumers.push_back(world_.make_probe<delivery, dismissed>());
    return world_.ask<joined>(aut, join{"workers",
                                        "member " + std::to_string(consumers.size()),
                                        {{"orders", filter}},
                                        0,
                                        0,
                                        consumers.back().handle()});
  };
  auto first = joins("B || A");
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_TRUE(first->group);
  EXPECT_EQ(first->lease_ms, 60'000u);
  auto second = joins("A||B");
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_EQ(second->group, first->group);
  EXPECT_NE(second->member, first->member);
  auto other = joins("A");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::inconsistent_subscription);
  EXPECT_EQ(ctx_->shards[0]->load_definitions()->groups.size(), 1u);
  auto status = world_.ask<group_status>(aut, describe_atom::value, group_name{"workers"});
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->queues.size(), 2u);
  EXPECT_EQ(status->members.size(), 2u);
}

TEST_F(catalog_fixture, a_group_that_runs_hears_of_other_options_before_they_are_confirmed) {
  create("orders", 1);
  publish_one("orders", "one");
  auto consumer = world_.make_probe<delivery, dismissed>();
  auto member = world_.ask<joined>(aut, join{"workers", "me", {{"orders", "*"}}, 0, 0, consumer.handle()});
  ASSERT_TRUE(member);
  group_options options;
  options.retry = retry_schedule::fixed(std::chrono::seconds{5});
  options.max_unsettled = 7;
  auto changed = world_.ask<group_status>(aut, set_group{"workers", options});
  ASSERT_TRUE(changed) << to_string(changed.error());
  EXPECT_EQ(changed->options, options);
  EXPECT_EQ(changed->members.size(), 1u);
  auto paused = world_.ask<group_status>(aut, pause_group{"workers", true});
  ASSERT_TRUE(paused) << to_string(paused.error());
  EXPECT_TRUE(paused->paused);
  consumer.send(member->group, consume{.member = member->member, .messages = 10, .bytes = 1000});
  run();
  EXPECT_TRUE(consumer.take<delivery>().empty());
  const auto stored = ctx_->shards[0]->load_definitions();
  ASSERT_EQ(stored->groups.size(), 1u);
  EXPECT_EQ(stored->groups[0].options, options);
  EXPECT_TRUE(stored->groups[0].paused);
  ASSERT_TRUE(world_.ask<group_status>(aut, pause_group{"workers", false}));
  EXPECT_EQ(consumer.take<delivery>().size(), 1u);
  EXPECT_EQ(world_.ask<group_status>(aut, set_group{"missing", options}).error().code, errc::not_found);
}

TEST_F(catalog_fixture, members_learn_what_their_group_subscribes_to_and_stay) {
  create("orders", 1);
  create("refunds", 1);
  publish_one("refunds", "early");
  auto consumer = world_.make_probe<delivery, dismissed, group_news>();
  auto joins = [&](const std::string& filter, std::uint64_t version) {
    join j{"workers", {}, {{"orders", filter}}, 0, 0, consumer.handle()};
    j.version = version;
    return world_.ask<joined>(aut, std::move(j));
  };
  auto member = joins("paid", 0);
  ASSERT_TRUE(member);
  EXPECT_NE(member->version, 0u);
  ASSERT_EQ(member->topics.size(), 1u);
  EXPECT_EQ(member->topics[0].filter, "paid");
  auto wider = world_.ask<group_status>(aut, subscribe_group{"workers", {"orders", "*"}});
  ASSERT_TRUE(wider) << to_string(wider.error());
  auto more = world_.ask<group_status>(aut, subscribe_group{"workers", {"refunds", "*"}});
  ASSERT_TRUE(more) << to_string(more.error());
  EXPECT_EQ(more->members.size(), 1u);
  EXPECT_EQ(more->topics.size(), 2u);
  auto news = consumer.take<group_news>();
  ASSERT_EQ(news.size(), 2u);
  EXPECT_EQ(news[1].member, member->member);
  EXPECT_GT(news[0].version, member->version);
  EXPECT_GT(news[1].version, news[0].version);
  EXPECT_EQ(news[1].topics.size(), 2u);
  publish_one("orders", "untagged");
  consumer.send(member->group, consume{.member = member->member, .messages = 10, .bytes = 1000});
  run();
  EXPECT_EQ(consumer.take<delivery>().size(), 2u) << "of both topics, by the new filter";
  EXPECT_TRUE(consumer.take<dismissed>().empty());
  EXPECT_EQ(joins("paid", 0).error().code, errc::inconsistent_subscription);
  auto back = joins("paid", member->version);
  ASSERT_TRUE(back) << "it was a member";
  EXPECT_EQ(back->version, news[1].version);
  EXPECT_EQ(back->topics.size(), 2u);
}

TEST_F(catalog_fixture, a_topic_that_its_group_gave_up_leaves_no_progress_and_begins_anew) {
  create("orders", 1);
  create("refunds", 1);
  publish_one("refunds", "one");
  auto consumer = world_.make_probe<delivery, settled, dismissed, group_news>();
  auto member = world_.ask<joined>(
      aut, join{"workers", "me", {{"orders", "*"}, {"refunds", "*"}}, 0, 0, consumer.handle()});
  ASSERT_TRUE(member);
  const auto refunds = queue_id{2};
  ASSERT_FALSE(ctx_->shards[0]->subscriptions(refunds)->empty());
  auto less = world_.ask<group_status>(aut, subscribe_group{"workers", {"refunds", {}}, true});
  ASSERT_TRUE(less) << to_string(less.error());
  EXPECT_EQ(less->topics.size(), 1u);
  EXPECT_EQ(less->members.size(), 1u);
  EXPECT_TRUE(ctx_->shards[0]->subscriptions(refunds)->empty());
  EXPECT_FALSE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
  EXPECT_TRUE(consumer.take<dismissed>().empty());
  subscribe_group again{"workers", {"refunds", "*"}};
  again.start = start_position::kind::latest;
  advance(std::chrono::seconds{1});
  auto anew = world_.ask<group_status>(aut, again);
  ASSERT_TRUE(anew) << to_string(anew.error());
  ASSERT_EQ(anew->queues.size(), 2u);
  EXPECT_EQ(anew->queues[1].topic, "refunds");
  EXPECT_EQ(anew->queues[1].floor, queue_offset{1}) << "latest: not what was there before";
}

TEST_F(catalog_fixture, a_topic_whose_progress_could_not_be_removed_is_taken_again_once_it_can) {
  create("orders", 1);
  create("refunds", 2);
  auto consumer = world_.make_probe<delivery, settled, dismissed, group_news>();
  ASSERT_TRUE(world_.ask<joined>(
      aut, join{"workers", "me", {{"orders", "*"}, {"refunds", "*"}}, 0, 0, consumer.handle()}));
  ASSERT_FALSE(ctx_->shards[0]->subscriptions(queue_id{2})->empty());
  faults_->drops = {errc::overloaded, "busy", "try again"};
  ASSERT_TRUE(world_.ask<group_status>(aut, subscribe_group{"workers", {"refunds", {}}, true}));
  run();
  EXPECT_THAT(logged_, testing::Contains("group_progress_kept"));
  const subscribe_group again{"workers", {"refunds", "*"}};
  EXPECT_EQ(world_.ask<group_status>(aut, again).error().code, errc::overloaded)
      << "it would go on from progress that is then removed";
  faults_->drops = {};
  EXPECT_EQ(world_.ask<group_status>(aut, again).error().code, errc::overloaded)
      << "the removal is under way";
  EXPECT_TRUE(ctx_->shards[0]->subscriptions(queue_id{2})->empty());
  auto taken = world_.ask<group_status>(aut, again);
  ASSERT_TRUE(taken) << to_string(taken.error());
  EXPECT_EQ(taken->topics.size(), 2u);
}

TEST_F(catalog_fixture, a_subscription_is_refused_for_bad_filters_positions_and_unknown_topics) {
  create("orders", 1);
  ASSERT_TRUE(world_.ask<group_status>(aut, create_group{"workers", {}}));
  auto refusal = [this](subscribe_group r) {
    auto answer = world_.ask<group_status>(aut, std::move(r));
    return answer ? errc::none : answer.error().code;
  };
  EXPECT_EQ(refusal({"workers", {"orders", "a ="}}), errc::invalid_argument);
  EXPECT_EQ(refusal({"workers", {"missing", "*"}}), errc::not_found);
  EXPECT_EQ(refusal({"nobody", {"orders", "*"}}), errc::not_found);
  subscribe_group odd{"workers", {"orders", "*"}};
  odd.start = static_cast<start_position::kind>(9);
  EXPECT_EQ(refusal(odd), errc::invalid_argument);
  odd.start = start_position::kind::time;
  odd.start_time = -1;
  EXPECT_EQ(refusal(odd), errc::invalid_argument);
}

TEST_F(catalog_fixture, progress_of_an_ended_subscription_is_removed_after_a_crash) {
  create("orders", 1);
  ASSERT_TRUE(world_.ask<group_status>(aut, create_group{"workers", {}}));
  end(aut);
  auto begun = world_.ask<applied>(
      ctx_->stores[0], propose_request{reset_entry{group_id{1}, queue_id{1}, 0, queue_offset{0}}});
  ASSERT_TRUE(begun) << to_string(begun.error());
  ASSERT_FALSE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
  aut = start();
  EXPECT_TRUE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
}

TEST_F(catalog_fixture, a_deleted_group_dismisses_its_members_and_leaves_no_progress) {
  create("orders", 1);
  publish_one("orders", "one");
  auto consumer = world_.make_probe<delivery, dismissed>();
  ASSERT_TRUE(world_.ask<joined>(aut, join{"workers", "me", {{"orders", "*"}}, 0, 0, consumer.handle()}));
  ASSERT_FALSE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
  ASSERT_TRUE(world_.ask<bool>(aut, delete_atom::value, group_name{"workers"}));
  EXPECT_EQ(consumer.take<dismissed>().size(), 1u);
  EXPECT_TRUE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("one"));
}

TEST_F(catalog_fixture, progress_of_a_group_that_is_gone_is_removed_after_a_crash) {
  create("orders", 1);
  end(aut);
  auto begun = world_.ask<applied>(
      ctx_->stores[0], propose_request{reset_entry{group_id{9}, queue_id{1}, 0, queue_offset{0}}});
  ASSERT_TRUE(begun) << to_string(begun.error());
  ASSERT_FALSE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
  aut = start();
  EXPECT_TRUE(ctx_->shards[0]->subscriptions(queue_id{1})->empty());
}

} // namespace troupe::test
