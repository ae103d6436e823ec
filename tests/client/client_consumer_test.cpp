#include "client_fixture.hpp"

namespace troupe::test {
namespace {

TEST_P(Client, HandlesEveryMessageOnItsThreadsAndAcknowledges) {
  topic("orders");
  constexpr int n = 5000;
  counter handled;
  std::mutex mutex;
  std::set<std::string> seen;
  std::set<std::thread::id> threads;
  auto consuming =
      consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 3, [&](const leased_message& m) {
        std::lock_guard lock{mutex};
        EXPECT_TRUE(seen.emplace(m.body()).second) << m.body() << " came twice";
        threads.insert(std::this_thread::get_id());
        handled.add();
        return outcome::ack();
      });
  ASSERT_TRUE(consuming) << to_string(consuming.error());
  auto p = open("orders");
  for (int i = 0; i < n; ++i)
    EXPECT_FALSE(p.send_one_way(text(std::to_string(i))));
  ASSERT_TRUE(handled.reaches(n));
  EXPECT_FALSE(consuming->stop());
  EXPECT_EQ(consuming->statistics().acked, std::uint64_t{n});
  EXPECT_LE(threads.size(), 3u);
  const auto group = c->describe_group("audit");
  ASSERT_TRUE(group);
  EXPECT_TRUE(group->members.empty());
  for (const auto& q : group->queues)
    EXPECT_EQ(q.floor, q.next) << "everything acknowledged is durable after stop()";
}

TEST_P(Client, DeliversAgainWhatFailedWithTheNextAttempt) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", {.retry = retry_schedule::fixed(20ms)}));
  counter done;
  std::mutex mutex;
  std::vector<std::string> trace;
  auto consuming =
      consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 1, [&](const leased_message& m) {
        std::lock_guard lock{mutex};
        trace.push_back(std::string{m.body()} + std::to_string(m.attempt()));
        if (m.body() == "r" && m.attempt() == 1)
          return outcome::retry();
        if (m.body() == "x" && m.attempt() < 3)
          throw std::runtime_error("no");
        done.add();
        return outcome::ack();
      });
  ASSERT_TRUE(consuming);
  auto p = open("orders");
  p.send({text("a"), text("r"), text("x")});
  ASSERT_TRUE(done.reaches(3));
  EXPECT_FALSE(consuming->stop());
  EXPECT_THAT(trace, testing::UnorderedElementsAre("a1", "r1", "r2", "x1", "x2", "x3"));
  EXPECT_EQ(consuming->statistics().retried, 3u);
}

TEST_P(Client, RenewsTheLeaseOfASlowHandler) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", {.lease = 1s}));
  counter started;
  counter go_on;
  counter done;
  std::atomic<int> calls{0};
  auto consuming =
      consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 2, [&](const leased_message&) {
        ++calls;
        started.add();
        go_on.reaches(1);
        done.add();
        return outcome::ack();
      });
  ASSERT_TRUE(consuming);
  auto p = open("orders");
  ASSERT_TRUE(p.send(text("slow")));
  ASSERT_TRUE(started.reaches(1));
  // Another consumer would get the message as soon as its lease ended.
  auto other = pull("audit", "orders", {.max_messages = 1});
  auto stolen = other.fetch(1, 3s);
  ASSERT_TRUE(stolen);
  EXPECT_TRUE(stolen->empty());
  go_on.add();
  ASSERT_TRUE(done.reaches(1));
  EXPECT_FALSE(consuming->stop());
  EXPECT_EQ(calls, 1);
}

TEST_P(Client, GivesBackWhatAStoppedConsumerHadNotHandled) {
  topic("orders", 1);
  auto p = open("orders");
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(p.send(text(std::to_string(i))));
  std::atomic<int> handled{0};
  counter first;
  counter go_on;
  auto consuming =
      consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 1, [&](const leased_message&) {
        ++handled;
        first.add();
        go_on.reaches(1);
        return outcome::ack();
      });
  ASSERT_TRUE(consuming);
  ASSERT_TRUE(first.reaches(1));
  std::thread stopper([&] { EXPECT_FALSE(consuming->stop()); });
  go_on.add();
  stopper.join();
  auto rest = pull("audit", "orders");
  const auto n = 50 - static_cast<std::size_t>(handled);
  for (const auto& m : fetch(rest, n))
    EXPECT_EQ(m.attempt(), 1u) << "giving back is no failure";
}

TEST_P(Client, StopSaysWhenAHandlerDoesNotComeBackAndNothingHangs) {
  topic("orders", 1);
  counter first;
  auto go_on = std::make_shared<counter>();
  {
    auto consuming = consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 1,
                                     [&first, go_on](const leased_message&) {
                                       first.add();
                                       go_on->reaches(1);
                                       return outcome::ack();
                                     });
    ASSERT_TRUE(consuming);
    auto p = open("orders");
    ASSERT_TRUE(p.send(text("stuck")));
    ASSERT_TRUE(first.reaches(1));
    EXPECT_EQ(consuming->stop(50ms).code, errc::timeout);
  }
  go_on->add();
}

TEST_P(Client, PullsSettlesAndGivesBack) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", {.retry = retry_schedule::fixed(20ms)}));
  auto p = open("orders");
  p.send({text("a"), text("b"), text("c"), text("d")});
  auto from = pull("audit", "orders");
  auto got = fetch(from, 4);
  EXPECT_FALSE(from.ack({got[0], got[1]}));
  EXPECT_FALSE(from.retry(got[2]));
  EXPECT_FALSE(from.give_back(got[3]));
  EXPECT_FALSE(from.flush());
  std::map<std::string, std::uint32_t> again;
  for (const auto& m : fetch(from, 2)) {
    again[std::string{m.body()}] = m.attempt();
    EXPECT_FALSE(from.ack(m));
  }
  EXPECT_EQ(again, (std::map<std::string, std::uint32_t>{{"c", 2}, {"d", 1}}));
  EXPECT_FALSE(from.flush());
  const auto group = c->describe_group("audit");
  EXPECT_EQ(group->queues.at(0).floor, queue_offset{4});
  EXPECT_EQ(from.ack(leased_message{}).code, errc::invalid_argument);
  EXPECT_FALSE(from.close());
  EXPECT_EQ(from.fetch(1, 0ms).error().code, errc::shutting_down);
}

TEST_P(Client, AFetchWaitsForAMessageWithoutAskingAgain) {
  topic("orders", 1);
  auto from = pull("audit", "orders");
  auto nothing = from.fetch(10, 10ms);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
  std::vector<leased_message> got;
  std::thread fetching([&] {
    if (auto some = from.fetch(1, milliseconds::max())) // waits as long as it may
      got = std::move(*some);
  });
  auto p = open("orders");
  EXPECT_TRUE(p.send(text("late")));
  fetching.join();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body(), "late");
}

TEST_P(Client, DeliversOnlyTheTagsOfTheSubscription) {
  topic("orders");
  auto p = open("orders");
  for (int i = 0; i < 300; ++i) {
    auto m = text(std::to_string(i));
    m.tag = i % 3 == 0 ? "paid" : i % 3 == 1 ? "sent" : "lost";
    EXPECT_FALSE(p.send_one_way(m));
  }
  filter = "paid || sent";
  auto from = pull("audit", "orders");
  for (const auto& m : fetch(from, 200)) {
    EXPECT_NE(m.tag(), "lost");
    EXPECT_FALSE(from.ack(m));
  }
  EXPECT_FALSE(from.close());
}

TEST_P(Client, DeliversOnlyWhatMatchesAFilterInSql) {
  topic("orders");
  auto p = open("orders");
  for (int i = 0; i < 300; ++i) {
    auto m = text(std::to_string(i));
    m.properties = {{"n", m.body}};
    EXPECT_FALSE(p.send_one_way(m));
  }
  filter = "n >= 100 AND n < 200 AND n NOT LIKE '%7'";
  auto from = pull("audit", "orders");
  for (const auto& m : fetch(from, 90)) {
    const auto n = std::stoi(std::string{m.body()});
    EXPECT_TRUE(n >= 100 && n < 200 && n % 10 != 7) << n;
    EXPECT_FALSE(from.ack(m));
  }
  EXPECT_FALSE(from.close());
  auto wrong = pull_consumer::open(*c, {.group = "other", .topics = {{"orders", "n >= AND"}}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, errc::invalid_argument);
  EXPECT_THAT(wrong.error().reason, HasSubstr("column 6"));
}

TEST_P(Client, SkipsBeforeTheHandlerWhatTheProgramDoesNotWant) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", {.retry = retry_schedule::fixed(20ms)}));
  auto p = open("orders");
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(p.send(text(std::to_string(i))));
  counter asked;
  std::mutex mutex;
  std::set<std::string> seen;
  std::atomic<int> threw{0};
  consumer_options options{.group = "audit", .topics = {{"orders"}}};
  options.wanted = [&](const leased_message& m) {
    asked.add();
    if (m.body() == "50" && m.attempt() == 1) {
      ++threw;
      throw std::runtime_error("cannot tell");
    }
    return m.body().ends_with('0');
  };
  auto consuming = consumer::start(*c, options, 3, [&](const leased_message& m) {
    std::lock_guard lock{mutex};
    seen.emplace(m.body());
    return outcome::ack();
  });
  ASSERT_TRUE(consuming) << to_string(consuming.error());
  ASSERT_TRUE(asked.reaches(101)) << "the one it could not tell of comes again";
  EXPECT_FALSE(consuming->stop());
  EXPECT_EQ(seen, (std::set<std::string>{"0", "10", "20", "30", "40", "50", "60", "70", "80", "90"}));
  EXPECT_EQ(threw, 1);
  const auto stats = consuming->statistics();
  EXPECT_EQ(stats.skipped, 90u);
  EXPECT_EQ(stats.acked, 100u);
  EXPECT_EQ(stats.retried, 1u);
  EXPECT_EQ(c->describe_group("audit")->queues.at(0).floor, queue_offset{100})
      << "the skipped ones are settled";
}

TEST_P(Client, FetchesOnlyWhatTheProgramWants) {
  topic("orders", 1);
  auto p = open("orders");
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(p.send(text(std::to_string(i))));
  // Ten messages at a time are in this process, so nearly every fetch finds only what is not wanted.
  auto from = pull("audit", "orders",
                   {.max_messages = 10, .wanted = [](const leased_message& m) { return m.body() == "99"; }});
  auto got = fetch(from, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body(), "99");
  EXPECT_EQ(from.statistics().skipped, 99u);
  EXPECT_FALSE(from.ack(got));
  auto nothing = from.fetch(1, 10ms);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
  EXPECT_FALSE(from.flush());
  EXPECT_EQ(c->describe_group("audit")->queues.at(0).floor, queue_offset{100});
}

TEST_P(Client, FetchesNothingThatHasExpiredAndTellsHowMuchDid) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", {.on_expired = expired_action::dead_letter}));
  auto p = open("orders");
  const auto hour_ago =
      std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now()) - std::chrono::hours{1};
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(p.send({.body = "late", .born = hour_ago, .ttl = std::chrono::minutes{59}}));
  const message early{.body = "early", .born = hour_ago, .ttl = std::chrono::hours{24}};
  ASSERT_TRUE(p.send(early));
  auto from = pull("audit", "orders", {.max_messages = 10});
  auto got = fetch(from, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body(), "early");
  EXPECT_EQ(got[0].content().ttl, early.ttl);
  EXPECT_FALSE(from.ack(got));
  EXPECT_FALSE(from.flush());
  const auto group = c->describe_group("audit");
  ASSERT_TRUE(group);
  EXPECT_EQ(group->options.on_expired, expired_action::dead_letter);
  EXPECT_EQ(group->queues.at(0).expired, 100u);
  EXPECT_EQ(group->queues.at(0).dead, 100u);
  EXPECT_EQ(group->queues.at(0).floor, queue_offset{101});
}

TEST_P(Client, BeginsAtTheLatestMessageOrAtATime) {
  topic("orders", 1);
  auto p = open("orders");
  ASSERT_TRUE(p.send(text("old")));
  auto latest = pull("latest", "orders", {.start = {start_position::kind::latest, {}}});
  auto timed = pull("timed", "orders", {.start = {start_position::kind::time, from_unix_ms(1)}});
  ASSERT_TRUE(p.send(text("new")));
  EXPECT_EQ(fetch(latest, 1).at(0).body(), "new");
  EXPECT_EQ(fetch(timed, 2).at(0).body(), "old");
}

TEST_P(Client, RefusesAMemberThatSubscribesDifferently) {
  topic("orders");
  auto first = pull("audit", "orders");
  filter = "paid";
  auto second = pull_consumer::open(*c, {.group = "audit", .topics = {{"orders", "paid"}}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::inconsistent_subscription);
}

TEST_P(Client, EndsAConsumerWhoseGroupIsDeleted) {
  topic("orders");
  auto from = pull("audit", "orders");
  EXPECT_FALSE(c->delete_group("audit"));
  auto fetched = from.fetch(1, 20s);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, errc::not_found);
}

group_options in_order(std::uint32_t batch) {
  auto options = default_options(group_mode::ordered);
  options.retry = retry_schedule::fixed(10ms);
  options.order_batch = batch;
  return options;
}

TEST_P(Client, HandlesSeveralMessagesOfAKeyInOrderByOneThreadAtATimeAroundFailures) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", in_order(8)));
  auto p = open("orders");
  constexpr int keys = 3;
  constexpr int each = 60;
  std::vector<message> all;
  for (int i = 0; i < keys * each; ++i)
    all.push_back(text(std::to_string(i / keys), std::to_string(i % keys)));
  p.send(std::move(all));
  counter done;
  std::mutex mutex;
  std::set<std::string> busy;
  std::map<std::string, std::vector<std::string>> seen;
  auto consuming =
      consumer::start(*c, {.group = "audit", .topics = {{"orders"}}}, 4, [&](const leased_message& m) {
        const std::string key{m.order_key()};
        {
          std::lock_guard lock{mutex};
          EXPECT_TRUE(busy.insert(key).second) << "two threads have key " << key;
        }
        std::this_thread::yield();
        std::lock_guard lock{mutex};
        busy.erase(key);
        if (m.offset().value % 7 == 3 && m.attempt() == 1)
          return outcome::retry();
        seen[key].emplace_back(m.body());
        done.add();
        return outcome::ack();
      });
  ASSERT_TRUE(consuming);
  ASSERT_TRUE(done.reaches(keys * each));
  EXPECT_FALSE(consuming->stop());
  for (const auto& [key, bodies] : seen) {
    ASSERT_EQ(bodies.size(), std::size_t{each}) << "key " << key;
    for (int i = 0; i < each; ++i)
      EXPECT_EQ(bodies[static_cast<std::size_t>(i)], std::to_string(i)) << "key " << key;
  }
  EXPECT_EQ(consuming->statistics().refused_settles, 0u) << "nothing is said of what lies behind a failure";
}

TEST_P(Client, TellsWhoFetchesWhatComesAgainBehindAFailureInItsKey) {
  topic("orders", 1);
  ASSERT_TRUE(c->create_group("audit", in_order(4)));
  auto p = open("orders");
  p.send({text("a0", "a"), text("a1", "a"), text("a2", "a"), text("a3", "a"), text("b0", "b")});
  auto from = pull("audit", "orders");
  const auto got = fetch(from, 5);
  ASSERT_EQ(got.size(), 5u);
  EXPECT_FALSE(from.ack(got[0]));
  EXPECT_FALSE(from.comes_again(got[1]));
  EXPECT_FALSE(from.retry(got[1]));
  EXPECT_TRUE(from.comes_again(got[2]) && from.comes_again(got[3]));
  EXPECT_FALSE(from.comes_again(got[4])) << "another key";
  EXPECT_FALSE(from.ack(got[2])) << "it does nothing";
  EXPECT_FALSE(from.ack(got[4]));
  EXPECT_EQ(from.flush().code, errc::lease_lost);
  std::vector<std::string> again;
  for (const auto& m : fetch(from, 3, true))
    again.push_back(std::string{m.body()} + " " + std::to_string(m.attempt()));
  EXPECT_THAT(again, ElementsAre("a1 2", "a2 1", "a3 1"));
  EXPECT_FALSE(from.close());
}

} // namespace
} // namespace troupe::test
