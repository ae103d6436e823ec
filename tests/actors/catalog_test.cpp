#include "publish_fixture.hpp"

#include "catalog.hpp"
#include "directory.hpp"
#include "troupe/units.hpp"

#include <gmock/gmock.h>

namespace troupe::test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct catalog_fixture : publish_fixture {
  catalog_actor aut;

  void SetUp() override { aut = start(); }
  void TearDown() override { end(aut); }

  catalog_actor start() {
    auto catalog = spawn_catalog(world_.system(), ctx_);
    EXPECT_TRUE(catalog) << to_string(catalog.error());
    run();
    return *catalog;
  }
  void end(catalog_actor& catalog) {
    caf::anon_send_exit(catalog, caf::exit_reason::user_shutdown);
    catalog = nullptr;
    run();
  }
  result<topic_status> create(const std::string& name, std::uint32_t queues = 2) {
    topic_options options;
    options.queues = queues;
    return world_.ask<topic_status>(aut, create_topic{name, options});
  }
  std::vector<std::string> topics() { return world_.ask<names>(aut, list_topics_atom::value)->values; }
  std::vector<std::string> durable_topics() {
    std::vector<std::string> result;
    auto loaded = ctx_->shards[0]->load_definitions();
    for (const auto& topic : loaded->topics)
      result.push_back(topic.name);
    return result;
  }
  /// The TOPIC as such, which no answer names.
  caf::actor topic_behind(const std::string& topic) {
    auto found = std::make_shared<caf::actor>();
    world_.owned(
        caf::actor{world_.system().spawn([=, aut = aut](caf::event_based_actor* self) -> caf::behavior {
          self->request(aut, std::chrono::minutes{1}, route_request{topic}).then([=](const route&) {
            *found = caf::actor_cast<caf::actor>(self->current_sender());
          });
          return {[](const route&) {}};
        })});
    run();
    return *found;
  }
  /// Publishes one message to a queue of a topic through its route.
  void publish_one(const std::string& topic, const std::string& body) {
    auto where = world_.ask<route>(aut, route_request{topic});
    ASSERT_TRUE(where) << to_string(where.error());
    auto producer = world_.make_probe<published, route>();
    producer.send(where->queues[0], publish_of(where->ids[0], make_batch(7, 1, {body})));
    run();
    auto answers = producer.take<published>();
    ASSERT_EQ(answers.size(), 1u);
    ASSERT_EQ(answers[0].results[0].code, errc::none) << answers[0].results[0].reason;
  }
};

/// Sends many requests at once, as a pipelining client does, and counts the answers.
struct pipelining_client {
  struct counts {
    int done = 0;
    std::vector<error> refused;
  };
  std::shared_ptr<counts> got = std::make_shared<counts>();

  template <class Answer, class Request>
  void send_all(deterministic& world, const caf::actor& to, std::vector<Request> requests) {
    world.owned(
        caf::actor{world.system().spawn([=, got = got](caf::event_based_actor* self) -> caf::behavior {
          for (const auto& r : requests)
            self->request(to, std::chrono::minutes{1}, r)
                .then([got](const Answer&) { ++got->done; },
                      [got](const caf::error& err) { got->refused.push_back(from_caf(err)); });
          return {[](int) {}};
        })});
  }
};

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

// -- DIRECTORY
// -------------------------------------------------------------------------------------------------------

struct directory_fixture : catalog_fixture {
  caf::actor directory;
  std::vector<error> ended;

  void SetUp() override {
    catalog_fixture::SetUp();
    directory_config cfg;
    cfg.catalog = aut;
    cfg.about.name = "n1";
    cfg.about.version = "1.2.3";
    cfg.about.data = dir_.path().string();
    cfg.on_end = [this](const error& err) { ended.push_back(err); };
    directory = world_.owned(spawn_directory(world_.system(), ctx_, cfg));
    run();
  }
};

TEST_F(directory_fixture, hello_is_answered_with_the_nodes_name_and_other_versions_are_refused) {
  auto answer = world_.ask<welcome>(directory, hello{wire_version, "test"});
  ASSERT_TRUE(answer) << to_string(answer.error());
  EXPECT_EQ(answer->node, "n1");
  EXPECT_EQ(answer->software, "1.2.3");
  auto refused = world_.ask<welcome>(directory, hello{wire_version + 1, "test"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::unknown_version);
}

TEST_F(directory_fixture, requests_reach_the_catalog) {
  EXPECT_TRUE(world_.ask<topic_status>(directory, create_topic{"orders", {}}));
  EXPECT_THAT(world_.ask<names>(directory, list_topics_atom::value)->values, ElementsAre("orders"));
  EXPECT_TRUE(world_.ask<topic_status>(directory, describe_atom::value, topic_name{"orders"}));
  EXPECT_TRUE(world_.ask<route>(directory, route_request{"orders"}));
  EXPECT_TRUE(world_.ask<group_status>(directory, create_group{"workers", {}}));
  EXPECT_THAT(world_.ask<names>(directory, list_groups_atom::value)->values, ElementsAre("workers"));
  EXPECT_TRUE(world_.ask<bool>(directory, delete_atom::value, group_name{"workers"}));
  EXPECT_TRUE(world_.ask<bool>(directory, delete_atom::value, topic_name{"orders"}));
}

TEST_F(directory_fixture, a_message_that_nobody_knows_is_refused_and_does_no_harm) {
  for (int i = 0; i < 3; ++i) {
    auto refused = world_.ask<bool>(directory, std::string{"make coffee"}, 7);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::invalid_argument);
  }
  auto stranger = world_.make_probe<int>();
  stranger.send(directory, std::string{"not even a request"});
  caf::anon_send(directory, std::string{"from nobody"});
  caf::send_as(directory, directory, std::string{"from itself"});
  stranger.send(directory, caf::error{caf::sec::runtime_error});
  stranger.send(aut, caf::error{caf::sec::runtime_error});
  run();
  EXPECT_TRUE(world_.ask<welcome>(directory, hello{}));
}

TEST_F(directory_fixture, status_counts_connections_topics_and_groups) {
  auto client = world_.make_probe<welcome>();
  client.send(directory, hello{});
  client.send(directory, hello{});
  create("orders");
  run();
  auto status = world_.ask<node_status>(directory, status_atom::value);
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->state, "running");
  EXPECT_EQ(status->topics, 1u);
  EXPECT_EQ(status->groups, 0u);
  EXPECT_EQ(status->connections, 1u);
  EXPECT_GT(status->rss, 0u);
  EXPECT_GT(status->disk_used, 0u);
  EXPECT_GT(status->disk_free, 0u);
  ASSERT_EQ(status->shards.size(), 1u);
  EXPECT_EQ(status->shards[0].last, log_index{1});
  client.kill();
  run();
  EXPECT_EQ(world_.ask<node_status>(directory, status_atom::value)->connections, 0u);
}

TEST_F(directory_fixture, draining_commits_refuses_what_comes_later_and_ends_the_node) {
  create("orders");
  auto done = world_.ask<bool>(directory, drain_atom::value);
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0]);
  EXPECT_EQ(world_.ask<route>(directory, route_request{"orders"}).error().code, errc::shutting_down);
  EXPECT_EQ(world_.ask<node_status>(directory, status_atom::value)->state, "draining");
  EXPECT_TRUE(world_.ask<bool>(directory, drain_atom::value));
  EXPECT_EQ(ended.size(), 1u);
}

TEST_F(directory_fixture, beyond_so_many_askers_a_question_for_the_status_is_refused_at_once) {
  pipelining_client client;
  client.send_all<node_status>(world_, directory, std::vector<status_atom>(1025));
  run();
  EXPECT_EQ(client.got->done, 1024);
  ASSERT_EQ(client.got->refused.size(), 1u);
  EXPECT_EQ(client.got->refused[0].code, errc::overloaded);
}

TEST_F(directory_fixture, a_store_that_could_not_be_drained_is_told_to_everybody) {
  caf::anon_send_exit(ctx_->stores[0], caf::exit_reason::kill);
  run();
  ended.clear();
  EXPECT_FALSE(world_.ask<bool>(directory, drain_atom::value));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0]);
  EXPECT_FALSE(world_.ask<bool>(directory, drain_atom::value)) << "it has not become true since";
}

TEST_F(directory_fixture, members_hear_at_once_that_the_node_drains_and_nobody_joins_any_more) {
  create("orders");
  auto consumer = world_.make_probe<delivery, dismissed>();
  const join me{"workers", "me", {{"orders", "*"}}, 0, 0, consumer.handle()};
  auto member = world_.ask<joined>(directory, me);
  ASSERT_TRUE(member) << to_string(member.error());
  ASSERT_TRUE(world_.ask<bool>(directory, drain_atom::value));
  auto told = consumer.take<dismissed>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].code, errc::shutting_down);
  for (const auto& at :
       {directory, caf::actor_cast<caf::actor>(aut), caf::actor_cast<caf::actor>(member->group)})
    EXPECT_EQ(world_.ask<joined>(at, me).error().code, errc::shutting_down);
}

TEST_F(directory_fixture, a_reader_or_a_retention_that_died_ends_the_node_loudly) {
  caf::anon_send_exit(ctx_->readers[0], caf::exit_reason::kill);
  run();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].code, errc::internal);
  EXPECT_THAT(ended[0].reason, HasSubstr("READER"));
  caf::anon_send_exit(ctx_->retentions[0], caf::exit_reason::kill);
  run();
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_THAT(ended[1].reason, HasSubstr("RETENTION"));
}

TEST_F(directory_fixture, a_catalog_that_died_ends_the_node_loudly) {
  caf::anon_send_exit(aut, caf::exit_reason::kill);
  run();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].code, errc::internal);
}

} // namespace troupe::test
