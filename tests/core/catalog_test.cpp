#include "troupe/catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace troupe {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr auto now = from_unix_ms(1'700'000'000'000);

/// A catalog whose changes are applied as soon as they are proposed.
struct catalog_test : testing::Test {
  catalog aut;
  catalog_window window;

  void carry_out(const catalog_change& change) {
    window.begin(change);
    aut.apply(change.entry);
    window.end(change);
  }
  const topic_definition& make_topic(const std::string& name, std::uint32_t queues = 4) {
    topic_options options;
    options.queues = queues;
    auto change = aut.create_topic(name, options, window.last(), now);
    EXPECT_TRUE(change) << to_string(change.error());
    carry_out(**change);
    return *aut.topic(name);
  }
  catalog_proposal try_join(const std::string& group, std::vector<wanted_subscription> wanted) {
    return aut.join(group, wanted, {}, window.last(), now);
  }
  const group_definition& join(const std::string& group, std::vector<wanted_subscription> wanted) {
    auto change = try_join(group, std::move(wanted));
    EXPECT_TRUE(change) << to_string(change.error());
    if (*change)
      carry_out(**change);
    return *aut.group(group);
  }
};

TEST_F(catalog_test, a_new_topic_gets_the_next_ids_and_is_found_by_name_id_and_queue) {
  make_topic("first", 3);
  const auto& second = make_topic("second", 5);
  EXPECT_EQ(second.id, topic_id{2});
  EXPECT_EQ(second.version, 1u);
  EXPECT_EQ(second.created, now);
  EXPECT_EQ(second.queue(0), queue_id{4});
  EXPECT_EQ(second.queue(4), queue_id{8});
  EXPECT_EQ(aut.topic(topic_id{2}), &second);
  auto place = aut.find(queue_id{8});
  ASSERT_TRUE(place);
  EXPECT_EQ(place->topic, &second);
  EXPECT_EQ(place->number, 4u);
  EXPECT_FALSE(aut.find(queue_id{9}));
  EXPECT_FALSE(aut.find(queue_id{0}));
  EXPECT_THAT(aut.topic_names(), ElementsAre("first", "second"));
}

TEST_F(catalog_test, a_name_that_is_taken_is_refused_with_what_to_do) {
  make_topic("orders");
  auto again = aut.create_topic("orders", {}, window.last(), now);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::already_exists);
  EXPECT_THAT(again.error().hint, HasSubstr("troupe topic set orders"));
}

TEST_F(catalog_test, bad_names_and_options_are_refused) {
  EXPECT_EQ(aut.create_topic("no spaces", {}, window.last(), now).error().code, errc::invalid_argument);
  topic_options none;
  none.queues = 0;
  EXPECT_EQ(aut.create_topic("orders", none, window.last(), now).error().code, errc::invalid_argument);
  group_options brief;
  brief.lease = milliseconds{1};
  EXPECT_EQ(aut.create_group("workers", brief, window.last(), now).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.create_group("", {}, window.last(), now).error().code, errc::invalid_argument);
}

TEST_F(catalog_test, ids_are_never_reused_even_after_a_change_that_failed) {
  make_topic("kept", 2);
  auto failed = aut.create_topic("failed", {}, window.last(), now);
  ASSERT_TRUE(failed);
  window.begin(**failed);
  window.end(**failed);
  EXPECT_EQ(make_topic("next", 1).id, topic_id{3});
  EXPECT_EQ(aut.topic("next")->queue(0), queue_id{2 + topic_options{}.queues + 1});
  carry_out(**aut.delete_topic("next"));
  EXPECT_EQ(make_topic("last", 1).id, topic_id{4});
}

TEST_F(catalog_test, used_up_ids_are_refused_and_do_not_wrap) {
  catalog_ids nearly{topic_id{7}, queue_id{0xffffffff - 3}, group_id{0xffffffff}};
  topic_options options;
  options.queues = 4;
  EXPECT_EQ(aut.create_topic("a", options, nearly, now).error().code, errc::too_large);
  options.queues = 3;
  EXPECT_TRUE(aut.create_topic("a", options, nearly, now));
  EXPECT_EQ(aut.create_group("g", {}, nearly, now).error().code, errc::too_large);
}

TEST_F(catalog_test, each_lane_of_a_queue_has_an_id_and_new_queues_come_with_all_lanes) {
  topic_options options;
  options.queues = 2;
  options.priorities = 3;
  carry_out(**aut.create_topic("lanes", options, window.last(), now));
  EXPECT_EQ(aut.topic("lanes")->queue(1, 2), queue_id{6});
  make_topic("between", 1);
  options.queues = 3;
  carry_out(**aut.set_topic("lanes", options, window.last()));
  EXPECT_EQ(aut.topic("lanes")->queue(2, 0), queue_id{8});
  EXPECT_EQ(aut.topic("lanes")->queue(2, 2), queue_id{10});
  EXPECT_EQ(make_topic("behind", 1).queue(0), queue_id{11});
  for (std::uint32_t n = 0; n < 3; ++n)
    for (std::uint8_t p = 0; p < 3; ++p) {
      const auto place = aut.find(aut.topic("lanes")->queue(n, p));
      ASSERT_TRUE(place);
      EXPECT_EQ(place->topic->name, "lanes");
      EXPECT_EQ(place->number, n);
    }
}

TEST_F(catalog_test, the_priorities_of_a_topic_are_fixed_since_it_was_created) {
  make_topic("orders");
  auto options = aut.topic("orders")->options;
  options.priorities = 4;
  const auto change = aut.set_topic("orders", options, window.last());
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, errc::invalid_argument);
  EXPECT_THAT(change.error().reason, HasSubstr("is 1, fixed since it was created; it cannot be 4"));
}

TEST_F(catalog_test, lanes_are_counted_when_ids_are_used_up) {
  catalog_ids nearly{topic_id{7}, queue_id{0xffffffff - 5}, group_id{}};
  topic_options options;
  options.queues = 3;
  options.priorities = 2;
  EXPECT_EQ(aut.create_topic("a", options, nearly, now).error().code, errc::too_large);
  options.queues = 2;
  EXPECT_TRUE(aut.create_topic("a", options, nearly, now));
}

TEST_F(catalog_test, more_queues_get_new_ids_behind_the_old_ones) {
  make_topic("grows", 2);
  make_topic("between", 1);
  topic_options wider;
  wider.queues = 4;
  auto change = aut.set_topic("grows", wider, window.last());
  ASSERT_TRUE(change && *change);
  carry_out(**change);
  const auto& topic = *aut.topic("grows");
  EXPECT_EQ(topic.version, 2u);
  EXPECT_THAT(topic.queues, ElementsAre(queue_range{queue_id{1}, 2}, queue_range{queue_id{4}, 2}));
  EXPECT_EQ(aut.find(queue_id{5})->number, 3u);
  EXPECT_EQ(aut.find(queue_id{3})->topic->name, "between");
}

TEST_F(catalog_test, a_topic_never_shrinks_and_equal_options_change_nothing) {
  make_topic("orders", 4);
  auto options = aut.topic("orders")->options;
  auto same = aut.set_topic("orders", options, window.last());
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
  options.queues = 3;
  EXPECT_EQ(aut.set_topic("orders", options, window.last()).error().code, errc::invalid_argument);
  options.queues = 4;
  options.max_message = 0;
  EXPECT_EQ(aut.set_topic("orders", options, window.last()).error().code, errc::invalid_argument);
}

TEST_F(catalog_test, an_unknown_topic_is_refused_with_a_hint_and_the_name_that_was_meant) {
  make_topic("packages");
  auto close = aut.delete_topic("pakcages").error();
  EXPECT_EQ(close.code, errc::not_found);
  EXPECT_THAT(close.hint, HasSubstr("did you mean \"packages\"?"));
  EXPECT_THAT(close.hint, HasSubstr("troupe topic create pakcages"));
  EXPECT_THAT(aut.delete_topic("Packages").error().hint, HasSubstr("\"packages\"?"));
  auto far = aut.delete_topic("invoices").error();
  EXPECT_THAT(far.hint, testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(far.hint, HasSubstr("troupe topic create invoices"));
}

TEST_F(catalog_test, short_names_need_to_be_nearly_equal_to_be_suggested) {
  make_topic("ab");
  EXPECT_THAT(aut.delete_topic("ac").error().hint, HasSubstr("\"ab\"?"));
  EXPECT_THAT(aut.delete_topic("cd").error().hint, testing::Not(HasSubstr("did you mean")));
}

TEST_F(catalog_test, the_first_consumer_makes_the_group_with_its_subscriptions) {
  make_topic("a");
  make_topic("b");
  const auto& group = join("workers", {{"b", "x || y"}, {"a", "*"}});
  EXPECT_EQ(group.id, group_id{1});
  EXPECT_EQ(group.options, group_options{});
  ASSERT_EQ(group.subscriptions.size(), 2u);
  EXPECT_EQ(group.subscriptions[0].topic, topic_id{2});
  EXPECT_EQ(group.subscriptions[0].filter, "x || y");
  EXPECT_THAT(aut.followers(topic_id{1}), ElementsAre(group_id{1}));
}

TEST_F(catalog_test, a_group_that_was_created_before_takes_the_first_consumers_subscriptions) {
  make_topic("a");
  group_options options;
  options.max_unsettled = 7;
  carry_out(**aut.create_group("workers", options, window.last(), now));
  const auto& group = join("workers", {{"a", "*"}});
  EXPECT_EQ(group.id, group_id{1});
  EXPECT_EQ(group.version, 2u);
  EXPECT_EQ(group.options.max_unsettled, 7u);
  EXPECT_EQ(group.subscriptions.size(), 1u);
}

TEST_F(catalog_test, a_group_takes_other_options_and_keeps_the_rest) {
  make_topic("a");
  const auto before = join("workers", {{"a", "*"}});
  group_options options;
  options.retry = retry_schedule::fixed(std::chrono::seconds{5});
  options.max_unsettled = 7;
  carry_out(**aut.set_group("workers", options));
  const auto* group = aut.group("workers");
  EXPECT_EQ(group->options, options);
  EXPECT_EQ(group->version, before.version + 1);
  EXPECT_EQ(group->subscriptions, before.subscriptions);
  EXPECT_FALSE(*aut.set_group("workers", options)) << "it is so already";
  EXPECT_EQ(aut.set_group("missing", options).error().code, errc::not_found);
  options.retry.steps.assign(65, std::chrono::seconds{1});
  EXPECT_EQ(aut.set_group("workers", options).error().code, errc::invalid_argument);
}

TEST_F(catalog_test, the_mode_of_a_group_and_its_order_are_fixed) {
  carry_out(**aut.create_group("ledger", default_options(group_mode::ordered), window.last(), now));
  auto options = default_options(group_mode::ordered);
  options.order_by = group_order::queue;
  EXPECT_EQ(aut.set_group("ledger", options).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.set_group("ledger", {}).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.group("ledger")->options, default_options(group_mode::ordered));
}

TEST_F(catalog_test, a_group_is_paused_and_resumed) {
  carry_out(**aut.create_group("workers", {}, window.last(), now));
  carry_out(**aut.pause_group("workers", true));
  EXPECT_TRUE(aut.group("workers")->paused);
  EXPECT_FALSE(*aut.pause_group("workers", true)) << "it is so already";
  group_options options;
  options.max_unsettled = 7;
  carry_out(**aut.set_group("workers", options));
  EXPECT_TRUE(aut.group("workers")->paused) << "other options do not resume it";
  carry_out(**aut.pause_group("workers", false));
  EXPECT_FALSE(aut.group("workers")->paused);
  EXPECT_EQ(aut.pause_group("missing", true).error().code, errc::not_found);
}

TEST_F(catalog_test, an_equal_subscription_changes_nothing_whatever_its_order) {
  make_topic("a");
  make_topic("b");
  join("workers", {{"a", "*"}, {"b", "x"}});
  auto again = try_join("workers", {{"b", "x"}, {"a", "*"}});
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
}

TEST_F(catalog_test, a_different_subscription_is_refused_and_both_are_spelled_out) {
  make_topic("a");
  make_topic("b");
  join("workers", {{"a", "*"}, {"b", "x"}});
  for (const auto& other : std::vector<std::vector<wanted_subscription>>{
           {{"a", "*"}}, {{"a", "*"}, {"b", "y"}}, {{"a", "x"}, {"b", "x"}}}) {
    auto refused = try_join("workers", other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::inconsistent_subscription);
    EXPECT_THAT(refused.error().reason, HasSubstr("has "));
    EXPECT_THAT(refused.error().reason, HasSubstr("asks for "));
    EXPECT_THAT(refused.error().hint, HasSubstr("troupe group subscribe workers"));
  }
}

TEST_F(catalog_test, of_a_different_subscription_what_differs_is_spelled_out_and_long_filters_are_cut) {
  make_topic("a");
  make_topic("b");
  join("workers", {{"a", "*"}, {"b", "x"}});
  const auto said = [&](std::vector<wanted_subscription> other) {
    return try_join("workers", std::move(other)).error().reason;
  };
  EXPECT_THAT(said({{"a", "*"}, {"b", "y"}}), HasSubstr(R"(has "b" with filter "x", and 1 alike)"));
  EXPECT_THAT(said({{"a", "*"}, {"b", "y"}}), HasSubstr(R"(asks for "b" with filter "y", and 1 alike)"));
  EXPECT_THAT(said({{"a", "*"}}), HasSubstr("asks for only 1 alike"));
  const auto all = said({{"a", "y"}, {"b", std::string(60'000, 'z')}});
  EXPECT_THAT(all, HasSubstr(R"(has "a" with filter "*", "b" with filter "x")"));
  EXPECT_LT(all.size(), 1'000u);
}

TEST_F(catalog_test, filters_of_a_group_are_bounded_together) {
  std::vector<wanted_subscription> wanted;
  for (int i = 0; i < 17; ++i) {
    make_topic("t" + std::to_string(i));
    wanted.push_back({"t" + std::to_string(i), std::string(64u << 10, 'x')});
  }
  EXPECT_EQ(try_join("workers", wanted).error().code, errc::too_large);
  wanted.pop_back();
  join("workers", wanted);
  EXPECT_EQ(aut.subscribe("workers", {"t16", "y"}, {start_position::kind::latest, now}).error().code,
            errc::too_large);
}

TEST_F(catalog_test, a_subscription_is_changed_for_all_members_at_once) {
  const auto orders = make_topic("orders").id;
  make_topic("refunds");
  const auto before = join("workers", {{"orders", "a"}});
  auto wider = aut.subscribe("workers", {"orders", "a || b"}, {start_position::kind::latest, now});
  ASSERT_TRUE(wider && *wider);
  EXPECT_THAT((*wider)->names, UnorderedElementsAre(group_key("workers"), topic_key("orders")));
  carry_out(**wider);
  const auto& has = *aut.group("workers");
  EXPECT_EQ(has.version, before.version + 1);
  ASSERT_EQ(has.subscriptions.size(), 1u);
  EXPECT_EQ(has.subscriptions[0], (group_subscription{orders, "a || b", {}})) << "it keeps its start";
  auto same = aut.subscribe("workers", {"orders", "a || b"}, {});
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
  auto more = aut.subscribe("workers", {"refunds", "*"}, {start_position::kind::time, now});
  ASSERT_TRUE(more && *more);
  carry_out(**more);
  EXPECT_EQ(aut.group("workers")->subscriptions.size(), 2u);
  EXPECT_EQ(aut.group("workers")->subscriptions[1].start, (start_position{start_position::kind::time, now}));
  auto less = aut.unsubscribe("workers", "orders");
  ASSERT_TRUE(less && *less);
  carry_out(**less);
  ASSERT_EQ(aut.group("workers")->subscriptions.size(), 1u);
  EXPECT_EQ(aut.group("workers")->subscriptions[0].topic, aut.topic("refunds")->id);
  EXPECT_EQ(aut.group("workers")->version, before.version + 3);
}

TEST_F(catalog_test, changes_of_a_subscription_that_make_no_sense_are_refused) {
  make_topic("orders");
  make_topic("refunds");
  join("workers", {{"orders", "*"}});
  EXPECT_EQ(aut.subscribe("nobody", {"orders", "*"}, {}).error().code, errc::not_found);
  EXPECT_EQ(aut.subscribe("workers", {"missing", "*"}, {}).error().code, errc::not_found);
  EXPECT_EQ(aut.unsubscribe("nobody", "orders").error().code, errc::not_found);
  EXPECT_EQ(aut.unsubscribe("workers", "missing").error().code, errc::not_found);
  EXPECT_THAT(aut.unsubscribe("workers", "refunds").error().reason, HasSubstr("does not subscribe"));
  auto last = aut.unsubscribe("workers", "orders");
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, errc::invalid_argument);
  EXPECT_THAT(last.error().hint, HasSubstr("troupe group delete workers"));
}

TEST_F(catalog_test, a_group_subscribes_to_1024_topics_at_most) {
  std::vector<wanted_subscription> all;
  for (int i = 0; i < 1024; ++i) {
    make_topic("t" + std::to_string(i), 1);
    all.push_back({"t" + std::to_string(i), "*"});
  }
  make_topic("more", 1);
  join("workers", all);
  EXPECT_EQ(aut.subscribe("workers", {"more", "*"}, {}).error().code, errc::too_large);
  EXPECT_TRUE(aut.subscribe("workers", {"t1", "x"}, {}));
}

TEST_F(catalog_test, who_was_a_member_comes_back_whatever_it_asks_for) {
  make_topic("orders");
  join("workers", {{"orders", "*"}});
  const std::vector<wanted_subscription> gone{{"deleted", "x"}};
  auto back = aut.rejoin("workers", gone, {}, window.last(), now);
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_FALSE(*back);
  EXPECT_EQ(aut.rejoin("new", gone, {}, window.last(), now).error().code, errc::not_found);
  const std::vector<wanted_subscription> orders{{"orders", "x"}};
  auto made = aut.rejoin("new", orders, {}, window.last(), now);
  ASSERT_TRUE(made && *made) << "without a group it is as any other";
}

TEST_F(catalog_test, joins_that_name_no_topic_or_one_twice_or_an_unknown_one_are_refused) {
  make_topic("a");
  EXPECT_EQ(try_join("workers", {}).error().code, errc::invalid_argument);
  EXPECT_EQ(try_join("workers", {{"a", "x"}, {"a", "y"}}).error().code, errc::invalid_argument);
  EXPECT_EQ(try_join("no group", {{"a", "x"}}).error().code, errc::invalid_argument);
  auto unknown = try_join("workers", {{"a", "*"}, {"orders", "*"}}).error();
  EXPECT_EQ(unknown.code, errc::not_found);
  EXPECT_THAT(unknown.hint, HasSubstr("troupe topic create orders"));
}

TEST_F(catalog_test, a_deleted_topic_leaves_its_groups_and_its_queues_belong_to_nobody) {
  make_topic("a", 2);
  make_topic("b", 2);
  join("both", {{"a", "*"}, {"b", "*"}});
  join("other", {{"b", "*"}});
  auto change = aut.delete_topic("a");
  ASSERT_TRUE(change);
  EXPECT_THAT((*change)->names, UnorderedElementsAre(topic_key("a"), group_key("both")));
  carry_out(**change);
  EXPECT_EQ(aut.topic("a"), nullptr);
  EXPECT_FALSE(aut.find(queue_id{1}));
  EXPECT_EQ(aut.group("both")->version, 2u);
  ASSERT_EQ(aut.group("both")->subscriptions.size(), 1u);
  EXPECT_EQ(aut.group("both")->subscriptions[0].topic, topic_id{2});
  EXPECT_EQ(aut.group("other")->version, 1u);
}

TEST_F(catalog_test, a_group_of_the_same_name_is_a_new_one_after_it_was_deleted) {
  make_topic("a");
  join("workers", {{"a", "*"}});
  carry_out(**aut.delete_group("workers"));
  EXPECT_THAT(aut.group_names(), IsEmpty());
  EXPECT_EQ(aut.delete_group("workers").error().code, errc::not_found);
  EXPECT_EQ(join("workers", {{"a", "x"}}).id, group_id{2});
}

TEST_F(catalog_test, subscriptions_to_topics_that_do_not_exist_are_left_out_of_what_a_store_loaded) {
  group_definition loaded;
  loaded.id = group_id{9};
  loaded.name = "workers";
  loaded.subscriptions = {{topic_id{5}, "*", {}}};
  aut.apply({{}, {loaded}, {}, {}});
  EXPECT_THAT(aut.group("workers")->subscriptions, IsEmpty());
}

TEST_F(catalog_test, names_of_a_change_under_way_are_held_until_it_ends) {
  make_topic("a");
  auto join = try_join("workers", {{"a", "*"}});
  ASSERT_TRUE(join && *join);
  window.begin(**join);
  EXPECT_EQ(window.held(std::vector{group_key("workers")}), group_key("workers"));
  EXPECT_EQ(window.held(std::vector{topic_key("b"), topic_key("a")}), topic_key("a"));
  EXPECT_FALSE(window.held(std::vector{topic_key("b"), group_key("a")}));
  window.end(**join);
  EXPECT_FALSE(window.held(std::vector{group_key("workers"), topic_key("a")}));
}

TEST(catalog_model, random_changes_replayed_give_the_same_catalog_and_disjoint_queues) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random{seed};
    catalog live;
    catalog_window window;
    std::vector<catalog_entry> log;
    auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    auto name = [&] { return "n" + std::to_string(pick(12)); };
    auto take = [&](catalog_change change) {
      ASSERT_FALSE(window.held(change.names));
      window.begin(change);
      live.apply(change.entry);
      window.end(change);
      log.push_back(std::move(change.entry));
    };
    for (int step = 0; step < 400; ++step) {
      topic_options options;
      options.queues = 1 + pick(6);
      switch (pick(5)) {
      case 0:
        if (auto c = live.create_topic(name(), options, window.last(), now))
          take(std::move(**c));
        break;
      case 1:
        if (auto c = live.set_topic(name(), options, window.last()); c && *c)
          take(std::move(**c));
        break;
      case 2:
        if (auto c = live.delete_topic(name()))
          take(std::move(**c));
        break;
      case 3: {
        std::vector<wanted_subscription> wanted{{name(), "*"}, {name(), "x"}};
        if (auto c = live.join(name(), wanted, {}, window.last(), now); c && *c)
          take(std::move(**c));
        break;
      }
      default:
        if (auto c = live.delete_group(name()); c && pick(3) == 0)
          take(std::move(**c));
      }
      std::uint32_t queues = 0;
      for (const auto& topic_name : live.topic_names()) {
        const auto& topic = *live.topic(topic_name);
        for (std::uint32_t n = 0; n < topic.options.queues; ++n, ++queues) {
          auto place = live.find(topic.queue(n));
          ASSERT_TRUE(place);
          ASSERT_EQ(place->topic, &topic);
          ASSERT_EQ(place->number, n);
        }
      }
      std::uint32_t owned = 0;
      for (std::uint32_t q = 1; q <= window.last().queue.value; ++q)
        owned += live.find(queue_id{q}).has_value();
      ASSERT_EQ(owned, queues);
    }
    catalog replayed;
    for (const auto& entry : log)
      replayed.apply(entry);
    ASSERT_EQ(replayed.topic_names(), live.topic_names());
    ASSERT_EQ(replayed.group_names(), live.group_names());
    for (const auto& topic : live.topic_names())
      ASSERT_EQ(*replayed.topic(topic), *live.topic(topic));
    for (const auto& group : live.group_names()) {
      ASSERT_EQ(*replayed.group(group), *live.group(group));
      for (const auto& s : live.group(group)->subscriptions)
        ASSERT_NE(live.topic(s.topic), nullptr);
    }
  }
}

} // namespace

} // namespace troupe
