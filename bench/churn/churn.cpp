// Does a store under retention stay small and fast? See README.md.

#include "must.hpp"

#include "troupe/client.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace {

using namespace troupe;

constexpr std::uint32_t queues = 4;
constexpr std::uint64_t reserve = 64u << 20;
constexpr double smallest = 100, largest = 4u << 20;

class churn {
public:
  churn(const std::filesystem::path& dir, std::uint64_t budget)
      : node_(must(node::start({.data = dir, .disk_budget = budget}))),
        client_(must(client::attach(*node_))) {
    must(client_.create_topic("churn", {.queues = queues, .retention_bytes = budget / 2 / queues}));
    to_.emplace(must(producer::open(client_, {.topic = "churn", .timeout = std::chrono::minutes{2}})));
  }

  /// Publishes so many bytes of bodies.
  void write(std::uint64_t bytes) {
    for (const auto goal = written_ + bytes; written_ < goal;) {
      std::string body(static_cast<std::size_t>(std::exp(size_(random_))), 'x');
      written_ += body.size();
      to_->send_async({.body = std::move(body)}, [this](const result<receipt>& r) {
        if (!r && failed_++ == 0)
          std::cerr << to_string(r.error()) << '\n';
      });
    }
    must(to_->flush(std::chrono::minutes{5}));
  }

  struct figures {
    std::uint64_t live = 0, file = 0, commits = 0, p50 = 0, p99 = 0;
  };
  figures look() {
    figures f;
    for (const auto& q : must(client_.describe_topic("churn")).queues)
      f.live += q.bytes;
    const auto shard = must(client_.node_status()).shards.at(0);
    f.file = shard.file;
    f.commits = shard.commits;
    f.p50 = shard.commit_p50_us;
    f.p99 = shard.commit_p99_us;
    return f;
  }
  std::uint64_t written() const { return written_; }
  std::uint64_t failed() const { return failed_; }

private:
  std::unique_ptr<node> node_;
  client client_;
  std::mt19937_64 random_{20261122};
  std::uniform_real_distribution<double> size_{std::log(smallest), std::log(largest)};
  std::atomic<std::uint64_t> failed_{0};
  std::uint64_t written_ = 0;
  std::optional<producer> to_;
};

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print(const char* when, const churn& c, const churn::figures& f) {
  std::printf(
      "%-6s written %8.0f MiB  live %6.0f MiB  file %6.0f MiB (%.2f of live, %.2f without the reserve)  "
      "%6llu commits  p50 %6llu us  p99 %6llu us\n",
      when, mib(c.written()), mib(f.live), mib(f.file),
      static_cast<double>(f.file) / static_cast<double>(f.live),
      static_cast<double>(f.file - std::min(f.file, reserve)) / static_cast<double>(f.live),
      static_cast<unsigned long long>(f.commits), static_cast<unsigned long long>(f.p50),
      static_cast<unsigned long long>(f.p99));
}

int run(const std::filesystem::path& at, std::uint64_t budget, std::uint64_t times) {
  const auto dir = at / ("troupe-churn-" + std::to_string(::getpid()));
  struct remover {
    const std::filesystem::path& dir;
    ~remover() { std::filesystem::remove_all(dir); }
  } at_end{dir};
  churn c(dir, budget);
  c.write(budget / 4);
  const auto fresh = c.look();
  print("fresh", c, fresh);
  churn::figures last;
  for (std::uint64_t n = 0; n < times; ++n) {
    c.write(budget);
    last = c.look();
    print("", c, last);
  }
  std::printf("commit p99: %.2f of the fresh store's; %llu messages failed\n",
              static_cast<double>(last.p99) / static_cast<double>(fresh.p99),
              static_cast<unsigned long long>(c.failed()));
  return c.failed() ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : std::filesystem::temp_directory_path(),
               (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 512) << 20,
               argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 10);
  } catch (const std::exception& e) {
    std::cerr << "bench_churn: " << e.what() << '\n';
    return 1;
  }
}
