#include "trouped_fixture.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

namespace troupe::test {

namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::map<std::string, std::string> files_below(const fs::path& dir) {
  std::map<std::string, std::string> result;
  for (const auto& entry : fs::recursive_directory_iterator{dir})
    result[entry.path()] = entry.is_regular_file() ? read_file(entry.path()) : "";
  return result;
}

} // namespace

TEST_F(trouped_test, one_line_on_standard_output_says_where_it_listens) {
  launched_node node{data};
  EXPECT_THAT(node.ready(),
              ContainsRegex("^trouped ready on 127\\.0\\.0\\.1:[1-9][0-9]* data=" + data.string() + "$"));
  auto c = connect(node);
  auto status = c.node_status();
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->listen, node.address());
  EXPECT_EQ(status->data, data.string());
  EXPECT_EQ(status->state, "running");
  c.close();
  EXPECT_EQ(node.terminate(), 0) << node.child().errors();
  EXPECT_EQ(node.child().output(), node.ready() + "\n");
}

TEST_F(trouped_test, sigterm_and_sigint_drain_and_end_it_with_0_in_time) {
  for (int number : {SIGTERM, SIGINT}) {
    launched_node node{data};
    auto c = connect(node);
    node.child().signal(number);
    // The promise is 5 s.
    EXPECT_EQ(node.child().wait(6s), 0) << node.child().errors();
    EXPECT_THAT(node.child().errors(), HasSubstr("node stopped"));
  }
}

TEST_F(trouped_test, a_client_can_end_it_by_draining) {
  launched_node node{data};
  auto c = connect(node);
  auto err = c.drain();
  EXPECT_FALSE(err) << to_string(err);
  EXPECT_EQ(node.child().wait(10s), 0) << node.child().errors();
}

TEST_F(trouped_test, a_second_signal_ends_it_at_once) {
  launched_node node{data};
  // Stopped, it takes both signals at the same moment: the first is read, the second pending, then lethal.
  node.child().signal(SIGSTOP);
  node.child().signal(SIGINT);
  node.child().signal(SIGTERM);
  node.child().signal(SIGCONT);
  EXPECT_THAT(node.child().wait(5s), testing::AnyOf(128 + SIGINT, 128 + SIGTERM));
  launched_node again{data};
  EXPECT_EQ(again.terminate(), 0);
}

TEST_F(trouped_test, a_second_node_on_the_same_directory_is_refused_and_names_the_first) {
  launched_node node{data};
  auto second = trouped({"--data", data.string(), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("process id " + std::to_string(node.child().pid())));
  auto verify = trouped({"--data", data.string(), "--verify"});
  EXPECT_EQ(verify.status, 1);
  EXPECT_THAT(verify.err, HasSubstr("process id " + std::to_string(node.child().pid())));
  auto c = connect(node);
  EXPECT_TRUE(c.list_topics());
}

TEST_F(trouped_test, what_was_acknowledged_is_there_after_kill_9_and_the_lock_is_free) {
  {
    launched_node node{data, {"--shards", "2"}};
    auto c = connect(node);
    ASSERT_TRUE(c.create_topic("orders"));
    publish(c, "orders", {"one", "two", "three"});
    node.kill();
  }
  launched_node node{data};
  auto c = connect(node);
  auto topic = c.describe_topic("orders");
  ASSERT_TRUE(topic) << to_string(topic.error());
  std::uint64_t messages = 0;
  for (const auto& queue : topic->queues)
    messages += queue.next.value - queue.first.value;
  EXPECT_EQ(messages, 3u);
}

TEST_F(trouped_test, verify_says_that_all_is_sound_or_where_it_is_not) {
  const std::string marker = "the body whose bit will flip";
  {
    launched_node node{data};
    auto c = connect(node);
    topic_options options;
    options.queues = 1;
    ASSERT_TRUE(c.create_topic("orders", options));
    publish(c, "orders", {"before", marker, "after"});
    c.close();
    ASSERT_EQ(node.terminate(), 0);
  }
  auto sound = trouped({"--data", data.string(), "--verify"});
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_THAT(sound.out, ContainsRegex("^verified [1-9][0-9]* entries in 1 shard\\(s\\): all sound\n$"));

  auto file = data / "shard-0" / "data.mdb";
  auto bytes = read_file(file);
  auto at = bytes.find(marker);
  ASSERT_NE(at, std::string::npos);
  for (; at != std::string::npos; at = bytes.find(marker, at + 1))
    bytes[at] ^= 1;
  write_file(file, bytes);
  auto damaged = trouped({"--data", data.string(), "--verify"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.out, HasSubstr("damaged: "));
  EXPECT_THAT(damaged.out, HasSubstr("queue 1"));
  EXPECT_THAT(damaged.out, HasSubstr("1 place(s) damaged"));
}

TEST_F(trouped_test, an_unknown_format_version_is_refused_and_nothing_is_touched) {
  {
    launched_node node{data};
    ASSERT_EQ(node.terminate(), 0);
  }
  auto meta = read_file(data / "meta");
  meta.replace(meta.find("format = 1"), 10, "format = 7");
  write_file(data / "meta", meta);
  auto before = files_below(data);
  for (const auto& arguments : std::vector<std::vector<std::string>>{{}, {"--verify"}}) {
    std::vector<std::string> all{"--data", data.string(), "--listen", "127.0.0.1:0"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    auto refused = trouped(all);
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr("format version 7"));
    EXPECT_THAT(refused.err, HasSubstr("unknown_version"));
  }
  EXPECT_EQ(files_below(data), before);
}

TEST_F(trouped_test, another_number_of_shards_is_refused_later) {
  {
    launched_node node{data, {"--shards", "3"}};
    ASSERT_EQ(node.terminate(), 0);
  }
  auto refused = trouped({"--data", data.string(), "--listen", "127.0.0.1:0", "--shards", "2"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("made for 3 shard(s), not 2"));
  launched_node node{data};
  EXPECT_EQ(connect(node).node_status()->shards.size(), 3u);
}

TEST_F(trouped_test, an_output_that_takes_no_ready_line_is_a_failure) {
  const auto command = "exec '" TROUPE_TROUPED "' --listen 127.0.0.1:0 --data '" + data.string() + "'";
  for (const std::string rest : {"", " --verify"}) {
    auto refused = run("/bin/sh", {"-c", command + rest + " >/dev/full"});
    EXPECT_EQ(refused.status, 1) << rest;
    EXPECT_THAT(refused.err, HasSubstr("standard output: No space left on device")) << rest;
  }
}

TEST_F(trouped_test, closed_standard_descriptors_do_not_lead_the_log_into_the_stores_files) {
  const auto command = "exec '" TROUPE_TROUPED "' --listen 127.0.0.1:0 --data '" + data.string() + "'";
  auto refused = run("/bin/sh", {"-c", command + " <&- >&- 2>&-"});
  EXPECT_EQ(refused.status, 1) << "nobody would learn its address";
  auto said = run("/bin/sh", {"-c", command + " <&- >&-"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("standard output: Bad file descriptor"));
  for (const auto& [path, text] : files_below(data))
    EXPECT_THAT(text, Not(HasSubstr("shard_opened"))) << path;
  EXPECT_EQ(trouped({"--data", data.string(), "--verify"}).status, 0);
}

TEST_F(trouped_test, wrong_usage_is_refused_with_2_and_says_where_and_why) {
  struct wrong_usage {
    std::vector<std::string> arguments;
    std::string text;
  };
  const std::string dir = data.string();
  const std::vector<wrong_usage> cases{
      {{}, "no data directory"},
      {{"--data"}, "--data"},
      {{"--data", dir, "--frobnicate"}, "--frobnicate"},
      {{"--data", dir, "stray"}, "stray"},
      {{"--data", dir, "--listen", "nonsense"}, "HOST:PORT"},
      {{"--data", dir, "--listen", "127.0.0.1:65536"}, "HOST:PORT"},
      {{"--data", dir, "--listen", "127.0.0.1:-1"}, "HOST:PORT"},
      {{"--data", dir, "--listen", "no.such.host.invalid:0"}, "no.such.host.invalid"},
      {{"--data", dir, "--listen", "0.0.0.0:0"}, "not loopback"},
      {{"--data", dir, "--listen", "[::]:0"}, "not loopback"},
      {{"--data", dir, "--shards", "65"}, "0 to 64"},
      {{"--data", dir, "--shards", "two"}, "--shards"},
      {{"--data", dir, "--disk-budget", "1MiB"}, "128MiB"},
      {{"--data", dir, "--disk-budget", "lots"}, "--disk-budget"},
      {{"--data", dir, "--in-flight", "1KiB"}, "16MiB"},
      {{"--data", dir, "--log-level", "loud"}, "log level"},
      {{"--data", dir, "--log-format", "xml"}, "text or json"},
      {{"--data", dir, "--tls-cert", "a.pem"}, "1 of the three"},
      {{"--data", dir, "--listen", "127.0.0.1:0", "--tls-cert", "/no/a", "--tls-key", "/no/b", "--tls-ca",
        "/no/c"},
       "/no/a"},
      {{"--data", dir, "--config", (scratch / "none.toml").string()}, "none.toml"},
  };
  for (const auto& [arguments, text] : cases) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    auto refused = trouped(arguments);
    EXPECT_EQ(refused.status, 2) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(text));
    EXPECT_EQ(refused.out, "");
  }
  EXPECT_FALSE(fs::exists(data));
}

TEST_F(trouped_test, the_config_file_has_every_option_and_unknown_keys_are_errors) {
  auto config = scratch / "node.toml";
  write_file(config,
             "data = \"" + data.string() +
                 "\"\nlisten = \"127.0.0.1:0\"\nshards = 2\ndisk-budget = \"1GiB\"\nin-flight = \"32MiB\"\n"
                 "tail-cache = \"8MiB\"\nmax-producers = 5000\nproducer-memory = \"2d\"\nkey-memory = "
                 "\"8MiB\"\nname = \"from-file\"\nlog-level = \"warning\"\nlog-format = \"json\"\n");
  {
    process node{TROUPE_TROUPED, {"--config", config.string()}};
    ASSERT_TRUE(node.read_until("trouped ready")) << node.errors();
    node.signal(SIGTERM);
    EXPECT_EQ(node.wait(), 0);
    EXPECT_EQ(node.errors(), "");
  }
  write_file(config, read_file(config) + "shrads = 3\n");
  auto unknown = trouped({"--config", config.string()});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("shrads"));
  write_file(config, "data = \"x\"\nshards = \"many\"\n");
  auto bad = trouped({"--config", config.string()});
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, HasSubstr("shards in " + config.string()));
}

TEST_F(trouped_test, the_command_line_wins_over_the_environment_and_that_over_the_file) {
  auto config = scratch / "node.toml";
  write_file(config, "listen = \"127.0.0.1:0\"\nname = \"file\"\nshards = 1\n");
  process_options options;
  options.environment = {
      {"TROUPE_CONFIG", config.string()}, {"TROUPE_NAME", "environment"}, {"TROUPE_SHARDS", "2"}};
  process node{TROUPE_TROUPED, {"--data", data.string(), "--shards", "3"}, options};
  auto ready = node.read_until("trouped ready");
  ASSERT_TRUE(ready) << node.errors();
  client_options to;
  to.address = ready->substr(17, ready->find(' ', 17) - 17);
  auto c = client::connect(to);
  ASSERT_TRUE(c) << to_string(c.error());
  auto status = c->node_status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->name, "environment");
  EXPECT_EQ(status->shards.size(), 3u);
  options.environment = {{"TROUPE_SHARDS", "a few"}};
  auto bad = trouped({"--data", (scratch / "other").string()}, options);
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, HasSubstr("environment variable TROUPE_SHARDS"));
}

TEST_F(trouped_test, logs_are_one_json_object_per_line_when_asked) {
  launched_node node{data, {"--log-format", "json", "--log-level", "debug"}};
  connect(node).close();
  ASSERT_EQ(node.terminate(), 0);
  std::istringstream lines{node.child().errors()};
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);) {
    auto object = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object()) << line;
    for (const auto* field : {"time", "level", "component", "event", "text"})
      EXPECT_TRUE(object.contains(field)) << line;
    events.push_back(object["component"].get<std::string>() + "." + object["event"].get<std::string>());
  }
  EXPECT_THAT(events, testing::IsSupersetOf(
                          {"node.started", "directory.client_connected", "trouped.signal", "node.stopped"}));
}

TEST_F(trouped_test, help_and_version_go_to_standard_output) {
  auto help = trouped({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const auto* word :
       {"--data", "--tls-ca", "trouped ready on HOST:PORT data=DIR", "TROUPE_", "SIGTERM", "Exit codes"})
    EXPECT_THAT(help.out, HasSubstr(word));
  auto version = trouped({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.out, ContainsRegex("^trouped [0-9]+\\.[0-9]+\\.[0-9]+\n$"));
}

TEST_F(trouped_test, a_taken_port_is_refused) {
  launched_node node{data};
  auto second = trouped({"--data", (scratch / "other").string(), "--listen", node.address()});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr(node.address() + " is in use by another program"));
}

} // namespace troupe::test
