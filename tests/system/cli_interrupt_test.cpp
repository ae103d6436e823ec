#include "cli_fixture.hpp"
#include "system_fixture.hpp"

#include <csignal>

/// Verbs that work for long, and what a signal makes of them.
namespace troupe::test {

namespace {

class cli_interrupt : public cli {
protected:
  static std::size_t made_by_benchmarks() {
    std::size_t n = 0;
    for (const auto* family : {"topic", "group"})
      for (const auto& one : works_json({family, "list"}))
        n += one.value("name", "").starts_with("bench-");
    return n;
  }
  /// A benchmark that would go on for hours, and has begun.
  static process begin(std::vector<std::string> arguments, std::vector<std::string> options = {}) {
    arguments.insert(arguments.begin(), {"--json", "bench"});
    arguments.insert(arguments.begin(), options.begin(), options.end());
    process bench(TROUPE_CLI, at_node(std::move(arguments)));
    EXPECT_TRUE(eventually([] { return made_by_benchmarks() > 0; })) << bench.errors();
    return bench;
  }
};

} // namespace

TEST_F(cli_interrupt, a_benchmark_deletes_what_it_made) {
  int number = SIGINT;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"publish", "--duration", "24h"},
        {"publish", "--messages", "1000000000", "--in-flight", "1"},
        {"consume", "--messages", "1000000000"},
        {"latency", "--seconds", "86400"},
        {"topics", "--count", "20", "--idle", "24h"}}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    auto bench = begin(arguments);
    bench.signal(number);
    EXPECT_EQ(bench.wait(60s), 1) << bench.errors();
    EXPECT_EQ(bench.output(), "");
    const auto errors = objects(bench.errors());
    ASSERT_EQ(errors.size(), 1u);
    EXPECT_EQ(errors[0].value("error", ""), "shutting_down");
    EXPECT_EQ(made_by_benchmarks(), 0u);
    number = number == SIGINT ? SIGTERM : SIGINT;
  }
}

TEST_F(cli_interrupt, a_benchmark_ends_at_once_by_a_second_signal) {
  auto bench = begin({"topics", "--count", "20", "--idle", "24h"});
  node_->signal(SIGSTOP); // so that it cannot delete anything
  // Two different ones: of two equal ones that wait the system keeps one.
  bench.signal(SIGINT);
  bench.signal(SIGTERM);
  const auto status = bench.wait(60s);
  EXPECT_TRUE(status == 128 + SIGINT || status == 128 + SIGTERM) << bench.errors();
  node_->signal(SIGCONT);
  EXPECT_GT(made_by_benchmarks(), 0u);
}

TEST_F(cli_interrupt, sending_says_what_was_accepted) {
  new_topic("interrupted");
  process send(TROUPE_CLI, at_node({"--json", "send", "interrupted", "--lines", "-"}), {.keep_input = true});
  ASSERT_TRUE(send.write("x\n"));
  ASSERT_TRUE(send.read_line()) << send.errors();
  send.signal(SIGINT);
  EXPECT_EQ(send.wait(), 1) << send.errors();
  EXPECT_THAT(objects(send.errors()).at(0).value("reason", ""), HasSubstr("1 messages were accepted"));
}

TEST_F(cli_interrupt, a_benchmark_whose_node_is_dead_ends_by_a_signal_and_names_what_it_left) {
  for (const auto* family : {"topic", "group"})
    for (const auto& one : works_json({family, "list"}))
      if (const auto name = one.value("name", ""); name.starts_with("bench-"))
        works({family, "delete", name});
  auto bench = begin({"topics", "--count", "20", "--idle", "24h"}, {"--timeout", "2s"});
  node_->signal(SIGKILL);
  ASSERT_TRUE(node_->wait());
  bench.signal(SIGINT);
  EXPECT_EQ(bench.wait(60s), 1) << bench.errors();
  EXPECT_EQ(bench.output(), "");
  const auto errors = objects(bench.errors());
  start_node();
  ASSERT_FALSE(errors.empty());
  const auto hint = errors.back().value("hint", "");
  const auto at = hint.find("bench-");
  ASSERT_NE(at, std::string::npos) << bench.errors();
  const auto prefix = hint.substr(at);
  std::size_t left = 0;
  for (const auto& topic : works_json({"topic", "list"}))
    left += topic.value("name", "").starts_with(prefix);
  EXPECT_EQ(left, made_by_benchmarks()) << "the hint names all that is left: " << hint;
  EXPECT_GT(left, 0u);
}

} // namespace troupe::test
