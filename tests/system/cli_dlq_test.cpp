#include "cli_fixture.hpp"

/// dlq against a running node.
namespace troupe::test {

class cli_dlq : public cli {
protected:
  /// A topic of this name with so many messages, which the group of this name has rejected; their ids.
  static std::vector<std::string> rejected(const std::string& name, int messages) {
    new_topic(name, {"--queues", "1"});
    std::string lines;
    for (int n = 0; n < messages; ++n)
      lines +=
          "{\"body\":\"" + std::to_string(n) + "\",\"properties\":{\"n\":\"" + std::to_string(n) + "\"}}\n";
    works({"send", name, "--jsonl", "-"}, lines);
    std::vector<std::string> ids;
    for (const auto& m : works_json(
             {"receive", name, "--group", name, "--max", std::to_string(messages), "--settle", "reject"}))
      ids.push_back(m["id"]);
    return ids;
  }
  static std::vector<std::string> listed(const std::string& group, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"dlq", "list", group});
    std::vector<std::string> ids;
    for (const auto& letter : works_json(std::move(more)))
      ids.push_back(letter["id"]);
    return ids;
  }
};

TEST_F(cli_dlq, lists_and_shows_dead_letters_with_their_messages) {
  const auto ids = rejected("shown", 3);
  const auto letters = works_json({"dlq", "list", "shown"});
  ASSERT_EQ(letters.size(), 3u);
  EXPECT_EQ(letters[1]["id"], ids[1]);
  EXPECT_EQ(letters[1]["body"], "1");
  EXPECT_EQ(letters[1]["properties"]["n"], "1");
  EXPECT_EQ(letters[1]["group"], "shown");
  EXPECT_EQ(letters[1]["topic"], "shown");
  EXPECT_EQ(letters[1]["reason"], "rejected");
  EXPECT_EQ(letters[1]["attempts"], 1);
  EXPECT_EQ(letters[1]["detail"], "receive --settle reject");
  EXPECT_GT(letters[1]["died"], letters[1]["stored"]);
  const auto one = works_json({"dlq", "show", "shown", ids[2]});
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["body"], "2");
  EXPECT_THAT(works({"dlq", "list", "shown"}), HasSubstr(ids[0]));
  EXPECT_THAT(works({"dlq", "show", "shown", ids[0]}), HasSubstr("rejected"));
  EXPECT_EQ(listed("shown", {"--max", "2"}).size(), 2u);
  EXPECT_EQ(listed("shown", {"--filter", "n > 1"}), std::vector<std::string>{ids[2]});
  EXPECT_EQ(works_json({"group", "describe", "shown"}).at(0)["queues"].at(0)["dead"], 3);
}

TEST_F(cli_dlq, redrives_by_id_by_filter_and_all_and_says_what_became_of_each) {
  const auto ids = rejected("back", 6);
  const auto dry = works_json({"dlq", "redrive", "back", "--all", "--dry-run"});
  EXPECT_EQ(dry.size(), 6u);
  EXPECT_EQ(dry[0]["dry_run"], true);
  EXPECT_EQ(dry[0]["redriven"], false);
  EXPECT_EQ(listed("back").size(), 6u) << "a dry run does nothing";

  const auto by_id = works_json({"dlq", "redrive", "back", "--id", ids[4], "--id", ids[1]});
  ASSERT_EQ(by_id.size(), 2u);
  EXPECT_EQ(by_id[0]["id"], ids[1]);
  EXPECT_EQ(by_id[0]["redriven"], true);
  const auto by_filter = works_json({"dlq", "redrive", "back", "--filter", "n = 0", "--rate", "1000"});
  ASSERT_EQ(by_filter.size(), 1u);
  EXPECT_EQ(by_filter[0]["id"], ids[0]);
  EXPECT_THAT(works({"dlq", "redrive", "back", "--all"}), HasSubstr("3 dead letters redriven"));
  EXPECT_THAT(listed("back"), testing::IsEmpty());

  const auto again = works_json({"receive", "back", "--group", "back", "--max", "6"});
  ASSERT_EQ(again.size(), 6u);
  std::vector<std::string> came;
  for (const auto& m : again) {
    EXPECT_EQ(m["attempt"], 1);
    came.push_back(m["id"]);
  }
  EXPECT_THAT(came, testing::UnorderedElementsAreArray(ids));
}

TEST_F(cli_dlq, purges_and_then_there_is_nothing_left_to_show) {
  const auto ids = rejected("gone", 4);
  EXPECT_THAT(works({"dlq", "purge", "gone", "--id", ids[0], "--dry-run"}),
              HasSubstr("1 dead letter would be"));
  works({"dlq", "purge", "gone", "--id", ids[0]});
  EXPECT_EQ(listed("gone").size(), 3u);
  auto twice = troupe({"dlq", "purge", "gone", "--id", ids[0]});
  EXPECT_EQ(twice.status, 1);
  EXPECT_THAT(twice.err, HasSubstr("no dead letter"));
  EXPECT_EQ(twice.out, "") << "nothing was purged";
  refused(1, {"dlq", "show", "gone", ids[0]}, "no dead letter");
  EXPECT_EQ(works_json({"dlq", "purge", "gone", "--all"}).size(), 3u);
  EXPECT_THAT(works({"dlq", "list", "gone"}), HasSubstr("has no dead letters"));
  EXPECT_EQ(troupe({"dlq", "purge", "gone", "--all"}).status, 0) << "nothing to do is no failure";
}

TEST_F(cli_dlq, a_reset_leaves_dead_letters_where_they_are_and_delivers_their_messages_again) {
  const auto ids = rejected("twice", 2);
  works({"group", "reset", "twice", "--topic", "twice", "--to", "earliest"});
  EXPECT_EQ(listed("twice"), ids);
  EXPECT_EQ(works_json({"receive", "twice", "--group", "twice", "--max", "2"}).size(), 2u);
  EXPECT_EQ(listed("twice"), ids);
}

TEST_F(cli_dlq, what_is_not_there_is_said) {
  refused(1, {"dlq", "list", "nobody"}, "nobody");
  rejected("few", 1);
  refused(1, {"dlq", "list", "few", "--topic", "other"}, "does not follow");
  refused(1, {"dlq", "show", "few", "0-999999-0"}, "no dead letter");
  refused(1, {"dlq", "show", "few", "77-1-0"}, "no dead letter");
}

TEST_F(cli_dlq, what_a_broadcast_group_does_not_have_is_refused_without_a_count) {
  works({"group", "create", "everybody", "--mode", "broadcast"});
  for (const auto* verb : {"redrive", "purge"})
    refused(1, {"dlq", verb, "everybody", "--all"}, "dead letters");
}

} // namespace troupe::test
