#include "shard_harness.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

/// What every shard_log makes of dead letters, purges and redrives.
class dead_letters : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};

  /// One entry of 5 messages at offsets 0 to 4 of queue 1, subscribed by groups 1 and 2; its log index is 1.
  void five_messages() {
    h.apply(publish(1, {make_batch(7, 1, 1, 5)}));
    h.apply(reset(1, 1, 0));
    h.apply(reset(2, 1, 0));
  }
  std::vector<dead_letter> all(std::uint32_t group, std::uint32_t queue = 1) {
    const auto found = h.store().dead_letters(queue_id{queue}, group_id{group}, {}, 10'000).value();
    EXPECT_EQ(h.store().dead_count(queue_id{queue}, group_id{group}).value(), found.size());
    return found;
  }
  std::vector<std::uint64_t> offsets(std::uint32_t group) {
    std::vector<std::uint64_t> found;
    for (const auto& d : all(group))
      found.push_back(d.offset.value);
    return found;
  }
  queue_offset floor(std::uint32_t group) {
    return h.store().subscription(group_id{group}, queue_id{1}).value().value().row.floor;
  }
  std::uint64_t entries() { return h.store().stats().entries; }
  queue_extent extent() { return h.store().extent(queue_id{1}).value(); }
  std::string body(message_place place) {
    const auto found = h.store().find({shard_id{}, place.index, place.ordinal});
    if (!found)
      return to_string(found.error());
    return bodies(*found).at(place.ordinal - found->first_ordinal);
  }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(logs, dead_letters, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(dead_letters, are_settled_and_kept_with_why_they_died) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(2, 1, dead_reason::rejected, "no such customer")}, 5000));
  ASSERT_EQ(all(1).size(), 1u);
  EXPECT_EQ(all(1)[0], (dead_letter{{shard_id{}, log_index{1}, 2},
                                    queue_id{1},
                                    queue_offset{2},
                                    dead_reason::rejected,
                                    16,
                                    from_unix_ms(5000),
                                    "no such customer"}));
  EXPECT_EQ(h.store().find_dead_letter(queue_id{1}, group_id{1}, at(1, 2)).value(), all(1)[0]);
  EXPECT_FALSE(h.store().find_dead_letter(queue_id{1}, group_id{2}, at(1, 2)).value());
  EXPECT_THAT(all(2), IsEmpty());
  h.apply(settle(1, 1, 1, {ack(0, 2)}));
  EXPECT_EQ(floor(1), queue_offset{3});
  expect_sound();
}

TEST_P(dead_letters, are_made_of_open_messages_only) {
  five_messages();
  h.apply(settle(1, 1, 1, {ack(1), ack(3), retry(4, 2, 9000)}));
  h.apply(settle(1, 1, 1, {dead(0, 100)}));
  EXPECT_THAT(offsets(1), ElementsAre(0, 2, 4));
  EXPECT_EQ(floor(1), queue_offset{5});
  h.apply(settle(1, 1, 1, {dead(0, 5, dead_reason::rejected)}));
  EXPECT_THAT(offsets(1), ElementsAre(0, 2, 4));
  EXPECT_EQ(all(1)[0].reason, dead_reason::attempts);
  EXPECT_TRUE(h.store().subscription(group_id{1}, queue_id{1}).value()->retries.empty());
  h.apply(settle(2, 1, 9, {dead(0)}));
  EXPECT_THAT(all(2), IsEmpty()) << "another generation's";
  expect_sound();
}

TEST_P(dead_letters, of_a_message_that_was_trimmed_are_only_settled) {
  five_messages();
  h.apply(publish(1, {make_batch(7, 1, 2, 2)}));
  h.apply(trim(1, 5));
  h.apply(settle(1, 1, 1, {dead(3, 3)}));
  EXPECT_THAT(offsets(1), ElementsAre(5));
  EXPECT_EQ(h.store().subscription(group_id{1}, queue_id{1}).value()->settled,
            (std::vector{std::pair{queue_offset{3}, queue_offset{6}}}));
  expect_sound();
}

TEST_P(dead_letters, that_die_again_after_a_reset_are_one_and_say_the_newest_reason) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(2)}));
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 2, {dead(2, 1, dead_reason::expired)}));
  ASSERT_EQ(all(1).size(), 1u);
  EXPECT_EQ(all(1)[0].reason, dead_reason::expired);
  expect_sound();
  h.apply(trim(1, 5));
  h.apply(purge(1, 1, {at(1, 2)}));
  EXPECT_EQ(entries(), 0u);
}

TEST_P(dead_letters, keep_their_entry_when_retention_takes_the_queue_and_let_it_go_when_purged) {
  five_messages();
  h.apply(publish(1, {make_batch(7, 1, 2, 1)}));
  h.apply(settle(1, 1, 1, {dead(1)}));
  h.apply(settle(2, 1, 1, {dead(1, 2)}));
  h.apply(trim(1, 6));
  EXPECT_EQ(extent().first, queue_offset{6});
  EXPECT_EQ(entries(), 1u);
  EXPECT_THAT(body(at(1, 1)), StartsWith("7/1/1/1"));
  EXPECT_THAT(body(at(1, 2)), StartsWith("7/1/1/2"));
  EXPECT_THAT(body(at(1, 3)), testing::HasSubstr("there is no message")) << "held by nobody";
  const auto found = h.store().find({shard_id{}, log_index{1}, 2}).value();
  EXPECT_EQ(found.base, queue_offset{2}) << "where it died";
  EXPECT_EQ(found.header.count, 1u);
  expect_sound();
  h.reopen();
  EXPECT_EQ(h.apply(purge(2, 1, {at(1, 0), at(1, 1), at(1, 2), at(9)})).found,
            (std::vector{false, true, true, false}));
  EXPECT_EQ(entries(), 1u) << "group 1 holds it";
  expect_sound();
  EXPECT_EQ(h.apply(purge(1, 1, {at(1, 1)})).found, std::vector{true});
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(h.apply(purge(1, 1, {at(1, 1)})).found, std::vector{false});
  expect_sound();
}

TEST_P(dead_letters, purged_while_their_message_is_in_the_queue_leave_it_there) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(0, 5)}));
  h.apply(purge(1, 1, {at(1, 0), at(1, 1), at(1, 2), at(1, 3), at(1, 4)}));
  EXPECT_THAT(all(1), IsEmpty());
  EXPECT_EQ(read_all(h.store(), queue_id{1}).size(), 1u);
  expect_sound();
  h.apply(trim(1, 5));
  EXPECT_EQ(entries(), 0u);
}

TEST_P(dead_letters, are_listed_in_pages_in_the_order_of_their_ids) {
  for (std::uint64_t s = 1; s <= 30; ++s)
    h.apply(publish(1, {make_batch(7, 1, s, 3)}));
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(50, 40)}));
  h.apply(settle(1, 1, 1, {dead(0, 50)}));
  std::vector<dead_letter> paged;
  std::optional<message_place> after;
  for (;;) {
    const auto some = h.store().dead_letters(queue_id{1}, group_id{1}, after, 7).value();
    if (some.empty())
      break;
    EXPECT_LE(some.size(), 7u);
    paged.insert(paged.end(), some.begin(), some.end());
    after = message_place{some.back().id.index, some.back().id.ordinal};
  }
  EXPECT_EQ(paged.size(), 90u);
  EXPECT_EQ(paged, all(1));
  EXPECT_TRUE(std::ranges::is_sorted(paged, {}, &dead_letter::id));
  EXPECT_THAT(h.store().dead_letters(queue_id{1}, group_id{1}, at(1), 0).value(), IsEmpty());
}

TEST_P(dead_letters, redriven_come_again_at_the_end_of_their_queue_with_their_old_ids_for_their_group_only) {
  five_messages();
  h.apply(publish(1, {make_batch(8, 3, 1, 1)}));
  h.apply(settle(1, 1, 1, {dead(1), dead(3)}));
  const auto a = h.apply(redrive(1, 1, {at(1, 0), at(1, 1), at(1, 3)}, 7000));
  EXPECT_EQ(a.found, (std::vector{false, true, true}));
  EXPECT_EQ(a.first, queue_offset{6});
  EXPECT_EQ(a.next, queue_offset{8});
  EXPECT_THAT(all(1), IsEmpty());
  const auto read = h.store().read(queue_id{1}, queue_offset{6}, 1u << 20).value();
  ASSERT_EQ(read.batches.size(), 2u);
  EXPECT_THAT(read.damaged, IsEmpty());
  EXPECT_EQ(read.next, queue_offset{8});
  const auto& b = read.batches[1];
  EXPECT_THAT(bodies(b), ElementsAre(StartsWith("7/1/1/3")));
  EXPECT_EQ(b.base, queue_offset{7});
  EXPECT_EQ(b.index, log_index{1});
  EXPECT_EQ(b.first_ordinal, 3u);
  EXPECT_EQ(b.only_for, group_id{1});
  EXPECT_EQ(b.stored, from_unix_ms(1000)) << "when its entry was stored";
  EXPECT_EQ(b.header.producer, producer_id{7});
  EXPECT_EQ(b.header.count, 1u);
  EXPECT_EQ(h.store().stored_at(queue_id{1}, queue_offset{6}).value(), from_unix_ms(7000))
      << "when it became visible";
  EXPECT_EQ(h.store().offset_at(queue_id{1}, from_unix_ms(1001)).value(), queue_offset{6});
  EXPECT_EQ(read_all(h.store(), queue_id{1}, 1).size(), 4u);
  EXPECT_EQ(read_all(h.store(), queue_id{1})[0].only_for, group_id{0});
  const auto rows = h.store().oldest_rows(queue_id{1}, 9).value();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].next, queue_offset{8});
  EXPECT_EQ(rows[2].last_time, from_unix_ms(7000));
  expect_sound();
  h.reopen();
  expect_sound();
}

TEST_P(dead_letters, redriven_are_found_by_their_ids_when_their_old_place_is_gone) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(1)}));
  h.apply(publish(1, {make_batch(7, 1, 2, 1)}));
  h.apply(redrive(1, 1, {at(1, 1)}));
  EXPECT_EQ(h.store().find({shard_id{}, log_index{1}, 1}).value().base, queue_offset{0}) << "the first place";
  h.apply(trim(1, 5));
  EXPECT_THAT(body(at(1, 1)), StartsWith("7/1/1/1"));
  EXPECT_EQ(h.store().find({shard_id{}, log_index{1}, 1}).value().base, queue_offset{6});
  EXPECT_FALSE(h.store().find({shard_id{}, log_index{1}, 0}).has_value());
  EXPECT_EQ(entries(), 3u);
  expect_sound();
  h.apply(trim(1, 7));
  EXPECT_FALSE(h.store().find({shard_id{}, log_index{1}, 1}).has_value());
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(extent().bytes, 0u);
  expect_sound();
}

TEST_P(dead_letters, redriven_can_die_again_under_their_old_ids) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(1, 2)}));
  h.apply(redrive(1, 1, {at(1, 1), at(1, 2)}));
  h.apply(trim(1, 5));
  h.apply(settle(1, 1, 1, {ack(0), ack(3, 2), dead(6, 1, dead_reason::rejected, "again")}));
  ASSERT_EQ(all(1).size(), 1u);
  EXPECT_EQ(all(1)[0].id, (message_id{shard_id{}, log_index{1}, 2}));
  EXPECT_EQ(all(1)[0].offset, queue_offset{6});
  EXPECT_EQ(all(1)[0].detail, "again");
  expect_sound();
  h.apply(trim(1, 7));
  EXPECT_THAT(body(at(1, 2)), StartsWith("7/1/1/2"));
  expect_sound();
  const auto a = h.apply(redrive(1, 1, {at(1, 2)}));
  EXPECT_EQ(a.first, queue_offset{7});
  EXPECT_EQ(bodies(read_all(h.store(), queue_id{1}).at(0)), std::vector{body(at(1, 2))});
  expect_sound();
  h.apply(settle(1, 1, 1, {ack(5), ack(7)}));
  h.apply(trim(1, 8));
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(dead_letters, that_are_gone_when_a_redrive_is_applied_leave_no_hole_behind) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(0, 5)}));
  h.apply(purge(1, 1, {at(1, 1), at(1, 3)}));
  const auto a = h.apply(redrive(1, 1, {at(1, 0), at(1, 1), at(1, 2), at(1, 3), at(1, 4)}));
  EXPECT_EQ(a.found, (std::vector{true, false, true, false, true}));
  EXPECT_EQ(a.next, queue_offset{8});
  std::vector<std::uint32_t> ordinals;
  for (const auto& b : read_all(h.store(), queue_id{1}))
    if (b.only_for.value)
      ordinals.push_back(b.first_ordinal);
  EXPECT_THAT(ordinals, ElementsAre(0, 2, 4));
  expect_sound();
  h.apply(trim(1, 6));
  EXPECT_EQ(h.store().find({shard_id{}, log_index{1}, 4}).value().base, queue_offset{7});
  h.apply(settle(1, 1, 1, {dead(7)}));
  EXPECT_EQ(all(1).at(0).id.ordinal, 4u);
  expect_sound();
}

TEST_P(dead_letters, redriven_are_read_within_the_bytes_that_were_asked_for) {
  h.apply(publish(1, {make_batch(7, 1, 1, 4, 100'000), make_batch(8, 1, 1, 1)}));
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(0, 5)}));
  h.apply(redrive(1, 1, {at(1, 0), at(1, 1), at(1, 2), at(1, 3), at(1, 4)}));
  auto read = [&](std::uint64_t from, std::uint32_t most) {
    std::vector<std::uint64_t> bases;
    const auto found = h.store().read(queue_id{1}, queue_offset{from}, most).value();
    for (const auto& b : found.batches)
      bases.push_back(b.base.value);
    EXPECT_EQ(found.next.value, bases.back() + 1);
    return bases;
  };
  EXPECT_THAT(read(5, 1), ElementsAre(5));
  EXPECT_THAT(read(6, 150'000), ElementsAre(6)) << "a second one would not fit";
  EXPECT_THAT(read(6, 1u << 20), ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(read(4, 50'000), ElementsAre(4)) << "nor the first one behind others";
}

TEST_P(dead_letters, redriven_for_one_group_are_no_dead_letters_of_another) {
  five_messages();
  h.apply(settle(1, 1, 1, {dead(1)}));
  h.apply(redrive(1, 1, {at(1, 1)}));
  h.apply(settle(2, 1, 1, {ack(0, 5), dead(5)}));
  EXPECT_THAT(all(2), IsEmpty());
  EXPECT_EQ(floor(2), queue_offset{6});
  EXPECT_EQ(h.apply(redrive(2, 1, {at(1, 1)})).found, std::vector{false});
  EXPECT_EQ(extent().next, queue_offset{6}) << "an entry that redrives nothing adds nothing";
  EXPECT_EQ(entries(), 2u);
  expect_sound();
}

TEST_P(dead_letters, redriven_in_one_commit_with_their_next_death_die) {
  five_messages();
  EXPECT_EQ(h.append({settle(1, 1, 1, {dead(1)}), redrive(1, 1, {at(1, 1)}), settle(1, 1, 1, {dead(5)}),
                      redrive(1, 1, {at(1, 1)}), redrive(1, 1, {at(1, 1)})}),
            error{});
  h.settle_down();
  EXPECT_EQ(h.outcomes.back().found, std::vector{false});
  EXPECT_EQ(extent().next, queue_offset{7});
  EXPECT_THAT(all(1), IsEmpty());
  expect_sound();
}

TEST_P(dead_letters, are_redriven_a_thousand_at_a_time_over_entries_and_blocks) {
  std::vector<proposal> appends;
  for (std::uint64_t s = 1; s <= 64; ++s)
    appends.push_back(publish(1, {make_batch(7, 1, s, 16)}));
  EXPECT_EQ(h.append(appends), error{});
  h.settle_down();
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(0, 1024)}));
  std::vector<message_place> places;
  for (const auto& d : all(1))
    if (d.offset.value % 10) // each tenth breaks a run
      places.push_back({d.id.index, d.id.ordinal});
  const auto a = h.apply(redrive(1, 1, places));
  EXPECT_EQ(a.found, std::vector(places.size(), true));
  EXPECT_EQ(a.next.value, 1024 + places.size());
  EXPECT_EQ(all(1).size(), 1024 - places.size());
  for (std::uint32_t step : {1u, 5000u, 1u << 20}) {
    std::vector<message_place> seen;
    for (const auto& b : read_all(h.store(), queue_id{1}, step))
      if (b.only_for.value) {
        EXPECT_EQ(b.base.value, 1024 + seen.size());
        seen.push_back({b.index, b.first_ordinal});
      }
    EXPECT_EQ(seen, places);
  }
  expect_sound();
  while (!h.apply(trim(1, 1024)).done)
    ;
  EXPECT_EQ(entries(), 65u);
  expect_sound();
  while (!h.apply(trim(1, a.next.value)).done)
    ;
  EXPECT_EQ(entries(), 64u) << "held by each tenth";
  places.clear();
  for (const auto& d : all(1))
    places.push_back({d.id.index, d.id.ordinal});
  h.apply(purge(1, 1, places));
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(dead_letters, go_with_their_queue_step_by_step_and_leave_nothing_behind) {
  std::vector<proposal> all;
  for (std::uint64_t s = 1; s <= 100; ++s)
    all.push_back(publish(1, {make_batch(7, 1, s, 20)}));
  EXPECT_EQ(h.append(all), error{});
  h.settle_down();
  h.apply(publish(2, {make_batch(7, 1, 1, 1)}));
  for (std::uint32_t group : {1u, 2u}) {
    h.apply(reset(group, 1, 0));
    h.apply(settle(group, 1, 1, {dead(0, 1000)}));
  }
  h.apply(reset(1, 2, 0));
  h.apply(settle(1, 2, 1, {dead(0)}));
  h.apply(redrive(1, 1, {at(1), at(1, 5), at(40)}));
  while (!h.apply(trim(1, 1500)).done)
    ;
  expect_sound();
  int steps = 1;
  for (; !h.apply(drop(1)).done; ++steps)
    expect_sound();
  EXPECT_GT(steps, 2);
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(extent().next, queue_offset{0});
  EXPECT_THAT(this->all(1), IsEmpty());
  EXPECT_THAT(this->all(2), IsEmpty());
  EXPECT_EQ(this->all(1, 2).size(), 1u);
  expect_sound();
}

TEST_P(dead_letters, of_one_group_go_with_its_state_of_a_queue_alone) {
  five_messages();
  for (std::uint32_t group : {1u, 2u})
    h.apply(settle(group, 1, 1, {dead(0, 3)}));
  h.apply(trim(1, 5));
  EXPECT_TRUE(h.apply(drop(1, 1)).done);
  EXPECT_THAT(all(1), IsEmpty());
  EXPECT_EQ(all(2).size(), 3u);
  EXPECT_EQ(entries(), 1u);
  expect_sound();
  EXPECT_TRUE(h.apply(drop(1, 2)).done);
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(dead_letters, of_one_group_leave_its_place_to_be_found_by_until_the_last_of_them_is_gone) {
  std::vector<proposal> all;
  for (std::uint64_t s = 1; s <= 100; ++s)
    all.push_back(publish(1, {make_batch(7, 1, s, 30)}));
  EXPECT_EQ(h.append(all), error{});
  h.settle_down();
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(0, 3000)}));
  int steps = 1;
  for (; !h.apply(drop(1, 1)).done; ++steps)
    EXPECT_EQ(h.store().subscriptions(queue_id{1}).value().size(), 1u)
        << "who starts again now must find that something is left";
  EXPECT_GT(steps, 2);
  EXPECT_THAT(this->all(1), IsEmpty());
  EXPECT_THAT(h.store().subscriptions(queue_id{1}).value(), IsEmpty());
  expect_sound();
}

TEST_P(dead_letters, of_a_damaged_batch_cost_that_batch_when_they_are_redriven) {
  h.apply(publish(1, {make_batch(7, 1, 1, 2), make_batch(8, 1, 1, 2)}));
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(0, 4)}));
  h.apply(redrive(1, 1, {at(1, 0), at(1, 1), at(1, 2), at(1, 3)}));
  h.close();
  tamper(h.where(), [](lmdb_txn& txn, const tables& t) {
    const auto value = txn.get(t.log, key_of(log_index{1})).value();
    std::string entry(value.begin(), value.end());
    entry[entry.find("7/1/1/1") + 3] ^= 1;
    txn.put(t.log, key_of(log_index{1}), entry);
  });
  h.reopen();
  std::vector<damage> found;
  std::vector<std::uint64_t> offsets;
  for (const auto& b : read_all(h.store(), queue_id{1}, 1, &found))
    offsets.push_back(b.base.value);
  EXPECT_THAT(offsets, ElementsAre(2, 6, 7));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[1].first, queue_offset{4});
  EXPECT_EQ(found[1].next, queue_offset{5});
  EXPECT_EQ(h.apply(settle(1, 1, 1, {dead(4, 4)})).subscriptions[0].floor, queue_offset{8});
  EXPECT_TRUE(h.apply(trim(1, 8)).done);
  EXPECT_EQ(h.store().find({shard_id{}, log_index{1}, 0}).error().code, errc::corrupt);
  EXPECT_EQ(h.apply(purge(1, 1, {at(1, 0), at(1, 1), at(1, 2), at(1, 3)})).found, std::vector(4, true));
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

} // namespace
} // namespace troupe::test
