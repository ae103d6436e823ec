#include "ledger.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>

/// Ordered groups with real processes: order holds whatever ends in the midst of it.
namespace troupe::test {

namespace {

/// What handlers saw, by key: nothing may come before all that lies before it in its key was acknowledged.
class order_book {
public:
  explicit order_book(std::uint64_t seed, std::uint64_t fails_one_in) : random_(seed), fails_(fails_one_in) {}

  outcome handle(const leased_message& m) {
    const auto what = label_of(m.body());
    std::lock_guard lock{mutex_};
    auto& next = next_[what.key];
    if (what.key_serial > next)
      violations_.push_back("key " + std::to_string(what.key) + ": " + std::to_string(what.key_serial) +
                            " came while " + std::to_string(next) + " was to come");
    if (fails_ > 0 && random_.one_in(fails_))
      return outcome::retry(milliseconds{0}, "by chance");
    next = std::max(next, what.key_serial + 1);
    return outcome::ack();
  }
  bool done(std::uint32_t keys, std::uint64_t each) const {
    std::lock_guard lock{mutex_};
    for (std::uint32_t key = 0; key < keys; ++key)
      if (const auto at = next_.find(key); at == next_.end() || at->second != each)
        return false;
    return true;
  }
  std::uint64_t handled() const {
    std::lock_guard lock{mutex_};
    std::uint64_t sum = 0;
    for (const auto& [key, next] : next_)
      sum += next;
    return sum;
  }
  std::vector<std::string> violations() const {
    std::lock_guard lock{mutex_};
    return violations_;
  }

private:
  mutable std::mutex mutex_;
  random_source random_;
  std::uint64_t fails_;
  std::map<std::uint32_t, std::uint64_t> next_;
  std::vector<std::string> violations_;
};

class ordered_test : public testing::Test {
protected:
  void start(group_options options, std::uint32_t queues) {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("work", {.queues = queues}));
    options.mode = group_mode::ordered;
    must(client_->create_group("crew", options));
  }
  void send(std::uint32_t keys, std::uint64_t each) {
    auto to = must(producer::open(*client_, {.topic = "work"}));
    std::vector<message> all;
    for (std::uint64_t n = 0; n < keys * each; ++n)
      all.push_back(to_message({0, n, static_cast<std::uint32_t>(n % keys), n / keys}, 60));
    for (const auto& answer : to.send(std::move(all)))
      must(answer);
  }
  consumer work(order_book& book, std::size_t threads = 2) {
    return must(consumer::start(*client_, {.group = "crew", .topics = {{"work"}}}, threads,
                                [&](const leased_message& m) { return book.handle(m); }));
  }

  /// Members come, go, fail and die, and the node is killed: each key stays in order.
  void kill_in_the_midst(const group_options& options);
  /// Of a group in order by queue, with one message that fails once.
  void expect_one_sequence(const group_options& options);

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
};

const group_options quick{.retry = retry_schedule::fixed(20ms), .max_attempts = 0};

void ordered_test::kill_in_the_midst(const group_options& options) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "kills in the midst of ordered work, " << random.describe() << std::endl;
  constexpr std::uint32_t keys = 20;
  constexpr std::uint64_t each = 100;
  start(options, 2);
  send(keys, each);
  // One that takes the first messages of some keys, and dies with them.
  auto doomed = start_troupe(
      node_, {"--json", "receive", "work", "--group", "crew", "--settle", "none", "--max", "1000"});
  for (int n = 0; n < 5; ++n)
    ASSERT_TRUE(doomed.read_line(60s)) << doomed.errors();
  order_book book{random.next(), 10};
  {
    auto one = work(book);
    auto two = work(book);
    doomed.signal(SIGKILL);
    for (int kills = 0; kills < 4 && book.handled() < keys * each; ++kills) {
      auto guest = work(book);
      const auto goal = std::min(book.handled() + random.between(1, 300), keys * each);
      ASSERT_TRUE(eventually([&] { return book.handled() >= goal; })) << book.handled();
      guest.stop();
      node_.kill();
      node_.start();
    }
    EXPECT_TRUE(eventually([&] { return book.done(keys, each) && all_settled(*client_, "crew"); }))
        << book.handled() << " of " << keys * each;
  }
  for (const auto& what : book.violations())
    ADD_FAILURE() << what;
}

void ordered_test::expect_one_sequence(const group_options& options) {
  start(options, 1);
  auto to = must(producer::open(*client_, {.topic = "work"}));
  for (std::uint64_t n = 0; n < 50; ++n)
    must(to.send(message{.body = std::to_string(n)}));
  std::mutex guard;
  std::vector<std::string> seen;
  bool failed = false;
  {
    const auto take = [&](const leased_message& m) -> outcome {
      std::lock_guard lock{guard};
      if (m.body() == "7" && !std::exchange(failed, true))
        return outcome::retry();
      seen.emplace_back(m.body());
      return outcome::ack();
    };
    auto one = must(consumer::start(*client_, {.group = "crew", .topics = {{"work"}}}, 4, take));
    auto two = must(consumer::start(*client_, {.group = "crew", .topics = {{"work"}}}, 4, take));
    EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
  }
  ASSERT_EQ(seen.size(), 50u);
  for (std::size_t n = 0; n < seen.size(); ++n)
    EXPECT_EQ(seen[n], std::to_string(n));
}

} // namespace

TEST_F(ordered_test, order_of_each_key_holds_while_members_come_go_fail_and_die_and_the_node_is_killed) {
  kill_in_the_midst(quick);
}

TEST_F(ordered_test, order_of_each_key_holds_also_when_several_messages_of_it_are_out_at_a_time) {
  auto options = quick;
  options.order_batch = 8;
  kill_in_the_midst(options);
}

TEST_F(ordered_test, a_queue_in_order_is_one_sequence_whatever_the_keys_are) {
  auto options = quick;
  options.order_by = group_order::queue;
  expect_one_sequence(options);
}

TEST_F(ordered_test, a_queue_in_order_is_one_sequence_in_batches_too) {
  auto options = quick;
  options.order_by = group_order::queue;
  options.order_batch = 8;
  expect_one_sequence(options);
}

TEST_F(ordered_test, a_message_that_fails_for_good_dies_and_its_key_goes_on) {
  auto options = quick;
  options.max_attempts = 3;
  start(options, 1);
  constexpr std::uint32_t keys = 3;
  constexpr std::uint64_t each = 10;
  send(keys, each);
  std::mutex guard;
  std::map<std::uint32_t, std::vector<std::uint64_t>> seen;
  {
    auto worker = must(consumer::start(*client_, {.group = "crew", .topics = {{"work"}}}, 2,
                                       [&](const leased_message& m) -> outcome {
                                         const auto what = label_of(m.body());
                                         if (what.key == 1 && what.key_serial == 4)
                                           throw std::runtime_error("never works");
                                         std::lock_guard lock{guard};
                                         seen[what.key].push_back(what.key_serial);
                                         return outcome::ack();
                                       }));
    EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
  }
  for (std::uint32_t key = 0; key < keys; ++key) {
    EXPECT_TRUE(std::ranges::is_sorted(seen[key]));
    EXPECT_EQ(seen[key].size(), key == 1 ? each - 1 : each);
  }
  const auto letters = must(client_->dead_letters("crew"));
  ASSERT_EQ(letters.letters.size(), 1u);
  EXPECT_EQ(letters.letters[0].attempts, 3u);
  EXPECT_EQ(letters.letters[0].detail, "never works");
}

} // namespace troupe::test
