#include "client_fixture.hpp"

namespace troupe::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Both, Client, testing::Values(place::embedded, place::remote), [](const auto& info) {
  return info.param == place::embedded ? "Embedded" : "Remote";
});

/// What only happens to a node of another process: it ends before its clients.
class RemoteClient : public Client {};
INSTANTIATE_TEST_SUITE_P(Both, RemoteClient, testing::Values(place::remote),
                         [](const auto&) { return "Remote"; });

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
  // A client gives its actor system 5 s to end, then leaves it behind.
  EXPECT_EQ(ended.get_future().wait_for(4s), std::future_status::ready) << "a thread is waited for";
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
    temporary_directory directory;
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

TEST(ClientConnect, RefusesToAttachToANodeThatHasStopped) {
  temporary_directory dir;
  auto stopped = node::start({.data = dir / "data"});
  ASSERT_TRUE(stopped) << to_string(stopped.error());
  ASSERT_FALSE((*stopped)->stop());
  const auto refused = client::attach(**stopped);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::shutting_down);
  EXPECT_NE(refused.error().hint, "");
}

TEST(ClientConnect, RefusesAddressesAndOptionsThatMakeNoSense) {
  for (const auto* address : {"", "nohost", ":7700", "host:", "host:0", "host:70000", "host:77x", "host:-1"})
    EXPECT_EQ(client::connect({.address = address}).error().code, errc::invalid_argument) << address;
  EXPECT_EQ(client::connect({.tls = {.certificate = "a"}}).error().code, errc::invalid_argument);
  EXPECT_EQ(client::connect({.timeout = 0ms}).error().code, errc::invalid_argument);
}

} // namespace
} // namespace troupe::test
