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

/// Messages that differ, sent in turn; of an ordered group at most as many order keys.
constexpr std::uint64_t kinds = 1000;

struct consume_settings : bench_settings {
  std::optional<group_mode> mode;
  std::uint8_t priorities = 1;
  std::uint32_t consumers = 1;
  std::uint32_t groups = 1;
  std::uint32_t window = 65'536;
  std::uint64_t order_keys = kinds;
  std::optional<std::uint32_t> order_batch;
  std::string filter = "*";
  /// How many of the messages the filter wants.
  std::uint64_t wanted = 0;

  bool broadcast() const { return mode == group_mode::broadcast; }
  /// How often each message is delivered.
  std::uint64_t copies() const { return groups * (broadcast() ? consumers : 1u); }
};

/// Message number i. With a filter each has a number from 0 to 99 to ask for.
message bench_message(const consume_settings& s, std::uint64_t i, timestamp born) {
  message m;
  m.body.assign(s.size, 'x');
  m.tag = "bench";
  m.born = born;
  m.priority = static_cast<std::uint8_t>(i % s.priorities);
  if (s.mode == group_mode::ordered)
    m.order_key = std::to_string(i % s.order_keys);
  if (s.filter != "*")
    m.properties.emplace_back("n", std::to_string(i % 100));
  return m;
}

class message_subject final : public filter_subject {
public:
  explicit message_subject(const message& m) : message_(m) {}
  std::uint32_t tag_hash() const override { return short_hash(message_.tag); }
  std::string_view tag() const override { return message_.tag; }
  std::optional<std::string_view> property(std::string_view name) const override {
    for (const auto& [key, value] : message_.properties)
      if (key == name)
        return value;
    return {};
  }
  std::optional<std::string_view> next_key(std::uint32_t&) const override { return {}; }
  std::uint8_t priority() const override { return message_.priority; }
  timestamp born() const override { return message_.born; }
  std::uint32_t attempt() const override { return 1; }

private:
  const message& message_;
};

/// Of messages 0 to n - 1, how many the filter wants.
std::uint64_t count_wanted(const consume_settings& s, const filter& f, timestamp born) {
  std::uint64_t of_each[100] = {};
  for (std::uint64_t i = 0; i < 100; ++i)
    of_each[i] = f.matches(message_subject{bench_message(s, i, born)}) ? 1 : 0;
  const auto n = s.messages_or_default();
  std::uint64_t all = 0;
  for (std::uint64_t i = 0; i < 100; ++i)
    all += of_each[i] * (n / 100 + (i < n % 100 ? 1 : 0));
  return all;
}

/// Fills a topic, not measured.
result<std::string> fill(bench_node& node, const consume_settings& s, timestamp born) {
  topic_options options;
  options.queues = s.queues;
  options.priorities = s.priorities;
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
  std::vector<message> messages;
  for (std::uint64_t i = 0; i < kinds; ++i)
    messages.push_back(bench_message(s, i, born));
  for (std::uint64_t i = 0; i < s.messages_or_default() && !node.stop().requested(); ++i)
    to->send_async(messages[i % messages.size()], [&](const result<receipt>& r) {
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

/// A group's members count together, but each for itself when it gets everything; the one that gets the last
/// message ends it.
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
    auto options = default_options(s.mode.value_or(group_mode::shared));
    options.max_unsettled = s.window;
    options.order_batch = s.order_batch.value_or(options.order_batch);
    auto name = node.new_group();
    if (auto made = node.connection().create_group(name, options); !made)
      return made.error();
    for (std::uint32_t i = 0; i < s.consumers; ++i) {
      consumer_options joining;
      joining.group = name;
      joining.topics.push_back({topic, s.filter});
      joining.max_messages = s.window;
      joining.max_bytes = 32u << 20;
      if (s.broadcast())
        joining.member = "member-" + std::to_string(i);
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
  std::vector<progress> done(s.copies());
  const std::size_t together = s.broadcast() ? 1 : s.consumers;
  std::vector<error> failures(members->size());
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < members->size(); ++i)
    threads.emplace_back([&, i] {
      failures[i] = consume_share((*members)[i], done[i / together], s.wanted, failed, node.stop());
      if (failures[i])
        failed = true;
    });
  for (auto& thread : threads)
    thread.join();
  bench_figures f;
  f.seconds = std::chrono::duration<double>(clock::now() - begin).count();
  f.messages = s.messages_or_default() * s.copies();
  f.more["node_rss"] = node.memory();
  if (s.priorities > 1)
    f.more["priorities"] = s.priorities;
  if (s.mode == group_mode::ordered) {
    f.more["order_keys"] = s.order_keys;
    f.more["order_batch"] = s.order_batch.value_or(1);
  }
  if (s.filter != "*")
    f.more["delivered"] = s.wanted * s.copies();
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

int consume(context& ctx, const consume_settings& asked) {
  auto s = asked;
  if (s.order_batch && s.mode != group_mode::ordered)
    return ctx.misuse("bench consume", "--order-batch is for ordered groups", "add --mode ordered");
  const auto parsed = parse_filter(s.filter);
  if (!parsed)
    return ctx.misuse("bench consume", parsed.error().reason, parsed.error().hint);
  const auto born = std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
  s.filter = (*parsed)->text();
  s.wanted = count_wanted(s, **parsed, born);
  if (s.wanted == 0)
    return ctx.misuse("bench consume", "--filter wants none of the messages",
                      "each has the tag 'bench' and a property n from 0 to 99, as in: --filter 'n = 7'");
  auto node = bench_node::open(ctx, s);
  if (!node)
    return ctx.fail("bench consume", node.error());
  ctx.out.progress("filling a topic with " + grouped(s.messages_or_default()) + " messages");
  auto topic = fill(*node, s, born);
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
  verb->add_option("--priorities", s->priorities,
                   "Priorities of the topic; the messages have them in turn, so that all lanes wait")
      ->check(CLI::Range(1, 10))
      ->capture_default_str();
  verb->add_option(
          "--filter", s->filter,
          "Which messages: '*', tags, or SQL92; each has the tag 'bench' and a property n from 0 to 99, so "
          "that 'n = 7' wants 1 %. Rates count what was looked at")
      ->capture_default_str();
  add_mode(
      *verb, s->mode,
      "Of the groups: shared (default), ordered (1,000 order keys, in turn), broadcast (each member gets "
      "everything)");
  verb->add_option("--order-keys", s->order_keys,
                   "With --mode ordered: so many keys, which the messages have in turn")
      ->check(CLI::Range(std::uint64_t{1}, kinds))
      ->capture_default_str();
  verb->add_option("--order-batch", s->order_batch,
                   "With --mode ordered: messages of a key that a member may have at a time (1)")
      ->check(CLI::Range(1, 1024));
  examples(*verb, {"troupe bench consume", "troupe bench consume --size 1024 --messages 500000",
                   "troupe bench consume --filter 'n = 7'", "troupe bench consume --groups 8",
                   "troupe bench consume --priorities 4", "troupe bench consume --mode ordered",
                   "troupe bench consume --mode ordered --order-keys 1 --order-batch 32 --messages 100000"});
}

} // namespace troupe::cli
