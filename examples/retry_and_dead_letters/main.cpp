// Retries, and what becomes of messages that always fail: an order with an unknown article fails three times
// and becomes a dead letter, an unreadable one is rejected at once. Once the article is known, the dead
// letters are redriven.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>
#include <troupe/producer.hpp>

#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr auto group = "shipping";
constexpr auto topic = "shipments";

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "retry_and_dead_letters: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

std::atomic<bool> catalogue_has_lamps{false};

troupe::outcome ship(const troupe::leased_message& m) {
  if (m.body() == "?")
    return troupe::outcome::reject("the order is unreadable"); // trying again would not help
  if (m.body() == "lamp" && !catalogue_has_lamps)
    throw std::runtime_error("no such article: lamp"); // a failure like any other: it comes again
  std::cout << "shipped " << m.body() << " at attempt " << m.attempt() << "\n";
  return troupe::outcome::ack();
}

/// Handles what comes until nothing is left to do.
troupe::error work(troupe::client& client) {
  auto worker = troupe::consumer::start(client, {.group = group, .topics = {{topic}}}, 1, ship);
  if (!worker)
    return worker.error();
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  for (;;) {
    auto state = client.describe_group(group);
    if (!state)
      return state.error();
    std::uint64_t left = 0;
    for (const auto& queue : state->queues)
      left += queue.unsettled;
    if (left == 0)
      return worker->stop();
    if (std::chrono::steady_clock::now() > end)
      return {troupe::errc::timeout, "the work is not done after a minute"};
    std::this_thread::sleep_for(
        std::chrono::milliseconds{20}); // check-allow: an example's poll for its own end
  }
}

int run(const std::string& node) {
  auto client = troupe::client::connect({.address = node, .name = "retry_and_dead_letters"});
  if (!client)
    return fail("connecting to " + node, client.error());
  troupe::group_options options;
  options.retry.steps = {std::chrono::milliseconds{10}, std::chrono::milliseconds{50}};
  options.max_attempts = 3;
  if (auto made = client->create_topic(topic); !made)
    return fail("creating the topic", made.error());
  if (auto made = client->create_group(group, options); !made)
    return fail("creating the group", made.error());
  auto producer = troupe::producer::open(*client, {.topic = topic});
  if (!producer)
    return fail("publishing", producer.error());
  for (const std::string article : {"chair", "lamp", "?", "table"})
    if (auto sent = producer->send({.body = article}); !sent)
      return fail("publishing", sent.error());

  if (auto err = work(*client))
    return fail("working", err);
  auto dead = client->dead_letters(group);
  if (!dead)
    return fail("listing dead letters", dead.error());
  std::vector<troupe::message_id> again;
  for (const auto& letter : dead->letters) {
    std::cout << "dead after " << letter.attempts << " attempts (" << troupe::to_string(letter.reason)
              << "): " << letter.detail << "\n";
    if (letter.reason == troupe::dead_reason::attempts)
      again.push_back(letter.id);
  }

  catalogue_has_lamps = true;
  if (auto redriven = client->redrive(group, again); !redriven)
    return fail("redriving", redriven.error());
  if (auto err = work(*client))
    return fail("working", err);
  auto left = client->dead_letters(group);
  if (!left)
    return fail("listing dead letters", left.error());
  std::cout << left->letters.size() << " dead letter left\n";
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string node = "127.0.0.1:7700";
  CLI::App app{"Ships orders, some of which fail; redrives the dead letters once their cause is mended."};
  app.add_option("--node", node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return run(node);
}
