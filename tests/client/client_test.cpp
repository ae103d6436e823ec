#include "troupe/client.hpp"
#include "troupe/consumer.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include "temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

/// The same tests for a node in this process and for one behind a socket: a program must not see the
/// difference.
namespace troupe {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// Counts, and lets a test wait for a number.
class counter {
public:
  void add(std::uint64_t n = 1) {
    {
      std::lock_guard lock{mutex_};
      value_ += n;
    }
    changed_.notify_all();
  }
  bool reaches(std::uint64_t n, milliseconds limit = 30s) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [&] { return value_ >= n; });
  }
  std::uint64_t value() {
    std::lock_guard lock{mutex_};
    return value_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t value_ = 0;
};

message text(std::string body, std::string key = {}) {
  message m;
  m.body = std::move(body);
  m.order_key = std::move(key);
  return m;
}

enum class place { embedded, remote };

class Client : public testing::TestWithParam<place> {
protected:
  void SetUp() override {
    start_node();
    ASSERT_NO_FATAL_FAILURE(connect());
  }
  void start_node() {
    node_config cfg;
    cfg.data = directory / "data";
    cfg.host = "127.0.0.1";
    cfg.port = port;
    auto started = node::start(std::move(cfg));
    ASSERT_TRUE(started) << to_string(started.error());
    broker = std::move(*started);
    port = broker->port();
  }
  void connect() {
    auto made = GetParam() == place::embedded ? client::attach(*broker)
                                              : client::connect({.address = broker->address()});
    ASSERT_TRUE(made) << to_string(made.error());
    c.emplace(std::move(*made));
  }
  producer open(const std::string& topic, producer_options options = {}) {
    options.topic = topic;
    auto p = producer::open(*c, options);
    if (!p)
      throw std::runtime_error(to_string(p.error()));
    return std::move(*p);
  }
  pull_consumer pull(const std::string& group, const std::string& topic, consumer_options options = {}) {
    options.group = group;
    options.topics.push_back({topic, filter});
    auto p = pull_consumer::open(*c, options);
    if (!p)
      throw std::runtime_error(to_string(p.error()));
    return std::move(*p);
  }
  void topic(const std::string& name, std::uint32_t queues = 4) {
    auto made = c->create_topic(name, {.queues = queues});
    ASSERT_TRUE(made) << to_string(made.error());
  }
  /// Fetches until there are n, or nothing comes for long.
  std::vector<leased_message> fetch(pull_consumer& from, std::size_t n, bool acknowledge = false) {
    std::vector<leased_message> all;
    while (all.size() < n) {
      auto some = from.fetch(n - all.size(), 20s);
      if (!some || some->empty()) {
        ADD_FAILURE() << "only " << all.size() << " of " << n
                      << " messages came: " << (some ? "" : to_string(some.error()));
        break;
      }
      if (acknowledge) {
        EXPECT_FALSE(from.ack(*some));
      }
      all.insert(all.end(), some->begin(), some->end());
    }
    return all;
  }
  static std::multiset<std::string> bodies(const std::vector<leased_message>& messages) {
    std::multiset<std::string> out;
    for (const auto& m : messages)
      out.emplace(m.body());
    return out;
  }

  test::temporary_directory directory;
  std::uint16_t port = 0;
  std::unique_ptr<node> broker;
  std::optional<client> c;
  std::string filter = "*";
};

INSTANTIATE_TEST_SUITE_P(Both, Client, testing::Values(place::embedded, place::remote), [](const auto& info) {
  return info.param == place::embedded ? "Embedded" : "Remote";
});

/// What only happens to a node of another process: it ends before its clients.
class RemoteClient : public Client {};
INSTANTIATE_TEST_SUITE_P(Both, RemoteClient, testing::Values(place::remote),
                         [](const auto&) { return "Remote"; });

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
  ASSERT_TRUE(c->create_group("audit", {.retry_delay = 20ms}));
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
  ASSERT_TRUE(c->create_group("audit", {.retry_delay = 20ms}));
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
  std::thread fetching([&] { got = fetch(from, 1); });
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

TEST_P(Client, AdministersTopicsAndGroups) {
  auto made = c->create_topic("orders", {.queues = 3, .retention = 2h});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->options.queues, 3u);
  EXPECT_EQ(made->queues.size(), 3u);
  EXPECT_EQ(c->create_topic("orders").error().code, errc::already_exists);
  EXPECT_EQ(c->create_topic("no such name!").error().code, errc::invalid_argument);
  const auto more = c->create_topics({"a", "b b", "c", "orders"}, {.queues = 1});
  ASSERT_EQ(more.size(), 4u);
  EXPECT_TRUE(more[0]);
  EXPECT_EQ(more[1].error().code, errc::invalid_argument);
  EXPECT_TRUE(more[2]);
  EXPECT_EQ(more[3].error().code, errc::already_exists);
  EXPECT_THAT(*c->list_topics(), testing::UnorderedElementsAre("a", "c", "orders"));
  EXPECT_EQ(c->describe_topic("orders")->options.retention, 2h);
  EXPECT_EQ(c->describe_topic("nothing").error().code, errc::not_found);
  EXPECT_TRUE(c->create_group("audit", {.lease = 5s}));
  EXPECT_EQ(c->describe_group("audit")->options.lease, 5s);
  EXPECT_THAT(*c->list_groups(), ElementsAre("audit"));
  EXPECT_FALSE(c->delete_group("audit"));
  EXPECT_FALSE(c->delete_topic("a"));
  EXPECT_THAT(*c->list_topics(), testing::UnorderedElementsAre("c", "orders"));
  EXPECT_EQ(c->get({shard_id{0}, log_index{12345}, 0}).error().code, errc::not_found);
  const auto status = c->node_status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, "running");
  EXPECT_EQ(status->topics, 2u);
  EXPECT_FALSE(status->shards.empty());
}

TEST_P(Client, FailsEverythingOnceItIsClosed) {
  topic("orders", 1);
  auto p = open("orders");
  auto from = pull("audit", "orders");
  c->close();
  c->close();
  EXPECT_EQ(p.send(text("a")).error().code, errc::shutting_down);
  EXPECT_EQ(from.fetch(1, 20s).error().code, errc::shutting_down);
  EXPECT_EQ(c->list_topics().error().code, errc::shutting_down);
  EXPECT_EQ(producer::open(*c, {.topic = "orders"}).error().code, errc::shutting_down);
  EXPECT_EQ(pull_consumer::open(*c, {.group = "g", .topics = {{"orders"}}}).error().code,
            errc::shutting_down);
}

TEST_P(Client, MayBeMadeUsedAndEndedInDifferentThreadsThatLiveOn) {
  topic("orders");
  std::promise<void> used;
  std::promise<void> over;
  std::jthread user{[&] {
    {
      auto p = open("orders");
      auto from = pull("audit", "orders");
      EXPECT_TRUE(p.send(text("a")));
      EXPECT_EQ(fetch(from, 1, true).size(), 1u);
    }
    used.set_value();
    over.get_future().wait();
  }};
  used.get_future().wait();
  std::promise<void> ended;
  std::jthread last{[&] {
    c.reset();
    broker.reset();
    ended.set_value();
  }};
  EXPECT_EQ(ended.get_future().wait_for(60s), std::future_status::ready) << "somebody waits for ever";
  over.set_value();
}

TEST_P(Client, RefusesOptionsThatMakeNoSense) {
  topic("orders", 1);
  for (const auto& o :
       {producer_options{.topic = "bad name"}, producer_options{.topic = "orders", .window = 0},
        producer_options{.topic = "orders", .batch_bytes = 5 << 20},
        producer_options{.topic = "orders", .batch_messages = 16385},
        producer_options{.topic = "orders", .timeout = 0ms}})
    EXPECT_EQ(producer::open(*c, o).error().code, errc::invalid_argument);
  for (const auto& o :
       {consumer_options{.group = "g"}, consumer_options{.group = "b b", .topics = {{"orders"}}},
        consumer_options{.group = "g", .topics = {{"orders", "a || "}}},
        consumer_options{.group = "g", .topics = {{"orders"}}, .max_messages = 0}})
    EXPECT_EQ(pull_consumer::open(*c, o).error().code, errc::invalid_argument);
  EXPECT_EQ(
      consumer::start(*c, {.group = "g", .topics = {{"orders"}}}, 0, [](auto&) { return outcome::ack(); })
          .error()
          .code,
      errc::invalid_argument);
  EXPECT_EQ(consumer::start(*c, {.group = "g", .topics = {{"orders"}}}, 1, nullptr).error().code,
            errc::invalid_argument);
}

TEST_P(RemoteClient, GoesOnWhereItWasWhenTheNodeIsStartedAgain) {
  topic("orders");
  auto p = open("orders");
  auto from = pull("audit", "orders");
  constexpr int n = 3000;
  counter answered;
  for (int i = 0; i < n; ++i) {
    p.send_async(text(std::to_string(i), "k" + std::to_string(i % 5)), [&](const result<receipt>& r) {
      EXPECT_TRUE(r) << to_string(r.error());
      answered.add();
    });
    if (i % 1000 == 500) {
      ASSERT_TRUE(answered.reaches(answered.value() + 1));
      broker.reset();
      start_node();
    }
  }
  ASSERT_TRUE(answered.reaches(n));
  EXPECT_GE(p.statistics().reconnects, 3u);
  std::map<std::string, int> last;
  std::set<std::string> seen;
  while (seen.size() < n) {
    auto some = from.fetch(500, 20s);
    ASSERT_TRUE(some) << to_string(some.error());
    ASSERT_FALSE(some->empty()) << seen.size();
    for (const auto& m : *some)
      seen.emplace(m.body());
    EXPECT_FALSE(from.ack(*some));
  }
  std::uint64_t stored = 0;
  const auto described = c->describe_topic("orders");
  ASSERT_TRUE(described);
  for (const auto& q : described->queues)
    stored += q.next.value - q.first.value;
  EXPECT_EQ(stored, std::uint64_t{n}) << "nothing is stored twice";
  EXPECT_GE(from.statistics().rejoins, 1u);
}

TEST_P(RemoteClient, ADeadNodeNeitherBlocksNorCrashesAnybody) {
  topic("orders", 1);
  auto p = open("orders", {.timeout = 300ms});
  auto from = pull("audit", "orders");
  broker.reset();
  const auto r = p.send(text("a"));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, errc::timeout);
}

TEST(ClientConnect, SaysWhatToDoWhenNobodyListens) {
  // A port that was just free; nobody listens there.
  std::string address;
  {
    test::temporary_directory directory;
    node_config cfg;
    cfg.data = directory / "data";
    cfg.host = "127.0.0.1";
    auto n = node::start(std::move(cfg));
    ASSERT_TRUE(n);
    address = (*n)->address();
  }
  const auto c = client::connect({.address = address});
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, errc::disconnected);
  EXPECT_THAT(c.error().reason, HasSubstr(address));
  EXPECT_THAT(c.error().hint, HasSubstr("trouped"));
}

TEST(ClientConnect, RefusesAddressesAndOptionsThatMakeNoSense) {
  for (const auto* address : {"", "nohost", ":7700", "host:", "host:0", "host:70000", "host:77x", "host:-1"})
    EXPECT_EQ(client::connect({.address = address}).error().code, errc::invalid_argument) << address;
  EXPECT_EQ(client::connect({.tls = {.certificate = "a"}}).error().code, errc::invalid_argument);
  EXPECT_EQ(client::connect({.timeout = 0ms}).error().code, errc::invalid_argument);
}

} // namespace
} // namespace troupe
