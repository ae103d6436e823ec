// A broadcast group: three caches each learn every price. One of them is away while prices change, and learns
// what it missed when it is back. Then the same with a group of its own for each instance, which retries.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>
#include <troupe/producer.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "broadcast_group: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

/// What one instance of a service knows.
struct cache {
  std::string name;
  std::map<std::string, std::string> prices;
};

/// Learns the next `count` prices as the member that `options` describe, and leaves.
troupe::error learn(const troupe::client& client, const troupe::consumer_options& options, cache& into,
                    std::size_t count) {
  auto from = troupe::pull_consumer::open(client, options);
  if (!from)
    return from.error();
  const auto end = std::chrono::steady_clock::now() + patience;
  while (count > 0 && std::chrono::steady_clock::now() < end) {
    auto messages = from->fetch(count, 1s);
    if (!messages)
      return messages.error();
    for (const auto& m : *messages)
      into.prices[std::string(m.content().keys.front())] = m.body();
    count -= messages->size();
    if (auto err = from->ack(*messages))
      return err;
  }
  if (count > 0)
    return {troupe::errc::timeout, std::to_string(count) + " prices did not come to " + into.name};
  return from->close();
}

/// A member of the broadcast group, under the name of the instance, which must stay the same.
troupe::consumer_options member_of(const cache& c) {
  return {.group = "caches", .member = c.name, .mode = troupe::group_mode::broadcast, .topics = {{"prices"}}};
}

/// The same with a group per instance: it may retry and has dead letters, and nobody forgets it.
troupe::consumer_options alone(const cache& c) {
  return {.group = "cache-" + c.name, .topics = {{"prices"}}};
}

troupe::error publish(troupe::producer& to, int round) {
  for (const auto* article : {"chair", "table", "lamp"})
    if (auto sent = to.send({.body = std::to_string(round * 10), .keys = {article}}); !sent)
      return sent.error();
  return {};
}

void print(const cache& c) {
  std::cout << c.name << ":";
  for (const auto& [article, price] : c.prices)
    std::cout << " " << article << "=" << price;
  std::cout << "\n";
}

int run(const std::string& node) {
  auto client = troupe::client::connect({.address = node, .name = "broadcast_group"});
  if (!client)
    return fail("connecting to " + node, client.error());
  // One queue: the prices of an article come in order.
  if (auto made = client->create_topic("prices", {.queues = 1}); !made)
    return fail("creating topic prices", made.error());
  auto producer = troupe::producer::open(*client, {.topic = "prices"});
  if (!producer)
    return fail("publishing", producer.error());

  cache north{"north", {}}, south{"south", {}}, west{"west", {}};
  if (auto err = publish(*producer, 1))
    return fail("publishing", err);
  for (auto* c : {&north, &south, &west})
    if (auto err = learn(*client, member_of(*c), *c, 3))
      return fail("learning as " + c->name, err);
  // "west" is away now.
  if (auto err = publish(*producer, 2))
    return fail("publishing", err);
  for (auto* c : {&north, &south})
    if (auto err = learn(*client, member_of(*c), *c, 3))
      return fail("learning as " + c->name, err);
  auto group = client->describe_group("caches");
  if (!group)
    return fail("describing group caches", group.error());
  for (const auto& m : group->members)
    std::cout << m.name << " has " << m.lag << " prices to learn\n";
  if (auto err = learn(*client, member_of(west), west, 3))
    return fail("learning as west", err);
  for (const auto* c : {&north, &south, &west})
    print(*c);

  cache east{"east", {}};
  if (auto err = learn(*client, alone(east), east, 6))
    return fail("learning as a group of its own", err);
  print(east);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string node = "127.0.0.1:7700";
  CLI::App app{"Three members of a broadcast group, each of which gets every message."};
  app.add_option("--node", node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return run(node);
}
