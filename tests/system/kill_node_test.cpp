#include "ledger.hpp"
#include "loader.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <random>

namespace troupe::test {

namespace {

/// A group that works all the time, over every kill: its members may see a message twice, and must see each.
class live_consumer {
public:
  live_consumer(const client& c, const std::string& topic)
      : consumer_(must(consumer::start(c, {.group = "live", .topics = {{topic}}}, 1,
                                       [this](const leased_message& m) { return take(m); }))) {}

  bool covers(const ledger& books) const {
    std::lock_guard guard{mutex_};
    return books.covered_by(seen_);
  }
  consumer& handle() { return consumer_; }

private:
  outcome take(const leased_message& m) {
    std::lock_guard guard{mutex_};
    seen_.insert(label_of(m.body()));
    return outcome::ack();
  }

  mutable std::mutex mutex_;
  std::set<label> seen_;
  consumer consumer_;
};

class killer {
public:
  killer(node_process& node, const ledger& books, std::uint64_t seed)
      : node_(node), books_(books), random_(seed) {}

  /// Lets some messages be acknowledged, kills the node at a moment that has nothing to do with what it does,
  /// and starts it again; now and then it is killed once more while it starts.
  void strike() {
    const auto goal = books_.acknowledged() + random_.between(1, 4000);
    if (!eventually([&] { return books_.acknowledged() >= goal; }))
      throw std::runtime_error("publishing does not go on after " + std::to_string(kills_) +
                               " kills; the node says: " + node_.log());
    chance(20'000);
    kill();
    if (random_.one_in(4)) {
      node_.begin();
      chance(100'000);
      kill();
    }
    node_.start();
  }
  int kills() const { return kills_; }

private:
  void kill() {
    node_.kill();
    ++kills_;
  }
  /// Not a wait for something: the moment of a kill is what is random here.
  void chance(std::uint64_t microseconds) {
    const std::chrono::microseconds moment{random_.below(microseconds)};
    std::this_thread::sleep_for(moment); // check-allow: a random moment is what this test is about
  }

  node_process& node_;
  const ledger& books_;
  random_source random_;
  int kills_ = 0;
};

} // namespace

TEST(kill_node_test,
     after_twenty_kills_under_load_every_acknowledged_message_is_found_once_in_order_in_place) {
  random_source seeds{std::random_device{}()};
  SCOPED_TRACE(seeds.describe());
  std::cout << "kills at random moments, " << seeds.describe() << std::endl;
  temporary_directory dir;
  node_process node{dir / "data", {"--shards", "2"}};
  node.start();
  auto admin = connect(node);
  must(admin.create_topic("orders", {.queues = 4}));

  ledger books;
  live_consumer live{connect(node), "orders"};
  std::vector<std::unique_ptr<loader>> loaders;
  for (std::uint32_t n = 0; n < 3; ++n)
    loaders.push_back(std::make_unique<loader>(connect(node),
                                               producer_options{.topic = "orders", .timeout = 120s},
                                               loader_options{.number = n, .seed = seeds.next()}, books));

  killer hand{node, books, seeds.next()};
  while (hand.kills() < 20)
    hand.strike();
  producer::stats sum;
  for (auto& l : loaders) {
    l->stop();
    sum.resent_batches += l->statistics().resent_batches;
    sum.duplicates += l->statistics().duplicates;
    sum.reconnects += l->statistics().reconnects;
  }
  std::cout << hand.kills() << " kills, " << books.acknowledged() << " messages acknowledged, "
            << sum.reconnects << " reconnects, " << sum.resent_batches << " batches sent again, "
            << sum.duplicates << " messages that the node had already" << std::endl;
  EXPECT_EQ(books.failed(), 0u) << books.first_failure();
  EXPECT_GT(sum.resent_batches, 0u) << "no kill met a batch in flight: this run proves little";

  EXPECT_TRUE(eventually([&] { return live.covers(books); })) << "the working group missed messages";
  // Acknowledgements that crossed a kill count: nobody hears that one came too late.
  const auto failed = live.handle().stop();
  EXPECT_FALSE(failed) << to_string(failed);
  {
    SCOPED_TRACE("read by a consumer");
    books.expect_exactly_once(read_by_consumer(admin, "orders", "fresh"));
  }
  EXPECT_EQ(node.stop(), 0) << node.log();
  const auto verified = node.verify();
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  SCOPED_TRACE("read by the store");
  books.expect_exactly_once(read_by_store(node.data(), "orders"));
}

TEST(kill_node_test, what_a_group_settled_stays_settled_after_a_kill) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  must(c.create_topic("orders", {.queues = 2}));
  auto to = must(producer::open(c, {.topic = "orders"}));
  for (std::uint64_t n = 0; n < 100; ++n)
    must(to.send(to_message({0, n, static_cast<std::uint32_t>(n % 7), n / 7}, 50)));
  std::set<label> settled;
  {
    auto from = must(pull_consumer::open(c, {.group = "half", .topics = {{"orders"}}}));
    // Every other message, so that the floor says little and the table of settled ones must tell.
    for (std::size_t taken = 0; taken < 100;) {
      const auto messages = must(from.fetch(100, 30s));
      ASSERT_FALSE(messages.empty());
      for (const auto& m : messages)
        if (taken++ % 2 == 0) {
          must(from.ack(m));
          settled.insert(label_of(m.body()));
        }
    }
    must(from.flush());
    node.kill();
    node.start();
  }
  auto from = must(pull_consumer::open(c, {.group = "half", .topics = {{"orders"}}}));
  std::set<label> again;
  while (again.size() < 50) {
    const auto messages = must(from.fetch(100, 30s));
    ASSERT_FALSE(messages.empty()) << again.size() << " came again";
    for (const auto& m : messages) {
      EXPECT_FALSE(settled.contains(label_of(m.body()))) << "a settled message came again";
      EXPECT_TRUE(again.insert(label_of(m.body())).second) << "a message came twice";
    }
    must(from.ack(messages));
  }
  must(from.close());
  EXPECT_TRUE(all_settled(c, "half"));
}

} // namespace troupe::test
