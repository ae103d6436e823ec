#include "ledger.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <set>

/// Broadcast groups with real processes.
namespace troupe::test {

namespace {

using testing::HasSubstr;

class broadcast_test : public testing::Test {
protected:
  void SetUp() override {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("prices", {.queues = 4}));
  }
  /// Bodies are first, first + 1, ...
  void send(int first, int count) {
    auto to = must(producer::open(*client_, {.topic = "prices"}));
    std::vector<message> all;
    for (int n = 0; n < count; ++n)
      all.push_back({.body = std::to_string(first + n)});
    for (const auto& answer : to.send(std::move(all)))
      must(answer);
  }
  consumer_options as(const std::string& member) const {
    return {.group = "caches", .member = member, .mode = group_mode::broadcast, .topics = {{"prices"}}};
  }
  process start_member(const std::string& member, std::vector<std::string> more) {
    std::vector<std::string> all{"--json", "receive",   "prices",   "--group", "caches",
                                 "--mode", "broadcast", "--member", member};
    all.insert(all.end(), more.begin(), more.end());
    return start_troupe(node_, std::move(all));
  }
  /// Takes until nothing of the member is open; what came.
  std::multiset<int> take_all(const std::string& member) {
    auto from = must(pull_consumer::open(*client_, as(member)));
    std::multiset<int> all;
    EXPECT_TRUE(eventually([&] {
      for (const auto& m : must(from.fetch(1000, 50ms))) {
        all.insert(std::stoi(std::string(m.body())));
        must(from.ack(m));
      }
      must(from.flush());
      return lag_of(member) == 0u;
    }));
    return all;
  }
  std::optional<std::uint64_t> lag_of(const std::string& member) {
    auto group = client_->describe_group("caches");
    if (!group)
      return {};
    for (const auto& m : group->members)
      if (m.name == member)
        return m.lag;
    return {};
  }
  /// Of [first, last) none is missing.
  static bool has_all(const std::multiset<int>& got, int first, int last) {
    for (int n = first; n < last; ++n)
      if (!got.contains(n))
        return false;
    return true;
  }

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
};

} // namespace

TEST_F(broadcast_test, three_members_each_get_everything_also_when_one_and_the_node_are_killed) {
  constexpr int each = 500;
  auto one = must(pull_consumer::open(*client_, as("one")));
  must(one.close());
  // It acknowledges some, holds others, and is killed.
  auto doomed = start_member("two", {"--settle", "none", "--max", "2000"});
  ASSERT_TRUE(eventually([&] { return lag_of("two").has_value(); })) << doomed.errors();
  auto third = start_member("three", {"--quiet", "--max", std::to_string(2 * each)});
  ASSERT_TRUE(eventually([&] { return lag_of("three").has_value(); })) << third.errors();
  send(0, each);
  for (int n = 0; n < 5; ++n)
    ASSERT_TRUE(doomed.read_line(60s)) << doomed.errors();
  doomed.signal(SIGKILL);
  const auto of_two = take_all("two");
  EXPECT_TRUE(has_all(of_two, 0, each)) << "what it held comes again: " << of_two.size();
  ASSERT_TRUE(eventually([&] { return lag_of("three") == 0u; }));
  EXPECT_EQ(lag_of("one"), std::uint64_t{each}) << "it was away, and loses nothing";
  node_.kill();
  node_.start();
  ASSERT_TRUE(eventually([&] { return lag_of("one").has_value(); })) << "the client has connected again";
  send(each, each);
  EXPECT_TRUE(has_all(take_all("one"), 0, 2 * each));
  const auto rest = take_all("two");
  EXPECT_EQ(rest.size(), std::size_t{each}) << "it goes on where it was";
  EXPECT_TRUE(has_all(rest, each, 2 * each));
  ASSERT_TRUE(eventually([&] { return lag_of("three") == 0u; })) << third.errors();
}

TEST_F(broadcast_test, what_a_handler_fails_on_is_passed_over_for_its_member_alone) {
  send(0, 20);
  std::atomic<int> failed{0};
  {
    auto strict = must(consumer::start(*client_, as("strict"), 2, [&](const leased_message& m) -> outcome {
      if (std::stoi(std::string(m.body())) % 2 == 0)
        return outcome::ack();
      ++failed;
      throw std::runtime_error("odd");
    }));
    EXPECT_TRUE(eventually([&] { return lag_of("strict") == 0u; }));
  }
  EXPECT_EQ(failed, 10);
  EXPECT_EQ(take_all("other").size(), 20u);
  EXPECT_EQ(client_->dead_letters("caches").error().code, errc::invalid_argument);
}

TEST_F(broadcast_test, a_member_must_have_a_name_and_ask_for_the_right_mode) {
  auto nameless = as("");
  EXPECT_EQ(pull_consumer::open(*client_, nameless).error().code, errc::invalid_argument);
  must(client_->create_group("caches", default_options(group_mode::broadcast)));
  nameless.mode.reset();
  const auto refused = pull_consumer::open(*client_, nameless).error();
  EXPECT_EQ(refused.code, errc::invalid_argument);
  EXPECT_THAT(refused.reason, HasSubstr("has no name"));
  auto shared = as("one");
  shared.mode = group_mode::shared;
  EXPECT_THAT(pull_consumer::open(*client_, shared).error().reason, HasSubstr("asks for a shared one"));
  auto any = as("one");
  any.mode.reset();
  EXPECT_TRUE(pull_consumer::open(*client_, any));
}

TEST_F(broadcast_test, the_command_line_shows_members_with_their_lag_and_resets_one) {
  const auto troupe = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--node", node_.address()});
    return run(TROUPE_CLI, std::move(words), {}, 60s);
  };
  auto made = troupe({"group", "create", "caches", "--mode", "broadcast"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("broadcast"));
  const auto tries = troupe({"group", "create", "g", "--mode", "broadcast", "--max-attempts", "3"});
  EXPECT_EQ(tries.status, 1);
  EXPECT_THAT(tries.err, HasSubstr("no retries"));
  send(0, 10);
  EXPECT_EQ(take_all("one").size(), 10u);
  auto two = must(pull_consumer::open(*client_, as("two")));
  const auto described = troupe({"--json", "group", "describe", "caches"});
  EXPECT_THAT(described.out, HasSubstr(R"("mode":"broadcast")"));
  EXPECT_THAT(described.out, HasSubstr(R"("connected":false)"));
  EXPECT_THAT(described.out, HasSubstr(R"("lag":10)"));
  EXPECT_THAT(troupe({"group", "describe", "caches"}).out, HasSubstr("(away)"));
  EXPECT_EQ(troupe({"group", "list"}).out.find("two"), std::string::npos);
  const auto reset = troupe(
      {"--json", "group", "reset", "caches", "--topic", "prices", "--to", "earliest", "--member", "one"});
  EXPECT_EQ(reset.status, 0) << reset.err;
  EXPECT_THAT(reset.out, HasSubstr(R"("member":"one")"));
  EXPECT_EQ(reset.out.find(R"("member":"two")"), std::string::npos);
  EXPECT_EQ(lag_of("one"), 10u);
  const auto dead = troupe({"dlq", "list", "caches"});
  EXPECT_EQ(dead.status, 1);
  EXPECT_THAT(dead.err, HasSubstr("has no dead letters"));
  EXPECT_EQ(troupe({"receive", "prices", "--group", "caches", "--mode", "ordered", "--member", "one"}).status,
            1);
}

} // namespace troupe::test
