#include "cli_fixture.hpp"
#include "system_fixture.hpp"

/// `troupe request`, and `receive --exec --reply`, which answers.
namespace troupe::test {

namespace {

class cli_request : public cli {
protected:
  /// Answers requests, each by this command; killed at the end of the scope.
  static process desk(const std::string& topic, const std::string& command,
                      std::vector<std::string> options = {}) {
    auto arguments = at_node({"receive", topic, "--group", "desk-" + topic, "--exec", command, "--reply"});
    arguments.insert(arguments.end(), options.begin(), options.end());
    return {TROUPE_CLI, std::move(arguments)};
  }
  static bool settled(const std::string& topic) {
    const auto described = troupe({"--json", "group", "describe", "desk-" + topic});
    return described.status == 0 && objects(described.out).at(0)["lag"] == 0;
  }
};

} // namespace

TEST_F(cli_request, prints_the_reply_as_the_command_of_a_consumer_printed_it) {
  const auto topic = new_topic("asked");
  auto answering = desk(topic, "tr a-z A-Z; echo; echo \"$TROUPE_TAG\"");
  EXPECT_EQ(works({"request", topic, "how many", "--tag", "count"}), "HOW MANY\ncount\n");
  EXPECT_EQ(works({"request", topic}, "by input"), "BY INPUT\n\n");
  const auto told = works_json({"request", topic, "json"}).at(0);
  EXPECT_EQ(told["body"], "JSON\n\n");
  EXPECT_EQ(told["topic"], topic);
  EXPECT_TRUE(eventually([&] { return settled(topic); })) << answering.errors();
}

TEST_F(cli_request, a_reply_may_be_bytes_of_any_size_a_message_may_have) {
  const auto topic = new_topic("bytes");
  auto answering = desk(topic, "head -c 4194304 /dev/zero");
  EXPECT_EQ(works({"request", topic, "all", "--wait", "30s"}).size(), std::size_t{4} << 20);
  EXPECT_EQ(works_json({"request", topic, "all", "--wait", "30s"}).at(0)["body"].get<std::string>().size(),
            std::size_t{4} << 20);
}

TEST_F(cli_request, that_nobody_answers_ends_in_time_and_expires_with_its_asker) {
  const auto topic = new_topic("unheard");
  refused(1, {"request", topic, "anybody?", "--wait", "200ms"}, "no reply came in time");
  refused(1, {"request", "nothing", "anybody?"}, "nothing");
  refused(2, {"request", topic, "x", "--wait", "soon"}, "soon");
  refused(2, {"request", topic, "x", "--wait", "0"}, "1ms to 24h");
  refused(2, {"request", topic, "x", "--wait", "25h"}, "1ms to 24h");
  // Nor does a node that does not answer make it wait for longer.
  node_->signal(SIGSTOP);
  EXPECT_EQ(troupe({"--timeout", "1h", "request", topic, "x", "--wait", "100ms"}).status, 1);
  node_->signal(SIGCONT);
  // It expired with its asker: nobody would wait for what it costs.
  EXPECT_TRUE(eventually([&] {
    return works_json({"receive", topic, "--group", "late", "--max", "1", "--wait", "100ms"}).empty();
  }));
}

TEST_F(cli_request, what_asks_for_no_reply_or_cannot_have_it_is_settled_and_said) {
  const auto topic = new_topic("told");
  works({"send", topic, "no question"});
  auto answering = desk(topic, "cat");
  EXPECT_TRUE(eventually([&] { return settled(topic); }));
  EXPECT_TRUE(eventually([&] { return answering.errors().find("no reply was sent") != std::string::npos; }))
      << answering.errors();
  const auto large = new_topic("large-reply");
  auto too_large = desk(large, "head -c 5000000 /dev/zero");
  refused(1, {"request", large, "all", "--wait", "2s"}, "no reply came in time");
  EXPECT_TRUE(eventually([&] { return too_large.errors().find("no reply was sent") != std::string::npos; }))
      << too_large.errors();
  EXPECT_TRUE(eventually([&] { return settled(large); }));
  refused(2, {"receive", topic, "--group", "g", "--reply"}, "--reply needs --exec");
}

} // namespace troupe::test
