// What does it cost to publish messages for later, how late do they come, and how fast? See README.md.

#include "must.hpp"

#include "troupe/consumer.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct settings {
  std::filesystem::path dir = "bench-scheduled-data";
  /// Published in each measurement.
  std::uint64_t messages = 1'000'000;
  /// That wait meanwhile.
  std::uint64_t pending = 10'000'000;
  /// Due per second, for ten seconds.
  std::uint64_t rate = 10'000;
  std::uint32_t queues = 8;
};

/// As producers send that publish all the time, and that publish as much as they can.
constexpr std::uint32_t small_batch = 50;
constexpr std::uint32_t large_batch = 4096;

timestamp wall() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

using due_function = std::function<std::optional<timestamp>(std::uint64_t)>;

/// Messages per second, until the last is answered.
double publish(const client& c, const std::string& topic, std::uint64_t messages, const due_function& due,
               std::uint32_t batch = producer_options{}.batch_messages) {
  auto to =
      must(producer::open(c, {.topic = topic, .batch_messages = batch, .timeout = milliseconds{120'000}}));
  message m{.body = std::string(100, 'x')};
  const auto begin = clock_type::now();
  for (std::uint64_t n = 0; n < messages; ++n) {
    m.deliver_at = due(n);
    must(to.send_one_way(m));
  }
  must(to.close());
  if (to.statistics().failed > 0)
    throw std::runtime_error(to_string(to.statistics().last_failure));
  return static_cast<double>(messages) / seconds_since(begin);
}

std::optional<timestamp> at_once(std::uint64_t) { return std::nullopt; }

/// Evenly over 40 days, but for their first minute.
due_function far_ahead() {
  auto random = std::make_shared<std::mt19937_64>(1);
  return [random](std::uint64_t) {
    constexpr std::uint64_t minute = 60'000;
    return std::optional{wall() + milliseconds{minute + (*random)() % (40 * 24 * 60 * minute - 2 * minute)}};
  };
}

/// Takes `count` messages of a topic; milliseconds that each came after its time, sorted.
std::vector<double> take(client& c, const std::string& topic, std::uint64_t count) {
  must(c.create_group(topic, {.lease = std::chrono::hours{1}, .max_unsettled = 100'000}));
  auto from = must(pull_consumer::open(
      c, {.group = topic, .topics = {{topic}}, .max_messages = 100'000, .max_bytes = 32u << 20}));
  std::vector<double> late;
  late.reserve(count);
  while (late.size() < count) {
    const auto got = must(from.fetch(8192, milliseconds{60'000}));
    if (got.empty())
      throw std::runtime_error("only " + std::to_string(late.size()) + " of " + std::to_string(count) +
                               " came");
    const auto now = std::chrono::system_clock::now();
    for (const auto& m : got)
      late.push_back(std::chrono::duration<double, std::milli>(now - *m.content().deliver_at).count());
    must(from.ack(got));
  }
  must(from.close());
  std::ranges::sort(late);
  return late;
}

/// Due one after the other at a rate, in an order that is not that of publishing, sent in batches of so many.
std::vector<double> steady(client& c, const settings& s, const std::string& topic, std::uint32_t batch) {
  const auto count = 10 * s.rate;
  must(c.create_topic(topic, {.queues = s.queues}));
  std::mt19937_64 random(2);
  const auto first = wall() + milliseconds{5'000 + count / 10};
  publish(
      c, topic, count, [&](std::uint64_t) { return std::optional{first + milliseconds{random() % 10'000}}; },
      batch);
  return take(c, topic, count);
}

/// All due at one moment: per second, from then until the last is delivered.
double at_one_moment(client& c, const settings& s) {
  must(c.create_topic("moment", {.queues = s.queues}));
  const auto due = wall() + milliseconds{5'000 + s.messages / 50};
  publish(c, "moment", s.messages, [&](std::uint64_t) { return std::optional{due}; });
  if (wall() >= due)
    throw std::runtime_error("publishing took longer than the messages were put off for");
  return static_cast<double>(s.messages) * 1000 / take(c, "moment", s.messages).back();
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc ||
        (key != "--dir" && key != "--messages" && key != "--pending" && key != "--rate" && key != "--queues"))
      throw std::invalid_argument("there are --dir --messages --pending --rate --queues, each with a value");
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (key == "--dir")
      s.dir = argv[i + 1];
    else if (key == "--messages")
      s.messages = value;
    else if (key == "--pending")
      s.pending = value;
    else if (key == "--rate")
      s.rate = value;
    else
      s.queues = static_cast<std::uint32_t>(value);
  }
  if (s.queues == 0 || s.messages == 0 || s.rate == 0)
    throw std::invalid_argument("at least one queue, one message and one a second");
  return s;
}

void print(const std::string& what, const nlohmann::json& more) {
  nlohmann::json line{{"bench", "scheduled"}, {"what", what}};
  line.update(more);
  std::cout << line.dump() << std::endl;
}

/// Anonymous memory of this process, node and client together; 0 when the system does not say.
std::uint64_t anonymous_memory() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;)
    if (std::uint64_t kib = 0; word == "RssAnon:" && in >> kib)
      return kib << 10;
  return 0;
}

void measure(client& c, const settings& s) {
  for (const auto* topic : {"plain", "delayed", "plain-beside"})
    must(c.create_topic(topic, {.queues = s.queues}));
  auto quantile = [](const std::vector<double>& sorted, double q) {
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
  };
  auto print_late = [&](const std::string& waits, std::uint32_t batch) {
    const auto late = steady(c, s, waits + std::to_string(batch), batch);
    print("lateness, " + waits + " wait", {{"rate", s.rate},
                                           {"batch", batch},
                                           {"p50_ms", quantile(late, 0.5)},
                                           {"p99_ms", quantile(late, 0.99)},
                                           {"max_ms", late.back()}});
  };
  const auto plain = publish(c, "plain", s.messages, at_once);
  const auto empty = publish(c, "delayed", s.messages, far_ahead());
  print("publish, nothing waits", {{"plain_per_s", plain}, {"per_s", empty}, {"ratio", empty / plain}});
  for (auto batch : {small_batch, large_batch})
    print_late("few", batch);
  print("fire at one moment", {{"messages", s.messages}, {"per_s", at_one_moment(c, s)}});
  const auto before = anonymous_memory();
  if (s.pending > s.messages)
    publish(c, "delayed", s.pending - s.messages, far_ahead());
  const auto full_plain = publish(c, "plain-beside", s.messages, at_once);
  const auto full = publish(c, "delayed", s.messages, far_ahead());
  print("publish, many wait", {{"pending", s.pending},
                               {"plain_per_s", full_plain},
                               {"per_s", full},
                               {"ratio", full / plain},
                               {"ratio_beside", full / full_plain}});
  for (auto batch : {small_batch, large_batch})
    print_late("many", batch);
  print("memory", {{"before", before}, {"after", anonymous_memory()}});
}

void run(const settings& s) {
  if (std::filesystem::exists(s.dir))
    throw std::invalid_argument(s.dir.string() + " exists: name a directory that this may make and remove");
  auto node = must(node::start({.data = s.dir, .host = "127.0.0.1"}));
  {
    auto c = must(client::connect({.address = node->address(), .timeout = milliseconds{60'000}}));
    measure(c, s);
    c.close();
  }
  must(node->stop());
  std::filesystem::remove_all(s.dir);
}

} // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_scheduled: " << e.what() << '\n';
    return 1;
  }
}
