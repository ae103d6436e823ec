#include "client_fixture.hpp"

#include "troupe/requester.hpp"

#include <chrono>

namespace troupe::test {
namespace {

message keyed(std::string body, std::string key, std::string order_key = {}) {
  auto m = text(std::move(body), std::move(order_key));
  m.keys = {std::move(key), "shared by all"};
  return m;
}

TEST_P(Client, ARepeatByKeyGetsTheReceiptOfTheFirstMessage) {
  ASSERT_TRUE(c->create_topic("once", {.dedupe_window = 10min}));
  auto p = open("once");
  const auto first = p.send(keyed("1", "order-1"));
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_FALSE(first->duplicate);
  auto other = open("once"); // another producer, with sequences of its own
  const auto answers = other.send({keyed("2", "order-2"), keyed("1 again", "order-1"), keyed("3", "order-3"),
                                   keyed("2 again", "order-2"), text("no key"), text("no key")});
  std::vector<bool> duplicates;
  for (const auto& a : answers) {
    ASSERT_TRUE(a) << to_string(a.error());
    duplicates.push_back(a->duplicate);
  }
  EXPECT_THAT(duplicates, ElementsAre(false, true, false, true, false, false));
  EXPECT_EQ(answers[1]->id, first->id);
  EXPECT_EQ(answers[1]->offset, first->offset);
  EXPECT_EQ(answers[1]->queue, first->queue);
  EXPECT_EQ(answers[3]->id, answers[0]->id);
  for (const auto i : {0, 2, 4, 5})
    EXPECT_EQ(c->get(answers[static_cast<std::size_t>(i)]->id)->offset,
              answers[static_cast<std::size_t>(i)]->offset);
  EXPECT_EQ(other.statistics().duplicates, 2u);
  auto from = pull("readers", "once");
  std::multiset<std::string> bodies;
  for (const auto& m : fetch(from, 5, true))
    bodies.emplace(m.body());
  EXPECT_THAT(bodies, testing::UnorderedElementsAre("1", "2", "3", "no key", "no key"));
}

TEST_P(Client, ADelayedMessageHasItsKeyFromItsAcceptanceOnAlsoWhenItIsCancelled) {
  ASSERT_TRUE(c->create_topic("once", {.dedupe_window = 10min}));
  const auto now = std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
  auto later = [&](std::string body, std::string key) {
    auto m = keyed(std::move(body), std::move(key));
    m.deliver_at = now + 1h;
    return m;
  };
  auto p = open("once");
  const auto plain = p.send(keyed("0", "plain"));
  const auto first = p.send(later("1", "late"));
  ASSERT_TRUE(plain && first);
  EXPECT_FALSE(first->visible);
  const auto answers = open("once").send(
      {later("0 again", "plain"), keyed("1 at once", "late"), later("1 again", "late"), later("2", "new")});
  for (const auto& a : answers)
    ASSERT_TRUE(a) << to_string(a.error());
  EXPECT_TRUE(answers[0]->duplicate);
  EXPECT_TRUE(answers[0]->visible);
  EXPECT_EQ(answers[0]->id, plain->id);
  EXPECT_EQ(answers[0]->offset, plain->offset);
  for (const auto i : {1u, 2u}) {
    EXPECT_TRUE(answers[i]->duplicate);
    EXPECT_FALSE(answers[i]->visible);
    EXPECT_EQ(answers[i]->id, first->id);
    EXPECT_EQ(answers[i]->queue, first->queue);
  }
  EXPECT_FALSE(answers[3]->duplicate);
  EXPECT_EQ(c->delayed({.topic = "once"})->messages.size(), 2u);
  ASSERT_TRUE(c->cancel_delayed(first->id)->cancelled);
  EXPECT_EQ(p.send(later("1 once more", "late"))->id, first->id);
  EXPECT_EQ(c->delayed({.topic = "once"})->messages.size(), 1u);
}

TEST_P(Client, ARequestWhoseKeyIsARepeatReachesNobodyAndTimesOut) {
  ASSERT_TRUE(c->create_topic("once", {.queues = 1, .dedupe_window = 10min}));
  auto p = open("once");
  ASSERT_TRUE(p.send(keyed("1", "k")));
  auto asks = requester::open(*c, {.topic = "once"});
  ASSERT_TRUE(asks);
  EXPECT_EQ(asks->request(keyed("2", "k"), 20ms).error().code, errc::timeout);
  EXPECT_EQ(p.send(keyed("3", "another"))->offset, queue_offset{1});
}

TEST_P(Client, KeysCountAgainOnceTheWindowIsTakenAway) {
  ASSERT_TRUE(c->create_topic("once", {.dedupe_window = 10min}));
  auto p = open("once");
  ASSERT_TRUE(p.send(keyed("1", "k", "o")));
  EXPECT_TRUE(p.send(keyed("2", "k", "o"))->duplicate);
  auto described = c->describe_topic("once");
  ASSERT_TRUE(described);
  auto options = described->options;
  EXPECT_EQ(options.dedupe_window, 10min);
  options.dedupe_window = 0ms;
  ASSERT_TRUE(c->set_topic("once", options));
  EXPECT_FALSE(p.send(keyed("3", "k", "o"))->duplicate);
  options.dedupe_window = 1ms;
  EXPECT_EQ(c->set_topic("once", options).error().code, errc::invalid_argument);
}

} // namespace
} // namespace troupe::test
