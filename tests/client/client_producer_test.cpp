#include "client_fixture.hpp"

namespace troupe::test {
namespace {

TEST_P(Client, ReportsWhereASynchronousMessageIsAndFindsItThere) {
  topic("orders");
  auto p = open("orders");
  auto m = text("hello", "customer-7");
  m.keys = {"a", "b"};
  m.tag = "paid";
  m.properties = {{"amount", "12"}};
  const auto r = p.send(m);
  ASSERT_TRUE(r) << to_string(r.error());
  EXPECT_TRUE(r->placed);
  EXPECT_EQ(r->topic, "orders");
  EXPECT_EQ(r->offset, queue_offset{0});
  const auto found = c->get(r->id);
  ASSERT_TRUE(found) << to_string(found.error());
  EXPECT_EQ(found->id, r->id);
  EXPECT_EQ(found->queue, r->queue);
  EXPECT_EQ(found->offset, r->offset);
  EXPECT_EQ(found->content.body, "hello");
  EXPECT_EQ(found->content.order_key, "customer-7");
  EXPECT_EQ(found->content.tag, "paid");
  EXPECT_EQ(found->content.keys, m.keys);
  EXPECT_EQ(found->content.properties, m.properties);
  EXPECT_NE(found->content.born, timestamp{});
}

TEST_P(Client, KeepsTheOrderOfAKeyOverManyAsynchronousMessages) {
  topic("orders");
  constexpr int n = 20'000;
  counter done;
  std::mutex mutex;
  std::map<std::string, std::vector<std::uint64_t>> offsets;
  {
    auto p = open("orders");
    for (int i = 0; i < n; ++i) {
      const auto key = "k" + std::to_string(i % 7);
      p.send_async(text(std::to_string(i), key), [&, key](const result<receipt>& r) {
        ASSERT_TRUE(r) << to_string(r.error());
        std::lock_guard lock{mutex};
        offsets[key].push_back(r->offset.value);
        done.add();
      });
    }
    EXPECT_FALSE(p.flush());
    EXPECT_EQ(done.value(), std::uint64_t{n});
    const auto stats = p.statistics();
    EXPECT_EQ(stats.sent, std::uint64_t{n});
    EXPECT_EQ(stats.accepted, std::uint64_t{n});
    EXPECT_LT(stats.batches, std::uint64_t{n} / 10) << "messages travel together";
  }
  for (const auto& [key, list] : offsets)
    EXPECT_TRUE(std::is_sorted(list.begin(), list.end())) << key;
  auto from = pull("audit", "orders");
  std::map<std::string, int> last;
  for (const auto& m : fetch(from, n, true)) {
    const auto i = std::stoi(std::string{m.body()});
    const auto key = std::string{m.order_key()};
    EXPECT_LT(last.contains(key) ? last[key] : -1, i);
    last[key] = i;
  }
  EXPECT_FALSE(from.flush());
}

TEST_P(Client, SendsABatchAndAnswersForEachMessage) {
  topic("orders", 1);
  auto p = open("orders");
  std::vector<message> batch;
  for (int i = 0; i < 10; ++i)
    batch.push_back(text(std::to_string(i)));
  const auto answers = p.send(std::move(batch));
  ASSERT_EQ(answers.size(), 10u);
  for (std::uint64_t i = 0; i < answers.size(); ++i) {
    ASSERT_TRUE(answers[i]);
    EXPECT_EQ(answers[i]->offset, queue_offset{i});
  }
  EXPECT_TRUE(p.send(std::vector<message>{}).empty());
}

TEST_P(Client, SendsNothingOfABatchWithAnInvalidMessage) {
  topic("orders", 1);
  auto p = open("orders");
  const auto answers = p.send({text("good"), text(""), text("good too")});
  ASSERT_EQ(answers.size(), 3u);
  for (const auto& a : answers)
    EXPECT_EQ(a.error().code, errc::invalid_argument);
  EXPECT_EQ(c->describe_topic("orders")->queues[0].next, queue_offset{0});
}

TEST_P(Client, AnswersBufferedMessagesBeforeTheyHaveAPlaceOnceTheBrokerKnowsTheProducer) {
  topic("orders", 1);
  auto p = open("orders", {.durability = durability_level::buffered});
  const auto first = p.send(text("hello"));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->placed);
  const auto second = p.send(text("again"));
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->placed);
  auto from = pull("audit", "orders");
  EXPECT_EQ(fetch(from, 1).at(0).body(), "hello");
  EXPECT_EQ(fetch(from, 1).at(0).body(), "again");
}

TEST_P(Client, GivesEachOfManyThreadsItsOwnAnswers) {
  topic("orders");
  auto p = open("orders");
  std::mutex mutex;
  std::map<message_id, std::string> told;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto body = std::to_string(t) + "/" + std::to_string(i);
        const auto r = p.send(text(body));
        ASSERT_TRUE(r) << to_string(r.error());
        std::lock_guard lock{mutex};
        EXPECT_TRUE(told.emplace(r->id, body).second) << body;
      }
    });
  threads.clear();
  auto from = pull("audit", "orders");
  for (const auto& m : fetch(from, 400))
    EXPECT_EQ(told[m.id()], m.body());
}

TEST_P(Client, GivesAFutureToWhoWantsOne) {
  topic("orders", 1);
  auto p = open("orders");
  auto first = p.send_async(text("a"));
  auto second = p.send_async(text("b"));
  EXPECT_EQ(second.get()->offset, queue_offset{1});
  EXPECT_EQ(first.get()->offset, queue_offset{0});
}

TEST_P(Client, DeliversOneWayMessages) {
  topic("orders", 1);
  auto p = open("orders");
  for (int i = 0; i < 100; ++i)
    EXPECT_FALSE(p.send_one_way(text(std::to_string(i))));
  EXPECT_EQ(p.send_one_way(text("")).code, errc::invalid_argument);
  EXPECT_FALSE(p.close());
  auto from = pull("audit", "orders");
  EXPECT_EQ(fetch(from, 100).size(), 100u);
}

TEST_P(Client, RefusesOrBlocksWhenTheWindowIsFull) {
  topic("orders", 1);
  auto p = open("orders", {.window = 64 << 10});
  counter done;
  errc refused = errc::none;
  for (int i = 0; i < 100'000 && refused == errc::none; ++i)
    refused =
        p.try_send_async(text(std::string(1000, 'x')), [&](const result<receipt>&) { done.add(); }).code;
  EXPECT_EQ(refused, errc::overloaded);
  for (int i = 0; i < 1000; ++i)
    p.send_async(text(std::string(1000, 'x')),
                 [&](const result<receipt>& r) { ASSERT_TRUE(r) << to_string(r.error()); });
  EXPECT_FALSE(p.flush());
}

TEST_P(Client, SendsLargeMessagesAndRefusesTooLargeOnes) {
  topic("orders", 2);
  auto p = open("orders");
  const auto body = std::string(4 << 20, 'b');
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(p.send(text(body)));
  const auto r = p.send(text(body + "c"));
  EXPECT_EQ(r.error().code, errc::too_large);
  EXPECT_THAT(r.error().reason, HasSubstr("4194304"));
  auto from = pull("audit", "orders");
  for (const auto& m : fetch(from, 3))
    EXPECT_EQ(m.body().size(), body.size());
}

TEST_P(Client, ACallbackMaySendButNotWait) {
  topic("orders", 1);
  auto p = open("orders");
  counter done;
  std::atomic<errc> sync{errc::none};
  std::atomic<errc> flush{errc::none};
  p.send_async(text("a"), [&](const result<receipt>&) {
    sync = p.send(text("b")).error().code;
    flush = p.flush().code;
    p.send_async(text("c"), [&](const result<receipt>&) { done.add(); });
  });
  ASSERT_TRUE(done.reaches(1));
  EXPECT_EQ(sync, errc::invalid_argument);
  EXPECT_EQ(flush, errc::invalid_argument);
}

TEST_P(Client, AProducerAndAClientMayEndInACallback) {
  topic("orders", 1);
  counter done;
  {
    auto own = std::make_shared<client>(GetParam() == place::embedded
                                            ? *client::attach(*broker)
                                            : *client::connect({.address = broker->address()}));
    auto p = std::make_shared<producer>(std::move(*producer::open(*own, {.topic = "orders"})));
    auto* raw = p.get();
    raw->send_async(text("a"),
                    [&done, p = std::move(p), own = std::move(own)](const result<receipt>&) mutable {
                      p.reset();
                      own.reset();
                      done.add();
                    });
  }
  EXPECT_TRUE(done.reaches(1));
}

TEST_P(Client, ADeletedTopicFailsItsProducers) {
  topic("orders");
  auto p = open("orders");
  ASSERT_TRUE(p.send(text("a")));
  EXPECT_FALSE(c->delete_topic("orders"));
  const auto r = p.send(text("b"));
  EXPECT_EQ(r.error().code, errc::not_found);
  EXPECT_EQ(producer::open(*c, {.topic = "orders"}).error().code, errc::not_found);
}

TEST_P(Client, AGrownTopicGetsMessagesInItsNewQueues) {
  topic("orders", 1);
  auto p = open("orders");
  ASSERT_TRUE(p.send(text("a")));
  ASSERT_TRUE(c->set_topic("orders", {.queues = 3}));
  std::set<std::uint32_t> queues;
  for (int i = 0; i < 10'000 && queues.size() < 3; ++i) {
    auto r = p.send(text("m"));
    ASSERT_TRUE(r);
    queues.insert(r->queue);
  }
  EXPECT_EQ(queues.size(), 3u);
}

} // namespace
} // namespace troupe::test
