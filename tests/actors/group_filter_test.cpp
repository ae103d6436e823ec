#include "group_fixture.hpp"

#include "group.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

message offer(const std::string& body, const std::string& price, const std::string& region = {}) {
  message m{.body = body};
  m.properties = {{"price", price}};
  if (!region.empty())
    m.properties.emplace_back("region", region);
  return m;
}

/// Each test reads from the hot tails and, where there is no room for them, from the store.
class group_filter : public group_fixture, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
    if (GetParam())
      ctx_->tails = std::make_shared<byte_budget>(0);
  }
  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
};

INSTANTIATE_TEST_SUITE_P(from, group_filter, testing::Values(false, true), [](const auto& info) {
  return std::string{info.param ? "the_store" : "the_hot_tail"};
});

TEST_P(group_filter, in_sql_delivers_what_matches_and_passes_over_the_rest) {
  start(1, "price > 10 AND region = 'eu'");
  publish_messages(0, {offer("a", "11", "eu"), offer("b", "9", "eu"), offer("c", "20.5", "eu"),
                       offer("d", "99"), message{.body = "e"}, offer("f", "many", "eu")});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@2=c");
  ack_all(ann, m, last.at(0));
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{6});
  EXPECT_EQ(status().queues[0].unsettled, 0u);
}

TEST_P(group_filter, that_cannot_be_read_delivers_nothing_and_loses_nothing_until_there_is_another) {
  start(1, "price >");
  publish_messages(0, {offer("a", "11"), offer("b", "9")});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  advance(2s);
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{0});
  const auto use = [this](const char* filter) {
    group_definition_.subscriptions.front().filter = filter;
    ++group_definition_.version;
    redefine();
  };
  use("price > 10");
  EXPECT_EQ(received(ann), "0@0=a");
  use("price <");
  publish_messages(0, {offer("c", "12")});
  EXPECT_EQ(received(ann), "");
  use("price > 10");
  EXPECT_EQ(received(ann), "0@2=c");
}

TEST_P(group_filter, in_sql_knows_the_system_fields) {
  start(1, "tag = 'paid' OR keys = 'k2' OR priority > 7 OR born < 5000");
  std::vector<message> all;
  for (const auto* body : {"tagged", "keyed", "urgent", "old", "none"})
    all.push_back({.body = body, .born = from_unix_ms(10'000)});
  all[0].tag = "paid";
  all[1].keys = {"k1", "k2"};
  all[2].priority = 8;
  all[3].born = from_unix_ms(4999);
  publish_messages(0, all);
  credit(ann, join_as(ann), 100);
  EXPECT_EQ(received(ann), "0@0=tagged 0@1=keyed 0@2=urgent 0@3=old");
}

TEST_P(group_filter, on_the_attempt_gives_up_what_has_failed_too_often) {
  start(1, "attempt <= 2");
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b");
  for (int i = 0; i < 2; ++i) {
    settle(ann, m, last.at(0), 0, 1, settle_action::retry, 50);
    credit(ann, m, 100);
    advance(50ms);
    EXPECT_EQ(received(ann), i == 0 ? "0@0=ax1" : "");
  }
  advance(2s);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{1}) << "the second failure was its last";
}

TEST_P(group_filter, what_it_passes_over_costs_no_credit_and_is_durable_without_a_member_doing_anything) {
  start(1, "n = 77");
  const auto m = join_as(ann);
  credit(ann, m, 1);
  for (int batch = 0; batch < 10; ++batch) {
    std::vector<message> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back({.body = std::to_string(batch * 10 + i)});
      all.back().properties = {{"n", all.back().body}};
    }
    publish_messages(0, all);
  }
  EXPECT_EQ(received(ann), "0@77=77") << "with credit for one message";
  ack_all(ann, m, last.at(0));
  credit(ann, m, 1);
  advance(1s);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{100});
  restart_group();
  const auto again = join_as(ann);
  credit(ann, again, 100);
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(status().queues[0].unsettled, 0u);
}

TEST_P(group_filter, makes_the_lag_an_estimate_until_it_has_seen_everything) {
  start(1, "n = 1");
  EXPECT_FALSE(status().queues[0].estimated);
  std::vector<message> all(10, message{.body = "x", .properties = {{"n", "0"}}});
  all[3].properties = {{"n", "1"}};
  publish_messages(0, all);
  EXPECT_TRUE(status().queues[0].estimated);
  EXPECT_EQ(status().queues[0].unsettled, 10u);
  const auto m = join_as(ann);
  credit(ann, m, 10);
  EXPECT_EQ(received(ann), "0@3=x");
  EXPECT_FALSE(status().queues[0].estimated) << "what is left is wanted";
  EXPECT_EQ(status().queues[0].unsettled, 1u);
}

} // namespace
} // namespace troupe::test
