#include "group_fixture.hpp"

#include "group.hpp"

#include "troupe/wire_dead.hpp"

#include <gmock/gmock.h>

/// Messages whose time to live is over before a group gets them.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;

/// Each test reads from the hot tails and, where there is no room for them, from the store.
class group_expiry : public group_fixture, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
    if (GetParam())
      ctx_->tails = std::make_shared<byte_budget>(0);
  }
  /// Born now.
  message lives(const std::string& body, milliseconds ttl) const {
    return {.body = body, .born = now_, .ttl = ttl};
  }
  message lives(const std::string& body) const { return {.body = body, .born = now_}; }
  /// What was only passed over is written after a second.
  std::uint64_t expired() {
    advance(1s);
    commit();
    const auto counted = status().queues.at(0).expired;
    EXPECT_EQ(progress_of(0).row.expired, counted);
    return counted;
  }
  std::vector<dead_status> letters() {
    list_dead ask;
    ask.group = "billing";
    auto page = world_.ask<dead_page>(aut, ask);
    EXPECT_TRUE(page) << troupe::to_string(page.error());
    return page ? std::move(page->letters) : std::vector<dead_status>{};
  }
  /// Somebody sets the wall clock, and no time passes.
  void set_clock(milliseconds by) { now_ += by; }

  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
};

INSTANTIATE_TEST_SUITE_P(from, group_expiry, testing::Values(false, true), [](const auto& info) {
  return std::string{info.param ? "the_store" : "the_hot_tail"};
});

TEST_P(group_expiry, passes_over_what_lived_too_long_and_counts_it_durably) {
  start(1);
  publish_messages(0, {lives("short", 1s), lives("long", 10s), lives("for ever"), lives("shorter", 10ms)});
  advance(999ms);
  const auto m = join_as(ann);
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@0=short") << "to the millisecond";
  ack_all(ann, m, last.at(0));
  publish_messages(0, {lives("exact", 1s)});
  advance(1s);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@1=long 0@2=for ever");
  EXPECT_EQ(status().queues.at(0).leased, 2u);
  ack_all(ann, m, last.at(0));
  EXPECT_EQ(expired(), 2u);
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{5});
  restart_group();
  EXPECT_EQ(expired(), 2u);
  credit(ann, join_as(ann), 100);
  EXPECT_EQ(received(ann), "");
}

TEST_P(group_expiry, what_a_member_holds_it_keeps_and_may_settle_but_what_comes_again_is_judged_again) {
  start(1);
  publish_messages(0, {lives("acked", 1s), lives("failed", 1s), lives("given back", 1s), lives("d")});
  const auto m = join_as(ann);
  credit(ann, m, 4);
  EXPECT_EQ(received(ann), "0@0=acked 0@1=failed 0@2=given back 0@3=d");
  advance(2s);
  const auto d = last.at(0);
  settle(ann, m, d, 0, 1);
  settle(ann, m, d, 1, 1, settle_action::retry);
  settle(ann, m, d, 2, 1, settle_action::retry, 0, true);
  settle(ann, m, d, 3, 1, settle_action::retry);
  advance(2s);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@3=dx1");
  EXPECT_EQ(expired(), 2u);
}

TEST_P(group_expiry, is_judged_behind_the_filter) {
  start(1, "wanted");
  auto mine = lives("mine", 1s), other = lives("other", 1s), late = lives("late", 10s);
  mine.tag = late.tag = "wanted";
  other.tag = "else";
  publish_messages(0, {mine, other, late});
  advance(1s);
  credit(ann, join_as(ann), 100);
  EXPECT_EQ(received(ann), "0@2=late");
  EXPECT_EQ(expired(), 1u) << "what the filter does not want was never the group's to expire";
}

TEST_P(group_expiry,
       makes_dead_letters_where_the_group_wants_them_and_what_is_redriven_comes_whatever_its_age) {
  group_definition_.options.on_expired = expired_action::dead_letter;
  start(1);
  publish_messages(0, {lives("a", 1s), lives("b", 1s), lives("c")});
  advance(1s);
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@2=c");
  ack_all(ann, m, last.at(0));
  EXPECT_EQ(expired(), 2u);
  const auto dead = letters();
  ASSERT_EQ(dead.size(), 2u);
  EXPECT_EQ(dead[1].reason, dead_reason::expired);
  EXPECT_EQ(dead[1].attempts, 0u);
  const auto done = world_.ask<dead_settled>(aut, settle_dead{"billing", {dead[1].id}, true});
  ASSERT_TRUE(done) << troupe::to_string(done.error());
  run();
  EXPECT_EQ(received(ann), "0@3=b");
  settle(ann, m, last.at(0), 3, 1, settle_action::retry);
  advance(2s);
  EXPECT_EQ(received(ann), "0@3=bx1") << "nor does it expire when it fails";
  EXPECT_EQ(letters().size(), 1u);
  EXPECT_EQ(expired(), 2u);
}

TEST_P(group_expiry, is_suspended_while_the_wall_clock_is_wrong) {
  start(1);
  publish_messages(0, {lives("a", 1h)});
  set_clock(2h);
  const auto m = join_as(ann);
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@0=a") << "nobody waited an hour";
  publish_messages(0, {message{.body = "b", .born = now_ - 3h, .ttl = 10min}});
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@1=b");
  set_clock(-2h);
  publish_messages(0, {message{.body = "c", .born = now_ - 1h, .ttl = 10min}, lives("d", 1h)});
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@3=d") << "it is right again";
  EXPECT_EQ(expired(), 1u);
}

TEST_P(group_expiry, a_group_that_starts_while_the_wall_clock_is_wrong_does_not_believe_it) {
  start(1);
  publish_messages(0, {lives("a", 1h)});
  set_clock(24h);
  restart_group();
  credit(ann, join_as(ann), 1);
  EXPECT_EQ(received(ann), "0@0=a") << "the node knows better than its youngest actor";
  EXPECT_EQ(expired(), 0u);
}

TEST_P(group_expiry, of_a_long_backlog_costs_no_credit_and_is_durable_without_a_member_doing_anything) {
  start(1);
  constexpr int batches = 40, each = 250;
  for (int b = 0; b < batches; ++b) {
    std::vector<message> all;
    for (int i = 0; i < each; ++i)
      all.push_back(lives(std::string(100, 'x'), 1s));
    publish_messages(0, all);
  }
  publish_messages(0, {lives("alive")});
  advance(1s);
  const auto m = join_as(ann);
  // Little credit in bytes, too: it is passed over in pieces.
  credit(ann, m, 1, 100'000);
  EXPECT_EQ(received(ann), "0@10000=alive");
  advance(1s);
  EXPECT_EQ(expired(), static_cast<std::uint64_t>(batches) * each);
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{10'000});
  EXPECT_EQ(status().queues.at(0).unsettled, 1u);
}

TEST_P(group_expiry, lets_the_next_of_an_order_key_go) {
  group_definition_.options = default_options(group_mode::ordered);
  start(1);
  std::vector<message> all{lives("a1"), lives("a2", 1s), lives("a3"), lives("b1", 1s), lives("b2")};
  for (auto& m : all)
    m.order_key = m.body.substr(0, 1);
  publish_messages(0, all);
  const auto m = join_as(ann);
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@0=a1");
  const auto first = last.at(0);
  advance(1s);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@4=b2") << "b1 expired; a1 is not settled";
  ack_all(ann, m, first);
  EXPECT_EQ(received(ann), "0@2=a3");
  EXPECT_EQ(expired(), 2u);
}

} // namespace
} // namespace troupe::test
