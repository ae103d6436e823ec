#include "ledger.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <thread>

/// Members come and go while a producer publishes: whoever leaves in good order costs nothing, whoever is
/// killed costs what it held, and nothing else is delivered twice, lost or out of order.
namespace troupe::test {

namespace {

constexpr std::uint32_t keys = 100;
constexpr std::uint64_t most_ahead = 1000;

/// What was handled by members that were not killed. Each message must come once; of a key, in its order when
/// the group is ordered.
class attendance {
public:
  explicit attendance(bool ordered) : ordered_(ordered) {}

  outcome handle(const leased_message& m) {
    const auto what = label_of(m.body());
    std::lock_guard lock{mutex_};
    again_ += m.attempt() > 1 ? 1 : 0;
    auto& next = next_[what.key];
    if (!seen_.insert(what).second)
      complain(what, "came twice");
    else if (ordered_ && what.key_serial != next)
      complain(what, "came while " + std::to_string(next) + " was to come");
    next = what.key_serial + 1;
    changed_.notify_all();
    return outcome::ack();
  }
  std::uint64_t handled() const {
    std::lock_guard lock{mutex_};
    return seen_.size();
  }
  /// Deliveries that were not the first of their message.
  std::uint64_t again() const {
    std::lock_guard lock{mutex_};
    return again_;
  }
  /// False when not that much was handled within a minute.
  bool wait_for(std::uint64_t handled) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, 60s, [&] { return seen_.size() >= handled; });
  }
  std::vector<std::string> complaints() const {
    std::lock_guard lock{mutex_};
    return complaints_;
  }

private:
  void complain(const label& what, const std::string& text) {
    if (complaints_.size() < 10)
      complaints_.push_back("message " + std::to_string(what.serial) + ", number " +
                            std::to_string(what.key_serial) + " of key " + std::to_string(what.key) + ", " +
                            text);
  }
  const bool ordered_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<label> seen_;
  std::map<std::uint32_t, std::uint64_t> next_;
  std::uint64_t again_ = 0;
  std::vector<std::string> complaints_;
};

/// Publishes as fast as the members work, at most `most_ahead` messages before them, until it is told to
/// stop.
class steady_producer {
public:
  steady_producer(const client& c, attendance& book)
      : book_(book), to_(must(producer::open(c, {.topic = "work"}))), thread_([this] { work(); }) {}
  ~steady_producer() { stop(); }
  steady_producer(const steady_producer&) = delete;
  steady_producer& operator=(const steady_producer&) = delete;

  std::uint64_t stop() {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
    return sent_;
  }
  std::string failure() const { return failure_; }

private:
  void work() {
    while (!stopping_ && failure_.empty()) {
      std::vector<message> batch;
      for (auto n = sent_; n < sent_ + 50; ++n)
        batch.push_back(to_message({0, n, static_cast<std::uint32_t>(n % keys), n / keys}, 100));
      for (const auto& answer : to_.send(std::move(batch)))
        if (!answer)
          failure_ = to_string(answer.error());
      sent_ += 50;
      if (sent_ > most_ahead && !book_.wait_for(sent_ - most_ahead))
        failure_ = "the members stopped at " + std::to_string(book_.handled());
    }
  }

  attendance& book_;
  producer to_;
  std::uint64_t sent_ = 0;
  std::string failure_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

class rebalance_test : public testing::TestWithParam<group_mode> {
protected:
  void SetUp() override {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("work", {.queues = 3}));
    // A lease that ends, or a pause that is not over, would outlast every wait here.
    must(client_->create_group("crew", {.mode = GetParam(),
                                        .lease = std::chrono::hours{1},
                                        .retry = retry_schedule::fixed(10ms),
                                        .max_unsettled = 50,
                                        .max_attempts = 0}));
  }
  consumer join(const std::function<void()>& got = [] {}) {
    return must(consumer::start(*client_, {.group = "crew", .topics = {{"work"}}}, 2,
                                [this, got](const leased_message& m) {
                                  got();
                                  return book_.handle(m);
                                }));
  }
  /// Joins, works on some messages, leaves in good order.
  void guest() {
    std::atomic<int> got{0};
    auto member = join([&] { ++got; });
    EXPECT_TRUE(eventually([&] { return got >= 20; })) << "a new member gets nothing";
    const auto left = member.stop();
    EXPECT_FALSE(left) << to_string(left);
  }
  /// A process that takes messages and works on none.
  process idler(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--json", "receive", "work", "--group", "crew", "--settle", "none"});
    return start_troupe(node_, std::move(more));
  }
  /// Takes some and gives all back.
  void undecided() {
    auto member = idler({"--max", "5"});
    EXPECT_EQ(member.wait(), 0) << member.errors();
  }
  /// Takes some and dies with them. Maybe only one: what an earlier one held is delivered alone.
  void doomed() {
    auto member = idler();
    EXPECT_TRUE(member.read_line(60s)) << member.errors();
    member.signal(SIGKILL);
    EXPECT_TRUE(member.wait());
  }
  void finish(steady_producer& source) {
    const auto sent = source.stop();
    EXPECT_EQ(source.failure(), "");
    EXPECT_TRUE(book_.wait_for(sent)) << book_.handled() << " of " << sent;
    EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
    EXPECT_EQ(book_.handled(), sent);
    for (const auto& what : book_.complaints())
      ADD_FAILURE() << what;
  }

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
  attendance book_{GetParam() == group_mode::ordered};
};

INSTANTIATE_TEST_SUITE_P(groups, rebalance_test, testing::Values(group_mode::shared, group_mode::ordered),
                         [](const auto& p) {
                           return std::string{p.param == group_mode::ordered ? "ordered" : "shared"};
                         });

} // namespace

TEST_P(rebalance_test, members_that_join_and_leave_in_good_order_cost_no_message_a_second_delivery) {
  auto one = join();
  auto two = join();
  steady_producer source{*client_, book_};
  for (int round = 0; round < 20; ++round) {
    guest();
    if (round % 4 == 0)
      undecided();
  }
  finish(source);
  EXPECT_EQ(book_.again(), 0u) << "nobody failed";
}

TEST_P(rebalance_test, members_that_are_killed_cost_only_what_they_held_a_second_delivery) {
  auto one = join();
  auto two = join();
  steady_producer source{*client_, book_};
  constexpr int kills = 5;
  for (int round = 0; round < kills; ++round) {
    guest();
    doomed();
  }
  finish(source);
  EXPECT_GE(book_.again(), 1u);
  EXPECT_LE(book_.again(), 50u * kills) << "more than a member may hold, over all queues";
}

} // namespace troupe::test
