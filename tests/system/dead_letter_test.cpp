#include "ledger.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <set>

/// Dead letters with a real node: how messages get there, and back.
namespace troupe::test {

namespace {

using testing::HasSubstr;

class dead_letter_test : public testing::Test {
protected:
  void start(const group_options& crew, const topic_options& topic = {.queues = 2}) {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("work", topic));
    must(client_->create_group("crew", crew));
  }
  void send(std::uint64_t messages, std::size_t size = 60) {
    auto to = must(producer::open(*client_, {.topic = "work"}));
    std::vector<message> all;
    for (std::uint64_t n = 0; n < messages; ++n)
      all.push_back(to_message({0, n, static_cast<std::uint32_t>(n % 5), n / 5}, size));
    for (const auto& answer : to.send(std::move(all)))
      must(answer);
  }
  pull_consumer join(const std::string& group = "crew") {
    return must(pull_consumer::open(*client_, {.group = group, .topics = {{"work"}}}));
  }
  /// Rejects so many messages, which shall come.
  void reject(std::uint64_t messages, const std::string& why = "unreadable") {
    auto from = join();
    while (messages > 0) {
      const auto got = must(from.fetch(messages, 30s));
      if (got.empty())
        throw std::runtime_error(std::to_string(messages) + " messages did not come");
      for (const auto& m : got)
        must(from.reject(m, why));
      messages -= got.size();
    }
    must(from.flush());
    must(from.close());
  }
  std::vector<dead_letter_info> dead(dead_letter_query query = {}, const std::string& group = "crew") {
    std::vector<dead_letter_info> all;
    for (;;) {
      auto page = must(client_->dead_letters(group, query));
      std::ranges::move(page.letters, std::back_inserter(all));
      if (!page.next)
        return all;
      query.after = page.next;
    }
  }
  std::vector<message_id> dead_ids() {
    std::vector<message_id> ids;
    for (const auto& letter : dead())
      ids.push_back(letter.id);
    return ids;
  }
  std::uint64_t counted() {
    std::uint64_t sum = 0;
    for (const auto& q : must(client_->describe_group("crew")).queues)
      sum += q.dead;
    return sum;
  }
  void redrive_all(const std::vector<message_id>& ids) {
    if (ids.empty())
      return;
    for (const auto& r : must(client_->redrive("crew", ids)))
      EXPECT_EQ(r.code, errc::none) << to_string(r.id);
  }
  void restart() {
    node_.kill();
    node_.start();
    // The client may not have noticed yet.
    if (!eventually([&] { return client_->node_status() ? true : false; }))
      throw std::runtime_error("the node does not come back");
  }

  temporary_directory dir_;
  node_process node_{dir_ / "data"};
  std::optional<client> client_;
};

const group_options quick{.retry = retry_schedule::fixed(10ms), .max_attempts = 3};

} // namespace

TEST_F(dead_letter_test, a_message_that_always_fails_dies_after_its_last_attempt_and_says_why) {
  start(quick);
  send(20);
  std::mutex guard;
  std::map<std::uint64_t, std::uint32_t> attempts;
  {
    auto worker = must(consumer::start(
        *client_, {.group = "crew", .topics = {{"work"}}}, 2, [&](const leased_message& m) -> outcome {
          const auto what = label_of(m.body());
          {
            std::lock_guard lock{guard};
            attempts[what.serial] = m.attempt();
          }
          if (what.serial % 10 == 3)
            throw std::runtime_error("no such customer: " + std::to_string(what.serial));
          return outcome::ack();
        }));
    EXPECT_TRUE(eventually([&] { return counted() == 2 && all_settled(*client_, "crew"); }));
    must(worker.stop());
  }
  EXPECT_EQ(attempts[3], 3u);
  EXPECT_EQ(attempts[4], 1u);
  restart();
  dead_letter_query query;
  query.messages = true;
  const auto letters = dead(query);
  ASSERT_EQ(letters.size(), 2u);
  for (const auto& letter : letters) {
    EXPECT_EQ(letter.reason, dead_reason::attempts);
    EXPECT_EQ(letter.attempts, 3u);
    EXPECT_EQ(letter.topic, "work");
    ASSERT_TRUE(letter.message);
    const auto serial = label_of(letter.message->content.body).serial;
    EXPECT_EQ(serial % 10, 3u);
    EXPECT_EQ(letter.detail, "no such customer: " + std::to_string(serial));
    EXPECT_EQ(letter.message->id, letter.id);
    EXPECT_EQ(must(client_->get(letter.id)).content.body, letter.message->content.body);
  }
  EXPECT_TRUE(must(join().fetch(10, 100ms)).empty()) << "it does not come again";
}

TEST_F(dead_letter_test, of_a_trimmed_queue_keep_their_bodies_until_they_are_purged) {
  start(quick, {.queues = 1});
  send(10, 2000);
  reject(4);
  {
    auto from = join();
    std::size_t acked = 0;
    while (acked < 6) {
      const auto got = must(from.fetch(10, 30s));
      ASSERT_FALSE(got.empty());
      acked += got.size();
      must(from.ack(got));
    }
    must(from.close());
  }
  must(client_->set_topic("work", {.queues = 1, .retention = 1s}));
  ASSERT_TRUE(eventually([&] {
    const auto queue = must(client_->describe_topic("work")).queues.at(0);
    return queue.first == queue.next;
  })) << "retention takes the queue's messages";
  restart();
  dead_letter_query query;
  query.messages = true;
  const auto letters = dead(query);
  ASSERT_EQ(letters.size(), 4u);
  for (const auto& letter : letters) {
    ASSERT_TRUE(letter.message) << to_string(letter.id);
    EXPECT_GE(letter.message->content.body.size(), 2000u);
  }
  auto ids = dead_ids();
  for (const auto& r : must(client_->purge("crew", {ids[0], ids[1]})))
    EXPECT_EQ(r.code, errc::none);
  EXPECT_EQ(must(client_->purge("crew", {ids[0]})).at(0).code, errc::not_found) << "it is purged";
  EXPECT_EQ(counted(), 2u);
  // The two others come back although their queue is empty.
  redrive_all({ids[2], ids[3]});
  auto from = join();
  std::set<message_id> back;
  while (back.size() < 2) {
    const auto got = must(from.fetch(10, 30s));
    ASSERT_FALSE(got.empty());
    for (const auto& m : got) {
      EXPECT_EQ(m.attempt(), 1u);
      EXPECT_GE(m.body().size(), 2000u);
      back.insert(m.id());
      must(from.ack(m));
    }
  }
  EXPECT_EQ(back, (std::set<message_id>{ids[2], ids[3]}));
  must(from.close());
  EXPECT_EQ(node_.stop(), 0);
  const auto verified = node_.verify();
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST_F(dead_letter_test, that_are_redriven_come_to_their_own_group_only_and_may_die_again) {
  start(quick);
  send(10);
  auto other = join("other");
  std::size_t seen = 0;
  while (seen < 10) {
    const auto got = must(other.fetch(10, 30s));
    ASSERT_FALSE(got.empty());
    seen += got.size();
    must(other.ack(got));
  }
  reject(10, "first");
  const auto ids = dead_ids();
  ASSERT_EQ(ids.size(), 10u);
  redrive_all(ids);
  EXPECT_TRUE(dead().empty());
  reject(10, "second");
  auto again = dead();
  ASSERT_EQ(again.size(), 10u);
  for (const auto& letter : again)
    EXPECT_EQ(letter.detail, "second");
  EXPECT_EQ(dead_ids(), ids) << "they keep their ids";
  EXPECT_TRUE(must(other.fetch(10, 200ms)).empty()) << "another group sees none of it";
  // What is published behind them comes to both.
  send(1);
  EXPECT_EQ(must(other.fetch(10, 30s)).size(), 1u);
  must(other.close());
  EXPECT_TRUE(eventually([&] { return must(client_->describe_group("crew")).queues.size() == 2; }));
}

TEST_F(dead_letter_test, while_the_node_is_killed_in_the_midst_of_redrives_none_is_lost) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "kills in the midst of redrives, " << random.describe() << std::endl;
  constexpr std::uint64_t messages = 300;
  start(quick);
  send(messages);
  reject(messages);
  std::set<std::uint64_t> done;
  for (int kills = 0; kills < 6; ++kills) {
    const auto ids = dead_ids();
    const auto some = ids.size() > 1 ? random.between(1, ids.size()) : ids.size();
    const std::vector<message_id> part(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(some));
    redrive_all(part);
    auto from = join();
    const auto takes = random.below(part.size() + 1);
    std::set<std::uint64_t> acked;
    while (acked.size() < takes) {
      const auto got = must(from.fetch(takes - acked.size(), 30s));
      ASSERT_FALSE(got.empty()) << "a redriven message is lost";
      for (const auto& m : got) {
        // Some die again.
        const auto serial = label_of(m.body()).serial;
        EXPECT_FALSE(done.contains(serial)) << serial << " was settled for good";
        acked.insert(serial);
        if (random.one_in(4))
          must(from.reject(m));
        else
          must(from.ack(m));
      }
    }
    must(from.flush());
    const auto left = dead();
    std::set<message_id> still;
    for (const auto& letter : left)
      still.insert(letter.id);
    restart();
    std::set<message_id> after;
    for (const auto& id : dead_ids())
      after.insert(id);
    EXPECT_EQ(after, still) << "what was answered is durable";
  }
  // Everything that is left comes.
  redrive_all(dead_ids());
  auto from = join();
  EXPECT_TRUE(eventually([&] {
    must(from.ack(must(from.fetch(100, 100ms))));
    from.flush(); // after a kill it may tell of what it could not confirm
    return all_settled(*client_, "crew");
  }));
  EXPECT_TRUE(dead().empty());
  EXPECT_EQ(node_.stop(), 0);
  EXPECT_EQ(node_.verify().status, 0);
}

TEST_F(dead_letter_test, that_are_kept_long_enough_go_by_themselves) {
  auto options = quick;
  options.dead_letter_retention = 1s;
  start(options);
  send(5);
  reject(5);
  EXPECT_TRUE(eventually([&] { return counted() == 0; }));
  EXPECT_TRUE(dead().empty());
}

TEST_F(dead_letter_test, a_group_may_drop_what_fails_for_good_instead) {
  auto options = quick;
  options.on_exhausted = exhausted_action::drop;
  start(options);
  send(5);
  reject(5);
  EXPECT_TRUE(eventually([&] { return all_settled(*client_, "crew"); }));
  EXPECT_EQ(counted(), 0u);
}

TEST_F(dead_letter_test, ten_thousand_are_listed_in_pages_and_found_by_a_filter) {
  start(quick);
  constexpr std::uint64_t messages = 10'000;
  send(messages);
  reject(messages);
  EXPECT_EQ(counted(), messages);
  EXPECT_EQ(dead().size(), messages);
  dead_letter_query query;
  query.filter = "attempt > 1";
  EXPECT_TRUE(dead(query).empty());
  query.filter = "attempt = 1";
  query.messages = true;
  std::set<std::uint64_t> serials;
  for (const auto& letter : dead(query))
    serials.insert(label_of(letter.message.value().content.body).serial);
  EXPECT_EQ(serials.size(), messages);
}

} // namespace troupe::test
