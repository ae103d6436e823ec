// Does a node get slower, or larger, while many messages wait? See README.md.

#include "must.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern char** environ;

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct settings {
  std::string trouped = "build/release/bin/trouped";
  std::filesystem::path dir = "bench-accumulation-data";
  std::uint64_t messages = 50'000'000;
  /// What one measurement publishes, or consumes.
  std::uint64_t probe = 2'000'000;
  std::uint64_t runs = 3;
  std::uint32_t queues = 4;
};

/// trouped in a process of its own, ready when the constructor returns.
class node_process {
public:
  explicit node_process(const settings& s) {
    const auto begin = clock_type::now();
    int ends[2];
    if (::pipe(ends) != 0)
      throw std::runtime_error("no pipe");
    std::vector<std::string> words{s.trouped,     "--data",      s.dir.string(), "--listen",
                                   "127.0.0.1:0", "--log-level", "warning"};
    std::vector<char*> arguments;
    for (auto& w : words)
      arguments.push_back(w.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&files, ends[0]);
    posix_spawn_file_actions_addclose(&files, ends[1]);
    const auto failed = posix_spawn(&pid_, s.trouped.c_str(), &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    ::close(ends[1]);
    const std::unique_ptr<FILE, int (*)(FILE*)> out{::fdopen(ends[0], "r"), &std::fclose};
    if (failed != 0)
      throw std::runtime_error("cannot run " + s.trouped + "; name it with --trouped");
    char address[128] = {};
    if (std::fscanf(out.get(), "trouped ready on %127s", address) != 1)
      throw std::runtime_error("the node did not start");
    address_ = address;
    ready_after_ = seconds_since(begin);
  }
  ~node_process() { end(SIGTERM); }
  node_process(const node_process&) = delete;
  node_process& operator=(const node_process&) = delete;

  void end(int signal) {
    if (pid_ == 0)
      return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  double ready_after() const { return ready_after_; }
  client connect() const { return must(client::connect({.address = address_})); }
  /// MiB of its own, the page cache and the mapped store aside.
  double memory() const {
    std::ifstream status{"/proc/" + std::to_string(pid_) + "/status"};
    for (std::string word; status >> word;)
      if (word == "RssAnon:" && status >> word)
        return std::stod(word) / 1024;
    throw std::runtime_error("no RssAnon in /proc");
  }

private:
  pid_t pid_ = 0;
  std::string address_;
  double ready_after_ = 0;
};

/// The node's largest memory while this lives.
class memory_watch {
public:
  explicit memory_watch(const node_process& node)
      : thread_([this, &node] {
          while (!stopping_) {
            most_ = std::max(most_, node.memory());
            std::this_thread::sleep_for(milliseconds{20});
          }
        }) {}
  ~memory_watch() { stop(); }
  memory_watch(const memory_watch&) = delete;
  memory_watch& operator=(const memory_watch&) = delete;
  double stop() {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
    return most_;
  }

private:
  std::atomic<bool> stopping_{false};
  double most_ = 0;
  std::thread thread_;
};

/// Messages per second, all durable.
double publish(const client& c, const std::string& topic, std::uint64_t count) {
  auto to = must(producer::open(c, {.topic = topic}));
  const message m{.body = std::string(100, 'x')};
  std::atomic<std::uint64_t> failed{0};
  const auto begin = clock_type::now();
  for (std::uint64_t n = 0; n < count; ++n)
    to.send_async(m, [&](const result<receipt>& r) { failed += r ? 0 : 1; });
  must(to.close());
  const auto took = seconds_since(begin);
  if (failed > 0)
    throw std::runtime_error(std::to_string(failed) + " messages were refused");
  return static_cast<double>(count) / took;
}

void make_group(client& c, const std::string& group) {
  must(c.create_group(group, {.max_unsettled = 65'536}));
}

pull_consumer join(client& c, const std::string& topic, const std::string& group) {
  return must(pull_consumer::open(
      c, {.group = group, .topics = {{topic}}, .max_messages = 65'536, .max_bytes = 32u << 20}));
}

/// Messages per second, all settled durably, from the first that came on.
double consume(pull_consumer& from, std::uint64_t count) {
  auto last = clock_type::now();
  const auto begin = last;
  for (std::uint64_t done = 0; done < count;) {
    const auto got = must(from.fetch(8192, milliseconds{100}));
    if (got.empty() && seconds_since(last) > 60)
      throw std::runtime_error("only " + std::to_string(done) + " of " + std::to_string(count) + " came");
    if (got.empty())
      continue;
    last = clock_type::now();
    must(from.ack(got));
    done += got.size();
  }
  must(from.flush(std::chrono::seconds{60}));
  return static_cast<double>(count) / seconds_since(begin);
}

double median(std::vector<double> of) {
  std::ranges::sort(of);
  return of.at(of.size() / 2);
}

/// Messages per second of backlogs on topics of their own. They stay: what is published behind them must make
/// the store grow, as it does with a heap, and not take room that is free again and warm.
double consume_empty(client& c, const settings& s) {
  std::vector<double> rates;
  for (std::uint64_t i = 0; i <= s.runs; ++i) {
    const auto name = "probe-" + std::to_string(i);
    must(c.create_topic(name, {.queues = s.queues}));
    make_group(c, name);
    publish(c, name, s.probe);
    auto from = join(c, name, name);
    const auto rate = consume(from, s.probe);
    must(from.close());
    // The first one warms everything up.
    if (i > 0)
      rates.push_back(rate);
  }
  return median(rates);
}

/// From the beginning of the heap.
double consume_full(client& c, const settings& s) {
  std::vector<double> rates;
  for (std::uint64_t i = 0; i < s.runs; ++i) {
    auto from = join(c, "heap", "heap");
    rates.push_back(consume(from, s.probe));
    must(from.close());
  }
  return median(rates);
}

/// The rates of all parts of the heap, one after the other.
std::vector<double> fill(const client& c, const settings& s) {
  std::vector<double> rates;
  for (std::uint64_t n = 0; n < s.messages; n += s.probe)
    rates.push_back(publish(c, "heap", std::min(s.probe, s.messages - n)));
  return rates;
}

/// MB per second that a growing file takes in the same place, made durable each MiB.
double disk_rate(const settings& s) {
  const auto path = s.dir / "raw";
  const std::string block(1u << 20, 'x');
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (file < 0)
    throw std::runtime_error("cannot write " + path.string());
  constexpr int blocks = 512;
  const auto begin = clock_type::now();
  for (int i = 0; i < blocks; ++i)
    if (::write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        ::fdatasync(file) != 0)
      throw std::runtime_error("cannot write " + path.string());
  const auto took = seconds_since(begin);
  ::close(file);
  std::filesystem::remove(path);
  return blocks * static_cast<double>(block.size()) / 1e6 / took;
}

struct restart {
  double ready = 0;
  double first_message = 0;
  double memory = 0;
};

std::unique_ptr<node_process> start_again(const settings& s, std::unique_ptr<node_process> old, int signal,
                                          restart& figures) {
  old->end(signal);
  const auto begin = clock_type::now();
  auto node = std::make_unique<node_process>(s);
  figures.ready = node->ready_after();
  auto c = node->connect();
  auto from = join(c, "heap", "heap");
  const auto got = must(from.fetch(1, std::chrono::seconds{60}));
  figures.first_message = seconds_since(begin);
  figures.memory = node->memory();
  if (got.empty())
    throw std::runtime_error("nothing came after the restart");
  must(from.give_back(got.front()));
  must(from.close());
  return node;
}

std::uint64_t lag(client& c) {
  std::uint64_t all = 0;
  for (const auto& q : must(c.describe_group("heap")).queues)
    all += q.unsettled;
  return all;
}

void run(const settings& s) {
  std::filesystem::remove_all(s.dir);
  auto node = std::make_unique<node_process>(s);
  nlohmann::json out{{"bench", "accumulation"}, {"messages", s.messages}, {"size", 100}};
  out["idle_mib"] = node->memory();
  auto c = node->connect();
  const auto empty = consume_empty(c, s);
  out["warm_mib"] = node->memory();
  must(c.create_topic("heap", {.queues = s.queues}));
  make_group(c, "heap");
  // The group has its place before the first message.
  must(join(c, "heap", "heap").close());
  out["disk_before_mb_per_s"] = disk_rate(s);
  {
    memory_watch watch{*node};
    const auto rates = fill(c, s);
    out["fill_mib_max"] = watch.stop();
    const auto some = static_cast<std::ptrdiff_t>(s.runs);
    const auto first = median({rates.begin(), rates.begin() + some});
    const auto last = median({rates.end() - some, rates.end()});
    out["fill_per_s"] = median(rates);
    out["publish_empty_per_s"] = first;
    out["publish_full_per_s"] = last;
    out["publish_ratio"] = last / first;
  }
  out["disk_after_mb_per_s"] = disk_rate(s);
  out["lag"] = lag(c);
  out["lag_is_exact"] = lag(c) == s.messages;
  {
    memory_watch watch{*node};
    const auto full = consume_full(c, s);
    out["full_mib_max"] = watch.stop();
    out["full_mib"] = node->memory();
    out["consume_empty_per_s"] = empty;
    out["consume_full_per_s"] = full;
    out["consume_ratio"] = full / empty;
    out["file_bytes"] = must(c.node_status()).disk_used;
  }
  c.close();
  restart stopped;
  node = start_again(s, std::move(node), SIGTERM, stopped);
  restart killed;
  node = start_again(s, std::move(node), SIGKILL, killed);
  out["restart_ready_s"] = stopped.ready;
  out["restart_first_message_s"] = stopped.first_message;
  out["restart_mib"] = stopped.memory;
  out["killed_ready_s"] = killed.ready;
  out["killed_first_message_s"] = killed.first_message;
  c = node->connect();
  {
    const auto left = lag(c);
    auto from = join(c, "heap", "heap");
    memory_watch watch{*node};
    out["drain_per_s"] = consume(from, left);
    out["drain_mib_max"] = watch.stop();
    must(from.close());
    out["left"] = lag(c);
  }
  c.close();
  std::cout << out << std::endl;
  node.reset();
  std::filesystem::remove_all(s.dir);
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc)
      throw std::invalid_argument(key + " needs a value");
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (key == "--trouped")
      s.trouped = argv[i + 1];
    else if (key == "--dir")
      s.dir = argv[i + 1];
    else if (key == "--messages")
      s.messages = value;
    else if (key == "--probe")
      s.probe = value;
    else if (key == "--runs")
      s.runs = value;
    else
      throw std::invalid_argument("there are --trouped --dir --messages --probe --runs, each with a value");
  }
  if (s.runs == 0 || s.probe == 0 || s.messages < 2 * s.runs * s.probe)
    throw std::invalid_argument("--runs and --probe at least 1, --messages at least twice what they take");
  return s;
}

} // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::cerr << "bench_accumulation: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "bench_accumulation: " << e.what() << '\n';
    return 1;
  }
}
