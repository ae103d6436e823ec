// A consumer group of one member: computes each package's present state from its events. The events of one
// package have one order key, so they lie in one queue, in order; one member takes them in that order.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct settings {
  std::string node = "127.0.0.1:7700";
  std::string topic = "packages";
  std::string group = "inventory";
  double idle = 0;
  bool json = false;
};

/// What the last status event of a package said.
struct package_state {
  std::string state;
  std::string version;
  troupe::queue_offset offset;
};

std::atomic<bool> stop{false};

/// Delivery is at least once: an event that came before, or is older than what is known, changes nothing.
void apply(std::map<std::string, package_state>& inventory, const troupe::leased_message& m) {
  if (m.tag() != "status")
    return;
  auto [entry, is_new] = inventory.try_emplace(std::string(m.order_key()));
  auto& package = entry->second;
  if (!is_new && m.offset() <= package.offset)
    return;
  package.offset = m.offset();
  for (const auto& [name, value] : m.content().properties) {
    if (name == "state")
      package.state = value;
    if (name == "version")
      package.version = value;
  }
}

/// One line per package: name, state, version. What is gone is listed too, because the log speaks of it.
void print(const std::map<std::string, package_state>& inventory, bool json) {
  for (const auto& [name, package] : inventory) {
    if (json)
      std::cout << nlohmann::ordered_json{{"package", name},
                                          {"state", package.state},
                                          {"version", package.version}}
                       .dump()
                << "\n";
    else
      std::cout << name << " " << package.state << " " << package.version << "\n";
  }
  std::cout.flush();
}

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "inventory: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

int run(const settings& s) {
  auto client = troupe::client::connect({.address = s.node, .name = "inventory"});
  if (!client)
    return fail("connecting to " + s.node, client.error());
  auto member = troupe::pull_consumer::open(*client, {.group = s.group, .topics = {{s.topic}}});
  if (!member)
    return fail("joining group " + s.group, member.error());

  std::map<std::string, package_state> inventory;
  std::uint64_t events = 0;
  auto last = steady_clock::now();
  while (!stop && (s.idle == 0 || steady_clock::now() - last < std::chrono::duration<double>(s.idle))) {
    auto messages = member->fetch(500, milliseconds(200));
    if (!messages)
      return fail("receiving", messages.error());
    if (messages->empty())
      continue;
    last = steady_clock::now();
    for (const auto& m : *messages)
      apply(inventory, m);
    if (auto err = member->ack(*messages))
      return fail("acknowledging", err);
    events += messages->size();
    std::cerr << "inventory: " << events << " events\n";
  }
  // Durable before we say that we are done.
  if (auto err = member->close())
    return fail("settling", err);
  print(inventory, s.json);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{
      "Computes the state of every package from the events of topic `packages`; Ctrl-C ends it and prints."};
  app.add_option("--node", s.node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  app.add_option("--topic", s.topic, "The topic")->capture_default_str();
  app.add_option("--group", s.group, "The consumer group")->capture_default_str();
  app.add_option("--idle", s.idle, "End when nothing came for so many seconds (0: never)")
      ->capture_default_str();
  app.add_flag("--json", s.json, "One JSON object per package instead of text");
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  std::signal(SIGINT, [](int) { stop = true; });
  std::signal(SIGTERM, [](int) { stop = true; });
  return run(s);
}
