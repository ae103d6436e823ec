#include "cli_fixture.hpp"

#include <algorithm>
#include <map>

/// Topics with priorities through the command line and a node that is killed and comes back.
namespace troupe::test {

using testing::ElementsAre;
using testing::SizeIs;

class priority_test : public cli {
protected:
  static void send(const std::string& topic, const std::vector<std::pair<int, std::string>>& messages) {
    std::string lines;
    for (const auto& [priority, body] : messages)
      lines += json{{"priority", priority}, {"body", body}}.dump() + "\n";
    works({"send", topic, "--jsonl", "-"}, lines);
  }
  static std::vector<json> receive(const std::string& topic, int n, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"receive", topic, "--group", topic, "--max", std::to_string(n)});
    return works_json(std::move(more));
  }
  static std::vector<std::string> bodies(const std::vector<json>& messages) {
    std::vector<std::string> all;
    for (const auto& m : messages)
      all.push_back(m["body"]);
    return all;
  }
  static void kill_and_restart() {
    node_->signal(SIGKILL);
    node_->wait();
    start_node();
  }
};

TEST_F(priority_test, the_highest_comes_first_and_retries_and_redriven_dead_letters_keep_their_priority) {
  new_topic("jobs", {"--queues", "1", "--priorities", "3"});
  works({"group", "create", "jobs", "--retry", "10ms"});
  send("jobs", {{0, "l1"}, {1, "m1"}, {2, "h1"}, {0, "l2"}, {2, "h2"}});
  EXPECT_THAT(bodies(receive("jobs", 1, {"--settle", "retry", "--retry-delay", "10ms"})), ElementsAre("h1"));
  kill_and_restart();
  // h1 is due again by the time that somebody joins, or comes as soon as it is.
  const auto rejected = receive("jobs", 2, {"--settle", "reject"});
  EXPECT_THAT(bodies(rejected), testing::UnorderedElementsAre("h1", "h2"));
  const auto letters = works_json({"dlq", "list", "jobs"});
  ASSERT_THAT(letters, SizeIs(2));
  EXPECT_EQ(letters[0]["priority"], 2);
  works({"dlq", "redrive", "jobs", "--all"});
  kill_and_restart();
  const auto rest = receive("jobs", 5);
  EXPECT_THAT(bodies(rest), ElementsAre("h1", "h2", "m1", "l1", "l2"));
  EXPECT_EQ(rest[0]["priority"], 2);
  EXPECT_FALSE(rest[3].contains("priority")) << "0 is left out";
}

TEST_F(priority_test, lower_ones_get_their_share_of_a_backlog_and_a_strict_group_gives_none) {
  new_topic("shared", {"--queues", "1", "--priorities", "2"});
  std::vector<std::pair<int, std::string>> mixed;
  for (int i = 0; i < 600; ++i)
    mixed.emplace_back(i % 2, std::to_string(i));
  send("shared", mixed);
  // A member gets little at a time: what it holds is not taken back.
  works({"group", "create", "strict", "--low-share", "0", "--max-unsettled", "20"});
  works({"group", "create", "quarter", "--low-share", "4", "--max-unsettled", "20"});
  const auto low_of_first = [](const std::string& group, int n) {
    const auto first = works_json({"receive", "shared", "--group", group, "--max", std::to_string(n)});
    return std::ranges::count_if(first, [](const auto& m) { return !m.contains("priority"); });
  };
  EXPECT_EQ(low_of_first("strict", 300), 0);
  EXPECT_NEAR(static_cast<double>(low_of_first("quarter", 200)), 50, 10);
  EXPECT_EQ(works_json({"group", "describe", "strict"}).at(0)["low_share"], 0);
  works({"group", "set", "strict", "--low-share", "7"});
  EXPECT_EQ(works_json({"group", "describe", "strict"}).at(0)["low_share"], 7);
  refused(1, {"group", "set", "strict", "--low-share", "1"}, "share of lower priorities");
}

TEST_F(priority_test, a_topic_shows_its_lanes_grows_with_all_of_them_and_keeps_their_number) {
  auto made = works_json({"topic", "create", "lanes", "--queues", "1", "--priorities", "2"});
  ASSERT_THAT(made, SizeIs(1));
  EXPECT_EQ(made[0]["priorities"], 2);
  EXPECT_EQ(made[0]["per_queue"], json::parse(R"([{"queue":0,"priority":0,"first":0,"next":0},
                                                  {"queue":0,"priority":1,"first":0,"next":0}])"));
  const auto sent = works_json({"send", "lanes", "x", "--priority", "1"});
  EXPECT_EQ(sent.at(0)["priority"], 1);
  EXPECT_EQ(sent.at(0)["offset"], 0);
  refused(1, {"send", "lanes", "x", "--priority", "2"}, "has 2 priorities, 0 to 1");
  refused(1, {"topic", "set", "lanes", "--priorities", "3"}, "fixed since it was created");
  works({"topic", "set", "lanes", "--priorities", "2", "--queues", "2"});
  const auto grown = works_json({"topic", "describe", "lanes"});
  ASSERT_THAT(grown.at(0)["per_queue"], SizeIs(4));
  EXPECT_EQ(grown[0]["per_queue"][1]["next"], 1);
  EXPECT_EQ(grown[0]["per_queue"][3]["queue"], 1);
  EXPECT_EQ(grown[0]["per_queue"][3]["priority"], 1);
  EXPECT_THAT(works({"topic", "describe", "lanes"}), HasSubstr("PRIORITY"));
  refused(1, {"topic", "create", "many", "--priorities", "11"}, "priorities is 11");
  refused(1, {"topic", "create", "none", "--priorities", "0"}, "priorities is 0");

  const auto come = works_json({"receive", "lanes", "--group", "lanes", "--max", "1"});
  EXPECT_EQ(come.at(0)["priority"], 1);
  const auto described = works_json({"group", "describe", "lanes"}).at(0);
  ASSERT_THAT(described["queues"], SizeIs(4));
  EXPECT_EQ(described["queues"][1]["priority"], 1);
  EXPECT_EQ(described["queues"][1]["floor"], 1);
  EXPECT_THAT(works({"group", "describe", "lanes"}), HasSubstr("PRIORITY"));
  const auto reset =
      works_json({"group", "reset", "lanes", "--topic", "lanes", "--to", "earliest", "--queue", "0"});
  ASSERT_THAT(reset, SizeIs(2));
  EXPECT_EQ(reset[1]["priority"], 1);
  EXPECT_EQ(reset[1]["from"], 1);
  EXPECT_EQ(reset[1]["to"], 0);
}

TEST_F(priority_test, without_lanes_a_priority_is_a_field_for_filters_and_nothing_is_shown_of_lanes) {
  new_topic("plain", {"--queues", "1"});
  send("plain", {{0, "a"}, {9, "b"}, {3, "c"}});
  EXPECT_THAT(bodies(receive("plain", 3)), ElementsAre("a", "b", "c"));
  EXPECT_FALSE(works_json({"topic", "describe", "plain"}).at(0)["per_queue"][0].contains("priority"));
  EXPECT_FALSE(works_json({"group", "describe", "plain"}).at(0)["queues"][0].contains("priority"));
}

} // namespace troupe::test
