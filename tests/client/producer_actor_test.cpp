#include "producer_actor.hpp"

#include "fake_broker.hpp"

#include <caf/default_attachable.hpp>

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::chrono_literals;

class ProducerActor : public testing::Test {
protected:
  // What is open then fails, and wants to be noted while there still is a list to note it in.
  void TearDown() override {
    caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
    fixture.run();
  }
  void open(producer_options options = {}) {
    options.topic = "orders";
    options.timeout = timeout;
    box = std::make_shared<outbox>(
        outbox_config{options, 0, [this] { return now(); }, [this] { return wall; }});
    aut = fixture.owned(
        fixture.system().spawn(producer_actor, producer_config{options, producer_id{77}, line.actor, box}));
    box->wake_with([this] { caf::anon_send(aut, flush_atom::value); });
    line.up(broker.directory);
  }
  milliseconds now() {
    return std::chrono::duration_cast<milliseconds>(fixture.system().clock().now().time_since_epoch());
  }
  error put(const std::string& body, const std::string& key = "") {
    message m;
    m.body = body;
    m.order_key = key;
    m.born = from_unix_ms(1);
    return box->put(m, {.call = [this, body](const result<receipt>& r) { note(body, r); }}, false);
  }
  /// As put(), and lets the actors run.
  void send(const std::string& body, const std::string& key = "") {
    ASSERT_FALSE(put(body, key));
    fixture.run();
  }
  void note(const std::string& body, const result<receipt>& r) {
    heard.push_back(body + (r ? "@" + std::to_string(r->queue) + ":" + std::to_string(r->offset.value)
                              : " " + std::string{to_string(r.error().code)}));
    if (r)
      receipts.push_back(*r);
  }
  std::vector<std::string> bodies(const publish& p) {
    std::vector<std::string> out;
    auto reader = batch_reader::open(p.header, p.data);
    EXPECT_TRUE(reader) << to_string(reader.error());
    for (std::uint32_t i = 0; reader && i < reader->count(); ++i)
      out.emplace_back(reader->body(i));
    return out;
  }
  using strings = std::vector<std::string>;

  test::deterministic fixture;
  test::fake_broker broker{fixture};
  test::fake_line line{fixture};
  milliseconds timeout{10s};
  timestamp wall{};
  std::shared_ptr<outbox> box;
  caf::actor aut;
  strings heard;
  std::vector<receipt> receipts;
};

TEST_F(ProducerActor, SendsTheFirstMessageAtOnceAndReportsItsPlace) {
  open();
  EXPECT_EQ(broker.routes_asked, strings{"orders"});
  EXPECT_FALSE(box->wait_open(0ms));
  send("a");
  auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].queue, queue_id{11});
  EXPECT_EQ(sent[0].header.producer, producer_id{77});
  EXPECT_EQ(sent[0].header.sequence, batch_sequence{1});
  EXPECT_EQ(bodies(sent[0]), strings{"a"});
  broker.answer({broker.stored(sent[0], 5)});
  EXPECT_EQ(heard, strings{"a@0:5"});
  EXPECT_EQ(receipts[0].id, (message_id{shard_id{0}, log_index{105}, 7}));
  EXPECT_EQ(receipts[0].topic, "orders");
  EXPECT_TRUE(receipts[0].placed);
}

TEST_F(ProducerActor, GathersWhileTheLineIsBusyAndSendsTheRestTogether) {
  open();
  for (auto body : {"a", "b", "c", "d"})
    send(body);
  auto sent = broker.take_published();
  EXPECT_EQ(sent.size(), 4u);
  for (auto body : {"e", "f", "g"})
    send(body);
  EXPECT_TRUE(broker.take_published().empty());
  broker.answer({broker.stored(sent[0], 0)});
  sent = broker.take_published();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(bodies(sent[0]), (strings{"e", "f", "g"}));
  broker.answer({broker.stored(sent[0], 10)});
  EXPECT_EQ(heard, (strings{"a@0:0", "e@0:10", "f@0:11", "g@0:12"}));
  EXPECT_EQ(receipts[3].id.ordinal, 9u);
}

TEST_F(ProducerActor, SendsDelayedMessagesInBatchesOfTheirOwnAndSaysThatTheyHaveNoPlaceYet) {
  wall = from_unix_ms(1'000'000'000'000);
  open({.batch_messages = 100});
  for (int line_is_busy = 0; line_is_busy < 4; ++line_is_busy)
    send("busy");
  const auto busy = broker.take_published();
  const auto put_due = [&](const std::string& body, milliseconds ahead) {
    message m{.body = body, .deliver_at = wall + ahead};
    EXPECT_FALSE(box->check(m));
    EXPECT_FALSE(box->put(m, {.call = [this, body](const result<receipt>& r) { note(body, r); }}, false));
  };
  put_due("later", 1s);
  put_due("now", 0ms);
  put_due("latest", 40 * 24h);
  put_due("long ago", -1h);
  broker.answer({broker.stored(busy[0], 0)});
  fixture.run();
  auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 2u);
  if (sent[0].header.kind == batch_kind::plain)
    std::swap(sent[0], sent[1]);
  EXPECT_EQ(sent[0].header.kind, batch_kind::delayed);
  EXPECT_EQ(bodies(sent[0]), (strings{"later", "latest"}));
  EXPECT_EQ(sent[1].header.kind, batch_kind::plain);
  EXPECT_EQ(bodies(sent[1]), (strings{"now", "long ago"}));
  auto answer = broker.stored(sent[0], 9);
  answer.visible = false;
  receipts.clear();
  broker.answer({answer});
  ASSERT_EQ(receipts.size(), 2u);
  EXPECT_TRUE(receipts[1].placed);
  EXPECT_FALSE(receipts[1].visible);
  EXPECT_EQ(receipts[1].id.ordinal, 8u);
}

TEST_F(ProducerActor, SendsHalfMessagesInBatchesOfOneTransactionEach) {
  open();
  send("plain");
  send("busy");
  send("line");
  send("now");
  broker.take_published();
  const half_of alone{"shop", {}};
  const half_of one{"shop", {shard_id{1}, log_index{7}}};
  const half_of other{"shop", {shard_id{2}, log_index{7}}};
  const auto half = [&](const std::string& body, const half_of& whose) {
    message m;
    m.body = body;
    m.order_key = "k";
    m.born = from_unix_ms(1);
    EXPECT_FALSE(box->put(m, {}, false, &whose));
  };
  half("a", alone);
  half("b", alone);
  half("c", one);
  half("d", one);
  half("e", other);
  half("waits for a free line", alone);
  fixture.run();
  std::vector<std::pair<strings, half_of>> got;
  for (const auto& p : broker.take_published()) {
    const auto reader = batch_reader::open(p.header, p.data);
    ASSERT_TRUE(reader) << to_string(reader.error());
    EXPECT_EQ(p.header.kind, batch_kind::transactional);
    got.emplace_back(bodies(p), reader->half().copy());
  }
  const std::vector<std::pair<strings, half_of>> expected{
      {{"a", "b"}, alone}, {{"c", "d"}, one}, {{"e"}, other}};
  EXPECT_EQ(got, expected);
}

TEST_F(ProducerActor, RefusesAHalfMessageThatIsDelayed) {
  open();
  const half_of alone{"shop", {}};
  const message later{.body = "x", .born = wall, .deliver_at = wall + 1h};
  EXPECT_EQ(box->put(later, {}, false, &alone).code, errc::invalid_argument);
}

TEST_F(ProducerActor, RefusesWhatIsDueTooLateOrExpiresBefore) {
  wall = from_unix_ms(1'000'000'000'000);
  open();
  const auto refusal = [&](milliseconds ahead, std::optional<milliseconds> ttl) {
    return box->check(message{.body = "x", .born = wall, .ttl = ttl, .deliver_at = wall + ahead});
  };
  EXPECT_FALSE(refusal(40 * 24h, {}));
  EXPECT_EQ(refusal(40 * 24h + 1ms, {}).code, errc::invalid_argument);
  EXPECT_FALSE(refusal(1h, 1h + 1ms));
  EXPECT_EQ(refusal(1h, 1h).code, errc::invalid_argument);
  EXPECT_FALSE(refusal(-1h, 1ms)) << "it is not delayed";
}

TEST_F(ProducerActor, SendsAFullBatchHoweverBusyTheLineIs) {
  open({.batch_messages = 2});
  for (auto body : {"a", "b", "c", "d", "e"})
    send(body);
  broker.take_published();
  send("f");
  send("g");
  auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(bodies(sent[0]), (strings{"e", "f"}));
}

TEST_F(ProducerActor, KeepsMessagesOfAnOrderKeyInOneQueueAndSendsThemPastABusyLine) {
  open();
  for (int i = 0; i < 20; ++i)
    send("m" + std::to_string(i), "customer-1");
  const auto sent = broker.take_published();
  ASSERT_FALSE(sent.empty());
  for (const auto& p : sent)
    EXPECT_EQ(p.queue, sent[0].queue);
}

TEST_F(ProducerActor, SpreadsMessagesWithoutAKeyOverTheQueues) {
  open();
  for (auto body : {"a", "b"})
    send(body);
  const auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_NE(sent[0].queue, sent[1].queue);
}

TEST_F(ProducerActor, SendsEachPriorityToItsLaneAndSaysWhichInTheReceipt) {
  broker.priorities = 2; // one queue of two lanes
  open();
  message high = message{.body = "h", .priority = 1};
  ASSERT_FALSE(box->check(high));
  ASSERT_FALSE(box->put(high, {.call = [this](const result<receipt>& r) { note("h", r); }}, false));
  fixture.run();
  send("l");
  const auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].queue, queue_id{12});
  EXPECT_EQ(sent[1].queue, queue_id{11});
  broker.answer({broker.stored(sent[0], 5), broker.stored(sent[1], 8)});
  EXPECT_EQ(heard, (strings{"h@0:5", "l@0:8"}));
  EXPECT_EQ(receipts[0].priority, 1u);
  EXPECT_EQ(receipts[1].priority, 0u);
}

TEST_F(ProducerActor, KeepsAKeyInItsQueueWhateverThePriority) {
  broker.queues.clear();
  for (int i = 0; i < 24; ++i) // eight queues of three lanes
    broker.queues.push_back(broker.spawn_sink());
  broker.priorities = 3;
  open();
  for (std::uint8_t p = 0; p < 3; ++p) {
    const message m{.body = "x", .order_key = "customer-1", .priority = p};
    ASSERT_FALSE(box->put(m, {}, false));
    fixture.run();
  }
  const auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ((sent[0].queue.value - 11) % 3, 0u);
  EXPECT_EQ(sent[1].queue.value, sent[0].queue.value + 1);
  EXPECT_EQ(sent[2].queue.value, sent[0].queue.value + 2);
}

TEST_F(ProducerActor, RefusesAPriorityThatTheTopicDoesNotHaveBeforeItIsSent) {
  broker.priorities = 2;
  open();
  const message m{.body = "x", .priority = 2};
  for (const auto& wrong : {box->check(m), box->put(m, {}, false)}) {
    EXPECT_EQ(wrong.code, errc::invalid_argument);
    EXPECT_EQ(wrong.reason, "the priority is 2; topic orders has 2 priorities, 0 to 1");
  }
  fixture.run();
  EXPECT_TRUE(broker.take_published().empty());
}

TEST_F(ProducerActor, TakesAnyPriorityAsAFieldWhereTheTopicHasNoLanes) {
  open();
  const message m{.body = "x", .priority = 9};
  EXPECT_FALSE(box->check(m));
  ASSERT_FALSE(box->put(m, {}, false));
  fixture.run();
  EXPECT_EQ(broker.take_published().size(), 1u);
}

TEST_F(ProducerActor, EndsWhenARouteMakesNoSense) {
  broker.priorities = 0;
  open();
  EXPECT_EQ(box->wait_open(0ms).code, errc::corrupt);
}

TEST_F(ProducerActor, SendsWhatIsInFlightAgainToTheNodeThatCameBack) {
  open();
  send("a", "k");
  send("b", "k");
  const auto before = broker.take_published();
  ASSERT_EQ(before.size(), 2u);
  broker.die();
  line.down();
  send("c", "k");
  test::fake_broker again{fixture};
  line.up(again.directory);
  const auto after = again.take_published();
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after[0].header, before[0].header);
  EXPECT_EQ(after[1].header, before[1].header);
  EXPECT_EQ(after[2].header.sequence, batch_sequence{3});
  auto first = again.stored(after[0], 0);
  first.duplicate = true;
  again.answer({first, again.stored(after[1], 1), again.stored(after[2], 2)});
  ASSERT_EQ(receipts.size(), 3u);
  EXPECT_TRUE(receipts[0].duplicate);
  EXPECT_FALSE(receipts[1].duplicate);
  const auto stats = box->statistics();
  EXPECT_EQ(stats.accepted, 3u);
  EXPECT_EQ(stats.duplicates, 1u);
  EXPECT_EQ(stats.batches, 3u);
  EXPECT_EQ(stats.resent_batches, 2u);
  EXPECT_EQ(stats.reconnects, 1u);
}

TEST_F(ProducerActor, SendsAgainAfterThePauseThatAnOverloadedBrokerAsksFor) {
  open();
  send("a");
  auto sent = broker.take_published();
  broker.answer({broker.refused(sent.at(0), errc::overloaded, 300)});
  fixture.advance(299ms);
  EXPECT_TRUE(broker.take_published().empty());
  fixture.advance(2ms);
  auto again = broker.take_published();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].header, sent[0].header);
  EXPECT_TRUE(heard.empty());
}

TEST_F(ProducerActor, GathersWhileAQueuePauses) {
  open();
  send("a", "k");
  auto sent = broker.take_published();
  broker.answer({broker.refused(sent.at(0), errc::no_space, 300)});
  for (auto body : {"b", "c", "d"})
    send(body, "k");
  EXPECT_TRUE(broker.take_published().empty());
  fixture.advance(301ms);
  sent = broker.take_published();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(bodies(sent[0]), strings{"a"});
  EXPECT_EQ(bodies(sent[1]), (strings{"b", "c", "d"}));
}

TEST_F(ProducerActor, FailsMessagesWhoseTimeIsOver) {
  open();
  send("a", "k");
  line.down();
  send("b", "k");
  fixture.advance(5s);
  EXPECT_TRUE(heard.empty());
  fixture.advance(5s);
  EXPECT_EQ(heard, (strings{"a timeout", "b timeout"}));
  EXPECT_EQ(box->statistics().failed, 2u);
}

TEST_F(ProducerActor, FailsWithTheReasonWhenTheDiskStaysFull) {
  open();
  send("a");
  for (int i = 0; i < 12; ++i) {
    auto sent = broker.take_published();
    std::vector<publish_result> answers;
    for (auto& p : sent)
      answers.push_back(broker.refused(p, errc::no_space, 1000));
    if (!answers.empty())
      broker.answer(answers);
    fixture.advance(1s);
  }
  EXPECT_EQ(heard, strings{"a no_space"});
  EXPECT_EQ(box->statistics().last_failure.code, errc::no_space);
}

/// More batches than a free line has answers to come, and what gathers behind them.
TEST_F(ProducerActor, AnswersWhatGathersBehindRefusalsAndGoesOnWhenThereIsRoom) {
  open({.batch_messages = 1});
  for (auto body : {"a", "b", "c", "d", "e"})
    send(body, "k");
  const auto answer_all = [&](bool room) {
    std::vector<publish_result> answers;
    for (auto& p : broker.take_published())
      answers.push_back(room ? broker.stored(p, 5) : broker.refused(p, errc::no_space, 1000));
    if (!answers.empty())
      broker.answer(answers);
  };
  for (int i = 0; i < 12; ++i) {
    answer_all(false);
    fixture.advance(1s);
  }
  EXPECT_EQ(heard, (strings{"a no_space", "b no_space", "c no_space", "d no_space", "e no_space"}));
  answer_all(false);
  send("f", "k");
  for (int i = 0; i < 4; ++i) {
    fixture.advance(1s);
    answer_all(true);
  }
  EXPECT_EQ(heard.back().substr(0, 2), "f@");
}

TEST_F(ProducerActor, EndsTheWaitOfMessagesThatNoQueueTakes) {
  open();
  for (auto body : {"a", "b", "c", "d"})
    send(body);
  send("gathered");
  const auto sent = broker.take_published();
  ASSERT_EQ(sent.size(), 4u);
  for (int i = 0; i < 21; ++i) {
    std::vector<publish_result> answers;
    for (auto& p : broker.take_published())
      answers.push_back(broker.refused(p, errc::no_space, 500));
    if (i == 0)
      for (auto& p : sent)
        answers.push_back(broker.refused(p, errc::no_space, 500));
    if (!answers.empty())
      broker.answer(answers);
    fixture.advance(500ms);
  }
  ASSERT_EQ(heard.size(), 5u);
  EXPECT_EQ(heard.back().substr(0, 8), "gathered");
}

TEST_F(ProducerActor, FailsEverythingWhenTheTopicIsDeleted) {
  open();
  send("a");
  caf::anon_send(aut, route{topic_id{1}, 2, 0, {}, {}});
  fixture.run();
  EXPECT_EQ(heard, strings{"a not_found"});
  EXPECT_EQ(put("b").code, errc::not_found);
}

TEST_F(ProducerActor, UsesQueuesThatATopicGrew) {
  open();
  test::fake_broker grown{fixture, 3};
  grown.version = 2;
  caf::anon_send(aut, grown.route());
  fixture.run();
  for (auto body : {"a", "b", "c"})
    send(body);
  std::set<queue_id> used;
  for (auto& p : grown.take_published())
    used.insert(p.queue);
  EXPECT_EQ(used.size(), 3u);
}

TEST_F(ProducerActor, SaysWhyItCannotOpen) {
  broker.refuse_route = {errc::not_found, "there is no topic orders"};
  open();
  EXPECT_EQ(box->wait_open(0ms).code, errc::not_found);
  EXPECT_TRUE(box->wait_ended(0ms));
}

TEST_F(ProducerActor, AsksAgainWhenTheNodeHasNoRouteYetAfterAReconnect) {
  open();
  line.down();
  broker.refuse_route = {errc::overloaded, "starting"};
  line.up(broker.directory);
  broker.refuse_route = {};
  fixture.advance(1s);
  send("a");
  EXPECT_EQ(broker.take_published().size(), 1u);
}

TEST_F(ProducerActor, FailsWhatIsOpenWhenTheClientIsClosed) {
  open();
  send("a");
  line.close();
  EXPECT_EQ(heard, strings{"a shutting_down"});
  EXPECT_EQ(put("b").code, errc::shutting_down);
  EXPECT_TRUE(box->wait_ended(0ms));
  EXPECT_FALSE(box->flush(0ms));
}

TEST_F(ProducerActor, RefusesWhatTheWindowHasNoRoomFor) {
  open({.window = 300});
  EXPECT_FALSE(put(std::string(100, 'a')));
  const auto full = put(std::string(100, 'b'));
  EXPECT_EQ(full.code, errc::overloaded);
  EXPECT_FALSE(full.hint.empty());
  fixture.run();
  broker.answer({broker.stored(broker.take_published().at(0), 0)});
  EXPECT_FALSE(put(std::string(1000, 'c'))) << "alone, even a larger one than the window passes";
}

TEST_F(ProducerActor, SurvivesACallbackThatThrows) {
  open();
  message m;
  m.body = "x";
  ASSERT_FALSE(box->put(m, {.call = [](const result<receipt>&) { throw 1; }}, false));
  fixture.run();
  send("a");
  for (auto& p : broker.take_published())
    broker.answer({broker.stored(p, 0)});
  EXPECT_EQ(heard.size(), 1u);
}

TEST_F(ProducerActor, ChecksMessagesAgainstTheLimitOfTheTopic) {
  open();
  message m;
  m.body = std::string(1001, 'x');
  EXPECT_EQ(box->check(m).code, errc::too_large);
  m.body = "x";
  EXPECT_FALSE(box->check(m));
}

TEST_F(ProducerActor, WatchesEachQueueOnceHoweverManyRoutesCome) {
  open();
  for (broker.version = 2; broker.version < 5; ++broker.version) {
    caf::anon_send(aut, broker.route());
    fixture.run();
  }
  const auto gone = broker.queues.back();
  broker.queues.pop_back();
  caf::anon_send(aut, broker.route());
  fixture.run();
  const auto watches = [this](const caf::actor& queue) {
    const caf::default_attachable::observe_token by{aut.address(), caf::default_attachable::monitor};
    return caf::actor_cast<caf::abstract_actor*>(queue)->detach(by);
  };
  EXPECT_EQ(watches(broker.queues.front()), 1u);
  EXPECT_EQ(watches(gone), 0u);
}

} // namespace
} // namespace troupe
