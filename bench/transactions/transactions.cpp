// What does a transaction cost beside plain publishing? See README.md.

#include "must.hpp"

#include "troupe/node.hpp"
#include "troupe/producer.hpp"
#include "troupe/transactions.hpp"
#include "troupe/wire_admin.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct settings {
  std::filesystem::path dir = "bench-transactions-data";
  /// Published in each measurement.
  std::uint64_t messages = 500'000;
  /// Not answered at a time.
  std::uint64_t window = 20'000;
  /// In one transaction of several.
  std::uint64_t several = 10;
  /// Transactions of several, one after the other.
  std::uint64_t transactions = 500;
  std::uint32_t queues = 8;
  std::uint16_t shards = 1;
  bool loopback = false;
};

/// At most so many things are open; waits for the rest. Counts what went wrong.
class gate {
public:
  explicit gate(std::uint64_t most) : most_(most), room_(static_cast<std::ptrdiff_t>(most)) {}
  void enter() { room_.acquire(); }
  void leave(bool well) {
    failed_ += !well;
    room_.release();
  }
  void wait() {
    for (std::uint64_t i = 0; i < most_; ++i)
      room_.acquire();
    if (failed_ > 0)
      throw std::runtime_error(std::to_string(failed_) + " messages failed");
  }

private:
  std::uint64_t most_;
  std::counting_semaphore<> room_;
  std::atomic<std::uint64_t> failed_{0};
};

message small() { return {.body = std::string(100, 'x')}; }

/// Messages per second, until the last is answered.
double plain(const client& c, const settings& s) {
  auto to = must(producer::open(c, {.topic = "plain"}));
  gate open(s.window);
  const auto begin = clock_type::now();
  for (std::uint64_t n = 0; n < s.messages; ++n) {
    open.enter();
    to.send_async(small(), [&](const result<receipt>& r) { open.leave(r.has_value()); });
  }
  open.wait();
  return static_cast<double>(s.messages) / seconds_since(begin);
}

/// The same, each message a transaction of its own that is committed when it is prepared.
double halves(const client& c, const settings& s, bool commit) {
  transaction_options options;
  options.group = "bench";
  auto to = must(transactions::open(c, std::move(options)));
  gate open(s.window);
  const auto begin = clock_type::now();
  for (std::uint64_t n = 0; n < s.messages; ++n) {
    open.enter();
    to.prepare_async("halves", small(), [&](const result<receipt>& r) {
      if (!r)
        return open.leave(false);
      const auto done = [&](const result<transaction_state>& state) { open.leave(state.has_value()); };
      commit ? to.commit_async(r->id, done) : to.rollback_async(r->id, done);
    });
  }
  open.wait();
  return static_cast<double>(s.messages) / seconds_since(begin);
}

/// Transactions of several messages, one after the other: each begun, prepared and committed.
double whole(const client& c, const settings& s) {
  transaction_options options;
  options.group = "bench";
  auto to = must(transactions::open(c, std::move(options)));
  const auto begin = clock_type::now();
  for (std::uint64_t n = 0; n < s.transactions; ++n) {
    auto t = must(to.begin());
    for (std::uint64_t i = 0; i < s.several; ++i)
      must(t.add("whole", small()));
    must(t.commit());
  }
  return static_cast<double>(s.transactions) / seconds_since(begin);
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc)
      throw std::invalid_argument(key + " has no value");
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (key == "--dir")
      s.dir = argv[i + 1];
    else if (key == "--messages")
      s.messages = value;
    else if (key == "--transactions")
      s.transactions = value;
    else if (key == "--several")
      s.several = value;
    else if (key == "--queues")
      s.queues = static_cast<std::uint32_t>(value);
    else if (key == "--shards")
      s.shards = static_cast<std::uint16_t>(value);
    else if (key == "--loopback")
      s.loopback = value != 0;
    else
      throw std::invalid_argument(
          "there are --dir --messages --transactions --several --queues --shards --loopback 0|1");
  }
  if (s.queues == 0 || s.messages == 0 || s.several == 0 || s.transactions == 0)
    throw std::invalid_argument("at least one queue, message and transaction");
  return s;
}

void print(const std::string& what, const nlohmann::json& more) {
  nlohmann::json line{{"bench", "transactions"}, {"what", what}};
  line.update(more);
  std::cout << line.dump() << std::endl;
}

void run(const settings& s) {
  std::filesystem::remove_all(s.dir);
  node_config cfg;
  cfg.data = s.dir;
  cfg.shards = s.shards;
  if (s.loopback)
    cfg.host = "127.0.0.1";
  auto node = must(node::start(std::move(cfg)));
  auto c = s.loopback ? must(client::connect({.address = node->address()})) : must(client::attach(*node));
  for (const auto* topic : {"plain", "halves", "whole"})
    must(c.create_topic(topic, {.queues = s.queues}));
  const auto before = plain(c, s);
  const auto committed = halves(c, s, true);
  const auto rolled_back = halves(c, s, false);
  const auto after = plain(c, s);
  const auto beside = (before + after) / 2;
  print("half messages, each committed", {{"messages", s.messages},
                                          {"plain_per_s", beside},
                                          {"per_s", committed},
                                          {"ratio", committed / beside}});
  print("half messages, each rolled back", {{"messages", s.messages},
                                            {"plain_per_s", beside},
                                            {"per_s", rolled_back},
                                            {"ratio", rolled_back / beside}});
  print("transactions of several messages, one after the other",
        {{"several", s.several}, {"per_s", whole(c, s)}});
  print("node", {{"rss_bytes", must(node->status()).rss}});
  c.close();
  must(node->stop());
  std::filesystem::remove_all(s.dir);
}

} // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_transactions: " << e.what() << '\n';
    return 1;
  }
}
