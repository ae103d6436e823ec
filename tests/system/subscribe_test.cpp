#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <iterator>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

/// A group whose subscription changes while its members work.
namespace troupe::test {

namespace {

/// Who waits for it gets it next, also before one that has just had it.
class fair_lock {
public:
  fair_lock(std::mutex& turn, std::mutex& what) {
    std::lock_guard next{turn};
    lock_ = std::unique_lock{what};
  }

private:
  std::unique_lock<std::mutex> lock_;
};

/// Publishes messages of all tags in turn, one after the other, and notes those that the group must get.
class tagging_publisher {
public:
  explicit tagging_publisher(const client& c)
      : to_(must(producer::open(c, {.topic = "work"}))), thread_([this] { work(); }) {}
  ~tagging_publisher() { stop(); }

  /// From now on the group must get these tags. When it returns, nothing that was judged otherwise is on its
  /// way.
  void expect_tags(std::set<std::string> tags) {
    const fair_lock lock{turn_, mutex_};
    tags_ = std::move(tags);
  }
  std::set<std::string> expected() {
    const fair_lock lock{turn_, mutex_};
    return expected_;
  }
  void stop() {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
  }

private:
  void work() {
    const std::vector<std::string> tags{"a", "b", "c", "never"};
    for (std::uint64_t n = 0; !stopping_; ++n) {
      const auto& tag = tags[n % tags.size()];
      message m{.body = tag + std::to_string(n)};
      m.tag = tag;
      const fair_lock lock{turn_, mutex_};
      if (to_.send(m) && tags_.contains(tag))
        expected_.insert(m.body);
    }
  }

  std::mutex turn_;
  std::mutex mutex_;
  std::set<std::string> tags_;
  std::set<std::string> expected_;
  std::atomic<bool> stopping_{false};
  producer to_;
  std::thread thread_;
};

/// Two members that note what they get.
class members {
public:
  explicit members(const client& c) {
    for (const auto* name : {"ann", "bob"})
      all_.push_back(must(consumer::start(c, {.group = "crew", .member = name, .topics = {{"work", "a"}}}, 2,
                                          [this](const leased_message& m) {
                                            std::lock_guard lock{mutex_};
                                            got_.insert(std::string{m.body()});
                                            return outcome::ack();
                                          })));
  }
  bool have(const std::set<std::string>& wanted) {
    std::lock_guard lock{mutex_};
    return std::includes(got_.begin(), got_.end(), wanted.begin(), wanted.end());
  }
  std::size_t count() {
    std::lock_guard lock{mutex_};
    return got_.size();
  }
  bool any_of_tag(const std::string& tag) {
    std::lock_guard lock{mutex_};
    const auto at = got_.lower_bound(tag);
    return at != got_.end() && at->starts_with(tag);
  }
  const std::vector<consumer>& all() const { return all_; }

private:
  std::mutex mutex_;
  std::set<std::string> got_;
  std::vector<consumer> all_;
};

std::string filter_of(const std::set<std::string>& tags) {
  std::string text;
  for (const auto& tag : tags)
    text += (text.empty() ? "" : " || ") + tag;
  return text;
}

} // namespace

TEST(subscribe_test, a_filter_that_changes_under_load_and_over_a_kill_loses_nothing_and_disconnects_nobody) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  must(c.create_topic("work", {.queues = 4}));
  members crew{c};
  tagging_publisher from{c};
  const std::vector<std::set<std::string>> steps{{"a"},           {"a", "b"}, {"b"},
                                                 {"a", "b", "c"}, {"c"},      {"a", "c"}};
  std::set<std::string> before{"a"};
  std::uint64_t kills = 0;
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const auto& tags = steps[step];
    std::set<std::string> both;
    std::ranges::set_intersection(before, tags, std::inserter(both, both.end()));
    from.expect_tags(both);
    // What waits would be judged by the new filter, which may not want it.
    ASSERT_TRUE(eventually([&] { return crew.have(from.expected()); })) << "before " << filter_of(tags);
    ASSERT_TRUE(eventually([&] { return must(c.describe_group("crew")).members.size() == 2; }));
    const auto group = must(c.subscribe_group("crew", {"work", filter_of(tags)}));
    EXPECT_EQ(group.members.size(), 2u);
    from.expect_tags(tags);
    const auto enough = from.expected().size() + 50;
    if (step % 2 == 1) {
      node.kill();
      node.start();
      ++kills;
    }
    ASSERT_TRUE(eventually([&] { return from.expected().size() >= enough; })) << "nothing is published";
    before = tags;
  }
  from.stop();
  EXPECT_TRUE(eventually([&] { return crew.have(from.expected()); })) << "messages are lost";
  EXPECT_FALSE(crew.any_of_tag("never"));
  for (const auto& member : crew.all()) {
    EXPECT_FALSE(member.ended()) << to_string(member.ended());
    EXPECT_EQ(member.statistics().rejoins, kills) << "only a kill ends a membership";
  }
  std::cout << from.expected().size() << " expected, " << crew.count() << " came, " << kills << " kills"
            << std::endl;
}

} // namespace troupe::test
