#include "bench.hpp"
#include "text.hpp"

#include "troupe/consumer.hpp"
#include "troupe/filter.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

struct consume_settings : bench_settings {
  std::uint32_t consumers = 1;
  std::uint32_t groups = 1;
  std::uint32_t window = 65'536;
  std::string filter = "*";
};

/// Fills a topic, not measured.
result<std::string> fill(bench_node& node, const consume_settings& s) {
  topic_options options;
  options.queues = s.queues;
  auto topic = node.make_topic(options);
  if (!topic)
    return topic.error();
  producer_options producing;
  producing.topic = *topic;
  producing.timeout = std::chrono::minutes(2);
  // Before the producer, whose end waits for callbacks.
  std::mutex mutex;
  error failed;
  auto to = producer::open(node.connection(), std::move(producing));
  if (!to)
    return to.error();
  message m;
  m.body.assign(s.size, 'x');
  m.tag = "bench";
  for (std::uint64_t i = 0; i < s.messages_or_default() && !node.stop().requested(); ++i)
    to->send_async(m, [&](const result<receipt>& r) {
      std::lock_guard lock(mutex);
      if (!r)
        failed = r.error();
    });
  auto flushed = to->close();
  std::lock_guard lock(mutex);
  if (failed)
    return failed;
  if (flushed)
    return flushed;
  if (node.stop().requested())
    return interrupted();
  return *topic;
}

/// A group's members count together; the one that gets the last message ends it.
struct progress {
  std::atomic<std::uint64_t> acked{0};
};

error consume_share(pull_consumer& from, progress& of_group, std::uint64_t all,
                    const std::atomic<bool>& failed, const interrupt& stop) {
  auto last = clock::now();
  while (of_group.acked.load() < all && !failed.load()) {
    if (stop.requested())
      return interrupted();
    auto messages = from.fetch(8192, milliseconds{10});
    if (!messages)
      return messages.error();
    if (messages->empty() && clock::now() - last > std::chrono::seconds(30))
      return {errc::timeout, "nothing came for 30 s", "see `troupe group list` and the node's log"};
    if (messages->empty())
      continue;
    last = clock::now();
    if (auto err = from.ack(*messages))
      return err;
    of_group.acked += messages->size();
  }
  return from.flush(std::chrono::seconds(30));
}

result<std::vector<pull_consumer>> join(bench_node& node, const consume_settings& s,
                                        const std::string& topic) {
  std::vector<pull_consumer> members;
  for (std::uint32_t g = 0; g < s.groups; ++g) {
    group_options options;
    options.max_unsettled = s.window;
    auto name = node.new_group();
    if (auto made = node.connection().create_group(name, options); !made)
      return made.error();
    for (std::uint32_t i = 0; i < s.consumers; ++i) {
      consumer_options joining;
      joining.group = name;
      joining.topics.push_back({topic, s.filter});
      joining.max_messages = s.window;
      joining.max_bytes = 32u << 20;
      auto member = pull_consumer::open(node.connection(), std::move(joining));
      if (!member)
        return member.error();
      members.push_back(std::move(*member));
    }
  }
  return members;
}

result<bench_figures> consume_once(bench_node& node, const consume_settings& s, const std::string& topic) {
  auto begin = clock::now();
  auto members = join(node, s, topic);
  if (!members)
    return members.error();
  std::vector<progress> groups(s.groups);
  std::vector<error> failures(members->size());
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < members->size(); ++i)
    threads.emplace_back([&, i] {
      failures[i] =
          consume_share((*members)[i], groups[i / s.consumers], s.messages_or_default(), failed, node.stop());
      if (failures[i])
        failed = true;
    });
  for (auto& thread : threads)
    thread.join();
  bench_figures f;
  f.seconds = std::chrono::duration<double>(clock::now() - begin).count();
  f.messages = s.messages_or_default() * s.groups;
  f.more["node_rss"] = node.memory();
  for (const auto& failed : failures)
    if (failed)
      return failed;
  auto raw = s.embedded ? result<raw_figures>(raw_memcpy(s.size, milliseconds{300}))
                        : raw_stream(s.size, milliseconds{300});
  if (!raw)
    return raw.error();
  f.raw_per_s = raw->per_s;
  f.ratio = f.per_s() / raw->per_s;
  return f;
}

int consume(context& ctx, const consume_settings& s) {
  if (auto parsed = parse_filter(s.filter); !parsed)
    return parsed.error().code == errc::not_supported
               ? ctx.fail("bench consume", parsed.error())
               : ctx.misuse("bench consume", parsed.error().reason, parsed.error().hint);
  auto node = bench_node::open(ctx, s);
  if (!node)
    return ctx.fail("bench consume", node.error());
  ctx.out.progress("filling a topic with " + grouped(s.messages_or_default()) + " messages");
  auto topic = fill(*node, s);
  if (!topic)
    return ctx.fail("bench consume: filling the topic", topic.error());
  return report_runs(ctx, {"consume", s.size}, s.runs, [&] { return consume_once(*node, s, *topic); });
}

} // namespace

void add_bench_consume(CLI::App& bench, context& ctx) {
  auto [verb, s] = add_verb(
      bench, ctx, "consume",
      "Consumes a backlog, durable settles included; beside loopback TCP (memcpy when embedded)", consume);
  add_bench_options(*verb, *s);
  verb->add_option("--consumers", s->consumers, "Members of each group")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--groups", s->groups, "Groups, each of which gets everything")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--window", s->window, "Messages that a member may hold unsettled")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb->add_option("--filter", s->filter, "'*', or tags joined by '||'; the messages have the tag 'bench'")
      ->capture_default_str();
  add_later_except(*verb, "--mode", {"shared"}, "ordered and broadcast groups are");
  examples(*verb, {"troupe bench consume", "troupe bench consume --size 1024 --messages 500000",
                   "troupe bench consume --groups 8"});
}

} // namespace troupe::cli
