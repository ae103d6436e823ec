// What does one order key cost that is stuck, with a million messages behind it and a million other keys? See
// README.md.

#include "must.hpp"

#include "troupe/consumer.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct settings {
  std::filesystem::path dir = "bench-stuck-data";
  /// Messages of the stuck key, and other keys with one message each.
  std::uint64_t messages = 1'000'000;
};

constexpr const char* stuck_key = "stuck";

/// Of this process: node and client, in MiB.
double memory() {
  std::ifstream status{"/proc/self/status"};
  for (std::string word; status >> word;)
    if (word == "RssAnon:" && status >> word)
      return std::stod(word) / 1024;
  throw std::runtime_error("no RssAnon in /proc");
}

message of_key(std::string key) {
  message m;
  m.body = std::string(100, 'x');
  m.order_key = std::move(key);
  return m;
}

/// `stuck` messages of the one key, in turn with as many other keys.
void publish(const client& c, const std::string& topic, std::uint64_t keys, bool stuck) {
  auto to = must(producer::open(c, {.topic = topic}));
  for (std::uint64_t n = 0; n < keys; ++n) {
    if (stuck)
      must(to.send_one_way(of_key(stuck_key)));
    must(to.send_one_way(of_key("key " + std::to_string(n))));
  }
  must(to.close());
  if (to.statistics().failed > 0)
    throw std::runtime_error(to_string(to.statistics().last_failure));
}

pull_consumer join(const client& c, const std::string& topic) {
  return must(pull_consumer::open(
      c, {.group = "group-" + topic, .topics = {{topic}}, .max_messages = 8192, .max_bytes = 16u << 20}));
}

/// Acknowledges `count` messages of other keys; what comes of the stuck one fails. Says when the first one
/// came.
clock_type::time_point take(pull_consumer& from, std::uint64_t count) {
  clock_type::time_point first;
  for (auto last = clock_type::now(); count > 0;) {
    const auto got = must(from.fetch(8192, milliseconds{1000}));
    if (got.empty() && clock_type::now() - last > std::chrono::seconds{60})
      throw std::runtime_error(std::to_string(count) + " messages did not come");
    for (const auto& m : got) {
      if (m.order_key() == stuck_key) {
        must(from.retry(m, std::chrono::seconds{30}));
        continue;
      }
      if (first == clock_type::time_point{})
        first = clock_type::now();
      must(from.ack(m));
      --count;
    }
    if (!got.empty())
      last = clock_type::now();
  }
  must(from.flush(milliseconds{60'000}));
  return first;
}

double consume(const client& c, const std::string& topic, std::uint64_t keys) {
  auto from = join(c, topic);
  const auto begin = take(from, keys);
  const auto per_s = static_cast<double>(keys) / seconds_since(begin);
  must(from.close());
  return per_s;
}

/// From the call that publishes one message of a fresh key until it is here, past all that is stuck.
double passes_in_ms(const client& c, pull_consumer& from, const std::string& key) {
  auto to = must(producer::open(c, {.topic = "stuck"}));
  const auto begin = clock_type::now();
  must(to.send(of_key(key)));
  take(from, 1);
  return seconds_since(begin) * 1000;
}

std::unique_ptr<node> start(const settings& s) {
  return must(node::start({.data = s.dir, .host = "127.0.0.1"}));
}

client connect(const node& n) {
  return must(client::connect({.address = n.address(), .timeout = milliseconds{60'000}}));
}

void run(const settings& s) {
  if (std::filesystem::exists(s.dir))
    throw std::invalid_argument(s.dir.string() + " exists: name a directory that this may make and remove");
  nlohmann::json figures{{"bench", "stuck"}, {"keys", s.messages}, {"behind", s.messages}};
  auto embedded = start(s);
  {
    auto c = connect(*embedded);
    for (const auto* topic : {"free", "stuck"}) {
      must(c.create_topic(topic, {.queues = 1}));
      must(c.create_group(std::string{"group-"} + topic, {.mode = group_mode::ordered,
                                                          .lease = std::chrono::hours{1},
                                                          .retry = {.steps = {milliseconds{1000}}},
                                                          .max_unsettled = 8192,
                                                          .max_attempts = 0,
                                                          .on_exhausted = exhausted_action::block}));
    }
    publish(c, "free", s.messages, false);
    publish(c, "stuck", s.messages, true);
    const auto free = consume(c, "free", s.messages);
    const auto before = memory();
    const auto stuck = consume(c, "stuck", s.messages);
    figures["free_per_s"] = static_cast<std::uint64_t>(free);
    figures["others_per_s"] = static_cast<std::uint64_t>(stuck);
    figures["ratio"] = stuck / free;
    figures["rss_anon_grew_mib"] = memory() - before;
    auto from = join(c, "stuck");
    figures["passes_in_ms"] = passes_in_ms(c, from, "fresh");
    must(from.close());
  }
  must(embedded->stop());
  embedded.reset();
  const auto before = memory();
  const auto begin = clock_type::now();
  embedded = start(s);
  {
    auto c = connect(*embedded);
    auto from = join(c, "stuck");
    passes_in_ms(c, from, "after a restart");
    figures["restart_until_it_passes_s"] = seconds_since(begin);
    figures["rss_anon_after_restart_grew_mib"] = memory() - before;
    must(from.close());
  }
  must(embedded->stop());
  std::cout << figures << std::endl;
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc || (key != "--dir" && key != "--messages"))
      throw std::invalid_argument("there are --dir and --messages, each with a value");
    if (key == "--dir")
      s.dir = argv[i + 1];
    else
      s.messages = std::strtoull(argv[i + 1], nullptr, 10);
  }
  if (s.messages == 0 || s.messages > 4'000'000)
    throw std::invalid_argument("1 to 4000000 messages");
  return s;
}

} // namespace

int main(int argc, char** argv) {
  try {
    const auto s = parse(argc, argv);
    run(s);
    std::filesystem::remove_all(s.dir);
  } catch (const std::invalid_argument& e) {
    std::cerr << "bench_stuck: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "bench_stuck: " << e.what() << '\n';
    return 1;
  }
}
