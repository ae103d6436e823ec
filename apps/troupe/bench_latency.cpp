#include "bench.hpp"
#include "latencies.hpp"

#include "troupe/consumer.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

struct latency_settings : bench_settings {
  double rate = 1000;
  double seconds = 10;
};

/// The body begins with the moment of sending, which only this process understands.
constexpr std::size_t stamp_size = sizeof(clock::rep);

std::string stamped(std::size_t size, clock::time_point now) {
  std::string body(std::max(size, stamp_size), 'x');
  auto ticks = now.time_since_epoch().count();
  std::memcpy(body.data(), &ticks, stamp_size);
  return body;
}

clock::time_point stamp_of(std::string_view body) {
  clock::rep ticks = 0;
  std::memcpy(&ticks, body.data(), stamp_size);
  return clock::time_point(clock::duration(ticks));
}

error publish_at_rate(bench_node& node, const latency_settings& s, const std::string& topic,
                      std::uint64_t count) {
  // Before the producer, whose end waits for callbacks.
  std::mutex mutex;
  error failed;
  producer_options options;
  options.topic = topic;
  auto to = producer::open(node.connection(), std::move(options));
  if (!to)
    return to.error();
  auto step = std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(1 / s.rate));
  auto next = clock::now();
  for (std::uint64_t i = 0; i < count; ++i, next += step) {
    if (node.stop().wait_until(next))
      return interrupted();
    message m;
    m.body = stamped(s.size, clock::now());
    to->send_async(std::move(m), [&](const result<receipt>& r) {
      std::lock_guard lock(mutex);
      if (!r)
        failed = r.error();
    });
  }
  auto closed = to->close();
  std::lock_guard lock(mutex);
  return failed ? failed : closed;
}

result<bench_figures> latency_once(bench_node& node, const latency_settings& s) {
  topic_options options;
  options.queues = s.queues;
  auto topic = node.make_topic(options);
  if (!topic)
    return topic.error();
  latencies times;
  consumer_options joining;
  joining.group = node.new_group();
  joining.topics.push_back({*topic, "*"});
  auto waiting = consumer::start(node.connection(), std::move(joining), 1, [&](const leased_message& m) {
    times.record(clock::now() - stamp_of(m.body()));
    return outcome::ack();
  });
  if (!waiting)
    return waiting.error();
  auto count = static_cast<std::uint64_t>(std::max(1.0, s.rate * s.seconds));
  auto begin = clock::now();
  auto failed = publish_at_rate(node, s, *topic, count);
  auto deadline = clock::now() + std::chrono::seconds(10);
  while (!failed && times.count() < count && clock::now() < deadline && !node.stop().requested())
    node.stop().wait_until(clock::now() + milliseconds{20});
  bench_figures f;
  f.seconds = std::chrono::duration<double>(clock::now() - begin).count();
  f.messages = times.count();
  auto stopped = waiting->stop();
  if (failed)
    return failed;
  if (stopped)
    return stopped;
  if (node.stop().requested())
    return interrupted();
  if (f.messages < count)
    return error{errc::timeout, std::to_string(count - f.messages) + " messages did not come within 10 s"};
  f.p50_us = times.percentile_us(0.5);
  f.p99_us = times.percentile_us(0.99);
  f.p999_us = times.percentile_us(0.999);
  auto raw = raw_commit(s.directory, 1, s.size, milliseconds{500});
  if (!raw)
    return raw.error();
  f.raw_p50_us = raw->p50_us;
  f.ratio = f.p50_us / raw->p50_us;
  return f;
}

int latency(context& ctx, const latency_settings& s) {
  auto node = bench_node::open(ctx, s);
  if (!node)
    return ctx.fail("bench latency", node.error());
  return report_runs(ctx, {"latency", s.size, true}, s.runs, [&] { return latency_once(*node, s); });
}

} // namespace

void add_bench_latency(CLI::App& bench, context& ctx) {
  auto [verb, s] = add_verb(
      bench, ctx, "latency",
      "From the call that sends to the handler of a waiting consumer; beside a bare single commit", latency);
  add_bench_options(*verb, *s);
  verb->add_option("--rate", s->rate, "Messages per second")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  verb->add_option("--seconds", s->seconds, "How long each run sends")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  examples(*verb, {"troupe bench latency", "troupe bench latency --rate 10000 --seconds 5 --embedded"});
}

} // namespace troupe::cli
