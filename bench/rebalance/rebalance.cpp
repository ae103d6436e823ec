// How long do members of a group wait for their next message while others join, leave and are killed? See
// README.md.

#include "must.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <mutex>
#include <optional>
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
  std::string address = "127.0.0.1:7700";
  /// The command line's program, for members that are killed; empty: nobody is.
  std::string troupe;
  std::uint64_t rate = 5'000;
  std::uint64_t seconds = 20;
  std::uint64_t every = 1'000;
};

/// A member's pauses between one message and the next, and what it handled.
class timesheet {
public:
  outcome handle(const leased_message& m) {
    const auto now = clock_type::now();
    std::lock_guard lock{mutex_};
    if (last_)
      pauses_.push_back(std::chrono::duration<double, std::milli>(now - *last_).count());
    last_ = now;
    ids_.push_back(m.id());
    return outcome::ack();
  }
  std::vector<double> pauses() const {
    std::lock_guard lock{mutex_};
    return pauses_;
  }
  std::vector<message_id> ids() const {
    std::lock_guard lock{mutex_};
    return ids_;
  }

private:
  mutable std::mutex mutex_;
  std::optional<clock_type::time_point> last_;
  std::vector<double> pauses_;
  std::vector<message_id> ids_;
};

/// Publishes at a rate on a thread of its own.
class source {
public:
  source(const client& c, const std::string& topic, std::uint64_t rate)
      : to_(must(producer::open(c, {.topic = topic}))), thread_([this, rate] { work(rate); }) {}
  ~source() { stop(); }
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  std::uint64_t stop() {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
    return sent_;
  }

private:
  void work(std::uint64_t rate) {
    const auto pause = std::chrono::nanoseconds{1'000'000'000 / rate};
    for (auto next = clock_type::now(); !stopping_; next += pause) {
      std::this_thread::sleep_until(next);
      if (to_.send_one_way(message{.body = std::string(100, 'x'), .order_key = std::to_string(sent_ % 1000)}))
        return;
      ++sent_;
    }
  }
  producer to_;
  std::uint64_t sent_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// `troupe receive` that acknowledges nothing, killed at the end of the scope.
class doomed {
public:
  doomed(const settings& s, const std::string& topic, const std::string& group) {
    std::vector<std::string> words{s.troupe,  "--node", s.address,  "receive", topic,
                                   "--group", group,    "--settle", "none",    "--quiet"};
    std::vector<char*> arguments;
    for (auto& w : words)
      arguments.push_back(w.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const auto failed = posix_spawn(&pid_, s.troupe.c_str(), &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0)
      throw std::runtime_error("cannot run " + s.troupe);
  }
  ~doomed() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  doomed(const doomed&) = delete;
  doomed& operator=(const doomed&) = delete;

private:
  pid_t pid_ = 0;
};

consumer join(client& c, const std::string& topic, const std::string& group, timesheet& sheet) {
  return must(consumer::start(c, {.group = group, .topics = {{topic}}}, 1,
                              [&](const leased_message& m) { return sheet.handle(m); }));
}

struct figures {
  std::uint64_t sent = 0;
  std::uint64_t handled = 0;
  std::uint64_t twice = 0;
  double p99 = 0;
  double p999 = 0;
  double longest = 0;
};

figures summary(std::uint64_t sent, const std::vector<timesheet>& steady,
                const std::vector<timesheet>& guests) {
  figures f{.sent = sent};
  std::vector<message_id> ids;
  std::vector<double> pauses;
  for (const auto* sheets : {&steady, &guests})
    for (const auto& sheet : *sheets)
      std::ranges::copy(sheet.ids(), std::back_inserter(ids));
  for (const auto& sheet : steady)
    std::ranges::copy(sheet.pauses(), std::back_inserter(pauses));
  std::ranges::sort(ids);
  f.handled = static_cast<std::uint64_t>(std::ranges::unique(ids).begin() - ids.begin());
  f.twice = ids.size() - f.handled;
  std::ranges::sort(pauses);
  if (pauses.empty())
    throw std::runtime_error("the members got nothing");
  f.p99 = pauses[pauses.size() * 99 / 100];
  f.p999 = pauses[pauses.size() * 999 / 1000];
  f.longest = pauses.back();
  return f;
}

/// Three members that stay; with `changes`, one more that joins each `every` milliseconds for half of them,
/// every fourth in a process that is killed.
figures measure(client& c, const settings& s, group_mode mode, bool changes) {
  const std::string name = std::string{"rebalance-"} +
                           (mode == group_mode::ordered ? "ordered-" : "shared-") +
                           std::to_string(::getpid()) + (changes ? "-changes" : "-quiet");
  must(c.create_topic(name, {.queues = 4}));
  // Pauses of retries are short: what a killed member held is soon worked on by the others.
  must(c.create_group(name, {.mode = mode, .retry = retry_schedule::fixed(milliseconds{10})}));
  std::vector<timesheet> steady(3);
  const auto rounds = s.seconds * 1000 / s.every;
  std::vector<timesheet> guests(rounds);
  std::uint64_t sent = 0;
  {
    std::vector<consumer> members;
    for (auto& sheet : steady)
      members.push_back(join(c, name, name, sheet));
    source from{c, name, s.rate};
    const milliseconds half{static_cast<std::int64_t>(s.every / 2)};
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const auto begin = clock_type::now();
      std::optional<consumer> guest;
      std::optional<doomed> victim;
      if (changes && round % 4 == 3 && !s.troupe.empty())
        victim.emplace(s, name, name);
      else if (changes)
        guest.emplace(join(c, name, name, guests[round]));
      std::this_thread::sleep_until(begin + half);
      if (guest)
        must(guest->stop());
      victim.reset();
      std::this_thread::sleep_until(begin + 2 * half);
    }
    sent = from.stop();
    // What is left over is no pause, but it counts as handled.
    for (const auto end = clock_type::now() + std::chrono::seconds{30}; clock_type::now() < end;) {
      const auto now = must(c.describe_group(name));
      if (std::ranges::all_of(now.queues, [](const auto& q) { return q.floor == q.next; }))
        break;
      std::this_thread::sleep_for(milliseconds{20});
    }
    for (auto& m : members)
      must(m.stop());
  }
  auto f = summary(sent, steady, guests);
  must(c.delete_group(name));
  must(c.delete_topic(name));
  return f;
}

settings parse(int argc, char** argv) {
  settings s;
  if (const char* node = std::getenv("TROUPE_NODE"))
    s.address = node;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc)
      throw std::invalid_argument(key + " needs a value");
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (key == "--node")
      s.address = argv[i + 1];
    else if (key == "--troupe")
      s.troupe = argv[i + 1];
    else if (key == "--rate")
      s.rate = value;
    else if (key == "--seconds")
      s.seconds = value;
    else if (key == "--every")
      s.every = value;
    else
      throw std::invalid_argument("there are --node --troupe --rate --seconds --every, each with a value");
  }
  if (s.rate == 0 || s.rate > 1'000'000 || s.every < 2 || s.seconds * 1000 < s.every)
    throw std::invalid_argument("--rate 1 to 1000000, --every at least 2 ms and at most --seconds");
  return s;
}

void run(const settings& s) {
  auto c = must(client::connect({.address = s.address}));
  for (const auto mode : {group_mode::shared, group_mode::ordered}) {
    const auto quiet = measure(c, s, mode, false);
    const auto busy = measure(c, s, mode, true);
    std::cout << nlohmann::json{{"bench", "rebalance"},
                                {"mode", mode == group_mode::ordered ? "ordered" : "shared"},
                                {"sent", busy.sent},
                                {"handled", busy.handled},
                                {"handled_twice", busy.twice},
                                {"pause_p99_ms", busy.p99},
                                {"pause_p999_ms", busy.p999},
                                {"pause_max_ms", busy.longest},
                                {"quiet_p99_ms", quiet.p99},
                                {"quiet_p999_ms", quiet.p999},
                                {"quiet_max_ms", quiet.longest}}
              << std::endl;
  }
}

} // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::cerr << "bench_rebalance: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "bench_rebalance: " << e.what() << '\n';
    return 1;
  }
}
