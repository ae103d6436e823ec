#include "ledger.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>
#include <set>

/// Retries and the end of the node.
namespace troupe::test {

namespace {

class kill_retry_test : public testing::Test {
protected:
  void start(const retry_schedule& retry, std::uint64_t messages) {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("work", {.queues = 2}));
    must(client_->create_group("crew", {.retry = retry, .max_attempts = 0}));
    auto to = must(producer::open(*client_, {.topic = "work"}));
    std::vector<message> all;
    for (std::uint64_t n = 0; n < messages; ++n)
      all.push_back(to_message({0, n, static_cast<std::uint32_t>(n % 5), n / 5}, 60));
    for (const auto& answer : to.send(std::move(all)))
      must(answer);
  }
  pull_consumer join() {
    return must(pull_consumer::open(*client_, {.group = "crew", .topics = {{"work"}}}));
  }
  std::uint64_t retrying() {
    std::uint64_t sum = 0;
    for (const auto& q : must(client_->describe_group("crew")).queues)
      sum += q.retrying;
    return sum;
  }
  void restart() {
    node_.kill();
    node_.start();
  }

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
};

} // namespace

TEST_F(kill_retry_test, while_the_node_is_killed_no_retry_is_lost_and_no_count_of_attempts_goes_back) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "kills in the midst of retries, " << random.describe() << std::endl;
  constexpr std::uint64_t messages = 200;
  start({.steps = {20ms, 50ms, 100ms}, .jitter = 20}, messages);
  auto from = join();
  struct history {
    /// Failures that are surely stored, and all that were asked for.
    std::uint32_t stored = 0;
    std::uint32_t asked = 0;
  };
  std::map<label, history> seen;
  const auto expect_count = [&](const leased_message& m) {
    const auto& h = seen[label_of(m.body())];
    EXPECT_GT(m.attempt(), h.stored) << "attempts went back";
    EXPECT_LE(m.attempt(), h.asked + 1) << "a failure was counted that was none";
  };
  std::uint64_t failures = 0;
  for (int kills = 0; kills < 8; ++kills) {
    const auto enough = failures + random.between(1, 3 * messages);
    while (failures < enough) {
      const auto got = must(from.fetch(50, 30s));
      ASSERT_FALSE(got.empty()) << "a retry is lost";
      for (const auto& m : got) {
        expect_count(m);
        ++seen[label_of(m.body())].asked;
        must(from.retry(m));
      }
      failures += got.size();
      // Sometimes the kill comes before anybody knows whether they are stored.
      if (!random.one_in(4) && !from.flush())
        for (const auto& m : got)
          seen[label_of(m.body())].stored = m.attempt();
    }
    restart();
  }
  std::set<label> done;
  while (done.size() < messages) {
    const auto got = must(from.fetch(50, 30s));
    ASSERT_FALSE(got.empty()) << messages - done.size() << " of " << messages << " are lost";
    for (const auto& m : got) {
      expect_count(m);
      done.insert(label_of(m.body()));
      must(from.ack(m));
    }
  }
  from.close(); // it tells of what a kill left unconfirmed
  EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
  std::cout << failures << " failures over 8 kills" << std::endl;
}

TEST_F(kill_retry_test,
       what_waits_for_its_retry_waits_on_after_a_kill_and_a_delay_that_was_asked_for_counts) {
  start(retry_schedule::fixed(std::chrono::hours{1}), 20);
  {
    auto from = join();
    std::uint64_t taken = 0;
    while (taken < 20) {
      const auto got = must(from.fetch(20, 30s));
      ASSERT_FALSE(got.empty());
      for (const auto& m : got)
        must(from.retry(m, taken++ % 4 == 0 ? 300ms : 0ms));
    }
    must(from.flush());
    restart();
  }
  EXPECT_EQ(retrying(), 20u);
  auto from = join();
  std::uint64_t came = 0;
  while (came < 5) {
    const auto got = must(from.fetch(20, 30s));
    ASSERT_FALSE(got.empty()) << came << " of 5 came after their own delay";
    for (const auto& m : got) {
      EXPECT_EQ(m.attempt(), 2u);
      must(from.ack(m));
      ++came;
    }
  }
  EXPECT_TRUE(must(from.fetch(20, 200ms)).empty()) << "the others wait for an hour";
  must(from.close());
  EXPECT_EQ(retrying(), 15u);
}

TEST_F(kill_retry_test, a_reset_with_a_member_connected_survives_a_kill) {
  start(retry_schedule::fixed(std::chrono::hours{1}), 20);
  auto from = join();
  const auto take_all = [&](bool settle) {
    std::set<label> all;
    while (all.size() < 20) {
      const auto got = must(from.fetch(20, 30s));
      if (got.empty())
        throw std::runtime_error("only " + std::to_string(all.size()) + " of 20 came");
      for (const auto& m : got) {
        EXPECT_EQ(m.attempt(), 1u);
        EXPECT_TRUE(all.insert(label_of(m.body())).second) << "twice";
      }
      if (settle)
        must(from.ack(got));
    }
  };
  take_all(true);
  must(from.flush());
  const auto moved = must(client_->reset_group("crew", {.topic = "work"}));
  ASSERT_EQ(moved.size(), 2u);
  EXPECT_EQ(moved[0].from.value + moved[1].from.value, 20u);
  EXPECT_EQ(moved[0].to.value + moved[1].to.value, 0u);
  EXPECT_EQ(moved[0].leased + moved[1].leased, 0u);
  take_all(false);
  const auto held = must(client_->reset_group("crew", {.topic = "work"}));
  EXPECT_EQ(held[0].leased + held[1].leased, 20u) << "it says what was leased";
  restart();
  take_all(true);
  must(from.close());
  EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
  restart();
  EXPECT_TRUE(all_settled(*client_, "crew"));
}

} // namespace troupe::test
