#include "cli_fixture.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <random>
#include <set>

/// Delayed messages with a real node: it is killed while they are published, while they wait and while they
/// fire.
namespace troupe::test {

namespace {

timestamp wall() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

class scheduled_test : public testing::Test {
protected:
  void start(std::uint32_t queues) {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("later", {.queues = queues}));
  }
  /// The id of each message, by its body.
  std::map<std::string, message_id> send(std::uint32_t from, std::uint32_t to,
                                         const std::function<timestamp()>& due) {
    auto out = must(producer::open(*client_, {.topic = "later"}));
    std::vector<message> all;
    for (auto n = from; n < to; ++n)
      all.push_back({.body = std::to_string(n), .deliver_at = due()});
    std::map<std::string, message_id> sent;
    auto n = from;
    for (const auto& answer : out.send(std::move(all)))
      sent[std::to_string(n++)] = must(answer).id;
    return sent;
  }
  /// Long enough for some thousand messages to be stored, on the disk as it is today.
  milliseconds ahead() {
    const auto begin = wall();
    must(client_->create_topic("measured", {.queues = 1}));
    must(client_->delete_topic("measured"));
    return 500ms + 20 * (wall() - begin);
  }
  std::uint64_t waiting() {
    std::uint64_t sum = 0;
    if (const auto topic = client_->describe_topic("later"))
      for (const auto& q : topic->queues)
        sum += q.delayed;
    return sum;
  }
  struct place {
    std::uint32_t queue = 0;
    queue_offset offset;
    auto operator<=>(const place&) const = default;
  };
  /// Receives until so many different messages came; where each was. A message that came again after a kill
  /// has the place that it had.
  std::map<place, received_message> receive(std::size_t messages, const std::function<void()>& meanwhile) {
    std::map<place, received_message> got;
    auto from = must(pull_consumer::open(*client_, {.group = "crew", .topics = {{"later"}}}));
    const auto deadline = std::chrono::steady_clock::now() + 120s;
    while (got.size() < messages && std::chrono::steady_clock::now() < deadline) {
      meanwhile();
      auto some = from.fetch(200, 1s);
      if (!some)
        continue;
      for (auto& m : *some) {
        const auto what = m.copy();
        const auto known = got.try_emplace({what.queue, what.offset}, what);
        EXPECT_EQ(known.first->second.id, what.id);
        static_cast<void>(from.ack(m));
      }
    }
    return got;
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

TEST_F(scheduled_test, a_node_that_is_killed_while_messages_wait_and_fire_loses_none_and_fires_none_twice) {
  start(2);
  random_source random(std::random_device{}());
  SCOPED_TRACE(random.describe());
  const auto begin = wall() + ahead();
  const auto sent = send(0, 3000, [&] { return begin + milliseconds{random.below(6000)}; });
  EXPECT_EQ(waiting(), 3000u);
  auto next_kill = std::chrono::steady_clock::now() + std::max<milliseconds>(begin - wall(), 0ms) + 300ms;
  int kills = 0;
  const auto got = receive(sent.size(), [&] {
    if (kills < 6 && std::chrono::steady_clock::now() > next_kill) {
      restart();
      next_kill = std::chrono::steady_clock::now() + milliseconds{300 + random.below(700)};
      ++kills;
    }
  });
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_GE(kills, 1);
  EXPECT_EQ(waiting(), 0u);
  std::set<message_id> ids;
  std::map<std::uint32_t, timestamp> last;
  for (const auto& [at, m] : got) {
    EXPECT_TRUE(ids.insert(m.id).second) << "message " << to_string(m.id) << " became visible twice";
    EXPECT_EQ(sent.at(m.content.body), m.id);
    EXPECT_LE(last[at.queue], *m.content.deliver_at) << "in the order of their times";
    last[at.queue] = *m.content.deliver_at;
  }
  node_.kill();
  const auto verified = node_.verify();
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST_F(scheduled_test, a_node_that_is_killed_while_they_are_published_takes_each_once) {
  start(2);
  random_source random(std::random_device{}());
  SCOPED_TRACE(random.describe());
  // Not the other way round: a process ends with the thread that started it.
  auto sending = std::async(std::launch::async, [&, seed = random.next()] {
    random_source own(seed);
    std::map<std::string, message_id> all;
    for (std::uint32_t n = 0; n < 40; ++n) {
      auto some = send(n * 100, n * 100 + 100, [&] { return wall() + milliseconds{own.below(4000)}; });
      all.merge(some);
    }
    return all;
  });
  for (int i = 0; i < 4; ++i) {
    sending.wait_for(milliseconds{200 + random.below(400)});
    restart();
  }
  const auto sent = sending.get();
  // The client may not have noticed the last one yet.
  ASSERT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  std::set<message_id> ids;
  for (const auto& [at, m] : receive(sent.size(), [] {})) {
    EXPECT_TRUE(ids.insert(m.id).second);
    EXPECT_EQ(sent.at(m.content.body), m.id);
  }
  EXPECT_EQ(ids.size(), sent.size());
}

TEST_F(scheduled_test, what_came_due_while_the_node_was_down_comes_at_once_and_in_order) {
  start(1);
  const auto begin = wall() + ahead();
  std::uint32_t n = 0;
  const auto sent = send(0, 500, [&] { return begin + milliseconds{n++ * 37 % 500}; });
  node_.kill();
  EXPECT_TRUE(eventually([&] { return wall() > begin + 600ms; }));
  node_.start();
  timestamp last{};
  for (const auto& [at, m] : receive(sent.size(), [] {})) {
    EXPECT_LE(last, *m.content.deliver_at);
    last = *m.content.deliver_at;
  }
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(scheduled_test, of_a_cancel_and_a_fire_one_wins_and_both_say_the_same) {
  start(1);
  const auto begin = wall() + ahead();
  std::uint32_t n = 0;
  const auto sent = send(0, 300, [&] { return begin + milliseconds{n++}; });
  std::set<std::string> cancelled;
  for (const auto& [body, id] : sent) {
    const auto answer = must(client_->cancel_delayed(id));
    EXPECT_EQ(answer.message.topic, "later");
    if (answer.cancelled)
      cancelled.insert(body);
  }
  std::set<std::string> came;
  for (const auto& [at, m] : receive(sent.size() - cancelled.size(), [] {}))
    came.insert(m.content.body);
  for (const auto& [body, id] : sent)
    EXPECT_NE(cancelled.contains(body), came.contains(body)) << body;
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(scheduled_test, pages_of_what_waits_go_on_where_the_last_one_ended) {
  start(3);
  const auto begin = wall();
  random_source random(7);
  send(0, 2500, [&] { return begin + 1h + milliseconds{random.below(30ull * 24 * 3600 * 1000)}; });
  delayed_query query{.max = 300};
  std::vector<delayed_info> all;
  do {
    auto page = must(client_->delayed(query));
    all.insert(all.end(), page.messages.begin(), page.messages.end());
    query.after = page.next;
  } while (query.after);
  ASSERT_EQ(all.size(), 2500u);
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, [](const auto& m) { return std::pair(m.deliver_at, m.id); }));
  EXPECT_EQ(client_->delayed({.topic = "nothing"}).error().code, errc::not_found);
  EXPECT_EQ(client_->delayed({.max = 1001}).error().code, errc::invalid_argument);
}

/// The same by the command line.
class cli_delay : public cli {};

TEST_F(cli_delay, a_delayed_message_has_an_id_and_no_offset_until_it_comes) {
  new_topic("later", {"--queues", "1"});
  const auto sent = works_json({"send", "later", "hello", "--delay", "300ms"}).at(0);
  EXPECT_FALSE(sent.contains("offset"));
  EXPECT_EQ(sent["state"], "delayed");
  const std::string id = sent["id"];
  const auto found = works_json({"message", "get", id}).at(0);
  EXPECT_FALSE(found.contains("offset"));
  EXPECT_EQ(found["body"], "hello");
  const auto listed = works_json({"delay", "list", "--topic", "later"});
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["id"], id);
  EXPECT_EQ(listed[0]["topic"], "later");
  EXPECT_EQ(listed[0]["deliver_at"], found["deliver_at"]);
  EXPECT_EQ(works_json({"topic", "describe", "later"}).at(0)["delayed"], 1);
  works({"send", "later", "at once"});
  const auto got = works_json({"receive", "later", "--group", "g", "--max", "2", "--wait", "20s"});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0]["body"], "at once");
  EXPECT_EQ(got[1]["body"], "hello");
  EXPECT_EQ(got[1]["id"], id);
  EXPECT_EQ(got[1]["deliver_at"], found["deliver_at"]);
  EXPECT_EQ(got[1]["offset"], 1);
  refused(1, {"delay", "cancel", id}, "too late");
  EXPECT_EQ(objects(troupe({"--json", "delay", "cancel", id}).err).at(0)["error"], "conflict");
  EXPECT_THAT(works({"delay", "list"}), HasSubstr("no message waits"));
}

TEST_F(cli_delay, levels_times_and_lines_delay_as_well_and_what_is_cancelled_never_comes) {
  new_topic("some", {"--queues", "1"});
  const auto level = works_json({"send", "some", "level", "--delay-level", "5"}).at(0)["id"];
  works({"send", "some", "past", "--at", "2001-01-01T00:00:00Z"});
  EXPECT_THAT(works({"send", "some", "at", "--at", "2001-01-01T00:00:00Z"}), HasSubstr("offset 1"));
  EXPECT_THAT(works({"send", "some", "in a minute", "--delay", "1m"}), HasSubstr("delayed id "));
  works({"send", "some", "--jsonl", "-"}, R"({"body":"json","delay":"2h"})");
  EXPECT_EQ(works_json({"delay", "list", "--topic", "some"}).size(), 3u);
  EXPECT_EQ(works_json({"delay", "list", "--topic", "some", "--max", "2"}).size(), 2u);
  for (const auto& m : works_json({"delay", "list", "--topic", "some"}))
    EXPECT_EQ(works_json({"delay", "cancel", m["id"]}).at(0)["id"], m["id"]);
  refused(1, {"delay", "cancel", level}, "does not wait");
  EXPECT_EQ(works_json({"topic", "describe", "some"}).at(0)["delayed"], 0);
  EXPECT_EQ(works_json({"topic", "describe", "some"}).at(0)["messages"], 2);
}

TEST_F(cli_delay, what_is_too_far_ahead_or_expires_before_it_comes_is_refused) {
  new_topic("far");
  refused(1, {"send", "far", "x", "--delay", "41d"}, "the limit of the node is 40d");
  refused(1, {"send", "far", "x", "--delay", "2h", "--ttl", "1h"}, "would expire before");
  refused(1, {"delay", "list", "--topic", "nothing"}, "nothing");
  refused(2, {"delay", "list", "--topic", ""}, "must name a topic");
  refused(1, {"delay", "cancel", "9-1-0"}, "no shard 9");
}

} // namespace troupe::test
