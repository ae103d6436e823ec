// Publishes the machine's package history: one message per event of dpkg's log, the oldest first.

#include "dpkg_log.hpp"
#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/producer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <iostream>
#include <mutex>
#include <set>

namespace {

struct settings {
  std::string node = "127.0.0.1:7700";
  std::string topic = "packages";
  std::uint32_t queues = 4;
  std::string logs = "/var/log";
  bool json = false;
};

/// Counts of one run. Answers come on a thread of the client.
struct history {
  std::uint64_t events = 0;
  std::uint64_t no_package = 0;
  std::uint64_t unreadable = 0;
  std::map<std::string, std::uint64_t> actions;
  std::set<std::string> names;
  std::mutex mutex;
  std::uint64_t stored = 0;
  troupe::error failure;
};

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "packages: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

void publish(troupe::producer& to, std::string_view line, history& h) {
  auto event = packages::parse_line(line);
  if (!event) {
    ++(packages::concerns_no_package(line) ? h.no_package : h.unreadable);
    return;
  }
  ++h.events;
  ++h.actions[event->tag];
  h.names.insert(event->order_key);
  // The producer batches by itself, and blocks while its window is full.
  to.send_async(std::move(*event), [&h](const troupe::result<troupe::receipt>& answer) {
    std::lock_guard lock(h.mutex);
    if (answer)
      ++h.stored;
    else
      h.failure = answer.error();
  });
}

void report(const settings& s, const history& h, double seconds) {
  auto rate = static_cast<std::uint64_t>(static_cast<double>(h.events) / std::max(seconds, 1e-6));
  if (s.json) {
    std::cout << nlohmann::ordered_json{{"events", h.events},         {"packages", h.names.size()},
                                        {"no_package", h.no_package}, {"unreadable", h.unreadable},
                                        {"seconds", seconds},         {"per_s", rate},
                                        {"actions", h.actions}}
                     .dump()
              << std::endl;
    return;
  }
  std::cout << "published " << h.events << " events of " << h.names.size() << " packages in " << seconds
            << " s (" << rate << "/s), each stored durably\n"
            << "left out: " << h.no_package << " lines that concern no package, " << h.unreadable
            << " that are none of dpkg's\n";
}

int run(const settings& s) {
  auto files = packages::log_files(s.logs);
  if (files.empty()) {
    std::cerr << "packages: there is no dpkg.log in " << s.logs << "; name another directory with --logs\n";
    return 1;
  }
  auto client = troupe::client::connect({.address = s.node, .name = "packages"});
  if (!client)
    return fail("connecting to " + s.node, client.error());
  auto made = client->create_topic(s.topic, {.queues = s.queues});
  if (!made && made.error().code != troupe::errc::already_exists)
    return fail("creating topic " + s.topic, made.error());

  history h; // before the producer, whose end waits for its answers
  auto producer = troupe::producer::open(*client, {.topic = s.topic});
  if (!producer)
    return fail("publishing to " + s.topic, producer.error());
  auto begin = std::chrono::steady_clock::now();
  for (const auto& file : files) {
    auto problem = packages::for_each_line(file, [&](std::string_view line) { publish(*producer, line, h); });
    if (!problem.empty()) {
      std::cerr << "packages: " << problem << "\n";
      return 1;
    }
  }
  if (auto err = producer->close())
    return fail("waiting for the last answers", err);
  std::lock_guard lock(h.mutex);
  if (h.stored != h.events)
    return fail(std::to_string(h.events - h.stored) + " events were not stored", h.failure);
  report(s, h, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Publishes this machine's package history (dpkg.log and its rotated siblings) to a topic."};
  app.add_option("--node", s.node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  app.add_option("--topic", s.topic, "The topic; made when it does not exist")->capture_default_str();
  app.add_option("--queues", s.queues, "Queues of a new topic")->capture_default_str();
  app.add_option("--logs", s.logs, "The directory of dpkg.log")->capture_default_str();
  app.add_flag("--json", s.json, "One JSON object instead of text");
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return run(s);
}
