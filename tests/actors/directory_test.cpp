#include "catalog_fixture.hpp"

#include "directory.hpp"

#include "troupe/wire_reply.hpp"

#include <gmock/gmock.h>

namespace troupe::test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

} // namespace

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

TEST_F(directory_fixture, replies_go_to_who_waits_for_them_and_no_further_than_it_reads) {
  const std::string address(32, 'a');
  const auto answer = [&](std::uint64_t correlation, std::uint32_t size, const std::string& to) {
    const auto said = world_.ask<bool>(
        directory, reply_message{to, correlation, {}, block::copy_of(std::string(size, 'x'))});
    run();
    return said ? errc::none : said.error().code;
  };
  auto first = world_.make_probe<reply_message>();
  ASSERT_TRUE(world_.ask<bool>(directory, expect_replies{address, first.handle()}));
  EXPECT_EQ(answer(7, 10, address), errc::none);
  EXPECT_EQ(answer(8, 10, std::string(32, 'b')), errc::not_found);
  const auto came = first.take<reply_message>();
  ASSERT_EQ(came.size(), 1u);
  EXPECT_EQ(came[0].correlation, 7u);

  EXPECT_EQ(answer(9, 6u << 20, address), errc::none);
  EXPECT_EQ(answer(10, 6u << 20, address), errc::overloaded) << "it has not read 6 MiB";
  first.send(directory, replies_taken{address, (6u << 20) + 10});
  run();
  EXPECT_EQ(answer(10, 6u << 20, address), errc::none);

  auto again = world_.make_probe<reply_message>(); // after a reconnect
  ASSERT_TRUE(world_.ask<bool>(directory, expect_replies{address, again.handle()}));
  first.kill();
  run();
  EXPECT_EQ(answer(11, 10, address), errc::none);
  EXPECT_EQ(again.take<reply_message>().size(), 1u);
  again.kill();
  run();
  EXPECT_EQ(answer(12, 10, address), errc::not_found);
  auto third = world_.make_probe<reply_message>();
  EXPECT_EQ(world_.ask<bool>(directory, expect_replies{"short", third.handle()}).error().code,
            errc::invalid_argument);
}

} // namespace troupe::test
