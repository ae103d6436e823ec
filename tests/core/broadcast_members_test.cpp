#include "troupe/broadcast_members.hpp"

#include "troupe/catalog_pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto start = from_unix_ms(1'700'000'000'000);

/// A catalog with topics "orders" and "refunds" whose changes are applied as soon as they are proposed.
struct broadcast_members_test : testing::Test {
  catalog aut;
  catalog_window window;
  member_presence presence;
  timestamp now = start;

  void SetUp() override {
    for (auto name : {"orders", "refunds"})
      carry_out(**aut.create_topic(name, {}, window.last(), now));
  }
  void carry_out(const catalog_change& change) {
    window.begin(change);
    aut.apply(change.entry);
    window.end(change);
  }
  bool carry_out(const catalog_proposal& proposed) {
    EXPECT_TRUE(proposed) << to_string(proposed.error());
    if (!proposed || !*proposed)
      return false;
    carry_out(**proposed);
    return true;
  }
  static wanted_membership wanted(const std::string& member) {
    return {.group = "caches",
            .member = member,
            .mode = group_mode::broadcast,
            .subscriptions = {{"orders", "*"}}};
  }
  catalog_proposal propose(const wanted_membership& w) { return propose_join(aut, w, window.last(), now); }
  const group_definition& join(const std::string& member) {
    carry_out(propose(wanted(member)));
    return *aut.member(group().id, member);
  }
  const group_definition& group() { return *aut.group("caches"); }
  std::vector<std::string> members() {
    std::vector<std::string> names;
    for (const auto* m : aut.members(group().id))
      names.push_back(m->name);
    return names;
  }
};

TEST_F(broadcast_members_test, the_first_to_join_makes_the_group_and_its_own_place) {
  auto w = wanted("one");
  w.start = {start_position::kind::latest, now};
  auto change = propose(w);
  ASSERT_TRUE(change && *change);
  EXPECT_THAT((**change).names, testing::UnorderedElementsAre("group caches", "topic orders"));
  carry_out(change);
  EXPECT_EQ(group().options, default_options(group_mode::broadcast));
  const auto& one = *aut.member(group().id, "one");
  EXPECT_EQ(one.id, group_id{2});
  EXPECT_EQ(one.parent, group().id);
  EXPECT_EQ(one.options, group().options);
  EXPECT_EQ(one.seen, now);
  ASSERT_EQ(one.subscriptions.size(), 1u);
  EXPECT_EQ(one.subscriptions[0].start, w.start);
  EXPECT_EQ(window.last().group, group_id{2});
}

TEST_F(broadcast_members_test, each_member_begins_where_it_asks_for_and_who_is_known_changes_nothing) {
  join("one");
  auto w = wanted("two");
  w.start = {start_position::kind::time, now};
  EXPECT_TRUE(carry_out(propose(w)));
  EXPECT_EQ(aut.member(group().id, "one")->subscriptions[0].start, start_position{});
  EXPECT_EQ(aut.member(group().id, "two")->subscriptions[0].start, w.start);
  w.start = {};
  EXPECT_FALSE(carry_out(propose(w)));
  EXPECT_THAT(members(), ElementsAre("one", "two"));
}

TEST_F(broadcast_members_test, members_are_no_groups_and_may_be_named_as_groups_are) {
  carry_out(aut.create_group("one", {}, window.last(), now));
  const auto id = join("one").id;
  join("caches");
  EXPECT_THAT(aut.group_names(), ElementsAre("caches", "one"));
  EXPECT_EQ(aut.groups(), 2u);
  EXPECT_EQ(aut.members(), 2u);
  EXPECT_EQ(aut.group("one")->options.mode, group_mode::shared);
  EXPECT_EQ(aut.expect_group("two").error().code, errc::not_found);
  catalog_entry gone;
  gone.removed_groups = {id};
  aut.apply(gone);
  EXPECT_NE(aut.group("one"), nullptr) << "the group of that name stays";
  EXPECT_THAT(members(), ElementsAre("caches"));
}

TEST_F(broadcast_members_test, another_mode_than_the_groups_is_refused_with_both_spelled_out) {
  join("one");
  auto w = wanted("two");
  for (auto other : {group_mode::shared, group_mode::ordered}) {
    w.mode = other;
    auto refused = propose(w).error();
    EXPECT_EQ(refused.code, errc::invalid_argument);
    EXPECT_THAT(refused.reason, HasSubstr("a broadcast group"));
    EXPECT_THAT(refused.reason, HasSubstr(other == group_mode::shared ? "a shared one" : "an ordered one"));
  }
  w.mode.reset();
  EXPECT_TRUE(carry_out(propose(w)));
  wanted_membership worker{
      .group = "workers", .mode = group_mode::ordered, .subscriptions = {{"orders", "*"}}};
  EXPECT_TRUE(carry_out(propose(worker)));
  EXPECT_EQ(aut.group("workers")->options, default_options(group_mode::ordered));
  worker.mode.reset();
  EXPECT_FALSE(carry_out(propose(worker)));
  worker.mode = group_mode::broadcast;
  EXPECT_EQ(propose(worker).error().code, errc::invalid_argument);
}

TEST_F(broadcast_members_test, a_member_without_a_name_is_refused) {
  auto refused = propose(wanted("")).error();
  EXPECT_EQ(refused.code, errc::invalid_argument);
  EXPECT_THAT(refused.reason, HasSubstr("has no name"));
  EXPECT_THAT(refused.hint, HasSubstr("--member NAME, or consumer_options::member"));
  EXPECT_EQ(aut.group("caches"), nullptr);
}

TEST_F(broadcast_members_test, who_subscribes_otherwise_is_refused_unless_it_was_a_member) {
  join("one");
  auto w = wanted("two");
  w.subscriptions = {{"refunds", "*"}};
  EXPECT_EQ(propose(w).error().code, errc::inconsistent_subscription);
  w.again = true;
  EXPECT_TRUE(carry_out(propose(w)));
  EXPECT_EQ(aut.member(group().id, "two")->subscriptions[0].topic, aut.topic("orders")->id);
}

TEST_F(broadcast_members_test, only_so_many_members_are_let_in) {
  for (std::size_t n = 0; n < most_broadcast_members; ++n)
    join("m" + std::to_string(n));
  auto refused = propose(wanted("one more")).error();
  EXPECT_EQ(refused.code, errc::too_large);
  EXPECT_THAT(refused.reason, HasSubstr("1000 members"));
  EXPECT_FALSE(carry_out(propose(wanted("m7")))) << "who is one stays one";
}

TEST_F(broadcast_members_test, what_changes_the_group_changes_its_members_in_the_same_entry) {
  join("one");
  auto w = wanted("two");
  w.start = {start_position::kind::time, now};
  carry_out(propose(w));
  const start_position later{start_position::kind::time, now + 5s};
  carry_out(aut.subscribe("caches", {"refunds", "big"}, later));
  carry_out(aut.subscribe("caches", {"orders", "paid"}, {}));
  carry_out(aut.pause_group("caches", true));
  auto options = group().options;
  options.lease = 5s;
  carry_out(aut.set_group("caches", options));
  for (const auto* m : aut.members(group().id)) {
    ASSERT_EQ(m->subscriptions.size(), 2u);
    EXPECT_EQ(m->subscriptions[0].filter, "paid");
    EXPECT_EQ(m->subscriptions[0].start, m->name == "one" ? start_position{} : w.start);
    EXPECT_EQ(m->subscriptions[1].filter, "big");
    EXPECT_EQ(m->subscriptions[1].start, later);
    EXPECT_TRUE(m->paused);
    EXPECT_EQ(m->options.lease, 5s);
  }
  carry_out(aut.unsubscribe("caches", "orders"));
  EXPECT_EQ(aut.member(group().id, "one")->subscriptions.size(), 1u);
  auto deleted = aut.delete_topic("refunds");
  ASSERT_TRUE(deleted && *deleted);
  EXPECT_THAT((**deleted).names, testing::Each(testing::AnyOf("topic refunds", "group caches")));
  carry_out(deleted);
  EXPECT_THAT(aut.member(group().id, "one")->subscriptions, IsEmpty());
  carry_out(propose(wanted("one")));
  EXPECT_EQ(aut.member(group().id, "two")->subscriptions.size(), 1u) << "the next to join brings one for all";
}

TEST_F(broadcast_members_test, a_deleted_group_takes_its_members_along) {
  join("one");
  join("two");
  carry_out(aut.delete_group("caches"));
  EXPECT_EQ(aut.members(), 0u);
  EXPECT_EQ(aut.group(group_id{2}), nullptr);
  EXPECT_EQ(join("one").id, group_id{5}) << "ids are never reused";
}

TEST_F(broadcast_members_test, members_survive_being_loaded_in_any_order) {
  join("one");
  catalog_entry loaded;
  loaded.groups = {*aut.member(group().id, "one"), group()};
  loaded.topics = {*aut.topic("orders")};
  catalog again;
  again.apply(loaded);
  EXPECT_THAT(again.group_names(), ElementsAre("caches"));
  ASSERT_NE(again.member(group().id, "one"), nullptr);
  EXPECT_EQ(*again.member(group().id, "one"), *aut.member(group().id, "one"));
}

TEST_F(broadcast_members_test, who_was_not_seen_for_three_days_is_forgotten_and_nobody_earlier) {
  const auto gone = join("gone").id;
  const auto here = join("here").id;
  presence.moved(gone, true, now);
  presence.moved(here, true, now);
  now += 1h;
  presence.moved(gone, false, now);
  EXPECT_TRUE(carry_out(write_seen(aut, group().id, presence, now)));
  EXPECT_EQ(aut.group(gone)->seen, now);
  now += member_kept + member_look - 1ms;
  carry_out(expire_members(aut, group().id, presence, now));
  EXPECT_THAT(members(), ElementsAre("gone", "here"));
  EXPECT_EQ(aut.group(here)->seen, now) << "who is connected is seen";
  now += 1ms;
  auto change = expire_members(aut, group().id, presence, now);
  ASSERT_TRUE(change && *change);
  EXPECT_THAT((**change).names, ElementsAre("group caches"));
  EXPECT_THAT((**change).entry.removed_groups, ElementsAre(gone));
  carry_out(change);
  EXPECT_THAT(members(), ElementsAre("here"));
}

TEST_F(broadcast_members_test, who_asks_to_be_let_in_is_not_forgotten_meanwhile) {
  const auto id = join("one").id;
  now += member_kept * 2;
  presence.noticed(id, now);
  EXPECT_TRUE(carry_out(expire_members(aut, group().id, presence, now)));
  EXPECT_THAT(members(), ElementsAre("one"));
  EXPECT_EQ(aut.group(id)->seen, now);
}

TEST_F(broadcast_members_test, what_was_written_a_moment_ago_is_not_written_again) {
  const auto id = join("one").id;
  presence.moved(id, true, now);
  now += member_seen_step - 1ms;
  EXPECT_FALSE(carry_out(write_seen(aut, group().id, presence, now)));
  now += 1ms;
  EXPECT_TRUE(carry_out(write_seen(aut, group().id, presence, now)));
  EXPECT_FALSE(carry_out(write_seen(aut, group().id, presence, now)));
  EXPECT_FALSE(carry_out(write_seen(aut, group_id{77}, presence, now))) << "no such group";
}

TEST_F(broadcast_members_test, a_clock_that_was_set_back_makes_nobody_older) {
  const auto id = join("one").id;
  presence.moved(id, true, now - 240h);
  presence.moved(id, false, now - 240h);
  EXPECT_EQ(presence.last_seen(*aut.group(id), now), start);
  EXPECT_FALSE(carry_out(expire_members(aut, group().id, presence, now)));
}

} // namespace

} // namespace troupe
