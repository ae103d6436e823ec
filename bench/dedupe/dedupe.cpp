// What it costs to take each key once, with many keys in the window. README.md.

#include "must.hpp"
#include "scratch.hpp"

#include "troupe/client.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using steady = std::chrono::steady_clock;

struct settings {
  std::filesystem::path dir = std::filesystem::temp_directory_path();
  std::uint64_t keys = 10'000'000;
  std::uint64_t messages = 1'000'000;
  int rounds = 3;
};

/// A node of this process on a directory, and its client.
struct broker {
  explicit broker(const std::filesystem::path& dir) {
    node_config c;
    c.data = dir;
    c.key_memory = std::uint64_t{1} << 30;
    running = must(node::start(std::move(c)));
    line.emplace(must(client::attach(*running)));
  }
  std::unique_ptr<node> running;
  std::optional<client> line;
};

/// Publishes messages of 100 B with the keys [from, from + n) and waits for all answers. Messages a second.
double publish(client& c, const std::string& topic, std::uint64_t from, std::uint64_t n) {
  producer_options options;
  options.topic = topic;
  options.timeout = std::chrono::minutes{10};
  auto p = must(producer::open(c, std::move(options)));
  message m;
  m.body.assign(100, 'x');
  m.keys.resize(1);
  const auto begin = steady::now();
  for (auto i = from; i < from + n; ++i) {
    m.keys[0] = "order-" + std::to_string(i);
    must(p.send_one_way(m));
  }
  must(p.flush(std::chrono::minutes{10}));
  return static_cast<double>(n) / seconds_since(begin);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void run(const settings& s) {
  const scratch place(s.dir);
  std::optional<broker> b(std::in_place, place.path / "data");
  topic_options plain;
  topic_options once;
  once.dedupe_window = std::chrono::hours{24};
  must(b->line->create_topic("plain", plain));
  must(b->line->create_topic("once", once));
  const auto fill = publish(*b->line, "once", 0, s.keys);
  std::vector<double> without, with, repeats;
  auto next = s.keys;
  for (int round = 0; round < s.rounds; ++round) {
    without.push_back(publish(*b->line, "plain", next, s.messages));
    with.push_back(publish(*b->line, "once", next, s.messages));
    repeats.push_back(publish(*b->line, "once", next / 2, s.messages));
    next += s.messages;
  }
  b.reset();
  b.emplace(place.path / "data");
  const auto begin = steady::now();
  publish(*b->line, "once", next, 8); // one key for each queue, more or less
  const nlohmann::json line{{"keys", next},
                            {"fill_s", fill},
                            {"plain_s", median(without)},
                            {"once_s", median(with)},
                            {"ratio", median(with) / median(without)},
                            {"repeats_s", median(repeats)},
                            {"first_after_restart_s", seconds_since(begin)}};
  std::puts(line.dump().c_str());
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--dir")
      s.dir = argv[i + 1];
    else if (name == "--keys")
      s.keys = std::stoull(argv[i + 1]);
    else if (name == "--messages")
      s.messages = std::stoull(argv[i + 1]);
    else if (name == "--rounds")
      s.rounds = std::stoi(argv[i + 1]);
    else
      argc = 0;
  }
  if (argc % 2 == 0) {
    std::fputs("usage: bench_dedupe [--dir DIR] [--keys N] [--messages N] [--rounds N]\n", stderr);
    return 2;
  }
  try {
    run(s);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_dedupe: %s\n", e.what());
    return 1;
  }
}
