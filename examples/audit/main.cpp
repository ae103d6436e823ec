// A member of a consumer group: counts events per action. Start as many as you like; the broker shares the
// work among them, and the tag filter keeps on the broker what nobody counts.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <iostream>
#include <map>
#include <mutex>

namespace {

struct settings {
  std::string node = "127.0.0.1:7700";
  std::string topic = "packages";
  std::string group = "audit";
  std::string member;
  std::string actions = "install || upgrade || remove || purge";
  unsigned idle = 0;
  bool json = false;
};

/// Handlers run on threads of the consumer.
struct counts {
  std::mutex mutex;
  std::map<std::string, std::uint64_t> actions;
  std::uint64_t total = 0;

  std::uint64_t so_far() {
    std::lock_guard lock(mutex);
    return total;
  }
};

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "audit: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

/// Until SIGINT or SIGTERM, which main() blocked for all threads; or until nothing came for so many seconds;
/// or until the consumer ended by itself.
void wait_for_end(const settings& s, const sigset_t& signals, const troupe::consumer& consumer, counts& c) {
  constexpr unsigned looks_per_second = 5;
  const timespec pause{0, 1'000'000'000 / looks_per_second};
  std::uint64_t before = 0;
  unsigned quiet = 0;
  while (sigtimedwait(&signals, nullptr, &pause) < 0 && !consumer.ended()) {
    auto now = c.so_far();
    if (now != before)
      std::cerr << s.member << ": " << now << " events\n";
    quiet = now == before ? quiet + 1 : 0;
    before = now;
    if (s.idle > 0 && quiet >= s.idle * looks_per_second)
      return;
  }
}

void print(const settings& s, counts& c) {
  std::lock_guard lock(c.mutex);
  if (s.json) {
    std::cout
        << nlohmann::ordered_json{{"member", s.member}, {"total", c.total}, {"actions", c.actions}}.dump()
        << std::endl;
    return;
  }
  for (const auto& [action, count] : c.actions)
    std::cout << action << " " << count << "\n";
  std::cout.flush();
}

int run(const settings& s, const sigset_t& signals) {
  auto client = troupe::client::connect({.address = s.node, .name = s.member});
  if (!client)
    return fail("connecting to " + s.node, client.error());
  counts c;
  auto consumer = troupe::consumer::start(
      *client, {.group = s.group, .member = s.member, .topics = {{s.topic, s.actions}}}, 1,
      [&c](const troupe::leased_message& m) {
        std::lock_guard lock(c.mutex);
        ++c.actions[std::string(m.tag())];
        ++c.total;
        return troupe::outcome::ack();
      });
  if (!consumer)
    return fail("joining group " + s.group, consumer.error());
  wait_for_end(s, signals, *consumer, c);
  if (auto err = consumer->ended())
    return fail("receiving", err);
  if (auto err = consumer->stop())
    return fail("settling", err);
  print(s, c);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Counts package events per action, as a member of a group; Ctrl-C ends it and prints."};
  app.add_option("--node", s.node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  app.add_option("--topic", s.topic, "The topic")->capture_default_str();
  app.add_option("--group", s.group, "The consumer group")->capture_default_str();
  app.add_option("--member", s.member, "Our name in the group; unique")->default_str("audit-PID");
  app.add_option("--actions", s.actions, "Which actions: tags joined by '||'")->capture_default_str();
  app.add_option("--idle", s.idle, "End when nothing came for so many seconds (0: never)")
      ->capture_default_str();
  app.add_flag("--json", s.json, "One JSON object instead of text");
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  if (s.member.empty())
    s.member = "audit-" + std::to_string(getpid());
  // Before any thread starts, so that none of them is interrupted.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return run(s, signals);
}
