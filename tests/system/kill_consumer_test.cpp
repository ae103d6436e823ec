#include "ledger.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fcntl.h>
#include <iostream>
#include <random>
#include <sys/stat.h>

namespace troupe::test {

namespace {

using nlohmann::json;

/// `troupe receive` in a process of its own.
class receiving_process {
public:
  receiving_process(const node_process& node, std::vector<std::string> options)
      : child_(start_troupe(node, with(std::move(options)))) {}

  /// The next `n` messages as JSON; throws when they do not come.
  std::vector<json> take(std::size_t n) {
    std::vector<json> messages;
    while (messages.size() < n) {
      const auto line = child_.read_line(60s);
      if (!line)
        throw std::runtime_error("only " + std::to_string(messages.size()) + " of " + std::to_string(n) +
                                 " messages came: " + child_.errors());
      messages.push_back(json::parse(*line));
    }
    return messages;
  }
  /// What it has printed completely so far.
  std::set<label> seen() const {
    std::set<label> all;
    std::istringstream lines{child_.output()};
    for (std::string line; std::getline(lines, line) && !lines.eof();)
      all.insert(label_of(json::parse(line).at("body").get<std::string>()));
    return all;
  }
  process& handle() { return child_; }

private:
  static std::vector<std::string> with(std::vector<std::string> options) {
    options.insert(options.begin(), {"--json", "receive", "work", "--group", "crew"});
    return options;
  }
  process child_;
};

std::set<label> labels_of(const std::vector<json>& messages) {
  std::set<label> all;
  for (const auto& m : messages)
    all.insert(label_of(m.at("body").get<std::string>()));
  return all;
}

void expect_attempt(const std::vector<json>& messages, int attempt) {
  for (const auto& m : messages)
    EXPECT_EQ(m.at("attempt"), attempt) << m;
}
void expect_later_attempt(const std::vector<json>& messages, int attempt) {
  for (const auto& m : messages)
    EXPECT_GT(m.at("attempt"), attempt) << m;
}

/// A named pipe: a command that reads it waits until the test lets it go.
class gate {
public:
  explicit gate(std::filesystem::path path) : path_(std::move(path)) {
    if (::mkfifo(path_.c_str(), 0600) != 0)
      throw std::runtime_error("mkfifo failed");
  }
  /// Nobody is left waiting.
  ~gate() { open(); }
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  /// A command that touches `started` and then waits at the gate.
  std::string command() const {
    return "touch '" + path_.string() + ".started'; cat '" + path_.string() + "'";
  }
  bool reached() const { return std::filesystem::exists(path_.string() + ".started"); }
  /// False when nobody waits there.
  bool open() {
    const auto fd = ::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
      ::close(fd);
    return fd >= 0;
  }

private:
  std::filesystem::path path_;
};

class kill_consumer_test : public testing::Test {
protected:
  void start(std::uint32_t queues, const group_options& options) {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("work", {.queues = queues}));
    must(client_->create_group("crew", options));
    to_.emplace(must(producer::open(*client_, {.topic = "work"})));
  }
  void TearDown() override {
    to_.reset();
    client_.reset();
    if (node_.runs()) {
      EXPECT_EQ(node_.stop(), 0) << node_.log();
    }
  }
  void publish(std::uint64_t count) {
    std::vector<message> all;
    for (; count > 0; --count, ++sent_)
      all.push_back(to_message({0, sent_, static_cast<std::uint32_t>(sent_ % 13), sent_ / 13}, 60));
    for (const auto& answer : to_->send(std::move(all)))
      must(answer);
  }
  bool done() { return all_settled(*client_, "crew"); }

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
  std::optional<producer> to_;
  std::uint64_t sent_ = 0;
};

} // namespace

TEST_F(kill_consumer_test, what_a_killed_consumer_held_comes_at_once_to_another_with_the_next_attempt) {
  // The lease is far longer than any wait here: what comes, comes because the consumer died.
  start(2, {.lease = std::chrono::hours{1}, .retry = retry_schedule::fixed(50ms)});
  publish(20);
  receiving_process victim{node_, {"--settle", "none"}};
  const auto held = victim.take(20);
  expect_attempt(held, 1);
  EXPECT_EQ(leased(*client_, "crew"), 20u);

  victim.handle().signal(SIGKILL);
  ASSERT_TRUE(victim.handle().wait());
  receiving_process heir{node_, {"--max", "20"}};
  const auto again = heir.take(20);
  expect_attempt(again, 2);
  EXPECT_EQ(labels_of(again), labels_of(held));
  EXPECT_EQ(heir.handle().wait(), 0) << heir.handle().errors();
  EXPECT_TRUE(eventually([&] { return done(); }));
}

TEST_F(kill_consumer_test,
       a_message_that_kills_its_consumers_takes_its_neighbours_along_once_and_never_again) {
  start(1, {.lease = std::chrono::hours{1}, .retry = retry_schedule::fixed(50ms)});
  publish(10);
  receiving_process first{node_, {"--settle", "none"}};
  expect_attempt(first.take(10), 1);
  first.handle().signal(SIGKILL);
  ASSERT_TRUE(first.handle().wait());
  // The first message is the poison: whoever gets it dies of it.
  const auto dies_of_it = [&](int attempt) {
    receiving_process next{node_, {"--settle", "none"}};
    const auto alone = next.take(1);
    expect_attempt(alone, attempt);
    EXPECT_EQ(labels_of(alone), std::set<label>{label{}});
    EXPECT_EQ(leased(*client_, "crew"), 1u) << "whoever may hold a thousand holds this one only";
    next.handle().signal(SIGKILL);
    EXPECT_TRUE(next.handle().wait());
  };
  dies_of_it(2);
  receiving_process heir{node_, {"--max", "9"}};
  const auto others = heir.take(9);
  expect_attempt(others, 2);
  EXPECT_FALSE(labels_of(others).contains(label{})) << "it waits for its retry, they are due";
  EXPECT_EQ(heir.handle().wait(), 0) << heir.handle().errors();
  dies_of_it(3);
  receiving_process immune{node_, {"--max", "1"}};
  expect_attempt(immune.take(1), 4);
  EXPECT_EQ(immune.handle().wait(), 0) << immune.handle().errors();
  EXPECT_TRUE(eventually([&] { return done(); }));
}

TEST_F(kill_consumer_test, what_a_hung_consumer_held_comes_to_another_when_its_lease_ends) {
  start(2, {.lease = 2s, .retry = retry_schedule::fixed(50ms)});
  publish(20);
  // It renews what it holds for as long as it runs.
  receiving_process hung{node_, {"--settle", "none"}};
  const auto held = hung.take(20);
  hung.handle().signal(SIGSTOP);
  receiving_process heir{node_, {"--max", "20"}};
  const auto again = heir.take(20);
  // Until the connection is given up the hung one still has credit, and may get a message once more.
  expect_later_attempt(again, 1);
  EXPECT_EQ(labels_of(again), labels_of(held));
  EXPECT_EQ(heir.handle().wait(), 0) << heir.handle().errors();

  // It wakes up and ends in good order; that it gives back what others have settled changes nothing.
  hung.handle().signal(SIGCONT);
  hung.handle().signal(SIGTERM);
  EXPECT_TRUE(hung.handle().wait()) << "it does not end";
  EXPECT_TRUE(eventually([&] { return done(); }));
}

TEST_F(kill_consumer_test, an_acknowledgement_after_the_lease_counts_when_nobody_else_got_the_message) {
  start(1, {.lease = 1s, .retry = retry_schedule::fixed(std::chrono::hours{1})});
  publish(1);
  gate work{dir_ / "gate"};
  receiving_process late{node_, {"--exec", work.command(), "--max", "1"}};
  ASSERT_TRUE(eventually([&] { return work.reached(); })) << late.handle().errors();
  late.handle().signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] {
    const auto group = must(client_->describe_group("crew"));
    return group.queues.size() == 1 && group.queues[0].leased == 0 && group.queues[0].retrying == 1;
  })) << "the lease of a stopped consumer does not end";
  // Its command ends while it is stopped; it hears of that when it goes on, long after its lease.
  ASSERT_TRUE(eventually([&] { return work.open(); }));
  late.handle().signal(SIGCONT);
  EXPECT_EQ(late.handle().wait(), 0) << late.handle().errors();
  EXPECT_TRUE(eventually([&] { return done(); })) << "the late acknowledgement was lost";
}

TEST_F(kill_consumer_test, more_members_than_queues_all_get_their_share) {
  start(1, {.lease = 60s, .retry = retry_schedule::fixed(50ms), .max_unsettled = 4});
  publish(20);
  std::vector<receiving_process> members;
  for (int i = 0; i < 5; ++i)
    members.emplace_back(node_, std::vector<std::string>{"--settle", "none"});
  std::set<label> all;
  for (auto& m : members)
    all.merge(labels_of(m.take(4)));
  EXPECT_EQ(all.size(), 20u) << "two members hold the same message";
}

TEST_F(kill_consumer_test, while_members_are_killed_and_stopped_every_message_is_worked_on_and_acknowledged) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "members killed and stopped, " << random.describe() << std::endl;
  start(2, {.lease = 2s, .retry = retry_schedule::fixed(50ms), .max_unsettled = 50});
  std::vector<receiving_process> members;
  std::vector<receiving_process> hung;
  std::set<label> seen;
  auto join = [&] { members.emplace_back(node_, std::vector<std::string>{}); };
  for (int i = 0; i < 4; ++i)
    join();
  for (int round = 0; round < 12; ++round) {
    publish(random.between(100, 1000));
    const auto victim = members.begin() + static_cast<std::ptrdiff_t>(random.below(members.size()));
    if (round % 4 == 3) {
      victim->handle().signal(SIGSTOP);
      hung.push_back(std::move(*victim));
    } else {
      victim->handle().signal(SIGKILL);
      ASSERT_TRUE(victim->handle().wait());
      seen.merge(victim->seen());
    }
    members.erase(victim);
    join();
  }
  EXPECT_TRUE(eventually([&] { return done(); }, 90s)) << "messages are left over";
  for (auto& m : hung) {
    m.handle().signal(SIGCONT);
    members.push_back(std::move(m));
  }
  for (auto& m : members) {
    m.handle().signal(SIGTERM);
    EXPECT_TRUE(m.handle().wait()) << "a member does not end";
    seen.merge(m.seen());
  }
  EXPECT_EQ(seen.size(), sent_);
  EXPECT_TRUE(done());
}

} // namespace troupe::test
