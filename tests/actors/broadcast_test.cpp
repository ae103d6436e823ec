#include "catalog_fixture.hpp"
#include "group_fixture.hpp"

#include "broadcast_groups.hpp"

#include <gmock/gmock.h>

/// Broadcast groups: the CATALOG with GROUPs, QUEUEs and STORE as they are.
namespace troupe::test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

using member_ear = probe<delivery, settled, dismissed, group_news>;

struct member_probe {
  member_ear ear;
  joined as;

  void credit() { ear.send(as.group, consume{.member = as.member, .messages = 100, .bytes = 1u << 20}); }
};

struct broadcast_fixture : catalog_fixture {
  void SetUp() override {
    catalog_fixture::SetUp();
    ASSERT_TRUE(create("orders", 1));
  }
  static join request(const std::string& name, const member_ear& ear) {
    join j{"caches", name, {{"orders", "*"}}, 0, 0, ear.handle()};
    j.mode = group_mode::broadcast;
    return j;
  }
  member_probe enter(const std::string& name) {
    member_probe m{world_.make_probe<delivery, settled, dismissed, group_news>(), {}};
    auto answer = world_.ask<joined>(aut, request(name, m.ear));
    EXPECT_TRUE(answer) << to_string(answer.error());
    if (answer)
      m.as = *answer;
    m.credit();
    run();
    return m;
  }
  /// What came since the last call, one text a message.
  std::vector<std::string> received(member_probe& m) {
    std::vector<std::string> bodies;
    last_ = m.ear.take<delivery>();
    for (const auto& d : last_) {
      auto messages = unpack_frame(d.frame, d.shard);
      for (const auto& got : *messages)
        bodies.emplace_back(got.message.body);
    }
    return bodies;
  }
  /// The message at an offset of what received() gave last.
  void settle(member_probe& m, std::uint64_t offset, settle_action action = settle_action::ack) {
    consume c{.member = m.as.member};
    for (const auto& d : last_) {
      auto messages = unpack_frame(d.frame, d.shard);
      for (const auto& got : *messages)
        if (got.offset == queue_offset{offset})
          c.settles.push_back({d.queue, d.gen, d.lease, got.offset, 1, action});
    }
    ASSERT_EQ(c.settles.size(), 1u);
    m.ear.send(m.as.group, std::move(c));
    for (int i = 0; i < 3; ++i)
      advance(20ms);
  }
  void publish_all(const std::vector<std::string>& texts) {
    for (const auto& text : texts)
      publish_to("orders", text);
  }
  void publish_to(const std::string& topic, const std::string& text) {
    publish_message(topic, {.body = text});
  }
  void publish_message(const std::string& topic, const message& m) {
    batch_builder builder;
    builder.add(m);
    auto b = builder.finish();
    b.header.producer = producer_id{100 + ++producers_};
    b.header.epoch = producer_epoch{1};
    b.header.sequence = batch_sequence{1};
    auto where = world_.ask<route>(aut, route_request{topic});
    auto producer = world_.make_probe<published, route>();
    producer.send(where->queues[0], publish_of(where->ids[0], std::move(b)));
    run();
    ASSERT_EQ(producer.take<published>().size(), 1u);
  }
  void away(member_probe& m) {
    m.ear.kill();
    run();
  }
  group_status described() {
    auto status = world_.ask<group_status>(aut, describe_atom::value, group_name{"caches"});
    EXPECT_TRUE(status) << to_string(status.error());
    return status ? std::move(*status) : group_status{};
  }
  std::vector<std::string> known() {
    std::vector<std::string> names;
    for (const auto& m : described().members)
      names.push_back(m.name + (m.node.empty() ? " away" : ""));
    return names;
  }
  std::size_t places(queue_id queue = queue_id{1}) { return ctx_->shards[0]->subscriptions(queue)->size(); }

  std::vector<delivery> last_;
  std::uint64_t producers_ = 0;
};

} // namespace

TEST_F(broadcast_fixture, every_member_gets_every_message_and_settles_for_itself) {
  auto one = enter("one");
  auto two = enter("two");
  EXPECT_EQ(one.as.mode, group_mode::broadcast);
  publish_all({"a", "b"});
  EXPECT_THAT(received(one), ElementsAre("a", "b"));
  EXPECT_THAT(received(two), ElementsAre("a", "b"));
  settle(two, 1);
  const auto status = described();
  ASSERT_EQ(status.members.size(), 2u);
  EXPECT_EQ(status.members[0].lag, 2u);
  EXPECT_EQ(status.members[1].lag, 1u);
  ASSERT_EQ(status.queues.size(), 1u);
  EXPECT_EQ(status.queues[0].unsettled, 2u) << "of the one that is furthest behind";
  EXPECT_EQ(status.queues[0].leased, 3u);
  EXPECT_EQ(world_.ask<names>(aut, list_groups_atom::value)->values, std::vector<std::string>{"caches"});
  EXPECT_EQ(world_.ask<catalog_status>(aut, status_atom::value)->groups, 1u);
}

TEST_F(broadcast_fixture, what_a_member_says_has_failed_is_passed_over_and_has_no_dead_letter) {
  auto one = enter("one");
  publish_all({"a", "b"});
  received(one);
  settle(one, 0, settle_action::retry);
  settle(one, 1, settle_action::dead);
  advance(10min);
  EXPECT_THAT(received(one), IsEmpty());
  EXPECT_EQ(described().members[0].lag, 0u);
  EXPECT_EQ(described().queues[0].dead, 0u);
  const auto refused = world_.ask<dead_page>(aut, list_dead{.group = "caches"}).error();
  EXPECT_EQ(refused.code, errc::invalid_argument);
  EXPECT_THAT(refused.reason, HasSubstr("has no dead letters"));
  EXPECT_EQ(world_.ask<dead_settled>(aut, settle_dead{.group = "caches"}).error().code,
            errc::invalid_argument);
}

TEST_F(broadcast_fixture, each_member_passes_over_what_expired_before_it_got_it) {
  auto one = enter("one");
  publish_message("orders", {.body = "soon over", .born = now_, .ttl = 1s});
  EXPECT_THAT(received(one), ElementsAre("soon over"));
  settle(one, 0);
  advance(1s);
  auto two = enter("two");
  publish_all({"b"});
  EXPECT_THAT(received(two), ElementsAre("b"));
  settle(two, 1);
  EXPECT_EQ(described().queues.at(0).expired, 1u) << "of one member";
  EXPECT_EQ(described().queues.at(0).dead, 0u);
}

TEST_F(broadcast_fixture, a_member_that_was_lost_goes_on_at_its_own_place_and_its_messages_come_again) {
  auto one = enter("one");
  auto two = enter("two");
  publish_all({"a", "b", "c"});
  received(one);
  settle(one, 0);
  away(one);
  publish_all({"d"});
  EXPECT_THAT(known(), ElementsAre("one away", "two"));
  auto again = enter("one");
  EXPECT_THAT(received(again), ElementsAre("b", "c", "d"));
  advance(61s);
  EXPECT_THAT(received(again), ElementsAre("b", "c", "d")) << "a lease that ended is no failure either";
  EXPECT_EQ(received(two).size(), 4u + 4u);
}

TEST_F(broadcast_fixture, the_newer_of_two_of_one_name_stays) {
  auto one = enter("one");
  auto newer = enter("one");
  auto told = one.ear.take<dismissed>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].code, errc::fenced);
  publish_all({"a"});
  EXPECT_THAT(received(newer), ElementsAre("a"));
  EXPECT_THAT(known(), ElementsAre("one"));
}

TEST_F(broadcast_fixture, members_and_their_places_survive_a_restart) {
  auto one = enter("one");
  auto two = enter("two");
  publish_all({"a", "b"});
  received(one);
  settle(one, 0);
  end(aut);
  aut = start();
  EXPECT_THAT(known(), ElementsAre("one away", "two away"));
  publish_all({"c"});
  auto back = enter("one");
  EXPECT_THAT(received(back), ElementsAre("b", "c"));
  auto three = enter("three");
  EXPECT_THAT(received(three), ElementsAre("a", "b", "c")) << "a new one begins where it asks for";
  EXPECT_EQ(places(), 3u);
}

TEST_F(broadcast_fixture, a_member_without_a_name_or_of_another_mode_is_refused) {
  auto ear = world_.make_probe<delivery, settled, dismissed, group_news>();
  EXPECT_EQ(world_.ask<joined>(aut, request("", ear)).error().code, errc::invalid_argument);
  auto nameless = request("host-77", ear);
  nameless.made_up = true;
  EXPECT_EQ(world_.ask<joined>(aut, nameless).error().code, errc::invalid_argument);
  auto one = enter("one");
  auto shared = request("two", ear);
  shared.mode = group_mode::shared;
  const auto refused = world_.ask<joined>(aut, shared).error();
  EXPECT_EQ(refused.code, errc::invalid_argument);
  EXPECT_THAT(refused.reason, HasSubstr("a broadcast group; this member asks for a shared one"));
  shared.mode = static_cast<group_mode>(7);
  EXPECT_EQ(world_.ask<joined>(aut, shared).error().code, errc::invalid_argument);
  shared.mode = any_mode;
  EXPECT_TRUE(world_.ask<joined>(aut, shared));
}

TEST_F(broadcast_fixture, one_member_or_all_are_reset) {
  auto one = enter("one");
  auto two = enter("two");
  publish_all({"a", "b"});
  received(one);
  settle(one, 0);
  settle(one, 1);
  received(two);
  settle(two, 0);
  reset_group r{.name = "caches", .topic = "orders"};
  r.member = "one";
  auto rows = world_.ask<group_reset>(aut, r);
  ASSERT_TRUE(rows) << to_string(rows.error());
  ASSERT_EQ(rows->queues.size(), 1u);
  EXPECT_EQ(rows->queues[0].member, "one");
  EXPECT_EQ(rows->queues[0].from, queue_offset{2});
  run();
  EXPECT_THAT(received(one), ElementsAre("a", "b"));
  EXPECT_THAT(received(two), IsEmpty());
  r.member.clear();
  r.to = reset_target::latest;
  rows = world_.ask<group_reset>(aut, r);
  ASSERT_TRUE(rows) << to_string(rows.error());
  ASSERT_EQ(rows->queues.size(), 2u);
  EXPECT_EQ(rows->queues[1].member, "two");
  EXPECT_EQ(described().queues[0].unsettled, 0u);
  r.member = "three";
  EXPECT_EQ(world_.ask<group_reset>(aut, r).error().code, errc::not_found);
  r.member.clear();
  r.topic = "refunds";
  EXPECT_EQ(world_.ask<group_reset>(aut, r).error().code, errc::not_found);
  ASSERT_TRUE(world_.ask<group_status>(aut, create_group{"workers", {}}));
  r = {.name = "workers", .topic = "orders", .member = "one"};
  EXPECT_EQ(world_.ask<group_reset>(aut, r).error().code, errc::invalid_argument);
}

TEST_F(broadcast_fixture, a_change_of_the_subscription_reaches_all_members_and_its_end_leaves_no_progress) {
  create("refunds", 1);
  auto one = enter("one");
  auto two = enter("two");
  away(two);
  auto status = world_.ask<group_status>(aut, subscribe_group{"caches", {"refunds", "*"}});
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->topics.size(), 2u);
  publish_to("refunds", "r");
  EXPECT_THAT(received(one), ElementsAre("r"));
  const auto refunds = queue_id{2};
  run();
  EXPECT_EQ(places(refunds), 2u);
  ASSERT_TRUE(world_.ask<group_status>(aut, subscribe_group{"caches", {"refunds", {}}, true}));
  run();
  EXPECT_EQ(places(refunds), 0u);
  EXPECT_EQ(places(), 2u);
  ASSERT_TRUE(world_.ask<group_status>(aut, pause_group{"caches", true}));
  publish_all({"a"});
  EXPECT_THAT(received(one), IsEmpty());
  ASSERT_TRUE(world_.ask<group_status>(aut, pause_group{"caches", false}));
  run();
  EXPECT_THAT(received(one), ElementsAre("a"));
}

TEST_F(broadcast_fixture, a_deleted_group_dismisses_its_members_and_leaves_no_progress) {
  auto one = enter("one");
  auto two = enter("two");
  away(two);
  EXPECT_EQ(places(), 2u);
  ASSERT_TRUE(world_.ask<bool>(aut, delete_atom::value, group_name{"caches"}));
  run();
  EXPECT_EQ(places(), 0u);
  ASSERT_EQ(one.ear.take<dismissed>().size(), 1u);
  EXPECT_THAT(ctx_->shards[0]->load_definitions()->groups, IsEmpty());
}

TEST_F(broadcast_fixture, a_member_that_nobody_saw_for_three_days_is_forgotten_with_its_progress) {
  auto gone = enter("gone");
  auto here = enter("here");
  advance(30min);
  away(gone);
  for (int hour = 0; hour < 72; ++hour)
    advance(1h);
  EXPECT_THAT(known(), ElementsAre("gone away", "here"));
  EXPECT_EQ(described().members[0].since, to_unix_ms(now_ - 72h));
  EXPECT_EQ(places(), 2u);
  advance(1h);
  advance(1h);
  EXPECT_THAT(known(), ElementsAre("here"));
  EXPECT_EQ(places(), 1u);
  publish_all({"a"});
  EXPECT_THAT(received(here), ElementsAre("a"));
}

TEST_F(broadcast_fixture, a_restart_makes_nobody_older_and_nobody_is_forgotten_by_a_clock_that_was_set) {
  auto one = enter("one");
  for (int hour = 0; hour < 100; ++hour)
    advance(1h);
  end(aut);
  aut = start();
  now_ += 240h; // the clock is set
  for (int hour = 0; hour < 5; ++hour)
    advance(1h);
  EXPECT_THAT(known(), ElementsAre("one away"));
  now_ -= 240h;
  advance(1h);
  EXPECT_THAT(known(), ElementsAre("one away"));
  for (int hour = 0; hour < 73; ++hour)
    advance(1h);
  EXPECT_THAT(known(), IsEmpty());
  EXPECT_EQ(places(), 0u);
}

TEST_F(broadcast_fixture, a_member_that_is_away_costs_no_actors_and_goes_on_where_it_was) {
  publish_all({"a", "b"});
  auto here = enter("here");
  const auto with_one = world_.system().registry().running();
  auto one = enter("one");
  EXPECT_THAT(received(one), ElementsAre("a", "b"));
  settle(one, 0);
  EXPECT_GT(world_.system().registry().running(), with_one);
  away(one);
  for (int minute = 0; minute < 4; ++minute)
    advance(1min);
  EXPECT_EQ(world_.system().registry().running(), with_one);
  EXPECT_THAT(known(), ElementsAre("here", "one away")) << "a question starts what it needs";
  EXPECT_GT(world_.system().registry().running(), with_one);
  for (int minute = 0; minute < 4; ++minute)
    advance(1min);
  EXPECT_EQ(world_.system().registry().running(), with_one);
  EXPECT_THAT(received(here), Not(IsEmpty())) << "who is there stays";
  one = enter("one");
  EXPECT_THAT(received(one), ElementsAre("b"));
}

TEST_F(broadcast_fixture, who_came_and_went_while_the_clock_ran_ahead_is_forgotten_like_everybody) {
  now_ += 24h * 3650;
  auto one = enter("one");
  away(one);
  now_ -= 24h * 3650;
  for (int hour = 0; hour < 75; ++hour)
    advance(1h);
  EXPECT_THAT(known(), IsEmpty());
}

} // namespace troupe::test
