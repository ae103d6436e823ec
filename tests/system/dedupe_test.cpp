#include "cli_fixture.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

/// Topics that take each key once, with a node that is killed.
namespace troupe::test {

class cli_dedupe : public cli {};

TEST_F(cli_dedupe, a_repeat_is_answered_with_the_first_message_and_the_topic_shows_its_window) {
  auto made = works_json({"topic", "create", "once", "--dedupe-key-window", "1h"});
  EXPECT_EQ(made.at(0)["dedupe_key_window_ms"], 3'600'000);
  EXPECT_THAT(works({"topic", "describe", "once"}), HasSubstr("each key once in"));
  const auto first = works_json({"send", "once", "a", "--key", "k1"}).at(0);
  EXPECT_FALSE(first.contains("duplicate"));
  const auto again = works_json({"send", "once", "b", "--key", "k1"}).at(0);
  EXPECT_EQ(again["duplicate"], true);
  EXPECT_EQ(again["id"], first["id"]);
  EXPECT_EQ(again["offset"], first["offset"]);
  EXPECT_THAT(works({"send", "once", "c", "--key", "k1"}), HasSubstr("the broker had it already"));
  node_->signal(SIGKILL);
  node_->wait();
  start_node();
  EXPECT_EQ(works_json({"send", "once", "d", "--key", "k1"}).at(0)["id"], first["id"]);
  EXPECT_EQ(works_json({"topic", "describe", "once"}).at(0)["messages"], 1);
  EXPECT_EQ(works_json({"topic", "set", "once", "--dedupe-key-window", "0"}).at(0)["dedupe_key_window_ms"],
            0);
  EXPECT_FALSE(works_json({"send", "once", "e", "--key", "k1"}).at(0).contains("duplicate"));
  refused(1, {"topic", "set", "once", "--dedupe-key-window", "31d"}, "30d");
}

TEST_F(cli_dedupe, a_delayed_repeat_never_comes_and_a_repeat_of_a_delayed_message_has_its_id) {
  works({"topic", "create", "later", "--queues", "1", "--priorities", "2", "--dedupe-key-window", "1h"});
  const auto first = works_json({"send", "later", "late", "--key", "k1", "--delay", "1h"}).at(0);
  const auto again = works_json({"send", "later", "soon", "--key", "k1"}).at(0);
  EXPECT_EQ(again["duplicate"], true);
  EXPECT_EQ(again["id"], first["id"]);
  EXPECT_FALSE(again.contains("offset"));
  const auto plain = works_json({"send", "later", "plain", "--key", "k2"}).at(0);
  const auto repeat = works_json({"send", "later", "never", "--key", "k2", "--delay", "1ms"}).at(0);
  EXPECT_EQ(repeat["duplicate"], true);
  EXPECT_EQ(repeat["id"], plain["id"]);
  EXPECT_EQ(repeat["offset"], plain["offset"]);
  const auto other =
      works_json({"send", "later", "lane", "--key", "k2", "--priority", "1", "--delay", "1ms"}).at(0);
  EXPECT_FALSE(other.contains("duplicate")) << "another priority is another lane, with keys of its own";
  std::set<std::string> came;
  for (const auto& m : works_json({"receive", "later", "--group", "g", "--max", "2", "--wait", "20s"}))
    came.insert(m["body"]);
  EXPECT_EQ(came, (std::set<std::string>{"plain", "lane"}));
  const auto topic = works_json({"topic", "describe", "later"}).at(0);
  EXPECT_EQ(topic["delayed"], 1);
  EXPECT_EQ(topic["messages"], 2);
  works({"delay", "cancel", first["id"]});
  EXPECT_EQ(works_json({"send", "later", "late", "--key", "k1"}).at(0)["id"], first["id"])
      << "it stays taken";
}

TEST(dedupe, each_key_comes_once_whatever_is_sent_again_or_delayed_and_whenever_the_node_is_killed) {
  temporary_directory dir;
  node_process node{dir.path() / "data"};
  node.start();
  auto admin = connect(node);
  must(admin.create_topic("once", {.queues = 4, .dedupe_window = 1h}));
  constexpr int keys = 3000;
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> ids; // what the answers said
  std::atomic<bool> killing = true;
  std::atomic<std::uint64_t> answered = 0;
  auto send_all = [&](int offset) {
    auto c = connect(node);
    auto p = must(producer::open(c, {.topic = "once", .timeout = 60s}));
    for (int round = 0; round < 3 || killing; ++round)
      for (int i = 0; i < keys; ++i) {
        message m;
        m.body = "by " + std::to_string(offset);
        const auto key = "k" + std::to_string((i * 7 + offset) % keys);
        m.keys = {key};
        if ((i + offset) % 3 == 0)
          m.deliver_at =
              std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) + milliseconds{i % 700};
        p.send_async(m, [&, key](const result<receipt>& r) {
          ++answered;
          if (!r || !r->placed)
            return;
          std::lock_guard lock{mutex};
          ids[key].insert(to_string(r->id));
        });
      }
    EXPECT_FALSE(p.flush(120s));
  };
  std::vector<std::thread> senders;
  for (int n = 0; n < 3; ++n)
    senders.emplace_back(send_all, n * 1000);
  for (int kill = 0; kill < 6; ++kill) {
    const auto before = answered.load();
    EXPECT_TRUE(eventually([&] { return answered > before + 2000; }));
    node.kill();
    node.start();
  }
  killing = false;
  for (auto& s : senders)
    s.join();
  EXPECT_EQ(ids.size(), std::size_t{keys});
  for (const auto& [key, all] : ids)
    EXPECT_EQ(all.size(), 1u) << key << " was answered with several messages";
  auto after = connect(node);
  std::uint64_t messages = 0;
  EXPECT_TRUE(eventually([&] { // those that are delayed become visible
    std::uint64_t waiting = messages = 0;
    for (const auto& q : must(after.describe_topic("once")).queues) {
      messages += q.next.value - q.first.value;
      waiting += q.delayed;
    }
    return waiting == 0;
  }));
  EXPECT_EQ(messages, std::uint64_t{keys}) << "each key once";
  for (const auto& [key, all] : ids) {
    const auto id = parse_message_id(*all.begin());
    ASSERT_TRUE(id);
    EXPECT_EQ(must(connect(node).get(*id)).content.keys.front(), key);
    break;
  }
  EXPECT_EQ(node.stop(), 0);
  EXPECT_EQ(node.verify().status, 0);
}

} // namespace troupe::test
