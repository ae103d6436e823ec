#include "bench.hpp"
#include "json.hpp"
#include "latencies.hpp"
#include "text.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

/// While messages overlap, the latency of one in so many is measured.
constexpr std::uint64_t measured_one_in = 16;

struct publish_settings : bench_settings {
  std::uint32_t producers = 1;
  std::uint32_t topics = 1;
  std::optional<std::uint64_t> in_flight;
  std::string batch = "auto";
  std::string durability = "durable";
  std::optional<milliseconds> duration;
};

/// What all producer threads of a run share: how many messages were answered, and the first failure.
class tally {
public:
  tally(std::uint64_t in_flight, const interrupt& stop) : in_flight_(in_flight), stop_(stop) {}

  /// Before a message: waits while as many as allowed are on their way. False after a failure.
  bool begin() {
    if (stop_.requested())
      fail(interrupted());
    if (in_flight_ == 0)
      return !failed_.load(std::memory_order_relaxed);
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return open_ < in_flight_ || failed_; });
    ++open_;
    return !failed_;
  }
  void end(clock::time_point sent, const result<receipt>& r) {
    if (!r)
      fail(r.error());
    else if (sent != unmeasured)
      times.record(clock::now() - sent);
    if (in_flight_ == 0)
      return;
    {
      std::lock_guard lock(mutex_);
      --open_;
    }
    room_.notify_one();
  }
  void fail(const error& err) {
    std::lock_guard lock(mutex_);
    if (!failed_.exchange(true))
      first_ = err;
    room_.notify_all();
  }
  error failure() const {
    std::lock_guard lock(mutex_);
    return first_;
  }
  latencies times;
  static constexpr clock::time_point unmeasured{};

private:
  const std::uint64_t in_flight_;
  const interrupt& stop_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::uint64_t open_ = 0;
  std::atomic<bool> failed_{false};
  error first_;
};

result<std::vector<producer>> open_producers(client& c, const publish_settings& s,
                                             const std::vector<std::string>& topics) {
  std::vector<producer> all;
  // One producer at least for each thread and each topic.
  auto count = std::max<std::size_t>(s.producers, topics.size());
  for (std::size_t i = 0; i < count; ++i) {
    producer_options options;
    options.topic = topics[i % topics.size()];
    options.durability = s.durability == "durable" ? durability_level::durable : durability_level::buffered;
    if (s.batch != "auto")
      options.batch_messages = static_cast<std::uint32_t>(std::stoul(s.batch));
    options.window = static_cast<std::uint32_t>(
        std::clamp<std::size_t>((std::size_t{64} << 20) / count, 64u << 10, options.window));
    auto p = producer::open(c, std::move(options));
    if (!p)
      return p.error();
    all.push_back(std::move(*p));
  }
  return all;
}

/// What the threads of a run have in common. A run with a duration ends at `end`.
struct publish_run {
  const publish_settings& settings;
  std::vector<producer>& producers;
  std::string body;
  clock::time_point end;
  tally& answers;
};

/// One thread's share: its producers in turn, `count` messages or until the end.
std::uint64_t publish_share(const publish_run& run, std::size_t thread, std::uint64_t count) {
  const auto& s = run.settings;
  auto& t = run.answers;
  std::uint64_t sent = 0;
  auto which = thread;
  while (s.duration ? clock::now() < run.end : sent < count) {
    if (!t.begin())
      break;
    message m;
    m.body = run.body;
    // Two clock readings for each of millions of messages would be a third of what their sender does.
    auto now = sent % measured_one_in == 0 || s.in_flight == 1u ? clock::now() : tally::unmeasured;
    auto& to = run.producers[which];
    which = which + s.producers < run.producers.size() ? which + s.producers : thread;
    ++sent;
    if (s.in_flight == 1u)
      t.end(now, to.send(std::move(m)));
    else
      to.send_async(std::move(m), [&t, now](const result<receipt>& r) { t.end(now, r); });
  }
  return sent;
}

/// Bytes that a message of this topic takes in the log, its headers included.
result<std::uint64_t> stored_bytes(bench_node& node, const std::string& topic) {
  auto info = node.connection().describe_topic(topic);
  if (!info)
    return info.error();
  return std::max<std::uint64_t>(1, bytes_of(*info) / std::max<std::uint64_t>(1, messages_of(*info)));
}

/// Publishes everything and waits for the last answer.
result<bench_figures> publish_once(bench_node& node, const publish_settings& s) {
  topic_options options;
  options.queues = s.queues;
  auto topics = node.make_topics(s.topics, options);
  if (!topics)
    return topics.error();
  // Before the producers, whose end waits for callbacks.
  tally t(s.in_flight == 1u ? 0 : s.in_flight.value_or(0), node.stop());
  auto producers = open_producers(node.connection(), s, *topics);
  if (!producers)
    return producers.error();
  auto before = node.commits();
  if (!before)
    return before.error();

  std::atomic<std::uint64_t> sent{0};
  auto begin = clock::now();
  const publish_run run{s, *producers, std::string(s.size, 'x'), begin + s.duration.value_or(milliseconds{0}),
                        t};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < s.producers; ++i) {
    auto share = s.messages_or_default() / s.producers + (i < s.messages_or_default() % s.producers);
    threads.emplace_back([&, i, share] { sent += publish_share(run, i, share); });
  }
  for (auto& thread : threads)
    thread.join();
  for (auto& p : *producers)
    if (auto err = p.flush(std::chrono::minutes(2)))
      t.fail(err);
  bench_figures f;
  f.seconds = std::chrono::duration<double>(clock::now() - begin).count();
  f.messages = sent;
  f.more["node_rss"] = node.memory();
  for (auto& p : *producers)
    p.close();
  if (auto err = t.failure())
    return err;
  auto after = node.commits();
  if (!after)
    return after.error();
  f.p50_us = t.times.percentile_us(0.5);
  f.p99_us = t.times.percentile_us(0.99);
  f.p999_us = t.times.percentile_us(0.999);
  auto stored = stored_bytes(node, topics->front());
  if (!stored)
    return stored.error();
  f.more["stored_bytes"] = *stored;
  auto commits = std::max<std::uint64_t>(1, *after - *before);
  f.more["per_commit"] = std::max<std::uint64_t>(1, f.messages / commits);
  return f;
}

result<bench_figures> publish_and_compare(bench_node& node, const publish_settings& s) {
  auto f = publish_once(node, s);
  if (!f)
    return f.error();
  auto raw = raw_commit(s.directory, f->more["per_commit"].get<std::size_t>(),
                        f->more["stored_bytes"].get<std::size_t>(), milliseconds{1000});
  if (!raw)
    return raw.error();
  f->raw_per_s = raw->per_s;
  f->raw_p50_us = raw->p50_us;
  f->ratio = f->per_s() / raw->per_s;
  if (s.in_flight == 1u && raw->p50_us > 0)
    f->more["latency_ratio"] = std::round(f->p50_us / raw->p50_us * 1000) / 1000;
  return *f;
}

int publish(context& ctx, const publish_settings& s) {
  auto node = bench_node::open(ctx, s);
  if (!node)
    return ctx.fail("bench publish", node.error());
  return report_runs(ctx, {"publish", s.size, s.in_flight == 1u}, s.runs,
                     [&] { return publish_and_compare(*node, s); });
}

} // namespace

void add_bench_publish(CLI::App& bench, context& ctx) {
  auto [verb, s] = add_verb(bench, ctx, "publish",
                            "Publishes as fast as it goes; beside bare LMDB at equal commits", publish);
  add_bench_options(*verb, *s);
  verb->add_option("--producers", s->producers, "Threads that publish")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--topics", s->topics, "Topics to spread over")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--in-flight", s->in_flight,
                   "Messages on their way at once (as many as the window takes); 1: one by one")
      ->check(CLI::Range(1, 10'000'000));
  verb->add_option("--batch", s->batch, "Messages per batch at most, or auto")
      ->check(
          [](const std::string& v) {
            return v == "auto" ? "" : CLI::Range(1, 1'000'000)(const_cast<std::string&>(v));
          },
          "")
      ->capture_default_str();
  verb->add_option("--durability", s->durability, "durable or buffered")
      ->check(CLI::IsMember({"durable", "buffered"}))
      ->capture_default_str();
  add_duration(*verb, "--duration", s->duration, "Publish for so long instead of a number of messages");
  examples(*verb, {"troupe bench publish", "troupe bench publish --size 1024 --embedded",
                   "troupe bench publish --in-flight 1", "troupe bench publish --topics 1000 --queues 1",
                   "troupe bench publish --producers 10 --duration 60s --runs 1"});
}

} // namespace troupe::cli
