#include "group_fixture.hpp"

#include "group.hpp"

#include <gmock/gmock.h>

#include <set>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::SizeIs;

class group : public group_fixture {
protected:
  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
  consumer_probe bob = world_.make_probe<delivery, settled, dismissed>();
  consumer_probe eve = world_.make_probe<delivery, settled, dismissed>();
};

TEST_F(group, delivers_what_there_is_to_a_member_with_credit_and_remembers_what_is_settled) {
  start(1);
  publish_to(0, {"a", "b", "c"});
  const auto m = join_as(ann, "ann");
  EXPECT_EQ(received(ann), "") << "no credit, no messages";
  credit(ann, m, 2);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b");
  ack_all(ann, m, last[0]);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{2});
  credit(ann, m, 5);
  EXPECT_EQ(received(ann), "0@2=c");
}

TEST_F(group, keeps_credit_until_there_are_messages) {
  start(2);
  const auto m = join_as(ann);
  credit(ann, m, 10);
  publish_to(1, {"a"});
  EXPECT_EQ(received(ann), "1@0=a");
  publish_to(0, {"b", "c"});
  EXPECT_EQ(received(ann), "0@0=b 0@1=c");
}

TEST_F(group, shares_one_queue_between_more_members_than_queues) {
  start(1);
  for (auto* who : {&ann, &bob, &eve})
    credit(*who, join_as(*who), 100);
  publish_to(0, std::vector<std::string>(90, "x"));
  std::vector<std::uint32_t> counts;
  for (auto* who : {&ann, &bob, &eve}) {
    counts.push_back(0);
    received(*who);
    for (const auto& d : last)
      counts.back() += d.messages;
  }
  EXPECT_THAT(counts, Each(Ge(16u)));
  EXPECT_EQ(counts[0] + counts[1] + counts[2], 90u);
}

TEST_F(group, a_member_never_holds_more_than_it_may_and_settling_frees_it) {
  group_definition_.options.max_unsettled = 3;
  start(1);
  publish_to(0, {"a", "b", "c", "d", "e"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b 0@2=c");
  const auto d = last[0];
  settle(ann, m, d, 1, 1);
  EXPECT_EQ(received(ann), "0@3=d");
  settle(ann, m, d, 0, 1, settle_action::retry, 5000);
  EXPECT_EQ(received(ann), "0@4=e");
}

TEST_F(group, a_member_holds_no_more_bytes_than_it_may_and_goes_on_when_it_settles) {
  group_definition_.options.max_unsettled_bytes = 3000;
  start(1);
  const std::string kib(1000, 'x');
  for (int i = 0; i < 6; ++i)
    publish_to(0, {kib});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  const auto offsets = [&] {
    received(ann);
    std::vector<std::uint64_t> all;
    for (const auto& d : last)
      for (const auto unpacked = unpack_frame(d.frame, d.shard); const auto& x : *unpacked)
        all.push_back(x.offset.value);
    return all;
  };
  EXPECT_THAT(offsets(), ElementsAre(0, 1)) << "a third would be above 3,000";
  const auto d = last.at(0);
  settle(ann, m, d, 0, 1);
  EXPECT_THAT(offsets(), ElementsAre(2));
  const auto d2 = last.at(0);
  settle(ann, m, d, 1, 1);
  settle(ann, m, d2, 2, 1, settle_action::retry, 60'000);
  EXPECT_THAT(offsets(), ElementsAre(3, 4)) << "what waits for a retry is held by nobody";
}

TEST_F(group, a_message_larger_than_all_a_member_may_hold_is_delivered_alone) {
  group_definition_.options.max_unsettled_bytes = 3000;
  start(1);
  publish_to(0, {"a"});
  publish_to(0, {std::string(9000, 'b')});
  publish_to(0, {"c"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a");
  settle(ann, m, last[0], 0, 1);
  received(ann);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].messages, 1u);
  EXPECT_GT(last[0].frame.size, 9000u);
  settle(ann, m, last[0], 1, 1);
  EXPECT_EQ(received(ann), "0@2=c");
}

TEST_F(group, another_limit_of_bytes_holds_for_the_members_there_are) {
  group_definition_.options.max_unsettled_bytes = 1500;
  start(1);
  publish_to(0, {std::string(1000, 'a')});
  publish_to(0, {std::string(1000, 'b')});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  EXPECT_EQ(last.size(), 1u);
  received(ann);
  EXPECT_EQ(last.size(), 0u);
  group_definition_.options.max_unsettled_bytes = 5000;
  redefine();
  received(ann);
  EXPECT_EQ(last.size(), 1u);
}

TEST_F(group, a_retry_comes_again_after_its_delay_with_the_failure_counted) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b");
  settle(ann, m, last[0], 0, 1, settle_action::retry);
  settle(ann, m, last[0], 1, 1, settle_action::retry, 3000);
  advance(999ms);
  EXPECT_EQ(received(ann), "");
  advance(1ms);
  EXPECT_EQ(received(ann), "0@0=ax1");
  settle(ann, m, last[0], 0, 1, settle_action::retry);
  advance(1000ms);
  EXPECT_EQ(received(ann), "0@0=ax2");
  advance(1000ms);
  EXPECT_EQ(received(ann), "0@1=bx1");
}

TEST_F(group, each_failure_pauses_as_the_policy_says_and_the_policy_can_be_changed) {
  retry_ = {.steps = {1s, 10s}};
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto fails_and_comes_after = [&](milliseconds pause, const std::string& what) {
    settle(ann, m, last.at(0), 0, 1, settle_action::retry);
    advance(pause - 1ms);
    EXPECT_EQ(received(ann), "") << what;
    advance(1ms);
    EXPECT_EQ(received(ann), what);
  };
  fails_and_comes_after(1s, "0@0=ax1");
  fails_and_comes_after(10s, "0@0=ax2");
  fails_and_comes_after(10s, "0@0=ax3");
  group_definition_.options.retry = retry_schedule::fixed(2s);
  redefine();
  fails_and_comes_after(2s, "0@0=ax4");
}

TEST_F(group, messages_that_failed_together_come_back_apart_when_the_policy_has_jitter) {
  retry_ = {.steps = {10s}, .jitter = 50};
  start(1);
  publish_to(0, {"a", "b", "c", "d", "e", "f"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  settle(ann, m, last.at(0), 0, 6, settle_action::retry);
  commit();
  std::set<timestamp> dues;
  for (const auto& r : progress_of(0).retries)
    dues.insert(r.due);
  ASSERT_EQ(dues.size(), 6u) << "of 10,001 milliseconds that are possible";
  EXPECT_LE(*dues.rbegin() - *dues.begin(), 10s);
}

TEST_F(group, a_paused_group_delivers_nothing_until_it_is_resumed) {
  start(1);
  publish_to(0, {"a", "b"});
  group_definition_.paused = true;
  redefine();
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "");
  EXPECT_TRUE(status().paused);
  group_definition_.paused = false;
  redefine();
  EXPECT_EQ(received(ann), "0@0=a 0@1=b");
  group_definition_.paused = true;
  redefine();
  settle(ann, m, last.at(0), 0, 2);
  publish_to(0, {"c"});
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(status().queues.at(0).unsettled, 1u) << "settling goes on";
}

TEST_F(group, a_lease_that_ends_brings_the_messages_to_somebody_else) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto d = last.at(0);
  settle(ann, m, d, 0, 1);
  const auto n = join_as(bob);
  credit(bob, n, 100);
  advance(60s);
  EXPECT_EQ(status().queues[0].retrying, 1u);
  advance(1s);
  EXPECT_EQ(received(ann) + received(bob), "0@1=bx1");
}

TEST_F(group, what_was_held_when_a_lease_ended_comes_one_at_a_time_to_each_member) {
  start(1);
  publish_to(0, {"a", "b", "c", "d"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b 0@2=c 0@3=d");
  advance(60s);
  advance(1s);
  EXPECT_EQ(received(ann), "0@0=ax1");
  const auto held_by_ann = last.at(0);
  const auto n = join_as(bob);
  credit(bob, n, 100);
  EXPECT_EQ(received(bob), "0@1=bx1");
  publish_to(0, {"e"});
  EXPECT_EQ(received(ann) + received(bob), "") << "nothing else while they hold these";
  ack_all(ann, m, held_by_ann);
  EXPECT_EQ(received(ann), "0@2=cx1");
  ack_all(ann, m, last.at(0));
  EXPECT_EQ(received(ann), "0@3=dx1");
  ack_all(ann, m, last.at(0));
  EXPECT_EQ(received(ann), "0@4=e");
  EXPECT_EQ(received(bob), "");
}

TEST_F(group, renewed_leases_live_on) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto d = last.at(0);
  for (int i = 0; i < 5; ++i) {
    advance(50s);
    ann.send(aut, renew{m, {d.queue}, {d.lease}});
    run();
  }
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(status().queues[0].leased, 1u);
  advance(60s);
  advance(1s);
  EXPECT_EQ(received(ann), "0@0=ax1");
}

TEST_F(group, a_member_that_dies_gives_its_messages_back_as_failures) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  const auto n = join_as(bob);
  ann.kill();
  run();
  EXPECT_THAT(status().members, SizeIs(1));
  credit(bob, n, 100);
  EXPECT_EQ(received(bob), "0@1=b");
  advance(1s);
  EXPECT_EQ(received(bob), "0@0=ax1");
}

TEST_F(group, a_member_that_leaves_gives_its_messages_back_at_once_without_failures) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  const auto n = join_as(bob);
  credit(ann, m, 2);
  credit(bob, n, 5);
  EXPECT_EQ(received(bob), "");
  EXPECT_TRUE(world_.ask<bool>(aut, leave{m}));
  EXPECT_EQ(received(bob), "0@0=a 0@1=b");
  EXPECT_TRUE(world_.ask<bool>(aut, leave{m})) << "leaving twice is leaving";
}

TEST_F(group, messages_given_back_are_available_at_once_and_unsettled_ones_stay) {
  start(1);
  publish_to(0, {"a", "b", "c"});
  const auto m = join_as(ann);
  const auto n = join_as(bob);
  credit(ann, m, 3);
  credit(bob, n, 5);
  received(ann);
  settle(ann, m, last.at(0), 1, 2, settle_action::retry, 0, true);
  EXPECT_EQ(received(bob), "0@1=b 0@2=c");
}

TEST_F(group, the_newest_member_of_a_name_replaces_the_old_one) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann, "worker");
  credit(ann, m, 5);
  EXPECT_EQ(received(ann), "0@0=a");
  const auto d = last.at(0);
  const auto n = join_as(bob, "worker");
  const auto told = ann.take<dismissed>();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].code, errc::fenced);
  EXPECT_EQ(told[0].member, m);
  credit(bob, n, 5);
  EXPECT_EQ(received(bob), "0@0=a") << "given back, not failed";
  settle(ann, m, d, 0, 1);
  EXPECT_THAT(ann.take<dismissed>(), SizeIs(1));
  EXPECT_THAT(status().members, SizeIs(1));
}

TEST_F(group, a_consumer_that_joins_again_under_its_name_is_not_dismissed) {
  start(1);
  join_as(ann, "worker");
  join_as(ann, "worker");
  EXPECT_THAT(ann.take<dismissed>(), IsEmpty());
  EXPECT_THAT(status().members, SizeIs(1));
}

TEST_F(group, who_is_no_member_is_told_so) {
  start(1);
  credit(ann, 99, 5);
  ann.send(aut, renew{99, {queue_id{1}}, {lease_id{1}}});
  run();
  const auto told = ann.take<dismissed>();
  ASSERT_THAT(told, SizeIs(2));
  EXPECT_EQ(told[0].member, 99u);
  EXPECT_EQ(told[0].code, errc::disconnected);
}

TEST_F(group, takes_so_many_members_and_no_more_but_one_may_come_again_under_its_name) {
  start(1);
  for (std::size_t i = 0; i < group_state::most_members; ++i)
    ASSERT_NE(join_as(ann, "member " + std::to_string(i)), 0u);
  auto more = world_.ask<joined>(aut, join{.group = "billing", .member = "more", .consumer = ann.handle()});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, errc::overloaded);
  EXPECT_NE(join_as(ann, "member 7"), 0u);
}

TEST_F(group, a_join_with_a_name_that_is_too_long_is_refused) {
  start(1);
  auto answer = world_.ask<joined>(
      aut, join{.group = "billing", .member = std::string(256, 'n'), .consumer = ann.handle()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::invalid_argument);
}

TEST_F(group, answers_questions_for_its_state_a_round_at_a_time_and_refuses_too_many) {
  start(2);
  auto answered = std::make_shared<std::size_t>(0);
  auto refused = std::make_shared<std::vector<errc>>();
  auto asker = world_.owned(caf::actor{world_.system().spawn([=, aut = aut](caf::event_based_actor* self) {
    // The first begins a round; it waits for the SUBSCRIPTIONs, the others for it.
    for (std::size_t i = 0; i < group_state::most_asking + 3; ++i)
      self->request(aut, 1min, status_atom::value)
          .then([=](const group_status& s) { *answered += s.queues.size() == 2 ? 1 : 0; },
                [=](const caf::error& e) { refused->push_back(from_caf(e).code); });
  })});
  run();
  EXPECT_EQ(*answered, group_state::most_asking + 1);
  EXPECT_EQ(*refused, std::vector<errc>(2, errc::overloaded));
}

TEST_F(group, a_join_without_a_consumer_is_refused) {
  start(1);
  auto answer = world_.ask<joined>(aut, join{.group = "billing"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::invalid_argument);
}

TEST_F(group, a_tag_filter_delivers_what_matches_and_passes_over_the_rest) {
  start(1, "paid || sent");
  publish_to(0, {"paid:a", "new:b", "sent:c", "d", "new:e"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@2=c");
  ack_all(ann, m, last.at(0));
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{5});
}

TEST_F(group, what_the_filter_passes_over_becomes_durable_by_itself) {
  start(1, "paid");
  const auto m = join_as(ann);
  credit(ann, m, 100);
  publish_to(0, {"new:a", "new:b"});
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{0});
  advance(1s);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{2});
}

TEST_F(group, confirms_settles_when_they_are_durable_and_says_how_many_were_refused) {
  start(2);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto d = last.at(0);
  consume c{.member = m};
  c.settles.push_back({d.queue, d.gen, d.lease, queue_offset{0}, 1});
  c.settles.push_back({d.queue, generation{d.gen.value + 1}, d.lease, queue_offset{1}, 1});
  c.settles.push_back({.queue = queue_id{2}});  // nothing, but an answer is wanted
  c.settles.push_back({.queue = queue_id{77}}); // no such queue
  c.confirm = 5;
  ann.send(aut, c);
  run();
  auto told = ann.take<settled>();
  ASSERT_THAT(told, SizeIs(3));
  std::sort(told.begin(), told.end(), [](const auto& a, const auto& b) { return a.queue < b.queue; });
  EXPECT_EQ(told[0].queue, d.queue);
  EXPECT_EQ(told[0].refused, 1u);
  EXPECT_EQ(told[0].code, errc::none);
  EXPECT_EQ(told[1].queue, queue_id{2});
  EXPECT_EQ(told[1].refused, 0u);
  EXPECT_EQ(told[2].code, errc::lease_lost);
  for (const auto& s : told)
    EXPECT_EQ(s.tag, 5u);
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{1}) << "durable before it is confirmed";
}

TEST_F(group, what_a_consumer_rejects_does_not_come_again) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  settle(ann, m, last.at(0), 0, 1, settle_action::dead);
  EXPECT_THAT(ann.take<settled>(), IsEmpty());
  EXPECT_EQ(status().queues[0].leased, 0u);
  EXPECT_EQ(status().queues[0].floor, queue_offset{1});
  advance(24h);
  credit(ann, m, 100);
  EXPECT_THAT(received(ann), IsEmpty());
}

TEST_F(group, a_retry_after_the_lease_ended_is_told_also_to_who_did_not_ask) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  received(ann);
  advance(60s);
  settle(ann, m, last.at(0), 0, 1, settle_action::retry);
  const auto told = ann.take<settled>();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].tag, 0u);
  EXPECT_EQ(told[0].code, errc::lease_lost);
  EXPECT_EQ(told[0].refused, 1u);
}

TEST_F(group, an_ack_after_the_lease_ended_still_counts) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  received(ann);
  const auto d = last.at(0);
  advance(60s);
  settle(ann, m, d, 0, 1);
  credit(ann, m, 100);
  advance(10s);
  EXPECT_EQ(received(ann), "");
  EXPECT_EQ(status().queues[0].floor, queue_offset{1});
}

TEST_F(group, settles_that_the_store_refuses_are_told_and_written_later) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  received(ann);
  *faults_ = {.what = {errc::no_space, "full"}, .times = 0};
  faults_->what = {errc::overloaded, "busy"};
  faults_->times = 1;
  settle(ann, m, last.at(0), 0, 1);
  commit();
  const auto told = ann.take<settled>();
  if (!told.empty()) { // the STORE may also have tried again by itself
    EXPECT_EQ(told[0].code, errc::overloaded);
  }
  advance(1s);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{1});
}

TEST_F(group, a_store_that_failed_for_good_is_told_at_every_settle) {
  start(1);
  publish_to(0, {"a", "b"});
  const auto m = join_as(ann);
  credit(ann, m, 2);
  received(ann);
  const auto d = last.at(0);
  faults_->what = {errc::storage_failed, "the disk is gone"};
  faults_->times = 1'000'000;
  for (std::uint64_t i = 0; i < 2; ++i) {
    consume c{.member = m};
    c.settles.push_back({d.queue, d.gen, d.lease, queue_offset{i}, 1});
    c.confirm = i + 1;
    ann.send(aut, c);
    run();
    commit();
    const auto told = ann.take<settled>();
    ASSERT_THAT(told, SizeIs(1)) << i;
    EXPECT_EQ(told[0].code, errc::storage_failed);
    EXPECT_EQ(told[0].tag, i + 1);
  }
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{0});
}

TEST_F(group, says_who_is_there_and_how_far_it_is) {
  start(2);
  publish_to(0, {"a", "b"});
  advance(5s);
  const auto m = join_as(ann, "worker-1");
  credit(ann, m, 1);
  auto s = status();
  EXPECT_EQ(s.name, "billing");
  ASSERT_THAT(s.members, SizeIs(1));
  EXPECT_EQ(s.members[0].name, "worker-1");
  EXPECT_EQ(s.members[0].since, to_unix_ms(now_));
  ASSERT_THAT(s.queues, SizeIs(2));
  EXPECT_EQ(s.queues[0].number, 0u);
  EXPECT_EQ(s.queues[0].topic, "orders");
  EXPECT_EQ(s.queues[0].floor, queue_offset{0});
  EXPECT_EQ(s.queues[0].next, queue_offset{2});
  EXPECT_EQ(s.queues[0].leased, 1u);
  EXPECT_EQ(s.queues[0].lag_ms, 5000u);
  EXPECT_EQ(s.queues[1].lag_ms, 0u);
}

} // namespace
} // namespace troupe::test
