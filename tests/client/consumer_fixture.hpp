#pragma once

#include "consumer_actor.hpp"

#include "fake_broker.hpp"
#include "membership.hpp"
#include "outcomes.hpp"

#include <gtest/gtest.h>

#include <future>

namespace troupe::test {

using namespace std::chrono_literals;

/// A CONSUMER with its INBOX, between a program and a broker that the test plays.
class ConsumerActor : public ::testing::Test {
protected:
  /// What open() asks for.
  std::optional<group_mode> mode;
  bool made_up = false;

  void TearDown() override {
    caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
    fixture.run();
  }
  void open(inbox::limits l = {100, 1 << 20, true}) {
    consumer_config cfg;
    cfg.options.group = "audit";
    cfg.options.member = "m1";
    cfg.options.topics = {{"orders", "paid||sent"}};
    cfg.options.start = {start_position::kind::time, from_unix_ms(9)};
    cfg.options.mode = mode;
    cfg.made_up = made_up;
    cfg.connection = line.actor;
    cfg.messages = box = std::make_shared<inbox>(l, [this] { return now; });
    cfg.log = [this](const log_event& e) { logged.emplace_back(e.event); };
    aut = fixture.owned(fixture.system().spawn(consumer_actor, cfg));
    box->wake_with([this](inbox::urgency how) {
      if (how == inbox::urgency::now)
        caf::anon_send(aut, news_atom::value);
      else
        caf::anon_send(aut, soon_atom::value);
    });
    line.up(broker.directory);
  }
  /// Messages [from, to) of queue 11 under this lease, with their offsets as bodies.
  delivery make_delivery(std::uint64_t from, std::uint64_t to, std::uint64_t lease,
                         std::uint32_t queue = 11) {
    std::vector<message> all;
    for (auto i = from; i < to; ++i)
      all.push_back({.body = std::to_string(i)});
    return make_delivery(all, from, lease, queue);
  }
  delivery make_delivery(const std::vector<message>& all, std::uint64_t from, std::uint64_t lease,
                         std::uint32_t queue = 11) {
    batch_builder builder;
    for (const auto& m : all)
      builder.add(m);
    auto b = builder.finish();
    delivery_segment s;
    s.header = b.header;
    s.base = queue_offset{from};
    s.index = log_index{50};
    s.stored = from_unix_ms(1234);
    s.attempts = 2;
    s.to = b.header.count;
    s.data = b.data;
    delivery d;
    d.queue = queue_id{queue};
    d.topic = "orders";
    d.number = queue - 11;
    d.shard = shard_id{0};
    d.gen = generation{3};
    d.lease = lease_id{lease};
    d.messages = b.header.count;
    d.frame = pack_frame({s});
    return d;
  }
  void deliver(std::uint64_t from, std::uint64_t to, std::uint64_t lease, std::uint32_t queue = 11) {
    tell(make_delivery(from, to, lease, queue));
  }
  /// From offset 0 on: each letter is the order key of a message, '-' none; bodies are "a0", "b1", ...
  void deliver_keys(const std::string& keys, std::uint64_t lease = 1) {
    std::vector<message> all;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      all.push_back({.body = keys[i] + std::to_string(i)});
      if (keys[i] != '-')
        all.back().order_key = keys[i];
    }
    tell(make_delivery(all, 0, lease));
  }
  void deliver_as(std::uint8_t priority, std::uint64_t from, std::uint64_t to) {
    auto d = make_delivery(from, to, 900 + from, 11u + priority);
    d.priority = priority;
    tell(std::move(d));
  }
  static std::vector<std::string> bodies(const std::vector<leased_message>& messages) {
    std::vector<std::string> out;
    for (const auto& m : messages)
      out.emplace_back(m.body());
    return out;
  }
  template <class Message> void tell(Message m) {
    caf::anon_send(aut, std::move(m));
    fixture.run();
  }
  std::vector<leased_message> take(std::size_t n) {
    auto taken = box->take(n, 0ms);
    fixture.run();
    return taken;
  }
  /// What one of four threads gets.
  std::vector<leased_message> take_share(std::size_t most = 1) {
    auto taken = box->take_share(most, 4);
    fixture.run();
    return taken;
  }
  /// False when it is not settled.
  bool settle(const leased_message& m, const outcome& said) {
    outcomes became;
    const bool settled = became.add(m, said);
    became.tell(*box);
    fixture.run();
    return settled;
  }
  void ack(const std::vector<leased_message>& messages) {
    std::vector<settle_item> items;
    for (const auto& m : messages) {
      items.push_back(settle_of(m));
      --m.delivery->unhandled;
    }
    box->settle(items);
    fixture.run();
  }
  consume only() {
    EXPECT_EQ(broker.consumed.size(), 1u);
    auto c = broker.consumed.empty() ? consume{} : broker.consumed.back();
    broker.consumed.clear();
    return c;
  }

  /// A flush in a thread of its own; the broker has been asked.
  std::future<error> begin_flush() {
    auto flushed = std::async(std::launch::async, [this] { return box->flush(20s); });
    while (broker.consumed.empty())
      fixture.run();
    return flushed;
  }
  /// A flush that needs no answer.
  error finish_flush() {
    auto flushed = std::async(std::launch::async, [this] { return box->flush(20s); });
    while (!is_over(flushed))
      fixture.run();
    return flushed.get();
  }
  static bool is_over(const std::future<error>& f) { return f.wait_for(0s) == std::future_status::ready; }

  deterministic fixture;
  fake_broker broker{fixture};
  fake_line line{fixture};
  /// Time passes for the process and for the actors' timers.
  void pass(std::chrono::milliseconds step) {
    now += step;
    fixture.advance(step);
  }
  /// The process is stopped for so long: no timer fires meanwhile, and what comes waits to be read.
  void stand_still(std::chrono::milliseconds step) { now += step; }

  std::chrono::milliseconds now{1'000'000};
  std::shared_ptr<inbox> box;
  caf::actor aut;
  std::vector<std::string> logged;
};

} // namespace troupe::test
