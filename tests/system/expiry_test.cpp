#include "cli_fixture.hpp"
#include "system_fixture.hpp"

#include <chrono>

/// Messages with a time to live through the command line, and a node that is killed and comes back.
namespace troupe::test {

using testing::SizeIs;

class expiry_test : public cli {
protected:
  /// Until the message has expired, by this machine's clock, which is the node's.
  static void wait_until_expired(const std::string& id) {
    const auto expires = works_json({"message", "get", id}).at(0)["expires"].get<std::int64_t>();
    EXPECT_TRUE(eventually([&] {
      return std::chrono::system_clock::now().time_since_epoch() > std::chrono::milliseconds{expires};
    }));
  }
  /// Receives one message: what lies before it in the queue has been judged then.
  static json receive_one(const std::string& group, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"receive", group, "--group", group, "--max", "1"});
    const auto all = works_json(std::move(more));
    EXPECT_THAT(all, SizeIs(1));
    return all.empty() ? json::object() : all.front();
  }
  static json described(const std::string& group) { return works_json({"group", "describe", group}).at(0); }
  /// A node that has just come back may not know its queues yet.
  static bool has_expired(const std::string& group, std::uint64_t number) {
    const auto now = described(group);
    std::uint64_t all = 0;
    for (const auto& q : now["queues"])
      all += q["expired"].get<std::uint64_t>();
    return all == number;
  }
  static void kill_and_restart() {
    node_->signal(SIGKILL);
    node_->wait();
    start_node();
  }
};

TEST_F(expiry_test, what_lived_too_long_never_comes_and_is_counted_over_a_restart) {
  new_topic("dropped", {"--queues", "1"});
  const auto sent = works_json({"send", "dropped", "short", "--ttl", "50ms"}).at(0);
  wait_until_expired(sent["id"]);
  works({"send", "dropped", "long", "--ttl", "1h"});
  works({"send", "dropped", "for ever"});
  const auto came = receive_one("dropped");
  EXPECT_EQ(came["body"], "long");
  EXPECT_EQ(came["expires"], came["born"].get<std::int64_t>() + 3'600'000);
  const auto last = receive_one("dropped");
  EXPECT_EQ(last["body"], "for ever");
  EXPECT_FALSE(last.contains("expires"));
  EXPECT_TRUE(eventually([] { return has_expired("dropped", 1); }));
  EXPECT_EQ(described("dropped")["on_expired"], "drop");
  EXPECT_EQ(described("dropped")["queues"].at(0)["dead"], 0);
  EXPECT_THAT(works({"group", "describe", "dropped"}), HasSubstr("1 message, dropped"));
  kill_and_restart();
  EXPECT_TRUE(eventually([] { return has_expired("dropped", 1); }));
  EXPECT_EQ(works_json({"message", "get", sent["id"]}).at(0)["body"], "short") << "it stays in its topic";
}

TEST_F(expiry_test, becomes_a_dead_letter_behind_the_filter_where_asked_and_can_be_redriven) {
  new_topic("kept", {"--queues", "1"});
  works({"group", "create", "kept", "--on-expired", "dead-letter"});
  const auto receipts =
      works_json({"send", "kept", "--jsonl", "-"}, R"({"body":"a","tag":"red","ttl":"1ms"})"
                                                   "\n"
                                                   R"({"body":"b","tag":"blue","ttl":"1ms"})"
                                                   "\n"
                                                   R"({"body":"c","tag":"red"})"
                                                   "\n");
  ASSERT_THAT(receipts, SizeIs(3));
  for (int i = 0; i < 2; ++i)
    wait_until_expired(receipts[i]["id"]);
  EXPECT_EQ(receive_one("kept", {"--filter", "red"})["body"], "c");
  EXPECT_TRUE(eventually([] { return has_expired("kept", 1); }));
  EXPECT_THAT(works({"group", "describe", "kept"}), HasSubstr("1 message, to the dead letters"));
  kill_and_restart();
  const auto letters = works_json({"dlq", "list", "kept"});
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0]["id"], receipts[0]["id"]);
  EXPECT_EQ(letters[0]["body"], "a");
  EXPECT_EQ(letters[0]["reason"], "expired");
  EXPECT_EQ(letters[0]["attempts"], 0);
  works({"dlq", "redrive", "kept", "--all"});
  EXPECT_EQ(receive_one("kept", {"--filter", "red"})["body"], "a") << "somebody wants it whatever its age";
  EXPECT_TRUE(has_expired("kept", 1));
  works({"group", "set", "kept", "--on-expired", "drop"});
  EXPECT_EQ(described("kept")["on_expired"], "drop");
}

TEST_F(expiry_test, a_time_to_live_that_makes_no_sense_is_refused) {
  new_topic("refusing", {"--queues", "1"});
  for (const auto* wrong : {"0", "0s", "soon", "5", "-5s", "36501d"})
    refused(2, {"send", "refusing", "x", std::string("--ttl=") + wrong}, "--ttl");
  for (const auto* wrong : {R"("0s")", R"("soon")", R"("36501d")", "5"})
    refused(2, {"send", "refusing", "--jsonl", "-"}, "'ttl'",
            std::string(R"({"body":"x","ttl":)") + wrong + "}\n");
  EXPECT_THAT(works_json({"send", "refusing", "x", "--ttl", "36500d"}), SizeIs(1));
  refused(2, {"group", "create", "blocking", "--on-expired", "block"}, "drop or dead-letter");
  refused(1, {"group", "create", "everybody", "--mode", "broadcast", "--on-expired", "dead-letter"},
          "broadcast group");
}

} // namespace troupe::test
