#pragma once

#include "cli.hpp"
#include "interrupt.hpp"
#include "raw_limits.hpp"
#include "scratch_directory.hpp"

#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

/// What the benchmarks share. Each takes the median of several runs and measures, within each run, the raw
/// limit it is compared with.
namespace troupe::cli {

/// The options that every benchmark with a broker has.
struct bench_settings {
  std::uint64_t size = 100;
  std::optional<std::uint64_t> messages;
  std::uint32_t queues = 8;
  std::uint32_t runs = 3;
  bool embedded = false;
  /// Where raw limits are measured and an embedded node keeps its data.
  std::string directory;
  /// The node's process, to read its memory; 0: ask the node.
  int pid = 0;

  /// How many messages a run takes: at most a million or half a gigabyte, unless said.
  std::uint64_t messages_or_default() const;
};
void add_bench_options(CLI::App& verb, bench_settings& s);

/// One run's figures. NaN is left out.
struct bench_figures {
  std::uint64_t messages = 0;
  double seconds = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  double raw_per_s = 0;
  double raw_p50_us = 0;
  /// Against the raw limit: messages per second, or the median latency where that is the question.
  double ratio = 0;
  /// Further fields, already named.
  json more = json::object();

  double per_s() const { return seconds > 0 ? static_cast<double>(messages) / seconds : 0; }
};

/// A node to measure: the one that the command line names, or one in this process on an empty directory.
class bench_node {
public:
  static result<bench_node> open(context& ctx, const bench_settings& s);
  bench_node(bench_node&&) noexcept = default;
  /// Deletes the topics and groups it made. An interrupted one gives up when the node does not answer or
  /// after 30 s, and says what is left behind.
  ~bench_node();

  client& connection() { return *client_; }
  /// A topic that is deleted at the end; a new name each time.
  result<std::string> make_topic(const topic_options& options);
  /// Several at once.
  result<std::vector<std::string>> make_topics(std::uint32_t count, const topic_options& options);
  /// A group name that is deleted at the end.
  std::string new_group();
  /// Durable commits of all shards so far.
  result<std::uint64_t> commits();
  /// RssAnon in bytes of the node's process if we may read it, else what the node says.
  std::uint64_t memory();
  /// CPU seconds of the node's process; nothing when it is not known.
  std::optional<double> cpu_seconds() const;
  /// Ctrl-C: a benchmark ends then, and cleans up. The second one ends the process at once.
  const interrupt& stop() const { return *stop_; }

private:
  bench_node() = default;
  error clean_up();

  std::string prefix_;
  int pid_ = 0;
  std::uint64_t made_ = 0;
  output* out_ = nullptr;
  std::unique_ptr<interrupt> stop_ = std::make_unique<interrupt>(2);
  // Destroyed from the last to the first: the client before the node, the node before its directory.
  std::unique_ptr<scratch_directory> data_;
  std::unique_ptr<node> node_;
  std::unique_ptr<client> client_;
  std::vector<std::string> topics_;
  std::vector<std::string> groups_;
};

/// What a benchmark that was interrupted ends with.
error interrupted();

/// How a benchmark shows itself.
struct bench_report {
  std::string name;
  std::uint64_t size = 0;
  /// What the median is taken of, and what people compare.
  bool by_latency = false;
};

/// Runs it `runs` times, prints the median run: one line for people per run and a summary, one object with
/// `json`.
int report_runs(context& ctx, const bench_report& report, std::uint32_t runs,
                const std::function<result<bench_figures>()>& run);
/// The object of a bench line.
json to_json(const bench_report& report, const bench_figures& f);

void add_bench_raw(CLI::App& bench, context& ctx);
void add_bench_publish(CLI::App& bench, context& ctx);
void add_bench_consume(CLI::App& bench, context& ctx);
void add_bench_latency(CLI::App& bench, context& ctx);
void add_bench_topics(CLI::App& bench, context& ctx);

} // namespace troupe::cli
