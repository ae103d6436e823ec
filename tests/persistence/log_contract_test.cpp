#include "shard_harness.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using outcome = batch_verdict::outcome;

/// What every shard_log promises.
class log_contract : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};

  batch_verdict publish_one(std::uint32_t queue, batch b) {
    const auto a = h.apply(publish(queue, {std::move(b)}));
    EXPECT_EQ(a.verdicts.size(), 1u);
    return a.verdicts.empty() ? batch_verdict{} : a.verdicts.front();
  }
  queue_extent extent(std::uint32_t queue) { return h.store().extent(queue_id{queue}).value(); }
  subscription_state state(std::uint32_t group, std::uint32_t queue) {
    return h.store().subscription(group_id{group}, queue_id{queue}).value().value();
  }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), testing::IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(logs, log_contract, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(log_contract, numbers_entries_from_one_without_gaps_whatever_their_kind) {
  EXPECT_EQ(h.apply(publish(1, {make_batch(7, 1, 1, 2)})).index, log_index{1});
  EXPECT_EQ(h.apply(reset(1, 1, 0)).index, log_index{2});
  EXPECT_EQ(h.apply({}).index, log_index{3});
  EXPECT_EQ(h.apply(publish(2, {make_batch(7, 1, 1, 1)})).index, log_index{4});
  EXPECT_EQ(h.store().stats().last, log_index{4});
  expect_sound();
}

TEST_P(log_contract, gives_dense_offsets_and_finds_messages_by_offset_and_by_id) {
  const auto a = h.apply(publish(1, {make_batch(7, 1, 1, 3), make_batch(8, 1, 1, 2)}));
  EXPECT_EQ(a.verdicts[0].base, queue_offset{0});
  EXPECT_EQ(a.verdicts[1].base, queue_offset{3});
  EXPECT_EQ(a.verdicts[1].first_ordinal, 3u);
  EXPECT_EQ(a.next, queue_offset{5});
  const auto read = h.store().read(queue_id{1}, queue_offset{4}, 1).value();
  ASSERT_EQ(read.batches.size(), 1u);
  EXPECT_EQ(read.batches[0].base, queue_offset{3});
  EXPECT_EQ(read.next, queue_offset{5});
  queue_id queue;
  const auto found = h.store().find({shard_id{}, a.index, 4}, &queue).value();
  EXPECT_EQ(queue, queue_id{1});
  EXPECT_EQ(found.base, queue_offset{3});
  EXPECT_THAT(bodies(found),
              testing::ElementsAre(testing::StartsWith("8/1/1/0"), testing::StartsWith("8/1/1/1")));
  EXPECT_EQ(h.store().find({shard_id{}, a.index, 5}).error().code, errc::not_found);
  EXPECT_EQ(h.store().find({shard_id{1}, a.index, 0}).error().code, errc::not_found);
  expect_sound();
}

TEST_P(log_contract, answers_a_repeated_batch_with_its_first_verdict) {
  const auto first = publish_one(1, make_batch(7, 1, 1, 3));
  publish_one(1, make_batch(7, 1, 2, 1));
  const auto again = publish_one(1, make_batch(7, 1, 1, 3));
  EXPECT_EQ(again.what, outcome::duplicate);
  EXPECT_TRUE(again.known);
  EXPECT_EQ(again.base, first.base);
  EXPECT_EQ(again.index, first.index);
  EXPECT_EQ(extent(1).next, queue_offset{4});
  expect_sound();
}

TEST_P(log_contract, forgets_the_place_of_a_batch_after_64_newer_ones) {
  for (std::uint64_t s = 1; s <= 65; ++s)
    publish_one(1, make_batch(7, 1, s, 1));
  EXPECT_FALSE(publish_one(1, make_batch(7, 1, 1, 1)).known);
  const auto second = publish_one(1, make_batch(7, 1, 2, 1));
  EXPECT_EQ(second.what, outcome::duplicate);
  EXPECT_TRUE(second.known);
  EXPECT_EQ(second.base, queue_offset{1});
  EXPECT_EQ(extent(1).next, queue_offset{65});
}

TEST_P(log_contract, asks_for_the_expected_batch_when_one_is_missing) {
  publish_one(1, make_batch(7, 1, 1, 1));
  const auto v = publish_one(1, make_batch(7, 1, 3, 1));
  EXPECT_EQ(v.what, outcome::gap);
  EXPECT_EQ(v.expected, batch_sequence{2});
}

TEST_P(log_contract, knows_a_producer_per_queue_only) {
  publish_one(1, make_batch(7, 1, 1, 1));
  EXPECT_EQ(publish_one(2, make_batch(7, 1, 2, 1)).what, outcome::unknown_producer);
  EXPECT_EQ(publish_one(2, make_batch(7, 1, 1, 1)).what, outcome::accepted);
}

TEST_P(log_contract, fences_older_epochs_and_lets_newer_ones_begin_at_one) {
  publish_one(1, make_batch(7, 2, 1, 1));
  EXPECT_EQ(publish_one(1, make_batch(7, 1, 2, 1)).what, outcome::fenced);
  const auto early = publish_one(1, make_batch(7, 3, 2, 1));
  EXPECT_EQ(early.what, outcome::gap);
  EXPECT_EQ(early.expected, batch_sequence{1});
  EXPECT_EQ(publish_one(1, make_batch(7, 3, 1, 1)).what, outcome::accepted);
  EXPECT_EQ(publish_one(1, make_batch(7, 2, 2, 1)).what, outcome::fenced);
}

TEST_P(log_contract, forgets_producers_by_the_hour_of_their_last_batch) {
  constexpr std::int64_t hour = 3'600'000;
  auto first = [](std::uint64_t producer) { return std::vector{make_batch(producer, 1, 1, 1)}; };
  h.apply(publish(1, first(5), 1000));
  h.apply(publish(2, first(5), hour - 1));
  h.apply(publish(1, first(6), 1000));
  h.apply(publish(1, first(7), hour));
  h.apply(publish(1, {make_batch(6, 1, 2, 1)}, 2 * hour)); // so it is young again
  EXPECT_EQ(h.store().producers().value(), (producer_census{4, from_unix_ms(hour)}));
  EXPECT_EQ(h.apply(evict(hour - 1)).evicted, timestamp{}) << "that hour had not ended";
  const auto outcome = h.apply(evict(hour));
  EXPECT_TRUE(outcome.done);
  EXPECT_EQ(outcome.evicted, from_unix_ms(hour));
  EXPECT_EQ(h.store().producers().value(), (producer_census{2, from_unix_ms(2 * hour)}));
  EXPECT_EQ(publish_one(1, make_batch(5, 1, 2, 1)).what, outcome::unknown_producer);
  EXPECT_EQ(publish_one(2, make_batch(5, 1, 2, 1)).what, outcome::unknown_producer);
  EXPECT_EQ(publish_one(1, make_batch(6, 1, 1, 1)).what, outcome::duplicate);
  EXPECT_EQ(publish_one(1, make_batch(7, 1, 1, 1)).what, outcome::duplicate);
  expect_sound();
}

TEST_P(log_contract, forgets_the_oldest_producers_above_a_number_1024_at_a_time) {
  for (std::uint64_t hour = 0; hour < 3; ++hour) {
    std::vector<batch> batches;
    for (std::uint64_t producer = 1; producer <= 500; ++producer)
      batches.push_back(make_batch((hour * 500 + producer) * 0x9e3779b97f4a7c15u, 1, 1, 1));
    h.apply(publish(1, std::move(batches), static_cast<std::int64_t>(hour) * 3'600'000));
  }
  EXPECT_TRUE(h.apply(evict(0, 1500)).done);
  EXPECT_EQ(h.store().producers().value().count, 1500u);
  EXPECT_FALSE(h.apply(evict(0, 400)).done);
  EXPECT_EQ(h.store().producers().value().count, 1500u - 1024);
  EXPECT_TRUE(h.apply(evict(0, 400)).done);
  EXPECT_EQ(h.store().producers().value(), (producer_census{400, from_unix_ms(3 * 3'600'000)}));
  expect_sound();
}

TEST_P(log_contract, takes_an_empty_batch_for_its_sequence_alone) {
  publish_one(1, make_batch(7, 1, 1, 1));
  const auto empty = publish_one(1, make_batch(7, 1, 2, 0));
  EXPECT_EQ(empty.what, outcome::accepted);
  EXPECT_EQ(empty.base, queue_offset{1});
  EXPECT_EQ(publish_one(1, make_batch(7, 1, 3, 1)).base, queue_offset{1});
  expect_sound();
}

TEST_P(log_contract, refuses_a_batch_whose_bytes_are_not_what_its_checksum_says) {
  auto bad = make_batch(7, 1, 1, 1);
  bad.header.crc ^= 1;
  const auto a = h.apply(publish(1, {bad, make_batch(8, 1, 1, 1)}));
  EXPECT_EQ(a.verdicts[0].what, outcome::corrupt);
  EXPECT_EQ(a.verdicts[1].what, outcome::accepted);
  EXPECT_EQ(publish_one(1, make_batch(7, 1, 1, 1)).what, outcome::accepted);
  expect_sound();
}

TEST_P(log_contract, appends_nothing_of_a_call_with_an_impossible_batch) {
  auto bad = make_batch(7, 1, 1, 1);
  bad.header.size += 8;
  EXPECT_EQ(h.append({publish(1, {make_batch(8, 1, 1, 1)}), publish(2, {bad})}).code, errc::invalid_argument);
  auto later = make_batch(7, 1, 1, 1);
  later.header.kind = batch_kind{3};
  EXPECT_EQ(h.append({publish(1, {later})}).code, errc::invalid_argument);
  EXPECT_EQ(h.append({publish(1, {})}).code, errc::invalid_argument);
  auto range = ack(0);
  range.count = 0;
  EXPECT_EQ(h.append({settle(1, 1, 1, {range})}).code, errc::invalid_argument);
  h.settle_down();
  EXPECT_EQ(h.store().stats().last, log_index{0});
  EXPECT_EQ(publish_one(1, make_batch(8, 1, 1, 1)).base, queue_offset{0});
}

TEST_P(log_contract, drops_a_repeated_batch_out_of_the_middle_of_an_entry) {
  publish_one(1, make_batch(7, 1, 1, 2));
  const auto a =
      h.apply(publish(1, {make_batch(8, 1, 1, 2), make_batch(7, 1, 1, 2), make_batch(9, 1, 1, 3)}));
  EXPECT_EQ(a.verdicts[1].what, outcome::duplicate);
  EXPECT_EQ(a.verdicts[2].base, queue_offset{4});
  EXPECT_EQ(a.verdicts[2].first_ordinal, 4u);
  const auto all = read_all(h.store(), queue_id{1});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].header.producer, producer_id{8});
  EXPECT_EQ(all[2].header.producer, producer_id{9});
  EXPECT_EQ(all[2].base, queue_offset{4});
  EXPECT_EQ(h.store().find({shard_id{}, a.index, 5}).value().base, queue_offset{4});
  EXPECT_EQ(h.store().find({shard_id{}, a.index, 2}).error().code, errc::not_found);
  expect_sound();
}

TEST_P(log_contract, keeps_no_entry_that_nobody_needs) {
  publish_one(1, make_batch(7, 1, 1, 2));
  publish_one(1, make_batch(7, 1, 1, 2));
  publish_one(1, make_batch(7, 1, 2, 0));
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {ack(0)}));
  EXPECT_EQ(h.store().stats().entries, 1u);
  EXPECT_EQ(h.store().stats().last, log_index{5});
}

TEST_P(log_contract, never_lets_shard_time_run_backwards) {
  EXPECT_EQ(h.apply(publish(1, {make_batch(7, 1, 1, 1)}, 5000)).time, from_unix_ms(5000));
  EXPECT_EQ(h.apply(publish(1, {make_batch(7, 1, 2, 1)}, 3000)).time, from_unix_ms(5000));
  EXPECT_EQ(h.apply(publish(1, {make_batch(7, 1, 3, 1)}, 6000)).time, from_unix_ms(6000));
  EXPECT_EQ(h.store().last_time(), from_unix_ms(6000));
  h.reopen();
  EXPECT_EQ(h.store().last_time(), from_unix_ms(6000));
}

TEST_P(log_contract, finds_the_first_offset_stored_at_or_after_a_time) {
  EXPECT_EQ(h.store().offset_at(queue_id{1}, from_unix_ms(0)).value(), queue_offset{0});
  for (std::uint64_t s = 1; s <= 20; ++s)
    h.apply(publish(1, {make_batch(7, 1, s, 2)}, static_cast<std::int64_t>(1000 + s / 2 * 10)));
  auto at = [&](std::int64_t ms) { return h.store().offset_at(queue_id{1}, from_unix_ms(ms)).value().value; };
  EXPECT_EQ(at(0), 0u);
  EXPECT_EQ(at(1000), 0u);
  EXPECT_EQ(at(1001), 2u);
  EXPECT_EQ(at(1010), 2u);
  EXPECT_EQ(at(1011), 6u);
  EXPECT_EQ(at(1100), 38u);
  EXPECT_EQ(at(1101), 40u);
  auto stored_at = [&](std::uint64_t offset) {
    return h.store().stored_at(queue_id{1}, queue_offset{offset}).value();
  };
  EXPECT_EQ(stored_at(0), from_unix_ms(1000));
  EXPECT_EQ(stored_at(2), from_unix_ms(1010));
  EXPECT_EQ(stored_at(5), from_unix_ms(1010));
  EXPECT_EQ(stored_at(39), from_unix_ms(1100));
  EXPECT_FALSE(stored_at(40));
  h.apply(trim(1, 6));
  EXPECT_EQ(stored_at(0), from_unix_ms(1020)) << "of the first that is there";
  EXPECT_EQ(at(0), 6u);
}

TEST_P(log_contract, moves_a_floor_over_what_was_settled_behind_it) {
  publish_one(1, make_batch(7, 1, 1, 10));
  EXPECT_EQ(h.apply(reset(3, 1, 0)).subscriptions[0], (subscription_row{generation{1}, queue_offset{0}}));
  auto floor = [&](std::vector<settle_range> ranges) {
    return h.apply(settle(3, 1, 1, std::move(ranges))).subscriptions.at(0).floor.value;
  };
  EXPECT_EQ(floor({ack(2, 3)}), 0u);
  EXPECT_EQ(floor({ack(7, 1), ack(1, 1)}), 0u);
  EXPECT_EQ(state(3, 1).settled, (std::vector{std::pair{queue_offset{1}, queue_offset{5}},
                                              std::pair{queue_offset{7}, queue_offset{8}}}));
  EXPECT_EQ(floor({ack(0, 1)}), 5u);
  EXPECT_EQ(floor({ack(5, 2)}), 8u);
  EXPECT_EQ(floor({ack(8, 100)}), 10u);
  EXPECT_TRUE(state(3, 1).settled.empty());
  expect_sound();
}

TEST_P(log_contract, keeps_the_last_failure_of_a_message_until_it_is_settled) {
  publish_one(1, make_batch(7, 1, 1, 10));
  h.apply(reset(3, 1, 0));
  h.apply(settle(3, 1, 1, {retry(4, 1, 2000), retry(1, 1, 2000), ack(5)}));
  h.apply(settle(3, 1, 1, {retry(4, 2, 3000), retry(5, 1, 9000), ack(1)}));
  auto s = state(3, 1);
  ASSERT_EQ(s.retries.size(), 1u);
  EXPECT_EQ(s.retries[0].offset, queue_offset{4});
  EXPECT_EQ(s.retries[0].attempts, 2u);
  EXPECT_EQ(s.retries[0].due, from_unix_ms(3000));
  h.apply(settle(3, 1, 1, {ack(0, 10)}));
  s = state(3, 1);
  EXPECT_EQ(s.row.floor, queue_offset{10});
  EXPECT_TRUE(s.retries.empty());
  expect_sound();
}

TEST_P(log_contract, settles_across_chunks_of_1024) {
  for (std::uint64_t s = 1; s <= 5; ++s)
    publish_one(1, make_batch(7, 1, s, 1000, 1));
  h.apply(reset(3, 1, 0));
  h.apply(settle(3, 1, 1, {ack(1, 4500), retry(4800, 1, 5000)}));
  EXPECT_EQ(state(3, 1).settled, (std::vector{std::pair{queue_offset{1}, queue_offset{4501}}}));
  expect_sound();
  EXPECT_EQ(h.apply(settle(3, 1, 1, {ack(0)})).subscriptions[0].floor, queue_offset{4501});
  ASSERT_EQ(state(3, 1).retries.size(), 1u);
  expect_sound();
}

TEST_P(log_contract, ignores_settles_of_another_generation_and_behind_the_end) {
  publish_one(1, make_batch(7, 1, 1, 10));
  EXPECT_EQ(h.apply(settle(3, 1, 1, {ack(0, 5)})).subscriptions[0], subscription_row{});
  h.apply(reset(3, 1, 2));
  EXPECT_EQ(h.apply(settle(3, 1, 2, {ack(2, 5)})).subscriptions[0].gen, generation{0});
  EXPECT_EQ(h.apply(settle(3, 1, 1, {ack(10, 5), retry(12, 1, 1), ack(~0ull - 4, 4)})).subscriptions[0].floor,
            queue_offset{2});
  EXPECT_EQ(h.apply(reset(3, 1, 50)).subscriptions[0], (subscription_row{generation{2}, queue_offset{10}}));
  expect_sound();
}

TEST_P(log_contract, forgets_everything_settled_at_a_reset) {
  publish_one(1, make_batch(7, 1, 1, 10));
  h.apply(reset(3, 1, 0));
  h.apply(settle(3, 1, 1, {ack(4, 2), retry(7, 1, 5000)}));
  h.apply(reset(3, 1, 1));
  const auto s = state(3, 1);
  EXPECT_EQ(s.row, (subscription_row{generation{2}, queue_offset{1}}));
  EXPECT_TRUE(s.settled.empty());
  EXPECT_TRUE(s.retries.empty());
  EXPECT_EQ(h.store().subscriptions(queue_id{1}).value(),
            (std::vector{std::pair{group_id{3}, subscription_row{generation{2}, queue_offset{1}}}}));
}

TEST_P(log_contract, trims_whole_records_and_goes_on_numbering_behind_an_empty_queue) {
  for (std::uint64_t s = 1; s <= 3; ++s)
    publish_one(1, make_batch(7, 1, s, 4));
  auto a = h.apply(trim(1, 7));
  EXPECT_EQ(a.first, queue_offset{4});
  EXPECT_TRUE(a.done);
  EXPECT_EQ(extent(1).first, queue_offset{4});
  EXPECT_EQ(h.store().stats().entries, 2u);
  a = h.apply(trim(1, 1000));
  EXPECT_EQ(a.first, queue_offset{12});
  EXPECT_TRUE(a.done);
  EXPECT_EQ(h.store().stats().entries, 0u);
  EXPECT_EQ(extent(1).bytes, 0u);
  expect_sound();
  h.reopen();
  EXPECT_EQ(publish_one(1, make_batch(7, 1, 4, 1)).base, queue_offset{12});
  EXPECT_EQ(extent(1).first, queue_offset{12});
  EXPECT_EQ(extent(1).next, queue_offset{13});
  expect_sound();
}

TEST_P(log_contract, trims_64_records_at_a_time_and_says_how_far_it_came) {
  std::vector<proposal> all;
  for (std::uint64_t s = 1; s <= 100; ++s)
    all.push_back(publish(1, {make_batch(7, 1, s, 1)}));
  EXPECT_EQ(h.append(all), error{});
  h.settle_down();
  auto a = h.apply(trim(1, 90));
  EXPECT_EQ(a.first, queue_offset{64});
  EXPECT_FALSE(a.done);
  a = h.apply(trim(1, 90));
  EXPECT_EQ(a.first, queue_offset{90});
  EXPECT_TRUE(a.done);
  EXPECT_EQ(extent(1).first, queue_offset{90});
  const auto rows = h.store().oldest_rows(queue_id{1}, 3).value();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].next, queue_offset{93});
  EXPECT_EQ(rows[2].bytes, 3 * rows[0].bytes);
  expect_sound();
}

TEST_P(log_contract, keeps_an_entry_until_the_last_of_its_runs_is_trimmed) {
  publish_one(1, make_batch(7, 1, 1, 1));
  h.apply(publish(1, {make_batch(8, 1, 1, 2), make_batch(7, 1, 1, 1), make_batch(9, 1, 1, 2)}));
  h.apply(trim(1, 3));
  EXPECT_EQ(h.store().stats().entries, 1u);
  EXPECT_EQ(read_all(h.store(), queue_id{1}).at(0).header.producer, producer_id{9});
  expect_sound();
  h.apply(trim(1, 5));
  EXPECT_EQ(h.store().stats().entries, 0u);
}

TEST_P(log_contract, drops_everything_about_a_queue_step_by_step) {
  std::vector<proposal> all;
  for (std::uint64_t s = 1; s <= 100; ++s)
    all.push_back(publish(1, {make_batch(7, 1, s, 1)}));
  all.push_back(publish(2, {make_batch(7, 1, 1, 1)}));
  all.push_back(reset(3, 1, 0));
  all.push_back(settle(3, 1, 1, {ack(5)}));
  all.push_back(reset(3, 2, 0));
  EXPECT_EQ(h.append(all), error{});
  h.settle_down();
  EXPECT_FALSE(h.apply(drop(1)).done);
  EXPECT_TRUE(h.apply(drop(1)).done);
  EXPECT_EQ(extent(1).next, queue_offset{0});
  EXPECT_FALSE(h.store().subscription(group_id{3}, queue_id{1}).value().has_value());
  EXPECT_TRUE(h.store().subscription(group_id{3}, queue_id{2}).value().has_value());
  EXPECT_EQ(h.store().stats().entries, 1u);
  EXPECT_EQ(extent(2).next, queue_offset{1});
  expect_sound();
}

TEST_P(log_contract, drops_an_entry_only_with_the_last_of_its_runs) {
  publish_one(1, make_batch(7, 1, 1, 1));
  std::vector<batch> batches; // each repeat of the first one breaks the run
  for (std::uint64_t producer = 100; producer < 170; ++producer) {
    batches.push_back(make_batch(producer, 1, 1, 1));
    batches.push_back(make_batch(7, 1, 1, 1));
  }
  h.apply(publish(1, std::move(batches)));
  EXPECT_FALSE(h.apply(drop(1)).done);
  EXPECT_EQ(extent(1).first, queue_offset{64});
  EXPECT_EQ(read_all(h.store(), queue_id{1}).size(), 7u);
  expect_sound();
  EXPECT_TRUE(h.apply(drop(1)).done);
  EXPECT_EQ(h.store().stats().entries, 0u);
  expect_sound();
}

TEST_P(log_contract, drops_one_group_of_a_queue_alone) {
  publish_one(1, make_batch(7, 1, 1, 10));
  for (std::uint32_t group : {2u, 3u, 4u}) {
    h.apply(reset(group, 1, 0));
    h.apply(settle(group, 1, 1, {ack(5)}));
  }
  EXPECT_TRUE(h.apply(drop(1, 3)).done);
  EXPECT_FALSE(h.store().subscription(group_id{3}, queue_id{1}).value().has_value());
  EXPECT_EQ(state(2, 1).settled.size(), 1u);
  EXPECT_EQ(state(4, 1).settled.size(), 1u);
  EXPECT_EQ(extent(1).next, queue_offset{10});
  expect_sound();
}

TEST_P(log_contract, keeps_definitions_and_never_lowers_the_highest_ids) {
  topic_definition topic;
  topic.id = topic_id{4};
  topic.name = "orders";
  topic.options.queues = 3;
  topic.queues = {{queue_id{10}, 3}};
  group_definition group;
  group.id = group_id{9};
  group.name = "billing";
  h.apply({{}, define_entry{{topic}, {group}, {}, {}}});
  auto d = h.store().load_definitions().value();
  EXPECT_EQ(d.topics, std::vector{topic});
  EXPECT_EQ(d.groups, std::vector{group});
  h.apply({{}, define_entry{{}, {}, {topic_id{4}}, {group_id{9}}}});
  h.reopen();
  d = h.store().load_definitions().value();
  EXPECT_TRUE(d.topics.empty());
  EXPECT_TRUE(d.groups.empty());
  EXPECT_EQ(d.last_topic, topic_id{4});
  EXPECT_EQ(d.last_queue, queue_id{12});
  EXPECT_EQ(d.last_group, group_id{9});
  expect_sound();
}

TEST_P(log_contract, has_every_appended_entry_after_a_restart) {
  for (std::uint64_t s = 1; s <= 30; ++s) {
    EXPECT_EQ(h.append({publish(1, {make_batch(7, 1, s, 2)})}), error{});
    if (s % 5 == 0) {
      h.resend();
      h.reopen();
    }
  }
  h.settle_down();
  EXPECT_EQ(h.outcomes.size(), 30u);
  const auto all = read_all(h.store(), queue_id{1}, 100);
  ASSERT_EQ(all.size(), 30u);
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i].header.sequence, batch_sequence{i + 1});
  expect_sound();
}

TEST_P(log_contract, refuses_more_than_it_can_commit_at_once) {
  std::vector<proposal> all;
  for (std::uint64_t s = 1; s <= 5; ++s)
    all.push_back(publish(1, {make_batch(7, 1, s, 1, 4u << 20)}));
  EXPECT_EQ(h.append(all).code, errc::too_large);
  for (auto& p : all)
    EXPECT_EQ(h.append({p}), error{});
  h.settle_down();
  EXPECT_EQ(extent(1).next, queue_offset{5});
}

} // namespace
} // namespace troupe::test
