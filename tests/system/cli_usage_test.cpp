#include "cli_fixture.hpp"

#include <fstream>

/// What needs no node: wrong usage, what is not built yet, help, config.
namespace troupe::test {

namespace {

const std::vector<std::vector<std::string>> verbs{
    {"topic", "create"},   {"topic", "list"},    {"topic", "describe"},
    {"topic", "set"},      {"topic", "delete"},  {"send"},
    {"receive"},           {"group", "create"},  {"group", "list"},
    {"group", "describe"}, {"group", "delete"},  {"message", "get"},
    {"group", "set"},      {"group", "pause"},   {"group", "resume"},
    {"group", "reset"},    {"node", "status"},   {"node", "drain"},
    {"config", "show"},    {"config", "check"},  {"bench", "raw"},
    {"bench", "publish"},  {"bench", "consume"}, {"bench", "latency"},
    {"bench", "topics"}};

std::vector<std::string> joined(std::vector<std::string> verb, const std::vector<std::string>& rest) {
  verb.insert(verb.end(), rest.begin(), rest.end());
  return verb;
}

} // namespace

TEST_F(cli_usage, help_teaches_each_verb_with_examples) {
  EXPECT_THAT(troupe({"--help"}).out, HasSubstr("Examples:"));
  for (const auto& verb : verbs) {
    auto said = troupe(joined(verb, {"--help"}));
    EXPECT_EQ(said.status, 0) << verb.back();
    EXPECT_THAT(said.out, HasSubstr("Examples:")) << verb.back();
    EXPECT_THAT(said.out, HasSubstr("troupe " + verb.front())) << verb.back();
    EXPECT_EQ(said.err, "");
  }
}

TEST_F(cli_usage, version_names_itself) {
  auto said = troupe({"--version"});
  EXPECT_EQ(said.status, 0);
  EXPECT_THAT(said.out, testing::StartsWith("troupe "));
  for (const std::vector<std::string>& order :
       {std::vector<std::string>{"--json", "--version"}, {"--version", "--json"}}) {
    const auto told = objects(troupe(order).out);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0]["name"], "troupe");
    EXPECT_EQ("troupe " + told[0].value("version", "") + "\n", said.out);
  }
}

TEST_F(cli_usage, unknown_verbs_and_options_are_wrong_usage) {
  refused(2, {}, "a verb is missing");
  refused(2, {"topics"}, "topics");
  refused(2, {"topic"}, "a verb is missing");
  refused(2, {"topic", "rename"}, "rename");
  for (const auto& verb : verbs)
    refused(2, joined(verb, {"--no-such-option"}), "");
}

TEST_F(cli_usage, missing_and_surplus_arguments_are_wrong_usage) {
  refused(2, {"topic", "create"}, "NAME is required");
  refused(2, {"topic", "describe"}, "NAME is required");
  refused(2, {"topic", "delete", "a", "b"}, "b");
  refused(2, {"send"}, "TOPIC is required");
  refused(2, {"receive", "t"}, "--group is required");
  refused(2, {"message", "get"}, "ID is required");
  refused(2, {"config", "check"}, "FILE is required");
}

TEST_F(cli_usage, values_that_cannot_be_read_are_wrong_usage) {
  refused(2, {"--node", "nowhere", "node", "status"}, "HOST:PORT");
  refused(2, {"--node", "host:99999", "node", "status"}, "HOST:PORT");
  refused(2, {"--node", "host:0", "node", "status"}, "HOST:PORT");
  refused(2, {"--timeout", "soon", "node", "status"}, "soon");
  refused(2, {"--timeout", "0s", "node", "status"}, "longer than 0");
  refused(2, {"topic", "create", "t", "--retention", "3 weeks"}, "3 weeks");
  refused(2, {"topic", "create", "t", "--retention", "-1s"}, "-1s");
  refused(2, {"topic", "create", "t", "--max-message", "4MB"}, "4MB");
  refused(2, {"topic", "create", "t", "--queues", "many"}, "many");
  refused(2, {"topic", "create", "t", "--queues", "-1"}, "-1");
  refused(2, {"send", "t", "b", "--durability", "hopeful"}, "hopeful");
  refused(2, {"send", "t", "b", "--property", "novalue"}, "NAME=VALUE");
  refused(2, {"send", "t", "--lines", "-", "--rate", "0"}, "--rate");
  refused(2, {"receive", "t", "--group", "g", "--from", "yesterday"}, "yesterday");
  refused(2, {"receive", "t", "--group", "g", "--wait", "long"}, "long");
  refused(2, {"receive", "t", "--group", "g", "--max", "0"}, "--max");
  refused(2, {"receive", "t", "--group", "g", "--settle", "forget"}, "ack, retry, reject or none");
  refused(2, {"receive", "t", "--group", "g", "--filter", "a || "}, "tag 2 is missing");
  refused(2, {"receive", "t", "--group", "g", "--filter", "price > > 5"},
          "column 9 ('> 5'): expected a value");
  refused(2, {"receive", "t", "--group", "g", "--filter", "price BETWEEN 20 AND 10"}, "column 15");
  for (const auto* verb : {"list", "redrive", "purge"})
    refused(2, {"dlq", verb, "g", "--filter", "n = "}, "column 5 (its end): expected a value");
  for (const auto* pause : {"0", "9ms", "25h"})
    refused(2, {"receive", "t", "--group", "g", "--settle", "retry", "--retry-delay", pause}, "from 10ms to");
  for (const auto* command : {"", " "})
    refused(2, {"receive", "t", "--group", "g", "--exec", command}, "an empty command");
  refused(2, {"bench", "consume", "--filter", "n = "}, "column 5 (its end): expected a value");
  refused(2, {"bench", "consume", "--filter", "n = 100"}, "wants none of the messages");
  refused(2, {"message", "get", "first"}, "not a message id");
  refused(2, {"message", "get", "0-1"}, "not a message id");
  refused(2, {"bench", "publish", "--size", "0"}, "--size");
  refused(2, {"bench", "publish", "--batch", "some"}, "--batch");
}

TEST_F(cli_usage, what_excludes_each_other_is_wrong_usage) {
  refused(2, {"send", "t", "body", "--file", "f"}, "--file");
  refused(2, {"send", "t", "--lines", "-", "--jsonl", "-"}, "--lines");
  refused(2, {"send", "t", "b", "--one-way", "--durability", "buffered"}, "--one-way");
  refused(2, {"receive", "t", "--group", "g", "--exec", "true", "--settle", "none"}, "--exec");
  refused(2, {"receive", "t", "--group", "g", "--retry-delay", "1s"}, "--retry-delay");
  for (const auto* verb : {"create", "set"})
    for (const auto* policy : {"soon", "10s,", "10s~20", "exponential:1s,2", "exponential:1s,two,1m"})
      refused(2, {"group", verb, "g", "--retry", policy}, policy);
  refused(2, {"group", "set", "g"}, "nothing to change");
  refused(2, {"group", "reset", "g", "--to", "earliest"}, "--topic");
  refused(2, {"group", "reset", "g", "--topic", "t"}, "--to");
  refused(2, {"group", "reset", "g", "--topic", "t", "--to", "yesterday"}, "yesterday");
  refused(2, {"group", "reset", "g", "--topic", "t", "--to", "-1"}, "-1");
  refused(2, {"group", "reset", "g", "--topic", "t", "--to", "99999999999999999999"}, "99999999999999999999");
  refused(2, {"group", "reset", "g", "--topic", "t", "--to", "0", "--queue", "-1"}, "-1");
  refused(2, {"group", "set", "g", "--lease", "long"}, "long");
  refused(2, {"group", "set", "g", "--max-unsettled", "-1"}, "-1");
  refused(2, {"--tls-cert", "/dev/null", "node", "status"}, "--tls-key");
}

TEST_F(cli_usage, a_file_that_is_not_there_is_wrong_usage) {
  refused(2, {"send", "t", "--file", "/no/such/file"}, "/no/such/file");
  refused(2, {"config", "check", "/no/such/file"}, "/no/such/file");
  refused(2, {"--tls-cert", "/no/a", "--tls-key", "/no/b", "--tls-ca", "/no/c", "node", "status"}, "/no/");
}

TEST_F(cli_usage, a_body_over_the_limit_is_not_read_to_its_end) {
  refused(1, {"send", "t", "--file", "/dev/zero"}, "4,194,304 bytes");
}

TEST_F(cli_usage, verbs_that_are_not_built_yet_are_refused_by_name) {
  const std::vector<std::vector<std::string>> later{{"message", "find", "t", "--key", "k"},
                                                    {"message", "trace", "0-1-0"}};
  for (const auto& verb : later) {
    refused(2, verb, "not built yet");
    refused(2, verb, verb[0]);
  }
}

TEST_F(cli_usage, options_that_are_not_built_yet_are_refused_by_name) {
  const std::vector<std::string> create{"topic", "create", "t"};
  struct option {
    const std::vector<std::string>& verb;
    std::vector<std::string> rest;
  };
  for (const auto& [verb, rest] :
       {option{create, {"--cleanup", "compact"}}, option{create, {"--key-index", "on"}}}) {
    refused(2, joined(verb, rest), "not built yet");
    refused(2, joined(verb, rest), rest.front());
  }
}

TEST_F(cli_usage, delays_and_ids_must_be_right) {
  refused(2, {"send", "t", "b", "--delay", "0s"}, "at least 1ms");
  refused(2, {"send", "t", "b", "--delay", "soon"}, "soon");
  refused(2, {"send", "t", "b", "--at", "noon"}, "noon");
  refused(2, {"send", "t", "b", "--delay-level", "0"}, "1 to 18");
  refused(2, {"send", "t", "b", "--delay-level", "19"}, "1 to 18");
  refused(2, {"send", "t", "b", "--delay", "1s", "--at", "1900000000000"}, "--at");
  refused(2, {"delay", "cancel", "seven"}, "not a message id");
  refused(2, {"delay", "list", "--max", "0"}, "at least 1");
}

TEST_F(cli_usage, transactions_and_their_ids_must_be_right) {
  refused(2, {"send", "t", "b", "--transaction", "perhaps"}, "commit");
  refused(2, {"send", "t", "b", "--transaction", "commit", "--one-way"}, "--one-way");
  refused(2, {"send", "t", "b", "--transaction", "commit", "--durability", "buffered"}, "--durability");
  refused(2, {"send", "t", "b", "--transaction", "commit", "--delay", "1s"}, "--delay");
  refused(2, {"send", "t", "b", "--producer-group", "shop"}, "--transaction");
  refused(2, {"transaction", "commit", "seven"}, "not an id");
  refused(2, {"transaction", "rollback", "0-0"}, "not an id");
  refused(2, {"transaction", "list", "--max", "0"}, "at least 1");
}

TEST_F(cli_usage, a_mode_and_its_order_must_be_named_rightly) {
  refused(2, {"group", "create", "g", "--mode", "sorted"}, "shared, ordered or broadcast");
  refused(2, {"receive", "t", "--group", "g", "--mode", "all"}, "shared, ordered or broadcast");
  refused(2, {"receive", "t", "--group", "g", "--mode", "broadcast"}, "needs --member NAME");
  refused(2, {"group", "create", "g", "--mode", "ordered", "--order-by", "tag"}, "key or queue");
  refused(2, {"group", "create", "g", "--order-by", "key"}, "--order-by is for ordered groups");
  refused(2, {"group", "create", "g", "--order-batch", "4"}, "--order-batch is for ordered groups");
  refused(2, {"group", "create", "g", "--mode", "ordered", "--order-batch", "few"}, "whole number");
  refused(2, {"bench", "consume", "--order-batch", "4"}, "--order-batch is for ordered groups");
}

TEST_F(cli_usage, the_window_for_keys_is_a_duration) {
  refused(2, {"topic", "create", "t", "--dedupe-key-window", "long"}, "--dedupe-key-window");
  refused(2, {"topic", "set", "t"}, "nothing to change");
}

TEST_F(cli_usage, priorities_and_their_share_are_numbers) {
  refused(2, {"send", "t", "b", "--priority", "10"}, "from 0 to 9");
  refused(2, {"send", "t", "b", "--priority", "-1"}, "from 0 to 9");
  refused(2, {"topic", "create", "t", "--priorities", "many"}, "whole number");
  refused(2, {"group", "create", "g", "--low-share", "1in10"}, "whole number");
}

TEST_F(cli_usage, dead_letters_must_be_named_rightly) {
  refused(2, {"dlq", "purge", "g"}, "which dead letters");
  refused(2, {"dlq", "redrive", "g", "--id", "0-1"}, "not a message id");
  refused(2, {"dlq", "show", "g", "first"}, "not a message id");
  refused(2, {"dlq", "list", "g", "--max", "0"}, "--max");
  refused(2, {"dlq", "purge", "g", "--id", "0-1-0", "--all"}, "excludes");
  refused(2, {"dlq", "redrive", "g", "--all", "--rate", "0"}, "--rate");
  refused(2, {"group", "create", "g", "--on-exhausted", "burn"}, "dead-letter, drop or block");
  refused(2, {"group", "create", "g", "--max-attempts", "65536"}, "--max-attempts");
}

TEST_F(cli_usage, without_a_node_it_says_so_and_where_it_looked) {
  // Nothing listens on the discard port of loopback.
  for (std::vector<std::string> verb : {std::vector<std::string>{"topic", "list"},
                                        {"send", "t", "b"},
                                        {"node", "status"},
                                        {"receive", "t", "--group", "g"},
                                        {"group", "list"},
                                        {"message", "get", "0-1-0"}}) {
    verb.insert(verb.begin(), {"--timeout", "2s", "--node", "127.0.0.1:9"});
    auto said = troupe(verb);
    EXPECT_EQ(said.status, 1) << said.err;
    EXPECT_EQ(said.out, "");
    EXPECT_THAT(said.err, HasSubstr("127.0.0.1:9"));
  }
}

TEST_F(cli_usage, with_json_every_line_on_stderr_is_an_object) {
  const std::vector<std::vector<std::string>> arguments{{}, {"a"}, {"a", "b"}, {"a", "b", "--group", "g"}};
  for (const auto& verb : verbs)
    for (const auto& rest : arguments)
      for (const auto* json : {"--json", "--json=true"}) {
        if (verb.back() == "raw" && rest.empty()) // measures for seconds, and needs no node
          continue;
        auto said = troupe(joined({json, "--timeout", "1s", "--node", "127.0.0.1:9"}, joined(verb, rest)));
        auto line = testing::PrintToString(joined(verb, rest));
        ASSERT_TRUE(said.status) << line;
        EXPECT_EQ(objects(said.err).empty(), *said.status == 0) << line;
        EXPECT_EQ(said.out.empty(), *said.status != 0) << line;
      }
}

TEST_F(cli_usage, the_node_comes_from_the_environment_unless_named) {
  process_options options{.environment = {{"TROUPE_NODE", "127.0.0.1:9"}}};
  auto said = run(TROUPE_CLI, {"--timeout", "1s", "node", "status"}, options);
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("127.0.0.1:9"));
  auto named = run(TROUPE_CLI, {"--timeout", "1s", "--node", "127.0.0.1:19", "node", "status"}, options);
  EXPECT_THAT(named.err, HasSubstr("127.0.0.1:19"));
}

TEST_F(cli_usage, the_shown_config_is_one_that_the_node_takes) {
  temporary_directory place;
  auto file = (place.path() / "trouped.toml").string();
  auto shown = troupe({"config", "show"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  std::ofstream(file) << shown.out;
  auto checked = troupe({"config", "check", file});
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_EQ(troupe({"config", "show", file}).out, shown.out);
  // Every option of trouped is in it.
  auto help = run(TROUPE_TROUPED, {"--help"});
  std::istringstream words(
      help.out.substr(help.out.find("Options:"), help.out.find("Examples:") - help.out.find("Options:")));
  int options = 0;
  for (std::string line; std::getline(words, line);) {
    auto at = line.find("--");
    if (at == std::string::npos || at > 8)
      continue;
    auto name = line.substr(at + 2, line.find_first_of(" ,", at + 2) - at - 2);
    if (name == "help" || name == "version" || name == "config")
      continue;
    ++options;
    EXPECT_THAT(shown.out, HasSubstr(name + " = ")) << "trouped --" << name;
  }
  EXPECT_GT(options, 10);
}

TEST_F(cli_usage, a_config_that_the_node_refuses_is_refused_with_the_reason) {
  temporary_directory place;
  auto check = [&](const std::string& text) {
    auto file = (place.path() / "trouped.toml").string();
    std::ofstream(file) << text;
    return troupe({"config", "check", file});
  };
  EXPECT_EQ(check("data = \"/tmp/d\"\nshards = 2\n").status, 0);
  EXPECT_EQ(check("shards = 2\n").status, 0) << "data may come from the command line";
  auto unknown = check("colour = \"red\"\n");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("colour"));
  // What the node refuses whatever else it is told, the check refuses for the same reason.
  for (const std::string text : {"data = \"c/n", "\xff\xfe", "data = ", "data=\"a\"\ndata=\"b\"",
                                 "data=\"c/q9\" junk", "disk-budget 200MiB", "help = true"}) {
    auto refused = check(text);
    EXPECT_EQ(refused.status, 1) << text;
    EXPECT_THAT(refused.err, HasSubstr("trouped.toml:")) << text;
    auto node = run(TROUPE_TROUPED, {"--config", (place.path() / "trouped.toml").string()});
    EXPECT_EQ(node.status, 2) << text;
    auto why = node.err.substr(node.err.find("trouped.toml:"));
    EXPECT_THAT(refused.err, HasSubstr(why.substr(0, why.find('\n')))) << text;
  }
  auto wrong = check("disk-budget = \"lots\"\n");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("lots"));
  auto exposed = check("listen = \"0.0.0.0:7700\"\n");
  EXPECT_EQ(exposed.status, 1);
  EXPECT_THAT(exposed.err, HasSubstr("TLS"));
}

TEST_F(cli_usage, the_raw_limits_are_measured_without_a_node) {
  temporary_directory place;
  auto said = troupe({"--json", "bench", "raw", "--runs", "1", "--duration", "20ms", "--commit", "10",
                      "--dir", place.path().string()});
  ASSERT_EQ(said.status, 0) << said.err;
  std::vector<std::string> names;
  for (const auto& limit : objects(said.out)) {
    names.push_back(limit.value("bench", ""));
    EXPECT_GT(limit.value("per_s", 0.0), 0) << limit;
    EXPECT_EQ(limit.value("size", 0), 100) << limit;
  }
  EXPECT_THAT(names, testing::ElementsAre("raw-fdatasync", "raw-commit-single", "raw-commit", "raw-memcpy",
                                          "raw-loopback-roundtrip", "raw-loopback"));
  EXPECT_TRUE(std::filesystem::is_empty(place.path())) << "it leaves nothing behind";
}

} // namespace troupe::test
