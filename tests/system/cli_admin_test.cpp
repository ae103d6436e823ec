#include "cli_fixture.hpp"

#include <csignal>

/// topic, group, message and node against a running node.
namespace troupe::test {

using testing::ElementsAre;
using testing::StartsWith;

class cli_admin : public cli {};

TEST_F(cli_admin, a_topic_lives_from_create_to_delete) {
  auto made = works_json({"topic", "create", "life", "--queues", "3", "--retention", "2h",
                          "--retention-bytes", "1GiB", "--max-message", "64KiB"});
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made.at(0)["name"], "life");
  EXPECT_EQ(made.at(0)["queues"], 3);
  EXPECT_EQ(made.at(0)["priorities"], 1);
  EXPECT_EQ(made.at(0)["retention_ms"], 7'200'000);
  EXPECT_EQ(made.at(0)["retention_bytes"], 1 << 30);
  EXPECT_EQ(made.at(0)["max_message"], 65536);
  EXPECT_EQ(made.at(0)["messages"], 0);

  works({"send", "life", "hello"});
  auto described = works_json({"topic", "describe", "life"});
  ASSERT_EQ(described.size(), 1u);
  EXPECT_EQ(described.at(0)["messages"], 1);
  ASSERT_EQ(described.at(0)["per_queue"].size(), 3u);
  std::uint64_t next = 0;
  for (const auto& queue : described.at(0)["per_queue"]) {
    EXPECT_EQ(queue["first"], 0);
    next += queue["next"].get<std::uint64_t>();
  }
  EXPECT_EQ(next, 1u);

  auto changed = works_json({"topic", "set", "life", "--retention", "1d", "--queues", "4"});
  EXPECT_EQ(changed.at(0)["retention_ms"], 86'400'000);
  EXPECT_EQ(changed.at(0)["queues"], 4);
  EXPECT_EQ(changed.at(0)["max_message"], 65536) << "what is not named stays";

  EXPECT_THAT(works({"topic", "list"}), HasSubstr("life"));
  works({"topic", "delete", "life"});
  EXPECT_THAT(works({"topic", "list"}), Not(HasSubstr("life")));
  refused(1, {"topic", "describe", "life"}, "life");
}

TEST_F(cli_admin, options_at_the_value_of_this_version_are_taken) {
  works({"topic", "create", "same", "--priorities", "1", "--cleanup", "delete", "--key-index", "off",
         "--dedupe-key-window", "0"});
  works({"group", "create", "same", "--mode", "shared"});
  works({"send", "same", "b", "--priority", "0"});
}

TEST_F(cli_admin, the_list_has_every_topic_once) {
  new_topic("list-a");
  new_topic("list-b");
  std::vector<std::string> names;
  for (const auto& topic : works_json({"topic", "list"}))
    if (auto name = topic.value("name", ""); name.starts_with("list-")) {
      names.push_back(name);
      EXPECT_TRUE(topic.contains("per_queue"));
    }
  EXPECT_THAT(names, testing::UnorderedElementsAre("list-a", "list-b"));
  EXPECT_THAT(works({"topic", "list", "--names"}), HasSubstr("list-a\n"));
}

TEST_F(cli_admin, bad_topics_are_refused_with_what_why_and_what_to_do) {
  new_topic("taken");
  refused(1, {"topic", "create", "taken"}, "taken");
  refused(1, {"topic", "create", "bad name"}, "not allowed");
  refused(1, {"topic", "create", ""}, "empty");
  refused(1, {"topic", "create", std::string(128, 'x')}, "127");
  refused(1, {"topic", "create", "RMQ_SYS_x"}, "reserved");
  refused(1, {"topic", "create", "t", "--queues", "0"}, "queues");
  refused(1, {"topic", "create", "t", "--queues", "1025"}, "1024");
  refused(1, {"topic", "create", "t", "--max-message", "5MiB"}, "");
  refused(1, {"topic", "create", "t", "--max-message", "8GiB"}, "4MiB");
  refused(1, {"topic", "set", "missing", "--queues", "9"}, "missing");
  refused(1, {"topic", "set", "taken", "--queues", "2"}, "");
  refused(2, {"topic", "set", "taken"}, "nothing to change");
  refused(1, {"topic", "delete", "missing"}, "missing");
}

TEST_F(cli_admin, a_topic_named_like_a_verb_is_a_topic) {
  for (const auto* name : {"node", "send", "topic"}) {
    new_topic(name);
    works({"send", name, "topic"});
    EXPECT_EQ(works_json({"topic", "describe", name}).at(0)["messages"], 1);
  }
}

TEST_F(cli_admin, a_group_shows_members_progress_and_lag) {
  new_topic("followed", {"--queues", "2"});
  works({"send", "followed", "--lines", "-"}, "1\n2\n3\n4\n5\n");
  auto made = works_json({"group", "create", "followers", "--lease", "30s", "--max-unsettled", "10"});
  EXPECT_EQ(made.at(0)["lease_ms"], 30'000);
  EXPECT_EQ(made.at(0)["mode"], "shared");
  works({"receive", "followed", "--group", "followers", "--max", "3"});
  auto group = works_json({"group", "describe", "followers"}).at(0);
  EXPECT_EQ(group["lag"], 2);
  ASSERT_EQ(group["subscriptions"].size(), 1u);
  EXPECT_EQ(group["subscriptions"].at(0)["topic"], "followed");
  EXPECT_EQ(group["subscriptions"].at(0)["filter"], "*");
  EXPECT_EQ(group["members"].size(), 0u) << "the receiver has left";
  EXPECT_EQ(group["queues"].size(), 2u);
  EXPECT_THAT(works({"group", "describe", "followers"}), HasSubstr("no members"));
  EXPECT_THAT(works({"group", "list"}), HasSubstr("followers"));
  works({"group", "delete", "followers"});
  refused(1, {"group", "describe", "followers"}, "followers");
}

TEST_F(cli_admin, what_a_group_subscribes_to_can_be_changed) {
  new_topic("sub-a", {"--queues", "1"});
  new_topic("sub-b", {"--queues", "1"});
  works({"receive", "sub-a", "--group", "subs", "--filter", "x", "--wait", "0s"});
  EXPECT_THAT(works({"group", "subscribe", "subs", "--topic", "sub-a", "--filter", "y||x"}),
              HasSubstr("sub-a with filter x || y"));
  const auto two =
      works_json({"group", "subscribe", "subs", "--topic", "sub-b", "--filter", "*", "--from", "latest"})
          .at(0);
  EXPECT_EQ(two["subscriptions"].size(), 2u);
  refused(1, {"receive", "sub-a", "--group", "subs", "--filter", "x"}, "sub-b");
  works({"group", "subscribe", "subs", "--topic", "sub-b", "--remove"});
  refused(1, {"group", "subscribe", "subs", "--topic", "sub-b", "--remove"}, "does not subscribe");
  refused(2, {"group", "subscribe", "subs", "--topic", "sub-a", "--filter", "x ="}, "column");
  refused(2, {"group", "subscribe", "subs", "--topic", "sub-b", "--remove", "--filter", "x"}, "--filter");
  refused(2, {"group", "subscribe", "subs", "--topic", "sub-b", "--filter", "*", "--from", "soon"},
          "--from soon");
}

TEST_F(cli_admin, a_group_has_a_retry_policy_which_can_be_changed) {
  auto made = works_json({"group", "create", "patient"}).at(0);
  EXPECT_EQ(made["retry_ms"].size(), 16u) << "RocketMQ's by default";
  EXPECT_EQ(made["retry_ms"].at(0), 10'000);
  EXPECT_EQ(made["retry_ms"].at(15), 7'200'000);
  auto changed =
      works_json({"group", "set", "patient", "--retry", "exponential:1s,2,5s~20%", "--lease", "30s"}).at(0);
  EXPECT_EQ(changed["retry_ms"], (json{1000, 2000, 4000, 5000}));
  EXPECT_EQ(changed["retry"], "exponential:1s,2,5s~20%");
  EXPECT_EQ(changed["lease_ms"], 30'000);
  EXPECT_EQ(changed["max_unsettled"], 1000) << "what is not named stays";
  works({"group", "set", "patient", "--max-unsettled", "7"});
  auto now = works_json({"group", "describe", "patient"}).at(0);
  EXPECT_EQ(now["retry"], "exponential:1s,2,5s~20%");
  EXPECT_EQ(now["max_unsettled"], 7);
  EXPECT_EQ(now["max_unsettled_bytes"], 64u << 20);
  EXPECT_THAT(works({"group", "set", "patient", "--max-unsettled-bytes", "3MiB"}),
              HasSubstr("and 3MiB unsettled"));
  EXPECT_EQ(works_json({"group", "describe", "patient"}).at(0)["max_unsettled_bytes"], 3u << 20);
  EXPECT_THAT(works({"group", "describe", "patient"}), HasSubstr("7 messages and 3MiB per member"));
  EXPECT_THAT(works({"group", "set", "patient", "--retry", "10s,1m"}), HasSubstr("retries after 10s,1m,"));
  EXPECT_THAT(works({"group", "describe", "patient"}), HasSubstr("10s,1m\n"));
}

TEST_F(cli_admin, an_ordered_group_has_a_batch_of_a_key_which_can_be_changed) {
  new_topic("batched", {"--queues", "1"});
  const auto made =
      works_json({"group", "create", "in-batches", "--mode", "ordered", "--order-batch", "3"}).at(0);
  EXPECT_EQ(made["order_by"], "key");
  EXPECT_EQ(made["order_batch"], 3);
  EXPECT_THAT(works({"group", "describe", "in-batches"}), HasSubstr("ordered by key, 3 messages at a time"));
  works({"send", "batched", "--jsonl", "-"}, "{\"body\":\"1\",\"order_key\":\"k\"}\n"
                                             "{\"body\":\"2\",\"order_key\":\"k\"}\n"
                                             "{\"body\":\"3\",\"order_key\":\"k\"}\n"
                                             "{\"body\":\"4\",\"order_key\":\"k\"}\n");
  const auto receive = [](const std::string& settle) {
    return works_json({"receive", "batched", "--group", "in-batches", "--wait", "300ms", "--settle", settle,
                       "--retry-delay", "30s"});
  };
  EXPECT_EQ(works_json({"receive", "batched", "--group", "in-batches", "--wait", "300ms", "--settle", "none"})
                .size(),
            3u)
      << "the fourth waits for these";
  EXPECT_EQ(receive("retry").size(), 3u) << "the first is retried, and the others wait behind it";
  const auto waits = works_json({"group", "describe", "in-batches"}).at(0);
  EXPECT_EQ(waits["queues"].at(0)["retrying"], 1);
  EXPECT_EQ(waits["queues"].at(0)["leased"], 0);
  EXPECT_EQ(works_json({"group", "set", "in-batches", "--order-batch", "1"}).at(0)["order_batch"], 1);
  EXPECT_THAT(works({"group", "describe", "in-batches"}), HasSubstr("ordered by key\n"));
  refused(1, {"group", "set", "in-batches", "--order-batch", "1025"}, "from 1 to 1024");
  works({"group", "create", "no-order"});
  refused(1, {"group", "set", "no-order", "--order-batch", "2"}, "for ordered groups");
}

TEST_F(cli_admin, a_group_is_reset_to_an_offset_a_time_and_the_ends) {
  new_topic("replayed", {"--queues", "2"});
  std::vector<json> sent;
  // Two at a time, one to each queue: single ones begin with any.
  for (int i = 0; i < 6; ++i)
    for (auto& told : works_json({"send", "replayed", "--lines", "-"}, "a\nb\n"))
      sent.push_back(std::move(told));
  ASSERT_EQ(sent.size(), 12u);
  EXPECT_EQ(works_json({"receive", "replayed", "--group", "replayer", "--max", "12"}).size(), 12u);
  const auto lag = [] { return works_json({"group", "describe", "replayer"}).at(0)["lag"].get<int>(); };
  EXPECT_EQ(lag(), 0);
  const auto reset = [](const std::string& to, std::vector<std::string> rest = {}) {
    rest.insert(rest.begin(), {"group", "reset", "replayer", "--topic", "replayed", "--to", to});
    return works_json(std::move(rest));
  };
  const auto dry = reset("earliest", {"--dry-run"});
  ASSERT_EQ(dry.size(), 2u);
  EXPECT_EQ(dry.at(0)["topic"], "replayed");
  EXPECT_EQ(dry.at(1)["queue"], 1);
  EXPECT_EQ(dry.at(0)["to"], 0);
  EXPECT_EQ(dry.at(0)["from"].get<int>() + dry.at(1)["from"].get<int>(), 12);
  EXPECT_EQ(lag(), 0) << "a dry run does nothing";
  reset("earliest");
  EXPECT_EQ(lag(), 12);
  EXPECT_EQ(works_json({"receive", "replayed", "--group", "replayer", "--max", "12"}).size(), 12u);
  const auto one = reset("1", {"--queue", "1"});
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one.at(0)["queue"], 1);
  EXPECT_EQ(one.at(0)["to"], 1);
  reset("latest");
  EXPECT_EQ(lag(), 0);
  const auto id = sent.at(7).value("id", "");
  const auto stored = works_json({"message", "get", id}).at(0)["stored"].get<std::int64_t>();
  reset(std::to_string(stored));
  int at_or_after = 0;
  for (const auto& s : sent)
    at_or_after +=
        works_json({"message", "get", s.value("id", "")}).at(0)["stored"].get<std::int64_t>() >= stored ? 1
                                                                                                        : 0;
  EXPECT_EQ(lag(), at_or_after);
  const auto beyond = troupe({"--json", "group", "reset", "replayer", "--topic", "replayed", "--to", "1000"});
  EXPECT_EQ(beyond.status, 0);
  EXPECT_THAT(beyond.err, HasSubstr("no offset 1000 yet"));
  EXPECT_EQ(lag(), 0);
  EXPECT_THAT(works({"group", "reset", "replayer", "--topic", "replayed", "--to", "0"}),
              HasSubstr("was reset"));
  refused(1, {"group", "reset", "missing", "--topic", "replayed", "--to", "0"}, "missing");
  refused(1, {"group", "reset", "replayer", "--topic", "missing", "--to", "0"}, "missing");
  refused(1, {"group", "reset", "replayer", "--topic", "replayed", "--to", "0", "--queue", "2"},
          "no queue 2");
  new_topic("unfollowed");
  refused(1, {"group", "reset", "replayer", "--topic", "unfollowed", "--to", "0"}, "does not follow");
}

TEST_F(cli_admin, a_paused_group_gets_nothing_until_it_is_resumed) {
  new_topic("halted");
  works({"send", "halted", "a"});
  works({"group", "create", "halted"});
  EXPECT_EQ(works_json({"group", "pause", "halted"}).at(0)["paused"], true);
  EXPECT_THAT(works({"group", "describe", "halted"}), HasSubstr("(paused)"));
  EXPECT_EQ(works_json({"receive", "halted", "--group", "halted", "--max", "1", "--wait", "200ms"}).size(),
            0u);
  EXPECT_EQ(works_json({"group", "resume", "halted"}).at(0)["paused"], false);
  EXPECT_EQ(works_json({"receive", "halted", "--group", "halted", "--max", "1"}).size(), 1u);
}

TEST_F(cli_admin, a_node_that_is_stopped_is_waited_for_as_long_as_the_timeout_says) {
  node_->signal(SIGSTOP);
  auto impatient = troupe({"--timeout", "1500ms", "topic", "list"});
  process patient(TROUPE_CLI, at_node({"--timeout", "60s", "topic", "list"}));
  node_->signal(SIGCONT);
  EXPECT_EQ(impatient.status, 1);
  EXPECT_THAT(impatient.err, HasSubstr("something accepts connections at " + address_));
  EXPECT_THAT(impatient.err, HasSubstr("within 1500ms"));
  EXPECT_EQ(patient.wait(), 0) << patient.errors();
}

TEST_F(cli_admin, bad_groups_are_refused) {
  works({"group", "create", "once"});
  refused(1, {"group", "create", "once"}, "once");
  EXPECT_THAT(troupe({"group", "create", "once"}).err, HasSubstr("group set once"));
  refused(1, {"group", "create", "bad name"}, "not allowed");
  refused(1, {"group", "create", std::string(121, 'x')}, "120");
  refused(1, {"group", "create", "g", "--lease", "1ms"}, "lease");
  refused(1, {"group", "create", "g", "--max-unsettled", "0"}, "unsettled");
  refused(1, {"group", "create", "g", "--max-unsettled-bytes", "0"}, "unsettled bytes");
  refused(1, {"group", "create", "g", "--max-unsettled-bytes", "5GiB"}, "unsettled bytes");
  refused(2, {"group", "create", "g", "--max-unsettled-bytes", "much"}, "--max-unsettled-bytes");
  refused(1, {"group", "create", "g", "--retry", "9ms"}, "9ms");
  refused(1, {"group", "create", "g", "--retry", "10s,25h"}, "25h");
  refused(1, {"group", "create", "g", "--retry", "10s~51%"}, "50%");
  refused(1, {"group", "set", "once", "--retry", "exponential:1s,1,1m"}, "factor");
  refused(1, {"group", "set", "once", "--lease", "1ms"}, "lease");
  refused(1, {"group", "set", "once", "--max-unsettled", "0"}, "unsettled");
  refused(1, {"group", "set", "missing", "--lease", "1s"}, "missing");
  refused(1, {"group", "pause", "missing"}, "missing");
  refused(1, {"group", "resume", "missing"}, "missing");
  refused(1, {"group", "describe", "missing"}, "missing");
  EXPECT_THAT(troupe({"group", "describe", "missing"}).err, HasSubstr("troupe group create missing"));
  EXPECT_THAT(troupe({"group", "create", "b", "--mode", "broadcast", "--max-attempts", "3"}).err,
              HasSubstr("leave out --max-attempts"));
  refused(1, {"group", "delete", "missing"}, "missing");
}

TEST_F(cli_admin, a_group_without_a_last_attempt_says_what_becomes_of_what_is_rejected) {
  EXPECT_THAT(works({"group", "create", "tireless"}), HasSubstr("attempts at most 16, then dead-letter"));
  EXPECT_THAT(works({"group", "set", "tireless", "--max-attempts", "0", "--on-exhausted", "drop"}),
              HasSubstr("attempts without end, rejected: drop"));
  EXPECT_THAT(works({"group", "set", "tireless", "--on-exhausted", "block"}),
              HasSubstr("attempts without end, rejected: dead-letter"));
}

TEST_F(cli_admin, a_message_is_found_by_its_id_with_all_its_parts) {
  new_topic("kept");
  auto sent = works_json({"send", "kept", "the body", "--key", "k1", "--key", "k2", "--tag", "t",
                          "--property", "a=1", "--property", "b=", "--order-key", "o"});
  ASSERT_EQ(sent.size(), 1u);
  auto id = sent.at(0).value("id", "");
  auto m = works_json({"message", "get", id}).at(0);
  EXPECT_EQ(m["id"], id);
  EXPECT_EQ(m["topic"], "kept");
  EXPECT_EQ(m["queue"], sent.at(0)["queue"]);
  EXPECT_EQ(m["offset"], sent.at(0)["offset"]);
  EXPECT_EQ(m["body"], "the body");
  EXPECT_EQ(m["keys"], (json{"k1", "k2"}));
  EXPECT_EQ(m["tag"], "t");
  EXPECT_EQ(m["properties"], (json{{"a", "1"}, {"b", ""}}));
  EXPECT_EQ(m["order_key"], "o");
  EXPECT_GT(m.value("born", std::int64_t{0}), 1'600'000'000'000);
  EXPECT_GE(m.value("stored", std::int64_t{0}), m.value("born", std::int64_t{0}) - 1000);
  EXPECT_FALSE(m.contains("attempt")) << "nobody was given it";
  EXPECT_THAT(works({"message", "get", id}), HasSubstr("the body"));
}

TEST_F(cli_admin, an_id_that_does_not_exist_is_refused) {
  refused(1, {"message", "get", "0-999999999-0"}, "");
  refused(1, {"message", "get", "9-1-0"}, "");
  for (const auto* id : {"0-999999999-0", "9-1-0"})
    EXPECT_THAT(troupe({"message", "get", id}).err, HasSubstr("what to do: ")) << id;
  refused(1, {"message", "get", "65535-18446744073709551615-4294967295"}, "");
}

TEST_F(cli_admin, the_node_says_how_it_is) {
  auto node = works_json({"node", "status"}).at(0);
  EXPECT_EQ(node["state"], "running");
  EXPECT_EQ(node["listen"], address_);
  EXPECT_GT(node.value("rss", 0), 0);
  EXPECT_TRUE(node.contains("topics") && node.contains("groups") && node.contains("connections") &&
              node.contains("version"));
  for (const auto* field : {"used", "free", "budget"})
    EXPECT_TRUE(node["disk"].contains(field)) << field;
  ASSERT_EQ(node["shards"].size(), 1u);
  for (const auto* field :
       {"shard", "entries", "first", "last", "file", "commits", "commit_p50_us", "commit_p99_us"})
    EXPECT_TRUE(node["shards"].at(0).contains(field)) << field;
  EXPECT_THAT(works({"node", "status"}), HasSubstr("running"));
}

TEST_F(cli_admin, what_is_printed_for_people_cannot_control_their_terminal) {
  new_topic("hostile");
  auto id = works_json({"send", "hostile", "\x1b]0;owned\x07\n", "--key", "k\x1b[2J", "--property",
                        "p\xc2\x9b=\x1b[31m"})
                .at(0);
  for (const auto& text : {works({"message", "get", id.value("id", "")}),
                           works({"receive", "hostile", "--group", "victims", "--max", "1"})}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\x07")));
    EXPECT_THAT(text, HasSubstr("\\x1b]0;owned\\x07"));
  }
}

/// A node of its own, because it ends.
class cli_drain : public cli {};

TEST_F(cli_drain, draining_stops_the_node_cleanly_and_what_was_sent_is_there_afterwards) {
  new_topic("survivor");
  works({"send", "survivor", "still here"});
  EXPECT_THAT(works({"node", "drain"}), HasSubstr("drains"));
  EXPECT_EQ(node_->wait(std::chrono::seconds(15)), 0) << node_->errors();
  ASSERT_NO_FATAL_FAILURE(start_node());
  EXPECT_EQ(works_json({"receive", "survivor", "--group", "g", "--max", "1"}).at(0)["body"], "still here");
}

} // namespace troupe::test
