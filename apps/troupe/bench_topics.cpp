#include "bench.hpp"
#include "text.hpp"

#include <cmath>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

struct topics_settings : bench_settings {
  std::uint32_t count = 10'000;
  std::optional<milliseconds> idle;
};

/// CPU of the node while nobody asks anything of it, in percent of one processor.
std::optional<double> idle_cpu(const bench_node& node, milliseconds time) {
  auto before = node.cpu_seconds();
  auto begin = clock::now();
  node.stop().wait_until(begin + time);
  auto after = node.cpu_seconds();
  if (!before || !after)
    return std::nullopt;
  return (*after - *before) / std::chrono::duration<double>(clock::now() - begin).count() * 100;
}

int topics(context& ctx, const topics_settings& s) {
  auto node = bench_node::open(ctx, s);
  if (!node)
    return ctx.fail("bench topics", node.error());
  return report_runs(ctx, {"topics", 0}, 1, [&]() -> result<bench_figures> {
    topic_options options;
    options.queues = s.queues;
    auto before = node->memory();
    auto begin = clock::now();
    auto made = node->make_topics(s.count, options);
    bench_figures f;
    f.seconds = std::chrono::duration<double>(clock::now() - begin).count();
    if (!made)
      return made.error();
    f.messages = s.count;
    auto after = node->memory();
    f.more["queues"] = s.queues;
    f.more["node_rss"] = after;
    f.more["bytes_per_topic"] = after > before ? (after - before) / s.count : 0;
    if (auto cpu = idle_cpu(*node, s.idle.value_or(milliseconds{5000})))
      f.more["idle_cpu_percent"] = std::round(*cpu * 100) / 100;
    if (node->stop().requested())
      return interrupted();
    return f;
  });
}

} // namespace

void add_bench_topics(CLI::App& bench, context& ctx) {
  auto [verb, s] = add_verb(bench, ctx, "topics",
                            "Creates many topics: rate, memory for each, CPU of the idle node", topics);
  s->queues = 4;
  add_bench_options(*verb, *s);
  for (const auto* name : {"--size", "--messages", "--runs"})
    verb->remove_option(verb->get_option(name));
  verb->add_option("--count", s->count, "Topics to create")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  add_duration(*verb, "--idle", s->idle, "How long the idle node is watched (5s)");
  examples(*verb, {"troupe bench topics --embedded",
                   "troupe bench topics --count 10000 --queues 4 --pid $(pidof trouped)"});
}

} // namespace troupe::cli
