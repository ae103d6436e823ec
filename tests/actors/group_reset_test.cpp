#include "group_fixture.hpp"

#include <gmock/gmock.h>

namespace troupe::test {

using namespace std::chrono_literals;

class group_reset_test : public group_fixture {
protected:
  result<group_reset> reset(reset_group r = {}) {
    r.name = "billing";
    if (r.topic.empty())
      r.topic = "orders";
    return world_.ask<group_reset>(aut, r);
  }
  /// One queue's "from>to leased", with a '!' when it is not where it was asked for.
  std::string moved(const reset_group& r = {}) {
    auto answer = reset(r);
    EXPECT_TRUE(answer) << troupe::to_string(answer.error());
    std::string text;
    for (const auto& q : answer ? answer->queues : std::vector<queue_reset>{})
      text += (text.empty() ? "" : ", ") + std::to_string(q.from.value) + ">" + std::to_string(q.to.value) +
              " " + std::to_string(q.leased) + (q.moved ? "!" : "");
    return text;
  }
  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
};

TEST_F(group_reset_test, begins_a_new_generation_with_members_connected_and_says_what_was_leased) {
  start(1);
  publish_to(0, {"a", "b", "c", "d"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto old = last.at(0);
  settle(ann, m, old, 0, 2);
  settle(ann, m, old, 3, 1, settle_action::retry, 5000);
  commit();
  EXPECT_EQ(moved(), "2>0 1");
  EXPECT_EQ(received(ann), "0@0=a 0@1=b 0@2=c 0@3=d") << "without a count of failures";
  EXPECT_EQ(last.at(0).gen.value, old.gen.value + 1);
  settle(ann, m, old, 0, 4);
  EXPECT_THAT(ann.take<settled>(), testing::SizeIs(1)) << "the old generation is told that it is too late";
  EXPECT_EQ(status().queues.at(0).leased, 4u);
  settle(ann, m, last.at(0), 0, 4);
  EXPECT_EQ(status().queues.at(0).unsettled, 0u);
  commit();
  EXPECT_EQ(progress_of(0).row, (subscription_row{generation{2}, queue_offset{4}}));
}

TEST_F(group_reset_test, to_the_latest_passes_over_what_waits_and_frees_what_members_hold) {
  group_definition_.options.max_unsettled = 2;
  start(1);
  publish_to(0, {"a", "b", "c"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b");
  EXPECT_EQ(moved({.to = reset_target::latest}), "0>3 2");
  publish_to(0, {"d", "e"});
  EXPECT_EQ(received(ann), "0@3=d 0@4=e") << "what it held before counts no longer";
}

TEST_F(group_reset_test, to_an_offset_that_was_trimmed_or_is_not_there_yet_goes_to_the_nearest) {
  start(1);
  publish_to(0, {"a", "b"});
  publish_to(0, {"c", "d"});
  ASSERT_TRUE(
      world_.ask<applied>(ctx_->stores[0], propose_request{trim_entry{queue_id{1}, queue_offset{2}}}));
  EXPECT_EQ(moved({.to = reset_target::offset, .offset = queue_offset{3}}), "0>3 0");
  EXPECT_EQ(moved({.to = reset_target::offset, .offset = queue_offset{1}}), "3>2 0!");
  EXPECT_EQ(moved({.to = reset_target::offset, .offset = queue_offset{9}}), "2>4 0!");
  EXPECT_EQ(moved(), "4>2 0") << "the earliest that exists";
}

TEST_F(group_reset_test, to_a_time_finds_the_first_message_stored_at_or_after_it_to_the_millisecond) {
  start(1);
  for (const auto* text : {"a", "b", "c", "d"}) {
    publish_to(0, {text});
    advance(2ms);
  }
  for (std::uint64_t offset = 0; offset < 4; ++offset) {
    const auto stored = **ctx_->shards[0]->stored_at(queue_id{1}, queue_offset{offset});
    const auto target = [&](milliseconds off) {
      return reset({.to = reset_target::time, .time = to_unix_ms(stored + off)})->queues.at(0).to;
    };
    EXPECT_EQ(target(0ms), queue_offset{offset});
    EXPECT_EQ(target(1ms), queue_offset{offset + 1});
    EXPECT_EQ(target(-1ms), queue_offset{offset});
  }
}

TEST_F(group_reset_test, of_one_queue_leaves_the_others_and_a_dry_run_leaves_all) {
  start(2);
  publish_to(0, {"a"});
  publish_to(1, {"b"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  for (const auto& d : std::vector{last})
    ack_all(ann, m, d);
  EXPECT_EQ(moved({.dry_run = true}), "1>0 0, 1>0 0");
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(progress_of(1).row.gen, generation{1});
  EXPECT_EQ(moved({.queue = 1}), "1>0 0");
  EXPECT_EQ(received(ann), "1@0=b");
  commit();
  EXPECT_EQ(progress_of(0).row.gen, generation{1});
}

TEST_F(group_reset_test, of_what_is_not_there_is_refused_with_what_there_is) {
  start(2);
  auto other = reset({.topic = "other"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::not_found);
  auto queue = reset({.queue = 2});
  ASSERT_FALSE(queue);
  EXPECT_THAT(queue.error().reason, testing::HasSubstr("only 0 to 1"));
}

TEST_F(group_reset_test, that_cannot_be_stored_changes_nothing_and_deliveries_go_on) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  EXPECT_EQ(received(ann), "0@0=a");
  settle(ann, m, last.at(0), 0, 1);
  commit();
  faults_->what = {errc::overloaded, "busy"};
  faults_->times = 1000;
  auto failed = reset();
  faults_->times = 0;
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, errc::overloaded);
  EXPECT_THAT(failed.error().reason, testing::HasSubstr("0 of 1 queues were reset"));
  credit(ann, m, 10);
  advance(2s);
  EXPECT_EQ(received(ann), "0@1=b");
}

} // namespace troupe::test
