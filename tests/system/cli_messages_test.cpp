#include "cli_fixture.hpp"

#include <csignal>
#include <fstream>
#include <set>

/// send and receive against a running node.
namespace troupe::test {

using testing::ElementsAre;

class cli_messages : public cli {
protected:
  static std::vector<std::string> bodies(const std::vector<json>& messages) {
    std::vector<std::string> all;
    for (const auto& m : messages)
      all.push_back(m.value("body", ""));
    return all;
  }
  /// Everything that a new group finds in a topic.
  static std::vector<json> all_of(const std::string& topic, std::uint64_t count) {
    static int groups = 0;
    return works_json(
        {"receive", topic, "--group", "all-" + std::to_string(++groups), "--max", std::to_string(count)});
  }
  static std::uint64_t messages_in(const std::string& topic) {
    return works_json({"topic", "describe", topic}).at(0)["messages"];
  }
};

TEST_F(cli_messages, a_sent_message_has_a_place) {
  new_topic("place", {"--queues", "1"});
  auto sent = works_json({"send", "place", "b"});
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent.at(0)["topic"], "place");
  EXPECT_EQ(sent.at(0)["offset"], 0);
  EXPECT_EQ(sent.at(0)["durability"], "durable");
  EXPECT_THAT(sent.at(0).value("id", ""), testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+"));
  EXPECT_FALSE(sent.at(0).contains("duplicate"));
  auto buffered = works_json({"send", "place", "b", "--durability", "buffered"});
  EXPECT_EQ(buffered.at(0)["durability"], "buffered");
  EXPECT_EQ(buffered.at(0)["offset"], 1) << "a producer's first message is answered with its commit";
  auto one_way = works_json({"send", "place", "b", "--one-way"});
  EXPECT_EQ(one_way.at(0)["durability"], "one-way");
  EXPECT_EQ(works({"send", "place", "b", "--quiet"}), "");
  EXPECT_EQ(all_of("place", 4).size(), 4u);
}

TEST_F(cli_messages, a_consumer_that_does_not_settle_holds_no_more_bytes_than_its_group_allows) {
  new_topic("large", {"--queues", "4"});
  works({"group", "create", "holder", "--max-unsettled-bytes", "4MiB"});
  std::string lines;
  for (char c = 'a'; c < 'a' + 8; ++c)
    lines += std::string(1u << 20, c) + "\n";
  works({"send", "large", "--lines", "-", "--quiet"}, lines);
  const auto first_letters = [](const std::vector<json>& messages) {
    std::multiset<char> all;
    for (const auto& m : messages)
      all.insert(m.value("body", "?").front());
    return all;
  };
  const auto held = works_json({"receive", "large", "--group", "holder", "--settle", "none", "--wait", "2s"});
  EXPECT_EQ(held.size(), 3u) << "a fourth MiB with its frame would be more";
  const auto all = works_json({"receive", "large", "--group", "holder", "--max", "8"});
  EXPECT_EQ(first_letters(all), (std::multiset<char>{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}));
}

TEST_F(cli_messages, a_body_may_be_an_argument_a_file_or_standard_input) {
  new_topic("sources", {"--queues", "1"});
  temporary_directory place;
  auto file = (place.path() / "body").string();
  std::ofstream(file) << "from a file\n";
  works({"send", "sources", "an argument"});
  works({"send", "sources", "--file", file});
  works({"send", "sources"}, "from\nstandard input");
  works({"send", "sources", "--", "-dash"});
  EXPECT_THAT(bodies(all_of("sources", 4)),
              ElementsAre("an argument", "from a file\n", "from\nstandard input", "-dash"));
}

TEST_F(cli_messages, a_body_that_is_no_text_comes_back_as_base64) {
  new_topic("binary");
  works({"send", "binary"}, std::string("\x00\xff\x10", 3));
  auto m = all_of("binary", 1).at(0);
  EXPECT_EQ(m["body_base64"], "AP8Q");
  EXPECT_FALSE(m.contains("body"));
}

TEST_F(cli_messages, bad_messages_are_refused_with_the_limit) {
  new_topic("limits", {"--max-message", "1KiB"});
  refused(1, {"send", "limits", ""}, "empty");
  refused(1, {"send", "limits"}, "1024", std::string(1025, 'x'));
  refused(1, {"send", "limits"}, "4,194,304", std::string((4 << 20) + 1, 'x'));
  refused(1, {"send", "limits", "b", "--tag", "two words"}, "tag");
  refused(1, {"send", "limits", "b", "--tag", std::string(256, 'x')}, "255");
  refused(1, {"send", "limits", "b", "--key", ""}, "key");
  refused(1, {"send", "limits", "b", "--order-key", std::string(256, 'x')}, "255");
  refused(1, {"send", "limits", "b", "--property", "p=" + std::string(40'000, 'x')}, "32767");
  refused(1, {"send", "limits", "b", "--property", "p=1", "--property", "p=2"}, "same name");
  refused(1, {"send", "no-such-topic", "b"}, "no-such-topic");
  EXPECT_EQ(messages_in("limits"), 0u);
}

TEST_F(cli_messages, the_largest_body_fits) {
  new_topic("largest");
  std::string body(4 << 20, 'x');
  works({"send", "largest"}, body);
  EXPECT_EQ(all_of("largest", 1).at(0).value("body", "").size(), body.size());
}

TEST_F(cli_messages, each_line_is_a_message_with_an_answer_in_order) {
  new_topic("lines", {"--queues", "4"});
  std::string input;
  for (int i = 0; i < 5000; ++i)
    input += "line " + std::to_string(i) + "\n";
  auto answers = works_json({"send", "lines", "--lines", "-", "--tag", "t"}, input);
  ASSERT_EQ(answers.size(), 5000u);
  std::map<std::pair<int, std::uint64_t>, std::string> by_place;
  for (const auto& m : all_of("lines", 5000)) {
    by_place[{m.value("queue", -1), m.value("offset", std::uint64_t{0})}] = m.value("body", "");
    EXPECT_EQ(m["tag"], "t");
  }
  for (int i = 0; i < 5000; ++i) {
    auto place = std::pair(answers[i].value("queue", -1), answers[i].value("offset", std::uint64_t{0}));
    ASSERT_EQ(by_place[place], "line " + std::to_string(i)) << "the answers are in the order of the lines";
  }
}

TEST_F(cli_messages, lines_are_sent_as_they_come_and_empty_ones_are_left_out) {
  new_topic("blank", {"--queues", "1"});
  auto said = troupe({"send", "blank", "--lines", "-"}, "a\n\n \nb");
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("sent 3 messages"));
  EXPECT_THAT(said.err, HasSubstr("1 empty line"));
  EXPECT_THAT(bodies(all_of("blank", 3)), ElementsAre("a", " ", "b"));
  EXPECT_EQ(works({"send", "blank", "--lines", "-", "--quiet"}, ""), "");
}

TEST_F(cli_messages, an_answer_is_printed_while_input_is_awaited) {
  new_topic("interactive");
  process send(TROUPE_CLI, at_node({"--json", "send", "interactive", "--lines", "-"}), {.keep_input = true});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(send.write("x\n"));
    auto answer = send.read_line();
    ASSERT_TRUE(answer) << send.errors();
    EXPECT_TRUE(json::parse(*answer).contains("offset"));
  }
  send.close_input();
  EXPECT_EQ(send.wait(), 0);
}

TEST_F(cli_messages, jsonl_lines_carry_all_parts) {
  new_topic("jsonl", {"--queues", "1"});
  works({"send", "jsonl", "--jsonl", "-", "--tag", "default"},
        R"({"body":"a","keys":["k"],"tag":"t","properties":{"p":"v"},"order_key":"o"})"
        "\n\n"
        R"({"body_base64":"AP8="})");
  auto all = all_of("jsonl", 2);
  EXPECT_EQ(all.at(0)["keys"], json{"k"});
  EXPECT_EQ(all.at(0)["tag"], "t");
  EXPECT_EQ(all.at(0)["properties"]["p"], "v");
  EXPECT_EQ(all.at(0)["order_key"], "o");
  EXPECT_EQ(all.at(1)["tag"], "default");
  EXPECT_EQ(all.at(1)["body_base64"], "AP8=");
}

TEST_F(cli_messages, a_bad_jsonl_line_is_named_and_nothing_after_it_is_sent) {
  new_topic("badjsonl", {"--queues", "1"});
  const std::string good = R"({"body":"x"})"
                           "\n";
  refused(2, {"send", "badjsonl", "--jsonl", "-", "--quiet"}, "line 2 of standard input",
          good + "{oops\n" + good);
  EXPECT_EQ(messages_in("badjsonl"), 2u) << "one for each of the two runs";
  refused(2, {"send", "badjsonl", "--jsonl", "-"}, "unknown field 'colour'", R"({"body":"x","colour":1})");
  refused(2, {"send", "badjsonl", "--jsonl", "-"}, "'delay'", R"({"body":"x","delay":"soon"})");
  refused(2, {"send", "badjsonl", "--jsonl", "/no/such/file"}, "/no/such/file");
  EXPECT_EQ(messages_in("badjsonl"), 2u);
}

TEST_F(cli_messages, a_bad_line_is_wrong_usage_also_behind_messages_that_were_refused) {
  new_topic("badend");
  const auto said = troupe({"--json", "send", "badend", "--jsonl", "-"},
                           "{\"body\":\"\"}\n{\"body\":\"y\"}\nnot json\n{\"body\":\"z\"}\n");
  EXPECT_EQ(said.status, 2);
  const auto told = objects(said.err);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back()["note"], "1 message before it accepted, nothing after it sent");
  EXPECT_THAT(said.err, HasSubstr("1 of 2 messages were not accepted"));
  EXPECT_EQ(messages_in("badend"), 1u);
}

TEST_F(cli_messages, messages_that_are_refused_are_counted_and_named_and_the_others_are_sent) {
  new_topic("some", {"--max-message", "10B"});
  auto said = troupe({"--json", "send", "some", "--lines", "-"}, "short\nthis line is too long\nalso ok\n");
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(objects(said.out).size(), 2u);
  auto errors = objects(said.err);
  ASSERT_EQ(errors.size(), 2u) << said.err;
  EXPECT_EQ(errors.at(0)["error"], "too_large");
  EXPECT_EQ(errors.at(0)["message"], 2);
  EXPECT_EQ(errors.at(1)["failed"], 1);
  EXPECT_EQ(errors.at(1)["accepted"], 2);
  EXPECT_EQ(messages_in("some"), 2u);
}

TEST_F(cli_messages, what_is_acknowledged_does_not_come_again) {
  new_topic("once", {"--queues", "2"});
  works({"send", "once", "--lines", "-"}, "1\n2\n3\n4\n");
  std::multiset<std::string> seen;
  for (const auto& m : works_json({"receive", "once", "--group", "once", "--max", "3"})) {
    seen.insert(m.value("body", ""));
    EXPECT_EQ(m["attempt"], 1);
  }
  for (const auto& body : bodies(works_json({"receive", "once", "--group", "once", "--max", "1"})))
    seen.insert(body);
  EXPECT_EQ(works_json({"group", "describe", "once"}).at(0)["lag"], 0);
  EXPECT_THAT(seen, ElementsAre("1", "2", "3", "4"));
}

TEST_F(cli_messages, settling_with_retry_brings_it_again_with_the_next_attempt) {
  new_topic("again");
  works({"send", "again", "b"});
  auto first = works_json(
      {"receive", "again", "--group", "again", "--max", "1", "--settle", "retry", "--retry-delay", "10ms"});
  EXPECT_EQ(first.at(0)["attempt"], 1);
  auto second = works_json({"receive", "again", "--group", "again", "--max", "1"});
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second.at(0)["attempt"], 2);
  EXPECT_EQ(second.at(0)["id"], first.at(0)["id"]);
}

TEST_F(cli_messages, settling_with_none_gives_back_without_recording_a_failure) {
  new_topic("peek");
  works({"send", "peek", "b"});
  EXPECT_EQ(
      works_json({"receive", "peek", "--group", "peek", "--max", "1", "--settle", "none"}).at(0)["attempt"],
      1);
  EXPECT_EQ(works_json({"receive", "peek", "--group", "peek", "--max", "1"}).at(0)["attempt"], 1);
}

TEST_F(cli_messages, a_tag_filter_leaves_out_the_rest) {
  new_topic("tagged", {"--queues", "1"});
  for (const auto* tag : {"a", "b", "c", "a"})
    works({"send", "tagged", tag, "--tag", tag});
  EXPECT_THAT(
      bodies(works_json({"receive", "tagged", "--group", "tagged", "--filter", "a || c", "--max", "3"})),
      ElementsAre("a", "c", "a"));
  refused(1, {"receive", "tagged", "--group", "tagged", "--filter", "b", "--wait", "100ms"}, "");
}

TEST_F(cli_messages, a_filter_in_sql_is_judged_on_the_broker_by_properties_and_system_fields) {
  new_topic("offers", {"--queues", "1"});
  works({"send", "offers", "cheap", "--property", "price=9", "--property", "region=eu"});
  works({"send", "offers", "far", "--property", "price=30", "--property", "region=us"});
  works({"send", "offers", "good", "--property", "price=20.5", "--property", "region=eu", "--key", "k-1"});
  works({"send", "offers", "plain", "--tag", "paid"});
  works({"send", "offers", "odd", "--property", "price=many", "--property", "region=eu"});
  works({"send", "offers", "last", "--property", "price=15", "--property", "region=eu", "--tag", "paid"});
  const auto receive = [](const std::string& group, const std::string& filter, const std::string& max) {
    return bodies(works_json(
        {"receive", "offers", "--group", group, "--filter", filter, "--max", max, "--wait", "20s"}));
  };
  EXPECT_THAT(receive("a", "price BETWEEN 10 AND 21 AND region IN ('eu', 'uk')", "2"),
              ElementsAre("good", "last"));
  EXPECT_THAT(receive("b", "keys = 'k-1' OR TAGS = 'paid' AND price IS NULL", "2"),
              ElementsAre("good", "plain"));
  EXPECT_THAT(receive("c", "NOT (region = 'eu') /* unknown without a region */", "1"), ElementsAre("far"));
  // The group says what it follows, in canonical form, and what was passed over is no lag.
  const auto group = works_json({"group", "describe", "a"}).at(0);
  EXPECT_EQ(group["subscriptions"].at(0)["filter"], "price BETWEEN 10 AND 21 AND region IN ('eu', 'uk')");
  EXPECT_EQ(group["lag"], 0);
  // Written otherwise it is the same filter; another one is refused with both spelled out.
  works({"receive", "offers", "--group", "a", "--filter",
         "region in ('uk','eu') and price between 5 * 2 and 21", "--wait", "10ms"});
  refused(1, {"receive", "offers", "--group", "a", "--filter", "price > 10", "--wait", "100ms"},
          "price > 10");
}

TEST_F(cli_messages, the_benchmark_of_a_filter_counts_what_was_looked_at_and_what_was_delivered) {
  const auto run = works_json({"bench", "consume", "--filter", "n = 7", "--messages", "2050"}).back();
  EXPECT_EQ(run["messages"], 2050);
  EXPECT_EQ(run["delivered"], 21);
}

TEST_F(cli_messages, the_benchmark_of_consuming_knows_all_modes) {
  const auto ordered = works_json({"bench", "consume", "--mode", "ordered", "--messages", "2000"}).back();
  EXPECT_EQ(ordered["messages"], 2000);
  const auto each =
      works_json({"bench", "consume", "--mode", "broadcast", "--consumers", "2", "--messages", "1000"})
          .back();
  EXPECT_EQ(each["messages"], 2000) << "each member gets everything";
}

TEST_F(cli_messages, a_group_starts_where_it_is_told) {
  new_topic("start", {"--queues", "1"});
  works({"send", "start", "old"});
  EXPECT_THAT(works_json({"receive", "start", "--group", "new", "--from", "latest", "--wait", "200ms"}),
              testing::IsEmpty());
  works({"send", "start", "new"});
  EXPECT_THAT(bodies(works_json({"receive", "start", "--group", "new", "--max", "1"})), ElementsAre("new"));
  EXPECT_THAT(bodies(works_json(
                  {"receive", "start", "--group", "old", "--from", "2001-01-01T00:00:00Z", "--max", "2"})),
              ElementsAre("old", "new"));
}

TEST_F(cli_messages, several_topics_are_received_together) {
  new_topic("several-1");
  new_topic("several-2");
  works({"send", "several-1", "one"});
  works({"send", "several-2", "two"});
  EXPECT_THAT(bodies(works_json({"receive", "several-1", "several-2", "--group", "several-2", "--max", "2"})),
              testing::UnorderedElementsAre("one", "two"));
  refused(1, {"receive", "several-1", "no-such-topic", "--group", "h", "--wait", "100ms"}, "no-such-topic");
}

TEST_F(cli_messages, waiting_ends_when_nothing_comes) {
  new_topic("silent");
  EXPECT_EQ(works({"--json", "receive", "silent", "--group", "silent", "--wait", "200ms"}), "");
}

TEST_F(cli_messages, an_interrupt_gives_back_what_was_not_settled_and_exits_with_0) {
  new_topic("interrupted");
  works({"send", "interrupted", "b"});
  process receive(TROUPE_CLI, at_node({"--json", "receive", "interrupted", "--group", "interrupted",
                                       "--settle", "none"}));
  ASSERT_TRUE(receive.read_line()) << receive.errors();
  receive.signal(SIGINT);
  EXPECT_EQ(receive.wait(), 0) << receive.errors();
  objects(receive.errors());
  auto again = works_json({"receive", "interrupted", "--group", "interrupted", "--max", "1"});
  EXPECT_EQ(again.at(0)["attempt"], 1) << "given back, not failed";
}

TEST_F(cli_messages, output_that_nobody_reads_acknowledges_nothing) {
  new_topic("unread");
  works({"send", "unread", "b"});
  auto said = run("/bin/sh", {"-c", std::string(TROUPE_CLI) + " --node " + address_ +
                                        " receive unread --group unread --max 1 >&-"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("[invalid_argument]"));
  EXPECT_EQ(works_json({"receive", "unread", "--group", "unread", "--max", "1"}).size(), 1u);
}

TEST_F(cli_messages, a_command_settles_by_its_exit_code) {
  new_topic("exec");
  temporary_directory place;
  auto seen = (place.path() / "seen").string();
  works({"send", "exec", "the body", "--tag", "t", "--property", "to=me"});
  // Fails the first time, rejects it the second.
  auto command = "echo \"$TROUPE_ATTEMPT $TROUPE_TAG $TROUPE_PROPERTY_to $(cat)\" >> " + seen +
                 "; case $TROUPE_ATTEMPT in 1) exit 1;; 2) exit 65;; *) exit 0;; esac";
  auto said = troupe(
      {"receive", "exec", "--group", "exec", "--max", "2", "--exec", command, "--retry-delay", "10ms"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("ended with 65: rejected"));
  std::ifstream in(seen);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, "1 t me the body\n2 t me the body\n");
  EXPECT_THAT(works_json({"receive", "exec", "--group", "exec", "--wait", "300ms"}), testing::IsEmpty());
  const auto dead = works_json({"dlq", "list", "exec"});
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0]["reason"], "rejected");
  EXPECT_EQ(dead[0]["detail"], "the command ended with 65");
}

TEST_F(cli_messages, what_a_command_prints_does_not_mix_with_json) {
  new_topic("noise");
  works({"send", "noise", "b"});
  auto said =
      troupe({"--json", "receive", "noise", "--group", "noise", "--max", "1", "--exec", "echo noise >&2"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(objects(said.out).size(), 1u);
  EXPECT_THAT(objects(said.err).at(0).value("note", ""), HasSubstr("noise"));
}

TEST_F(cli_messages, a_small_benchmark_prints_what_scripts_rely_on) {
  for (std::vector<std::string> bench :
       {std::vector<std::string>{"publish", "--messages", "2000", "--runs", "1"},
        {"publish", "--messages", "20", "--runs", "1", "--in-flight", "1"},
        {"consume", "--messages", "2000", "--runs", "2", "--groups", "2", "--consumers", "2"},
        {"latency", "--rate", "200", "--seconds", "0.2", "--runs", "1"},
        {"topics", "--count", "20", "--idle", "10ms"},
        {"publish", "--messages", "2000", "--runs", "1", "--embedded"}}) {
    bench.insert(bench.begin(), "bench");
    auto result = works_json(bench);
    ASSERT_EQ(result.size(), 1u) << testing::PrintToString(bench);
    EXPECT_EQ(result.at(0)["bench"], bench.at(1));
    for (const auto* field : {"size", "messages", "seconds", "per_s"})
      EXPECT_TRUE(result.at(0).contains(field)) << field << " of " << result.at(0);
  }
  for (const auto& topic : works_json({"topic", "list", "--names"}))
    EXPECT_THAT(topic.value("name", ""), Not(testing::StartsWith("bench-"))) << "it leaves nothing behind";
}

TEST_F(cli_messages, an_output_that_takes_nothing_is_named_as_the_reason) {
  new_topic("full-output");
  for (const std::string verb : {"send full-output one", "send full-output --lines -",
                                 "receive full-output --group full-output --max 1", "topic list"}) {
    const auto command = "echo one | '" TROUPE_CLI "' --json --node " + address_ + " " + verb + " >/dev/full";
    auto said = run("/bin/sh", {"-c", command});
    EXPECT_EQ(said.status, 1) << verb;
    EXPECT_THAT(said.err, HasSubstr("cannot write to standard output: No space left on device")) << verb;
    EXPECT_EQ(objects(said.err).at(0)["error"], "no_space") << verb;
  }
}

} // namespace troupe::test
