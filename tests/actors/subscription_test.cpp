#include "publish_fixture.hpp"

#include "subscription.hpp"

#include "troupe/batch.hpp"
#include "troupe/delivery_frame.hpp"

#include <gmock/gmock.h>

/// One SUBSCRIPTION with a real STORE and shard, between a GROUP and a QUEUE that the test plays.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr queue_id q1{1};

class subscription_actor_test : public publish_fixture {
protected:
  using group_probe =
      probe<subscription_started, subscription_ready, grant_used, messages_released, queue_lost>;
  using source_probe = probe<watch, fetch>;
  using consumer_probe = probe<delivery, settled>;

  ~subscription_actor_test() override {
    caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
    run();
  }
  const std::shared_ptr<const retry_policy> policy_ =
      std::make_shared<scheduled_retry>(retry_schedule::fixed(1s));
  void start_without_tail(const std::string& filter = "*") {
    aut = spawn_subscription(world_.system(), {.ctx = ctx_,
                                               .group = caf::actor_cast<group_actor>(group_.handle()),
                                               .group_number = group_id{4},
                                               .queue = q1,
                                               .topic = "orders",
                                               .rules = {limits_, policy_, mode_, order_by_},
                                               .filter = filter,
                                               .source = caf::actor_cast<queue_actor>(source_.handle())});
    run();
  }
  void start(const std::string& filter = "*") {
    start_without_tail(filter);
    tail(0, 100);
  }
  /// Acknowledges runs of offsets, whoever has them.
  void settle_all(const std::vector<std::pair<std::uint64_t, std::uint32_t>>& runs) {
    settle_part part{1, consumer_.handle(), {}, 0};
    for (const auto& [first, count] : runs)
      part.items.push_back({.queue = q1, .gen = generation{1}, .first = queue_offset{first}, .count = count});
    group_.send(aut, std::move(part));
    run();
  }
  void tail(std::uint64_t first, std::uint64_t next) {
    source_.send(aut, tail_moved{q1, queue_offset{first}, queue_offset{next}});
    run();
  }
  void allow(std::uint32_t messages, std::uint64_t member = 1, std::uint32_t bytes = 1u << 20) {
    group_.send(aut, grant{member, consumer_.handle(), messages, bytes});
    run();
  }
  static stored_batch batch_at(std::uint64_t base, std::uint32_t count) {
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < count; ++i)
      texts.push_back(std::to_string(base + i));
    auto b = make_batch(7, 1, texts);
    return {b.header, queue_offset{base}, log_index{5}, 0, from_unix_ms(1), b.data};
  }
  /// What the QUEUE was asked for; one question is expected.
  fetch asked() {
    auto all = source_.take<fetch>();
    EXPECT_THAT(all, SizeIs(1));
    return all.empty() ? fetch{} : all.back();
  }
  void answer(const fetch& f, std::vector<stored_batch> batches, std::uint64_t next,
              std::vector<damage> damaged = {}, error failed = {}) {
    source_.send(aut, fetched{q1, f.tag, std::move(batches), queue_offset{next}, std::move(damaged),
                              std::move(failed)});
    run();
  }
  /// "bodies messages left" of the one grant_used.
  std::string outcome() {
    std::string text;
    for (const auto& d : consumer_.take<delivery>()) {
      auto all = unpack_frame(d.frame, d.shard);
      EXPECT_TRUE(all);
      for (const auto& m : *all)
        text += std::string{m.message.body} + " ";
    }
    auto used = group_.take<grant_used>();
    EXPECT_THAT(used, SizeIs(1)) << "a grant is answered exactly once";
    return used.empty()
               ? text
               : text + "| " + std::to_string(used[0].messages) + " " + std::to_string(used[0].available);
  }
  subscription_status status() {
    auto s = world_.ask<subscription_status>(aut, status_atom::value);
    EXPECT_TRUE(s);
    return s ? *s : subscription_status{};
  }

  group_probe group_ =
      world_
          .make_probe<subscription_started, subscription_ready, grant_used, messages_released, queue_lost>();
  source_probe source_ = world_.make_probe<watch, fetch>();
  consumer_probe consumer_ = world_.make_probe<delivery, settled>();
  subscription_actor aut;
  group_mode mode_ = group_mode::shared;
  group_order order_by_ = group_order::key;
  subscription_limits limits_;
};

/// With order keys: the first letter of each body.
stored_batch batch_in_order(const std::vector<std::string>& texts) {
  batch_builder builder;
  for (const auto& text : texts)
    builder.add(message{.body = text, .order_key = text.substr(0, 1)});
  auto b = builder.finish();
  b.header.producer = producer_id{7};
  b.header.epoch = producer_epoch{1};
  b.header.sequence = batch_sequence{1};
  return {b.header, queue_offset{0}, log_index{5}, 0, from_unix_ms(1), b.data};
}

TEST_F(subscription_actor_test,
       an_ordered_one_delivers_a_message_of_each_key_and_the_next_when_it_is_settled) {
  mode_ = group_mode::ordered;
  start_without_tail();
  tail(0, 5);
  const auto batch = batch_in_order({"a1", "a2", "b1", "a3", "b2"});
  allow(10);
  answer(asked(), {batch}, 5);
  EXPECT_EQ(outcome(), "a1 b1 | 2 0");
  settle_all({{0, 1}});
  allow(10);
  answer(asked(), {batch}, 5);
  EXPECT_EQ(outcome(), "a2 | 1 0");
  settle_all({{1, 1}, {2, 1}});
  allow(10);
  answer(asked(), {batch}, 5);
  EXPECT_EQ(outcome(), "a3 b2 | 2 0");
}

TEST_F(subscription_actor_test, a_batch_of_one_that_is_ordered_by_queue_leaves_in_order_also_behind_a_retry) {
  mode_ = group_mode::ordered;
  order_by_ = group_order::queue;
  limits_.order_batch = 4;
  start_without_tail();
  tail(0, 5);
  const auto batch = batch_in_order({"a1", "b1", "c1", "d1", "e1"});
  allow(10);
  answer(asked(), {batch}, 5);
  const auto first = consumer_.take<delivery>();
  ASSERT_THAT(first, SizeIs(1));
  group_.send(aut, settle_part{1,
                               consumer_.handle(),
                               {{.queue = q1,
                                 .gen = generation{1},
                                 .lease = first[0].lease,
                                 .first = queue_offset{0},
                                 .count = 1,
                                 .action = settle_action::retry}},
                               0});
  run();
  advance(1s);
  allow(10);
  answer(asked(), {batch}, 5);
  const auto again = consumer_.take<delivery>();
  ASSERT_THAT(again, SizeIs(1));
  auto frame = frame_reader::open(again[0].frame, again[0].shard);
  ASSERT_TRUE(frame);
  std::string text;
  while (frame->next())
    text += std::string{frame->body()} + "x" + std::to_string(frame->attempts()) + " ";
  EXPECT_EQ(text, "a1x1 b1x0 c1x0 d1x0 ") << "as it is written, not as unpacking would sort it";
}

TEST_F(subscription_actor_test, one_that_is_ordered_by_queue_delivers_one_message_after_the_other) {
  mode_ = group_mode::ordered;
  order_by_ = group_order::queue;
  start_without_tail();
  tail(0, 5);
  const auto batch = batch_in_order({"a1", "b1", "c1", "d1", "e1"});
  allow(10);
  answer(asked(), {batch}, 5);
  EXPECT_EQ(outcome(), "a1 | 1 0");
  allow(10);
  EXPECT_EQ(outcome(), "| 0 0");
  settle_all({{0, 1}});
  allow(10);
  if (const auto again = source_.take<fetch>(); !again.empty())
    answer(again.back(), {batch}, 5);
  EXPECT_EQ(outcome(), "b1 | 1 0");
}

TEST_F(subscription_actor_test, an_ack_of_a_lease_before_a_restart_counts_before_the_queue_speaks) {
  start_without_tail();
  const auto ten = make_batch(7, 1, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  ASSERT_TRUE(world_.ask<applied>(ctx_->stores[0], propose_request{append_entry{q1, {ten}}}));
  const settle_item old{
      .queue = q1, .gen = generation{1}, .lease = lease_id{5}, .first = queue_offset{3}, .count = 4};
  group_.send(aut, settle_part{1, consumer_.handle(), {old}, 9});
  run();
  auto answers = consumer_.take<settled>();
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].code, errc::none);
  EXPECT_EQ(answers[0].refused, 0u);
  tail(0, 10);
  EXPECT_EQ(status().unsettled, 6u);
}

TEST_F(subscription_actor_test, has_a_durable_place_before_it_says_that_it_started) {
  start();
  EXPECT_THAT(group_.take<subscription_started>(), SizeIs(1));
  EXPECT_THAT(source_.take<watch>(), SizeIs(1));
  auto row = ctx_->shards[0]->subscription(group_id{4}, q1);
  ASSERT_TRUE(row && *row);
  EXPECT_EQ((*row)->row.gen, generation{1});
}

TEST_F(subscription_actor_test, a_place_that_cannot_be_made_durable_is_tried_again) {
  faults_->what = {errc::overloaded, "busy"};
  faults_->times = 2; // a commit that fails is tried again entry by entry
  start();
  EXPECT_THAT(group_.take<subscription_started>(), IsEmpty());
  allow(10);
  EXPECT_EQ(outcome(), "| 0 0");
  advance(1s);
  EXPECT_THAT(group_.take<subscription_started>(), SizeIs(1));
  EXPECT_THAT(group_.take<subscription_ready>(), IsEmpty()) << "the QUEUE has not said again what there is";
  tail(0, 100);
  EXPECT_THAT(group_.take<subscription_ready>(), SizeIs(1));
}

TEST_F(subscription_actor_test, is_ready_once_and_again_only_for_much_more) {
  start();
  auto ready = group_.take<subscription_ready>();
  ASSERT_THAT(ready, SizeIs(1));
  EXPECT_EQ(ready[0].available, 100u);
  tail(0, 150);
  EXPECT_THAT(group_.take<subscription_ready>(), IsEmpty());
  tail(0, 250);
  EXPECT_THAT(group_.take<subscription_ready>(), SizeIs(1));
}

TEST_F(subscription_actor_test, the_rest_of_a_batch_is_kept_for_the_next_grant) {
  start();
  allow(2);
  answer(asked(), {batch_at(0, 5)}, 5);
  EXPECT_EQ(outcome(), "0 1 | 2 98");
  allow(2);
  EXPECT_THAT(source_.take<fetch>(), IsEmpty());
  EXPECT_EQ(outcome(), "2 3 | 2 96");
}

TEST_F(subscription_actor_test, a_kept_batch_is_given_up_when_nobody_wants_it) {
  start();
  allow(2);
  answer(asked(), {batch_at(0, 5)}, 5);
  outcome();
  advance(200ms);
  allow(2);
  const auto f = asked();
  EXPECT_EQ(f.from, queue_offset{2});
  answer(f, {batch_at(0, 5)}, 5);
  EXPECT_EQ(outcome(), "2 3 | 2 96");
}

// What was kept was given up while the read of what follows it was under way, and its messages were taken for
// trimmed.
TEST_F(subscription_actor_test, a_kept_batch_is_not_lost_while_what_follows_is_being_read) {
  start();
  allow(3);
  answer(asked(), {batch_at(0, 5)}, 5);
  outcome();
  allow(20);
  const auto f = asked();
  EXPECT_EQ(f.from, queue_offset{5});
  advance(1s);
  answer(f, {batch_at(5, 3)}, 8);
  EXPECT_EQ(outcome(), "3 4 5 6 7 | 5 92");
}

TEST_F(subscription_actor_test, a_read_that_fails_ends_the_grant_and_is_tried_again_later) {
  start();
  group_.take<subscription_ready>();
  allow(10);
  answer(asked(), {}, 0, {}, {errc::storage_failed, "no"});
  EXPECT_EQ(outcome(), "| 0 0");
  EXPECT_THAT(group_.take<subscription_ready>(), IsEmpty());
  advance(1s);
  EXPECT_THAT(group_.take<subscription_ready>(), SizeIs(1));
  allow(10);
  answer(asked(), {batch_at(0, 3)}, 3);
  EXPECT_EQ(outcome(), "0 1 2 | 3 97");
}

TEST_F(subscription_actor_test, a_read_that_takes_too_long_ends_the_grant_and_its_answer_means_nothing) {
  start();
  allow(10);
  const auto f = asked();
  advance(10s);
  EXPECT_EQ(outcome(), "| 0 0");
  answer(f, {batch_at(0, 3)}, 3);
  EXPECT_THAT(consumer_.take<delivery>(), IsEmpty());
  EXPECT_THAT(group_.take<grant_used>(), IsEmpty());
  EXPECT_EQ(status().leased, 0u);
}

TEST_F(subscription_actor_test, a_member_that_goes_while_its_messages_are_read_gets_nothing) {
  start();
  allow(10);
  const auto f = asked();
  group_.send(aut, member_gone{1, true});
  run();
  EXPECT_EQ(outcome(), "| 0 100");
  answer(f, {batch_at(0, 3)}, 3);
  EXPECT_THAT(consumer_.take<delivery>(), IsEmpty());
  EXPECT_EQ(status().retrying, 0u);
}

TEST_F(subscription_actor_test, what_a_read_misses_without_a_reason_is_not_given_up) {
  start();
  allow(10);
  answer(asked(), {batch_at(0, 2), batch_at(5, 2)}, 7);
  EXPECT_EQ(outcome(), "0 1 | 2 0");
  EXPECT_THAT(logged_, Contains("missing"));
  advance(1s);
  allow(10);
  const auto f = asked();
  EXPECT_EQ(f.from, queue_offset{2});
  answer(f, {batch_at(2, 5)}, 7);
  EXPECT_EQ(outcome(), "2 3 4 5 6 | 5 93");
}

TEST_F(subscription_actor_test, damaged_messages_are_passed_over_and_named_in_the_log) {
  start();
  allow(10);
  answer(asked(), {batch_at(0, 2), batch_at(5, 2)}, 9,
         {{shard_id{0}, log_index{5}, q1, queue_offset{2}, queue_offset{5}, "crc"},
          {shard_id{0}, log_index{6}, q1, queue_offset{7}, queue_offset{9}, "crc"}});
  EXPECT_EQ(outcome(), "0 1 5 6 | 4 91");
  EXPECT_THAT(logged_, Contains("damaged"));
  EXPECT_THAT(logged_, Not(Contains("missing")));
}

TEST_F(subscription_actor_test, an_end_that_came_too_early_does_not_make_it_ask_in_circles) {
  start();
  allow(10);
  answer(asked(), {}, 0);
  EXPECT_EQ(outcome(), "| 0 0");
  advance(5s);
  EXPECT_THAT(group_.take<subscription_ready>(), SizeIs(1)) << "only the first one, before the read";
  tail(0, 101);
  EXPECT_THAT(group_.take<subscription_ready>(), SizeIs(1));
}

TEST_F(subscription_actor_test, asks_for_another_queue_when_its_own_died) {
  start();
  allow(10);
  asked();
  source_.kill();
  run();
  EXPECT_EQ(outcome(), "| 0 0");
  EXPECT_THAT(group_.take<queue_lost>(), SizeIs(1));
  auto other = world_.make_probe<watch, fetch>();
  group_.send(aut, queue_found{caf::actor_cast<queue_actor>(other.handle())});
  run();
  EXPECT_THAT(other.take<watch>(), SizeIs(1));
  advance(1s);
  allow(10);
  EXPECT_THAT(other.take<fetch>(), SizeIs(1));
}

TEST_F(subscription_actor_test, ends_with_its_group) {
  start();
  auto watcher = world_.make_probe<fetched>();
  group_.kill();
  run();
  auto s = world_.ask<subscription_status>(aut, status_atom::value);
  EXPECT_FALSE(s);
}

TEST_F(subscription_actor_test, takes_nothing_from_strangers) {
  start();
  caf::anon_send(aut, grant{1, consumer_.handle(), 10, 1000});
  run();
  EXPECT_THAT(source_.take<fetch>(), IsEmpty());
}

TEST_F(subscription_actor_test, reads_no_more_than_the_grant_can_use) {
  start();
  allow(10, 1, 1u << 19);
  auto f = asked();
  EXPECT_LE(f.max_bytes, 10u * 256u);
  answer(f, {batch_at(0, 10)}, 10);
  outcome();
  allow(1000, 1, 1000);
  EXPECT_EQ(asked().max_bytes, 1000u);
}

TEST_F(subscription_actor_test, a_reset_by_somebody_else_begins_anew_and_voids_what_was_leased) {
  start();
  allow(3);
  answer(asked(), {batch_at(0, 5)}, 5);
  const auto d = consumer_.all<delivery>().at(0);
  outcome();
  EXPECT_TRUE(world_.ask<applied>(ctx_->stores[0],
                                  propose_request{reset_entry{group_id{4}, q1, 0, queue_offset{0}}}));
  group_.send(aut, settle_part{1, consumer_.handle(), {{q1, d.gen, d.lease, queue_offset{0}, 1}}, 9});
  run();
  const auto told = consumer_.take<settled>();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].code, errc::lease_lost);
  EXPECT_EQ(told[0].tag, 9u);
  std::uint64_t released = 0;
  for (const auto& r : group_.take<messages_released>())
    for (const auto& m : r.members)
      released += m.messages;
  EXPECT_EQ(released, 3u);
  allow(5);
  EXPECT_THAT(consumer_.all<delivery>(), IsEmpty()) << "the QUEUE has not said again what there is";
  EXPECT_EQ(outcome(), "| 0 0");
  tail(0, 100);
  allow(5);
  const auto again = consumer_.all<delivery>();
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_GT(again[0].gen, d.gen);
  EXPECT_EQ(outcome(), "0 1 2 3 4 | 5 95");
}

TEST_F(subscription_actor_test, confirms_no_settle_while_it_has_no_place) {
  faults_->what = {errc::overloaded, "busy"};
  faults_->times = 2; // a commit that fails is tried again entry by entry
  start();
  group_.send(aut,
              settle_part{1, consumer_.handle(), {{q1, generation{1}, lease_id{1}, queue_offset{0}, 1}}, 9});
  run();
  auto told = consumer_.take<settled>();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].tag, 9u);
  EXPECT_EQ(told[0].refused, 1u);
  EXPECT_EQ(told[0].code, errc::lease_lost);
  advance(1s);
  EXPECT_THAT(consumer_.take<settled>(), IsEmpty());
}

TEST_F(subscription_actor_test, is_not_made_again_when_it_was_removed_under_it) {
  start();
  allow(3);
  answer(asked(), {batch_at(0, 5)}, 5);
  const auto d = consumer_.all<delivery>().at(0);
  EXPECT_TRUE(world_.ask<applied>(ctx_->stores[0], propose_request{drop_queue_entry{q1, group_id{4}}}));
  group_.send(aut, settle_part{1, consumer_.handle(), {{q1, d.gen, d.lease, queue_offset{0}, 1}}, 9});
  run();
  EXPECT_FALSE(world_.ask<subscription_status>(aut, status_atom::value)) << "it has ended";
  auto row = ctx_->shards[0]->subscription(group_id{4}, q1);
  EXPECT_TRUE(row && !*row);
}

} // namespace
} // namespace troupe::test
