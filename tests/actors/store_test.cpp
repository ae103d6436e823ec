#include "publish_fixture.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class store : public publish_fixture {
protected:
  using publish_fixture::publish_fixture;

  void SetUp() override { aut = ctx_->stores[0]; }
  void append(std::uint32_t queue, batch b, durability wanted = durability::durable) {
    producer.send(aut, request(queue, std::move(b), producer, queue_handle, wanted));
  }
  /// The results of all messages to the producer since the last call.
  std::vector<publish_result> answers() {
    std::vector<publish_result> all;
    for (auto& p : producer.take<published>())
      all.insert(all.end(), p.results.begin(), p.results.end());
    return all;
  }
  subscription_row new_subscription(std::uint32_t group, std::uint32_t queue) {
    auto a = world_.ask<applied>(
        aut, propose_request{reset_entry{group_id{group}, queue_id{queue}, 0, queue_offset{0}}});
    EXPECT_TRUE(a) << to_string(a.error());
    return a ? a->subscriptions.at(0) : subscription_row{};
  }
  settle_request settle_of(std::uint32_t group, const subscription_row& row, std::uint64_t first,
                           std::uint32_t count, std::uint64_t tag) {
    settle_request r;
    r.section = {group_id{group}, queue_id{1}, 0, row.gen, {{.first = queue_offset{first}, .count = count}}};
    r.tag = tag;
    r.reply_to = consumer.handle();
    return r;
  }

  store_actor aut;
  producer_probe producer = world_.make_probe<published, route>();
  queue_probe queue_handle = world_.make_probe<visible>();
  probe<settle_committed> consumer = world_.make_probe<settle_committed>();
};

TEST_F(store, answers_producer_and_queue_with_offsets_and_ids_once_the_batch_is_durable) {
  append(1, make_batch(7, 1, {"a", "b"}));
  append(1, make_batch(7, 2, {"c"}));
  run();
  ASSERT_EQ(producer.all<published>().size(), 1u) << "one message per producer and commit";
  const auto& results = producer.all<published>()[0].results;
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].code, errc::none);
  EXPECT_TRUE(results[0].placed);
  EXPECT_EQ(results[0].queue, queue_id{1});
  EXPECT_EQ(results[0].sequence, batch_sequence{1});
  EXPECT_EQ(results[0].base, queue_offset{0});
  EXPECT_EQ(results[0].index, log_index{1});
  EXPECT_EQ(results[0].first_ordinal, 0u);
  EXPECT_EQ(results[1].base, queue_offset{2});
  EXPECT_EQ(results[1].index, log_index{1}) << "merged into one record";
  EXPECT_EQ(results[1].first_ordinal, 2u);

  ASSERT_EQ(queue_handle.all<visible>().size(), 1u);
  const auto& v = queue_handle.all<visible>()[0];
  EXPECT_EQ(v.queue, queue_id{1});
  EXPECT_EQ(v.next, queue_offset{3});
  EXPECT_EQ(v.answered, 2u);
  EXPECT_THAT(v.producers, ElementsAre(producer_id{7}, producer_id{7}));
  EXPECT_THAT(bodies(v.batches), ElementsAre("a", "b", "c"));
  EXPECT_EQ(v.batches[0].stored, now_);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "b", "c"));
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(store, puts_everything_its_mailbox_holds_into_one_commit_and_answers_each_producer_once) {
  auto other = world_.make_probe<published, route>();
  auto other_queue = world_.make_probe<visible>();
  for (std::uint64_t s = 1; s <= 10; ++s) {
    append(1, make_batch(7, s, {"x"}));
    other.send(aut, request(1, make_batch(8, s, {"y"}), other, queue_handle));
    other.send(aut, request(2, make_batch(8, s, {"z"}), other, other_queue));
  }
  run();
  EXPECT_EQ(faults_->calls, 1);
  EXPECT_THAT(faults_->sizes, ElementsAre(2u)) << "one record per queue";
  ASSERT_EQ(producer.all<published>().size(), 1u);
  EXPECT_EQ(producer.all<published>()[0].results.size(), 10u);
  ASSERT_EQ(other.all<published>().size(), 1u);
  EXPECT_EQ(other.all<published>()[0].results.size(), 20u);
  ASSERT_EQ(queue_handle.all<visible>().size(), 1u);
  EXPECT_EQ(queue_handle.all<visible>()[0].next, queue_offset{20});
  ASSERT_EQ(other_queue.all<visible>().size(), 1u);
  EXPECT_EQ(other_queue.all<visible>()[0].batches.size(), 10u);
}

TEST_F(store, answers_duplicates_gaps_unknown_and_fenced_producers_as_apply_decided) {
  append(1, make_batch(7, 1, {"a"}));
  append(1, make_batch(7, 2, {"b"}));
  run();
  producer.take<published>();
  append(1, make_batch(7, 1, {"a"}));
  append(1, make_batch(7, 9, {"x"}));
  append(1, make_batch(99, 5, {"x"}));
  append(1, make_batch(7, 1, {"c"}, 2));
  append(1, make_batch(7, 3, {"x"}, 1));
  run();
  const auto results = answers();
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].code, errc::none);
  EXPECT_TRUE(results[0].duplicate);
  EXPECT_TRUE(results[0].placed);
  EXPECT_EQ(results[0].base, queue_offset{0});
  EXPECT_EQ(results[1].code, errc::gap);
  EXPECT_EQ(results[1].expected, batch_sequence{3});
  EXPECT_EQ(results[2].code, errc::unknown_producer);
  EXPECT_EQ(results[3].code, errc::none);
  EXPECT_EQ(results[3].base, queue_offset{2});
  EXPECT_EQ(results[4].code, errc::fenced);
  EXPECT_NE(results[4].hint, "");
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "b", "c"));
  const auto v = queue_handle.take<visible>().at(1);
  EXPECT_EQ(v.answered, 5u);
  EXPECT_THAT(bodies(v.batches), ElementsAre("c"));
}

TEST_F(store, tells_the_queue_before_the_producer_so_that_an_answer_means_room) {
  std::vector<std::string> order;
  auto noting = [&](const char* what) {
    return world_.owned(world_.system().spawn([&order, what](caf::event_based_actor*) -> caf::behavior {
      return {[&order, what](const published&) { order.emplace_back(what); },
              [&order, what](const visible&) { order.emplace_back(what); }};
    }));
  };
  auto r = request(1, make_batch(7, 1, {"a"}), producer, queue_handle);
  r.producer = noting("producer");
  r.queue_handle = noting("queue");
  producer.send(aut, std::move(r));
  run();
  EXPECT_THAT(order, ElementsAre("queue", "producer"));
}

TEST_F(store, tells_the_queue_also_when_nothing_became_visible) {
  append(1, make_batch(7, 5, {"x"}));
  run();
  const auto v = queue_handle.take<visible>().at(0);
  EXPECT_EQ(v.answered, 1u);
  EXPECT_GT(v.answered_bytes, 0u);
  EXPECT_TRUE(v.batches.empty());
}

TEST_F(store, takes_an_empty_batch_in_the_place_of_a_refused_one) {
  append(1, make_batch(7, 1, {}));
  append(1, make_batch(7, 2, {"b"}));
  run();
  const auto results = answers();
  EXPECT_EQ(results[0].code, errc::none);
  EXPECT_EQ(results[1].base, queue_offset{0});
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("b"));
}

TEST_F(store, answers_a_buffered_batch_when_it_holds_it_and_not_again_when_it_is_durable) {
  append(1, make_batch(7, 1, {"a"}), durability::buffered);
  run();
  EXPECT_TRUE(answers().at(0).placed) << "a producer it does not know is answered with the commit";
  append(1, make_batch(7, 2, {"b"}), durability::buffered);
  append(1, make_batch(7, 3, {"c"}), durability::buffered);
  run();
  const auto held = answers();
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].code, errc::none);
  EXPECT_FALSE(held[0].placed) << "the commit would have told the place";
  EXPECT_EQ(held[1].sequence, batch_sequence{3});
  EXPECT_FALSE(held[1].placed);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "b", "c"));
}

TEST_F(store, never_acknowledges_a_buffered_batch_early_that_apply_may_refuse) {
  append(1, make_batch(7, 1, {"a"}), durability::buffered);
  run();
  answers();
  append(1, make_batch(7, 3, {"c"}), durability::buffered);
  append(1, make_batch(8, 5, {"x"}), durability::buffered);
  append(1, make_batch(7, 1, {"a"}), durability::buffered);
  run();
  const auto all = answers();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].code, errc::gap);
  EXPECT_EQ(all[1].code, errc::unknown_producer);
  EXPECT_TRUE(all[2].duplicate);
}

TEST_F(store, tells_of_a_held_batch_that_found_no_space_after_all_and_holds_none_that_follows_it) {
  append(1, make_batch(7, 1, {"a"}), durability::buffered);
  run();
  answers();
  faults_->what = {errc::no_space, "the disk is full", {}};
  faults_->times = 1;
  append(1, make_batch(7, 2, {"b"}), durability::buffered);
  run();
  const auto all = answers();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].code, errc::none);
  EXPECT_EQ(all[1].code, errc::no_space);
  append(1, make_batch(7, 3, {"c"}), durability::buffered);
  run();
  const auto next = answers();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].code, errc::gap);
}

TEST_F(store, answers_a_one_way_batch_so_that_the_producer_is_credited) {
  append(1, make_batch(7, 1, {"a"}), durability::one_way);
  run();
  EXPECT_TRUE(answers().at(0).placed);
}

TEST_F(store, lets_settles_wait_20_ms_for_somebody_elses_commit) {
  append(1, make_batch(7, 1, {"a", "b", "c"}));
  run();
  const auto row = new_subscription(1, 1);
  const auto calls = faults_->calls;
  consumer.send(aut, settle_of(1, row, 0, 1, 11));
  run();
  EXPECT_EQ(faults_->calls, calls);
  world_.advance(10ms);
  consumer.send(aut, settle_of(1, row, 1, 1, 12));
  run();
  world_.advance(9ms);
  EXPECT_EQ(faults_->calls, calls);
  world_.advance(1ms);
  EXPECT_EQ(faults_->calls, calls + 1);
  const auto answers = consumer.take<settle_committed>();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].tag, 11u);
  EXPECT_EQ(answers[1].tag, 12u);
  EXPECT_EQ(answers[1].row.floor, queue_offset{2});
  EXPECT_FALSE(answers[1].failed);
}

TEST_F(store, takes_waiting_settles_along_with_the_next_append_and_times_the_later_ones_anew) {
  append(1, make_batch(7, 1, {"a", "b", "c"}));
  run();
  const auto row = new_subscription(1, 1);
  consumer.send(aut, settle_of(1, row, 0, 1, 11));
  run();
  world_.advance(15ms);
  append(1, make_batch(7, 2, {"d"}));
  run();
  EXPECT_EQ(consumer.take<settle_committed>().size(), 1u);
  const auto calls = faults_->calls;
  consumer.send(aut, settle_of(1, row, 1, 1, 12));
  run();
  world_.advance(5ms); // the first one's timer
  EXPECT_EQ(faults_->calls, calls) << "the timer was not for this settle";
  world_.advance(15ms);
  EXPECT_EQ(faults_->calls, calls + 1);
  EXPECT_EQ(consumer.take<settle_committed>().size(), 1u);
}

TEST_F(store, commits_a_settle_at_once_when_asked) {
  append(1, make_batch(7, 1, {"a"}));
  run();
  const auto row = new_subscription(1, 1);
  auto r = settle_of(1, row, 0, 1, 5);
  r.now = true;
  consumer.send(aut, std::move(r));
  run();
  const auto answers = consumer.take<settle_committed>();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].row, (subscription_row{row.gen, queue_offset{1}}));
}

TEST_F(store, answers_a_proposal_when_it_is_applied) {
  append(1, make_batch(7, 1, {"a", "b"}));
  run();
  const auto a = world_.ask<applied>(aut, propose_request{trim_entry{queue_id{1}, queue_offset{2}}});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->first, queue_offset{2});
  EXPECT_EQ(a->index, log_index{2});
}

TEST_F(store, says_the_steps_of_a_commit_before_it_when_it_is_stored_and_when_all_were_told) {
  append(1, make_batch(7, 1, {"a"}));
  append(2, make_batch(7, 1, {"b"}));
  new_subscription(1, 1);
  EXPECT_THAT(steps_, ElementsAre("reset.before", "append.before", "reset.stored", "append.stored",
                                  "reset.told", "append.told"));
}

TEST_F(store, refuses_a_proposal_that_cannot_be_and_takes_nobody_along) {
  append(1, make_batch(7, 1, {"a"}));
  auto bad = request(2, make_batch(7, 1, {"b"}), producer, queue_handle);
  bad.queue = queue_id{0};
  producer.send(aut, std::move(bad));
  append(3, make_batch(7, 1, {"c"}));
  run();
  std::vector<errc> codes;
  for (const auto& r : answers())
    codes.push_back(r.code);
  EXPECT_THAT(codes, ElementsAre(errc::none, errc::invalid_argument, errc::none));
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
  EXPECT_THAT(stored(queue_id{3}), ElementsAre("c"));
  EXPECT_TRUE(failures_.empty());
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(store, that_finds_no_space_refuses_appends_and_goes_on_with_settles_and_trims) {
  append(1, make_batch(7, 1, {"a", "b"}));
  run();
  const auto row = new_subscription(1, 1);
  producer.take<published>();
  faults_->what = {errc::no_space, "the disk is full", "free some", 250ms};
  faults_->times = 1000;
  append(1, make_batch(7, 2, {"c"}));
  auto s = settle_of(1, row, 0, 2, 1);
  s.now = true;
  consumer.send(aut, std::move(s));
  const auto a = world_.ask<applied>(aut, propose_request{trim_entry{queue_id{1}, queue_offset{1}}});
  EXPECT_TRUE(a);
  const auto r = answers().at(0);
  EXPECT_EQ(r.code, errc::no_space);
  EXPECT_EQ(r.retry_after, 250u);
  EXPECT_EQ(r.reason, "the disk is full");
  EXPECT_EQ(r.hint, "free some");
  EXPECT_EQ(consumer.take<settle_committed>().at(0).row.floor, queue_offset{2});
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
  faults_->times = 0;
  append(1, make_batch(7, 2, {"c"}));
  run();
  EXPECT_TRUE(answers().at(0).placed) << "it recovers by itself";
  EXPECT_TRUE(failures_.empty());
}

TEST_F(store, that_fails_answers_everything_tells_the_node_once_and_acknowledges_nothing_more) {
  append(1, make_batch(7, 1, {"a"}));
  run();
  const auto row = new_subscription(1, 1);
  producer.take<published>();
  faults_->what = {errc::storage_failed, "input/output error", "look at the disk"};
  faults_->times = 1;
  append(1, make_batch(7, 2, {"b"}));
  consumer.send(aut, settle_of(1, row, 0, 1, 1));
  const auto a = world_.ask<applied>(aut, propose_request{});
  ASSERT_FALSE(a);
  EXPECT_EQ(a.error().code, errc::storage_failed);
  EXPECT_EQ(answers().at(0).code, errc::storage_failed);
  EXPECT_EQ(consumer.take<settle_committed>().at(0).failed.code, errc::storage_failed);
  append(1, make_batch(7, 2, {"b"}));
  run();
  EXPECT_EQ(answers().at(0).code, errc::storage_failed);
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0].reason, "input/output error");
  EXPECT_THAT(logged_, ElementsAre("storage_failed"));
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
  EXPECT_EQ(world_.ask<store_status>(aut, status_atom::value)->admission.code, errc::storage_failed);
}

TEST_F(store, splits_what_is_too_much_for_one_call_and_answers_all) {
  const std::string body(1u << 20, 'x');
  for (std::uint64_t s = 1; s <= 20; ++s)
    append(1, make_batch(7, s, {body}));
  run();
  EXPECT_GE(faults_->calls, 3);
  std::size_t placed = 0;
  for (const auto& r : answers())
    placed += r.placed ? 1 : 0;
  EXPECT_EQ(placed, 20u);
  EXPECT_EQ(ctx_->shards[0]->extent(queue_id{1})->next, queue_offset{20});
}

TEST_F(store, when_drained_commits_what_waits_and_refuses_what_comes_later) {
  append(1, make_batch(7, 1, {"a"}));
  const auto row = subscription_row{generation{1}, queue_offset{0}};
  consumer.send(aut, settle_of(1, row, 0, 1, 1)); // of an unknown subscription: ignored, but answered
  const auto drained = world_.ask<bool>(aut, drain_atom::value);
  ASSERT_TRUE(drained);
  EXPECT_TRUE(answers().at(0).placed);
  EXPECT_EQ(consumer.take<settle_committed>().size(), 1u);
  append(1, make_batch(7, 2, {"b"}));
  consumer.send(aut, settle_of(1, row, 0, 1, 2));
  const auto a = world_.ask<applied>(aut, propose_request{});
  EXPECT_EQ(a.error().code, errc::shutting_down);
  EXPECT_EQ(answers().at(0).code, errc::shutting_down);
  EXPECT_EQ(consumer.take<settle_committed>().at(0).failed.code, errc::shutting_down);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
  EXPECT_EQ(ctx_->in_flight->used(), 0u);
}

TEST_F(store, measures_its_commits) {
  for (std::uint64_t s = 1; s <= 3; ++s) {
    append(1, make_batch(7, s, {"a"}));
    run();
  }
  const auto status = world_.ask<store_status>(aut, status_atom::value);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->commits, 3u);
  EXPECT_GT(status->commit_p50_us, 0u);
  EXPECT_GE(status->commit_p99_us, status->commit_p50_us);
  EXPECT_EQ(status->stats.last, log_index{3});
  EXPECT_FALSE(status->admission);
}

/// A batch whose messages have these keys; their bodies are the keys with the sequence.
batch keyed(std::uint64_t producer, std::uint64_t sequence, const std::vector<std::string>& keys,
            std::optional<timestamp> due = {}) {
  batch_builder builder;
  for (const auto& key : keys)
    builder.add(message{.body = key + std::to_string(sequence), .keys = {key}, .deliver_at = due});
  auto b = builder.finish();
  b.header.producer = producer_id{producer};
  b.header.epoch = producer_epoch{1};
  b.header.sequence = batch_sequence{sequence};
  return b;
}

TEST_F(store, answers_a_repeat_by_key_with_the_first_message_and_shows_it_to_nobody) {
  auto send = [&](batch b, durability wanted, milliseconds window) {
    auto r = request(1, std::move(b), producer, queue_handle, wanted);
    r.window = window;
    producer.send(aut, std::move(r));
  };
  send(keyed(7, 1, {"a", "b"}), durability::durable, 1min);
  run();
  queue_handle.take<visible>();
  answers();
  send(keyed(7, 2, {"c", "a", "d"}), durability::durable, 1min);
  send(keyed(7, 3, {"b"}), durability::durable, 1min);
  send(keyed(7, 4, {"b"}), durability::durable, 0ms);
  run();
  const auto results = answers();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].code, errc::none);
  EXPECT_FALSE(results[0].duplicate);
  EXPECT_EQ(results[0].base, queue_offset{2});
  EXPECT_THAT(results[0].repeats, ElementsAre(repeated_message{1, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(results[1].repeats, ElementsAre(repeated_message{0, log_index{1}, 1, queue_offset{1}}));
  EXPECT_THAT(results[2].repeats, testing::IsEmpty()) << "another window is another record";
  const auto seen = queue_handle.take<visible>();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(bodies(seen[0].batches), ElementsAre("c2", "d2", "b4"));
  EXPECT_EQ(seen[0].batches[1].base, queue_offset{3});
  EXPECT_EQ(seen[0].batches[1].first_ordinal, 2u);
  EXPECT_EQ(seen[0].next, queue_offset{5});
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a1", "b1", "c2", "d2", "b4"));
  EXPECT_THAT(ctx_->shards[0]->verify({}), testing::IsEmpty());
}

TEST_F(store, answers_a_repeat_of_a_delayed_message_without_an_offset_and_shows_no_delayed_repeat) {
  auto send = [&](std::uint64_t sequence, const std::vector<std::string>& keys, batch_kind kind) {
    auto b = keyed(7, sequence, keys, now_ + 1h);
    b.header.kind = kind;
    auto r = request(1, std::move(b), producer, queue_handle);
    r.window = 1min;
    producer.send(aut, std::move(r));
  };
  send(1, {"a", "b"}, batch_kind::delayed);
  send(2, {"c", "a"}, batch_kind::plain);
  send(3, {"c", "b", "d"}, batch_kind::delayed);
  send(4, {"d"}, batch_kind::delayed);
  run();
  const auto results = answers();
  ASSERT_EQ(results.size(), 4u);
  EXPECT_FALSE(results[0].visible);
  EXPECT_TRUE(results[1].visible);
  EXPECT_THAT(results[1].repeats, ElementsAre(repeated_message{1, log_index{1}, 0, {}, true}));
  EXPECT_THAT(results[2].repeats, ElementsAre(repeated_message{0, log_index{1}, 2, queue_offset{0}},
                                              repeated_message{1, log_index{1}, 1, {}, true}));
  EXPECT_THAT(results[3].repeats, ElementsAre(repeated_message{0, log_index{1}, 6, {}, true}));
  const auto seen = queue_handle.take<visible>();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(bodies(seen[0].batches), ElementsAre("c2"));
  EXPECT_EQ(ctx_->shards[0]->extent(queue_id{1}).value().delayed, 3u);
  EXPECT_THAT(ctx_->shards[0]->verify({}), testing::IsEmpty());
}

class store_of_few_keys : public store {
protected:
  store_of_few_keys() : store(shard_options{}, {}, 10'000) {}
};

TEST_F(store_of_few_keys, refuses_more_of_them_until_older_ones_leave_their_window) {
  auto send = [&](batch b, milliseconds window) {
    auto r = request(1, std::move(b), producer, queue_handle);
    r.window = window;
    producer.send(aut, std::move(r));
    run();
    return answers().back();
  };
  std::vector<std::string> keys(2000);
  for (std::size_t i = 0; i < keys.size(); ++i)
    keys[i] = "k" + std::to_string(i);
  producer.send(ctx_->retentions[0], retention_rule{.queues = {queue_id{1}}, .keys = 1min});
  EXPECT_EQ(send(keyed(7, 1, keys), 1min).code, errc::none);
  const auto refused = send(keyed(7, 2, {"x"}), 1min);
  EXPECT_EQ(refused.code, errc::overloaded);
  EXPECT_GT(refused.retry_after, 0u);
  EXPECT_EQ(send(keyed(8, 1, {"x"}), 0ms).code, errc::none) << "only topics that look at keys";
  advance(2min);
  run();
  EXPECT_EQ(ctx_->shards[0]->oldest_keys(queue_id{1}).value(), std::nullopt);
  EXPECT_EQ(send(keyed(7, 2, {"x"}), 1min).code, errc::none);
}

class forgetful_store : public store {
protected:
  forgetful_store() : store(shard_options{}, producer_limits{.most = 2, .memory = std::chrono::hours{2}}) {}
  std::uint64_t known() const { return ctx_->shards[0]->producers().value().count; }
};

TEST_F(forgetful_store, evicts_nobody_between_the_acknowledgement_of_a_buffered_batch_and_its_commit) {
  for (std::uint64_t p : {7, 8})
    append(1, make_batch(p, 1, {"a"}), durability::buffered);
  run();
  advance(1h);
  for (std::uint64_t p : {9, 10})
    append(1, make_batch(p, 1, {"b"}), durability::buffered);
  run();
  answers();
  append(1, make_batch(7, 2, {"c"}), durability::buffered);
  run();
  const auto held = answers();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_FALSE(held[0].placed);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "a", "b", "b", "c"));
  EXPECT_EQ(known(), 4u) << "nobody goes before what was acknowledged";
  append(1, make_batch(7, 3, {"d"}), durability::buffered);
  run();
  EXPECT_EQ(known(), 2u);
  const auto after = answers();
  ASSERT_EQ(after.size(), 1u) << "it was not acknowledged first";
  EXPECT_EQ(after[0].code, errc::unknown_producer);
  append(1, make_batch(10, 2, {"e"}), durability::buffered);
  run();
  EXPECT_TRUE(answers().at(0).placed) << "others of that hour went, so nobody of it is sure";
  append(1, make_batch(10, 3, {"f"}), durability::buffered);
  run();
  EXPECT_FALSE(answers().at(0).placed) << "who stayed is acknowledged early again";
}

TEST_F(forgetful_store, forgets_producers_that_were_silent_for_long_but_not_by_a_clock_that_was_set) {
  append(1, make_batch(7, 1, {"a"}));
  run();
  now_ += 24h;
  append(1, make_batch(8, 1, {"b"}));
  run();
  append(1, make_batch(8, 2, {"c"}));
  run();
  EXPECT_EQ(known(), 2u);
  now_ -= 24h;
  advance(4h);
  append(1, make_batch(8, 3, {"d"}));
  run();
  append(1, make_batch(8, 4, {"e"}));
  run();
  EXPECT_EQ(known(), 1u);
  append(1, make_batch(7, 2, {"x"}));
  run();
  EXPECT_EQ(answers().back().code, errc::unknown_producer);
}

TEST_F(forgetful_store, that_finds_no_room_for_an_eviction_goes_on_and_tries_again) {
  for (std::uint64_t p : {7, 8, 9})
    append(1, make_batch(p, 1, {"a"}));
  run();
  faults_->what = {errc::too_large, "an eviction is refused", {}};
  faults_->times = 2; // the call, then the eviction alone
  append(1, make_batch(9, 2, {"b"}));
  run();
  EXPECT_EQ(answers().back().code, errc::none);
  EXPECT_EQ(known(), 3u);
  append(1, make_batch(9, 3, {"c"}));
  run();
  EXPECT_EQ(known(), 2u);
}

class small_store : public store {
protected:
  small_store() : store(shard_options{.budget = 6u << 20, .reserve = 2u << 20}) {}
};

TEST_F(small_store, that_is_full_refuses_new_messages_until_a_trim_made_room) {
  const std::string body(256u << 10, 'x');
  std::uint64_t s = 0;
  errc code = errc::none;
  publish_result last;
  while (code == errc::none && s < 100) {
    append(1, make_batch(7, ++s, {body}));
    run();
    last = answers().at(0);
    code = last.code;
  }
  ASSERT_EQ(code, errc::no_space);
  EXPECT_GT(last.retry_after, 0u);
  EXPECT_NE(last.reason.find("budget"), std::string::npos) << last.reason;
  append(1, make_batch(7, s, {body}), durability::buffered);
  run();
  EXPECT_EQ(answers().at(0).code, errc::no_space)
      << "a buffered batch is not acknowledged when there is no room for it";
  const auto a = world_.ask<applied>(aut, propose_request{trim_entry{queue_id{1}, queue_offset{s - 1}}});
  ASSERT_TRUE(a) << to_string(a.error());
  append(1, make_batch(7, s, {body}));
  run();
  EXPECT_EQ(answers().at(0).code, errc::none);
  EXPECT_THAT(logged_, ElementsAre("full"));
  advance(5s);
  append(1, make_batch(7, s + 1, {"x"}));
  run();
  EXPECT_THAT(logged_, ElementsAre("full", "has_room"));
}

} // namespace
} // namespace troupe::test
