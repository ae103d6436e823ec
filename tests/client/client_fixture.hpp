#pragma once

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

/// What the tests of clients share. They run for a node in this process and for one behind a socket: a
/// program must not see the difference.
namespace troupe::test {

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

inline message text(std::string body, std::string key = {}) {
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

  temporary_directory directory;
  std::uint16_t port = 0;
  std::unique_ptr<node> broker;
  std::optional<client> c;
  std::string filter = "*";
};

} // namespace troupe::test
