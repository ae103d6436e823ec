#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <map>
#include <set>

/// A node ends itself at each step of each kind of entry, while programs publish, delay, cancel, consume,
/// delete and let retention trim; then it is started again, and nothing acknowledged is missing or twice.
namespace troupe::test {

namespace {

constexpr std::uint32_t batches = 12;
constexpr std::uint32_t batch_messages = 20;

timestamp wall() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

/// Asks until it is done: what a program does whose node comes back.
template <class Ask> auto patiently(Ask ask) {
  auto answer = ask();
  eventually([&] {
    const auto code = answer ? errc::none : answer.error().code;
    if (code != errc::disconnected && code != errc::timeout && code != errc::shutting_down)
      return true;
    answer = ask();
    return false;
  });
  return answer;
}

/// What its programs were told.
struct books {
  std::map<std::string, message_id> plain;
  std::map<std::string, message_id> delayed;
  std::set<std::string> cancelled;
};

class crash_steps_test : public testing::TestWithParam<std::string> {
protected:
  void make_topics(client& c) {
    for (const auto* name : {"plain", "later", "doomed"})
      make(c, name, {.queues = 2});
    make(c, "short", {.queues = 1, .retention_bytes = 64u << 10});
    make(c, "once", {.queues = 1, .dedupe_window = 1s});
  }
  static void make(client& c, const std::string& name, const topic_options& options) {
    const auto made = patiently([&] { return c.create_topic(name, options); });
    if (!made && made.error().code != errc::already_exists)
      throw std::runtime_error(to_string(made.error()));
  }
  static void send(const client& c, const std::string& topic, std::vector<message> messages,
                   std::map<std::string, message_id>* told = nullptr) {
    auto to = must(patiently([&] { return producer::open(c, {.topic = topic, .timeout = 60s}); }));
    std::vector<std::string> names;
    for (const auto& m : messages)
      names.push_back(m.body.substr(0, m.body.find(' ')));
    std::size_t n = 0;
    for (const auto& answer : to.send(std::move(messages))) {
      const auto id = must(answer).id;
      if (told)
        told->emplace(names[n], id);
      ++n;
    }
  }
  /// Publishes, delays and cancels, and deletes a topic; every call returns once it is done.
  static books work(client c) {
    books all;
    for (std::uint32_t b = 0; b < batches; ++b) {
      std::vector<message> now, later, large;
      for (std::uint32_t n = b * batch_messages; n < (b + 1) * batch_messages; ++n) {
        now.push_back({.body = "p" + std::to_string(n)});
        later.push_back({.body = "d" + std::to_string(n), .deliver_at = wall() + milliseconds{50 + n}});
      }
      large.push_back({.body = "s" + std::to_string(b) + ' ' + std::string(20'000, 'x')});
      send(c, "plain", std::move(now), &all.plain);
      send(c, "later", std::move(later), &all.delayed);
      send(c, "short", std::move(large));
      send(c, "once", {{.body = "k", .keys = {"k" + std::to_string(b)}}});
      std::vector<message> never{{.body = "c" + std::to_string(b), .deliver_at = wall() + 1h}};
      std::map<std::string, message_id> told;
      send(c, "later", std::move(never), &told);
      const auto cancelled = patiently([&] { return c.cancel_delayed(told.begin()->second); });
      // Not found: it was, and the answer was lost.
      if (!cancelled && cancelled.error().code != errc::not_found)
        throw std::runtime_error(to_string(cancelled.error()));
      all.cancelled.insert(told.begin()->first);
    }
    const auto deleted = patiently([&]() -> result<bool> {
      const auto failed = c.delete_topic("doomed");
      return failed ? result<bool>{failed} : result<bool>{true};
    });
    if (!deleted && deleted.error().code != errc::not_found)
      throw std::runtime_error(to_string(deleted.error()));
    return all;
  }
  /// All of both topics by one group, each message settled; how often each came, and where each was.
  static std::map<std::string, std::set<std::string>> receive(client c, const std::string& group,
                                                              std::size_t messages) {
    std::map<std::string, std::set<std::string>> places;
    auto from = must(patiently([&] {
      return pull_consumer::open(c, {.group = group, .topics = {{"plain"}, {"later"}}});
    }));
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (places.size() < messages && std::chrono::steady_clock::now() < deadline) {
      const auto some = from.fetch(200, 1s);
      if (!some)
        continue;
      for (const auto& m : *some) {
        const auto what = m.copy();
        places[what.content.body].insert(what.topic + '/' + std::to_string(what.queue) + '/' +
                                         std::to_string(what.offset.value) + '=' + to_string(what.id));
        static_cast<void>(from.ack(m));
      }
    }
    // Settles that crossed the kill are lost, and their messages come again: that is for the next member.
    static_cast<void>(from.flush());
    return places;
  }

  temporary_directory dir_;
  node_process node_{dir_ / "data", {}, TROUPE_STEPPED_NODE};
};

} // namespace

TEST_P(crash_steps_test, a_node_that_ends_there_has_lost_and_doubled_nothing) {
  const auto step = GetParam();
  node_.start({.environment = {{"TROUPE_STEP", step}}});
  auto c = connect(node_);
  auto working = std::async(std::launch::async, [&, c]() mutable {
    make_topics(c);
    auto consuming = std::async(
        std::launch::async, [c] { return receive(c, "crew", std::size_t{2} * batches * batch_messages); });
    auto told = work(c);
    consuming.get();
    return told;
  });
  ASSERT_TRUE(node_.handle().wait(60s)) << "no entry came to this step";
  EXPECT_EQ(node_.handle().wait(), 128 + SIGKILL);
  node_.start();
  const auto told = working.get();

  EXPECT_EQ(told.plain.size(), batches * batch_messages);
  EXPECT_EQ(told.delayed.size(), batches * batch_messages);
  const auto places = receive(c, "fresh", told.plain.size() + told.delayed.size());
  for (const auto* sent : {&told.plain, &told.delayed})
    for (const auto& [body, id] : *sent) {
      const auto found = places.find(body);
      ASSERT_NE(found, places.end()) << body << " is missing";
      ASSERT_EQ(found->second.size(), 1u) << body << " became visible twice";
      EXPECT_TRUE(found->second.begin()->ends_with('=' + to_string(id))) << *found->second.begin();
    }
  EXPECT_EQ(places.size(), told.plain.size() + told.delayed.size()) << "what was cancelled came, or more";
  EXPECT_TRUE(must(c.delayed({})).messages.empty());
  EXPECT_EQ(c.describe_topic("doomed").error().code, errc::not_found);
  EXPECT_TRUE(eventually([&] { return must(c.describe_topic("short")).queues.at(0).first.value > 0; }));
  // Whoever is left of the group settles what crossed the kill.
  receive(c, "crew", 0);
  c.close();
  EXPECT_EQ(node_.stop(), 0) << node_.log();
  const auto verified = node_.verify();
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

INSTANTIATE_TEST_SUITE_P(at, crash_steps_test, testing::ValuesIn([] {
                           std::vector<std::string> steps;
                           for (const std::string kind : {"define", "reset", "append", "settle", "fire",
                                                          "cancel", "trim", "drop_queue", "forget_keys"})
                             for (const std::string step : {"before", "stored", "told"})
                               steps.push_back(kind + '.' + step);
                           return steps;
                         }()),
                         [](const auto& info) {
                           auto name = info.param;
                           name[name.find('.')] = '_';
                           return name;
                         });

} // namespace troupe::test
