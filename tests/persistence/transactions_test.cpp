#include "transactions_fixture.hpp"

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using enum transaction_state;

INSTANTIATE_TEST_SUITE_P(logs, transactions, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(transactions, of_one_message_have_its_id_and_are_invisible_until_they_are_decided) {
  const auto a = send(3);
  EXPECT_EQ(a.verdicts.at(0).what, batch_verdict::outcome::accepted);
  EXPECT_TRUE(a.halves);
  EXPECT_EQ(a.next, queue_offset{0});
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_TRUE(h.store().find(id(at(1, 2))).value().waits);
  EXPECT_EQ(h.store().half(at(1, 2)).value(), (half_message{queue_id{1}, prepared, "orders", {}}));
  expect_sound();

  const auto c = commit({at(1, 2), at(1, 0)});
  EXPECT_THAT(c.found, ElementsAre(true, true));
  EXPECT_THAT(c.states, ElementsAre(committed, committed));
  EXPECT_THAT(c.visible, ElementsAre(visible_messages{queue_id{1}, queue_offset{0}, queue_offset{2}}));
  EXPECT_THAT(visible(), ElementsAre(at(1, 2), at(1, 0)));
  const auto found = h.store().find(id(at(1, 0))).value();
  EXPECT_FALSE(found.waits);
  EXPECT_EQ(found.base, queue_offset{1});
  expect_sound();

  const auto r = roll_back({at(1, 1)});
  EXPECT_THAT(r.states, ElementsAre(rolled_back));
  EXPECT_THAT(r.visible, IsEmpty());
  EXPECT_EQ(h.store().find(id(at(1, 1))).error().code, errc::not_found);
  EXPECT_THAT(visible(), SizeIs(2));
  expect_sound();
}

TEST_P(transactions, keep_their_first_decision_however_often_and_however_they_are_decided_again) {
  send(2);
  const auto late = decision({at(1, 0), at(1, 1), at(1, 7), at(9, 0)}, false);
  commit({at(1, 0)});
  const auto again = commit({at(1, 0), at(1, 0)});
  EXPECT_THAT(again.found, ElementsAre(false, false));
  EXPECT_THAT(again.states, ElementsAre(committed, committed));
  const auto r = step(late);
  EXPECT_THAT(r.found, ElementsAre(false, true, false))
      << "of index 9 there is no record, so it has no queue";
  EXPECT_THAT(r.states, ElementsAre(committed, rolled_back, unknown));
  EXPECT_THAT(commit({at(1, 1)}).states, ElementsAre(rolled_back));
  EXPECT_THAT(visible(), ElementsAre(at(1, 0)));
  h.reopen();
  EXPECT_EQ(state(at(1, 0)), committed);
  EXPECT_EQ(state(at(1, 1)), rolled_back);
  expect_sound();
}

TEST_P(transactions, that_are_listed_twice_become_visible_once) {
  send(2);
  EXPECT_THAT(commit({at(1, 0), at(1, 0), at(1, 1)}).found, ElementsAre(true, false, true));
  EXPECT_THAT(visible(), ElementsAre(at(1, 0), at(1, 1)));
  expect_sound();
}

TEST_P(transactions, that_are_all_rolled_back_let_their_entry_go) {
  send(3);
  EXPECT_EQ(entries(), 1u);
  roll_back({at(1, 0), at(1, 2)});
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(roll_back({at(1, 1)}).states, std::vector{rolled_back});
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(state(at(1, 1)), unknown);
  expect_sound();
}

TEST_P(transactions, share_an_entry_with_plain_ones_and_go_with_it) {
  h.apply(publish(1, {make_batch(8, 1, 1, 2), make_half(9, 1, 2, alone), make_batch(8, 1, 2, 2)}, start));
  EXPECT_THAT(visible(), ElementsAre(at(1, 0), at(1, 1), at(1, 4), at(1, 5)));
  roll_back({at(1, 2)});
  EXPECT_EQ(h.store().find(id(at(1, 2))).error().code, errc::not_found);
  h.apply(trim(1, 4));
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(entries(), 1u) << "one is undecided";
  h.reopen();
  commit({at(1, 3)});
  EXPECT_THAT(visible(), ElementsAre(at(1, 3)));
  expect_sound();
  h.apply(trim(1, 5));
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(state(at(1, 3)), unknown);
  expect_sound();
}

TEST_P(transactions, of_an_entry_that_leaves_with_its_plain_messages_take_their_rows_along) {
  h.apply(publish(1, {make_batch(8, 1, 1, 2), make_half(9, 1, 2, alone)}, start));
  roll_back({at(1, 2), at(1, 3)});
  EXPECT_EQ(state(at(1, 3)), rolled_back);
  h.apply(trim(1, 2));
  EXPECT_EQ(entries(), 0u);
  h.settle_down();
  h.close();
  tamper(h.where(), [](lmdb_txn& txn, const tables& t) {
    lmdb_cursor rows(txn, t.halves);
    EXPECT_FALSE(rows.first());
  });
  h.reopen();
  expect_sound();
}

TEST_P(transactions, of_a_repeated_batch_wait_once_and_it_gets_its_first_answer) {
  const auto b = make_half(1, 1, 2, alone);
  h.apply(publish(1, {make_batch(9, 1, 1, 3)}));
  const auto first = h.apply(publish(1, {b}));
  commit({at(2, 0), at(2, 1)});
  const auto again = h.apply(publish(1, {b}));
  EXPECT_EQ(again.verdicts.at(0).what, batch_verdict::outcome::duplicate);
  EXPECT_EQ(again.verdicts[0].index, first.index);
  EXPECT_FALSE(again.halves);
  EXPECT_THAT(visible(), SizeIs(5));
  expect_sound();
}

TEST_P(transactions, take_no_keys_and_are_no_repeats_so_that_what_was_rolled_back_can_be_sent_again) {
  const milliseconds window{60 * second};
  auto keyed = [&](std::uint64_t sequence, const std::vector<std::string>& keys) {
    return publish(1, {make_keyed_half(1, 1, sequence, keys, alone)}, start, window);
  };
  h.apply(publish(1, {make_keyed_batch(9, 1, 1, {"plain"})}, start, window));
  EXPECT_THAT(h.apply(keyed(1, {"a", "plain", "a"})).verdicts.at(0).repeats, IsEmpty());
  roll_back({at(2, 0), at(2, 1), at(2, 2)});
  EXPECT_THAT(h.apply(keyed(2, {"a"})).verdicts.at(0).repeats, IsEmpty());
  commit({at(4, 0)});
  EXPECT_THAT(h.apply(publish(1, {make_keyed_batch(9, 1, 2, {"a"})}, start, window)).verdicts.at(0).repeats,
              IsEmpty());
  expect_sound();
}

TEST_P(transactions, whose_batch_does_not_say_who_decides_are_refused) {
  auto b = make_batch(1, 1, 1, 2);
  b.header.kind = batch_kind::transactional;
  EXPECT_EQ(h.apply(publish(1, {b})).verdicts.at(0).what, batch_verdict::outcome::corrupt);
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(transactions, are_read_as_they_were_sent_when_they_are_committed_in_that_order) {
  send(10);
  commit({at(1, 0), at(1, 1), at(1, 2), at(1, 3)});
  commit({at(1, 4), at(1, 5), at(1, 6), at(1, 7), at(1, 8), at(1, 9)});
  const auto all = h.store().read(queue_id{1}, queue_offset{0}, 1u << 20).value().batches;
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].header.count, 4u);
  EXPECT_EQ(all[1].header.count, 6u);
  EXPECT_EQ(all[1].header.kind, batch_kind::transactional);
  const auto reader = batch_reader::open(all[1].header, all[1].data).value();
  EXPECT_EQ(reader.half().group, "orders");
  EXPECT_EQ(reader.body(5).substr(0, 7), "1/1/1/9");
}

TEST_P(transactions, that_fill_a_record_lie_in_one_row_however_they_are_decided) {
  send(4096);
  std::vector<message_place> some;
  for (std::uint32_t i = 0; i < 4096; i += 1024) {
    some.clear();
    for (std::uint32_t k = i; k < i + 1024; ++k)
      some.push_back(at(1, k));
    EXPECT_EQ(commit(some).visible.at(0).next, queue_offset{i + 1024});
  }
  EXPECT_THAT(visible(), SizeIs(4096));
  EXPECT_EQ(due(start + 60 * second), 0u);
  expect_sound();
  h.close();
  tamper(h.where(), [](lmdb_txn& txn, const tables& t) {
    lmdb_cursor rows(txn, t.halves);
    ASSERT_TRUE(rows.first());
    EXPECT_LT(rows.value().size(), 1100u);
    EXPECT_FALSE(rows.next());
    MDB_stat stat{};
    mdb_stat(txn.get(), t.halves, &stat);
    EXPECT_EQ(stat.ms_overflow_pages, 0u);
  });
  h.reopen();
}

TEST_P(transactions, of_a_full_batch_and_of_many_groups_have_rows_that_need_no_pages_of_their_own) {
  send(max_batch_count);
  std::vector<batch> batches;
  for (std::uint64_t i = 1; i <= 300; ++i)
    batches.push_back(
        make_half(i, 1, 1 + i % 3, {std::string(i % 256, 'g'), {shard_id{3}, log_index{i << 30}}}));
  h.apply(publish(2, batches, start));
  expect_sound();
  EXPECT_EQ(h.store().half(at(1, max_batch_count - 1)).value()->state, prepared);
  EXPECT_FALSE(h.store().half(at(1, max_batch_count)).value());
  commit({at(1, max_batch_count - 1), at(1, 0), at(1, 9000)});
  EXPECT_THAT(visible(), ElementsAre(at(1, max_batch_count - 1), at(1, 0), at(1, 9000)));
  EXPECT_EQ(h.store().half(at(2, 0)).value()->transaction,
            (transaction_id{shard_id{3}, log_index{1u << 30}}));
  expect_sound();
  h.close();
  tamper(h.where(), [](lmdb_txn& txn, const tables& t) {
    MDB_stat stat{};
    mdb_stat(txn.get(), t.halves, &stat);
    EXPECT_EQ(stat.ms_overflow_pages, 0u);
    EXPECT_GT(stat.ms_entries, 10u);
  });
  h.reopen();
  while (!h.apply(drop(1)).done)
    ;
  while (!h.apply(drop(2)).done)
    ;
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(due(start + 60 * second), 0u);
  expect_sound();
}

TEST_P(transactions, of_a_queue_that_is_dropped_go_and_those_of_others_stay) {
  for (int i = 0; i < 100; ++i) {
    send(3, alone, 1);
    send(2, alone, 2);
  }
  commit({at(1, 0), at(3, 1)});
  const auto late = decision({at(1, 1), at(2, 0)}, true);
  while (!h.apply(drop(1)).done)
    expect_sound();
  EXPECT_EQ(due(start + 60 * second), 100u);
  EXPECT_EQ(entries(), 100u);
  const auto a = step(late);
  EXPECT_THAT(a.states, ElementsAre(unknown, committed));
  EXPECT_EQ(h.store().extent(queue_id{1}).value().next, queue_offset{0});
  expect_sound();
}

// -- transactions of several messages --

TEST_P(transactions, of_several_messages_become_visible_in_all_queues_by_one_entry) {
  const auto t = begin("orders", "order 7");
  send(2, {"", t}, 1);
  send(1, {"", t}, 2);
  const std::vector messages{at(2, 0), at(2, 1), at(3, 0)};
  EXPECT_EQ(commit(messages, t, true).state, begun) << "it is not sealed";
  EXPECT_THAT(visible(1), IsEmpty());
  EXPECT_EQ(seal(t, {id(at(2, 0)), id(at(2, 1)), id(at(3, 0))}).state, prepared);
  EXPECT_EQ(seal(t, {id(at(2, 0))}).state, prepared);
  const auto row = h.store().transaction(t.index).value().value();
  EXPECT_EQ(row.key, "order 7");
  EXPECT_EQ(row.messages.size(), 3u) << "the first seal stands";
  expect_sound();
  const auto a = commit(messages, t, true);
  EXPECT_EQ(a.state, committed);
  EXPECT_THAT(a.visible, ElementsAre(visible_messages{queue_id{1}, queue_offset{0}, queue_offset{2}},
                                     visible_messages{queue_id{2}, queue_offset{0}, queue_offset{1}}));
  EXPECT_THAT(visible(1), ElementsAre(at(2, 0), at(2, 1)));
  EXPECT_THAT(visible(2), ElementsAre(at(3, 0)));
  const auto again = roll_back(messages, t, true);
  EXPECT_EQ(again.state, committed);
  EXPECT_THAT(again.found, ElementsAre(false, false, false));
  EXPECT_THAT(again.states, ElementsAre(committed, committed, committed));
  expect_sound();
}

TEST_P(transactions, over_several_queues_keep_their_entry_until_the_last_of_its_messages_leaves) {
  const auto t = begin();
  send(3, {"", t}, 1);
  send(2, {"", t}, 2);
  seal(t, {id(at(2, 0))});
  // Two runs in queue 1: one of those that it lists is none.
  auto e = decision({at(2, 0), at(2, 9), at(2, 2), at(3, 0), at(3, 1)}, true, t, true);
  step(e);
  EXPECT_EQ(entries(), 3u);
  expect_sound();
  h.apply(trim(1, 1));
  h.apply(trim(1, 2));
  EXPECT_THAT(visible(1), IsEmpty());
  EXPECT_EQ(entries(), 3u) << "one in queue 1 is undecided, those in queue 2 are listed by the decision";
  EXPECT_THAT(visible(2), ElementsAre(at(3, 0), at(3, 1)));
  roll_back({at(2, 1)}, t);
  EXPECT_EQ(entries(), 2u);
  expect_sound();
  h.reopen();
  h.apply(trim(2, 2));
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(transactions, over_several_queues_of_which_one_is_dropped_stay_readable_in_the_others) {
  const auto t = begin();
  send(2, {"", t}, 1);
  send(2, {"", t}, 2);
  seal(t, {id(at(2, 0))});
  commit({at(2, 0), at(2, 1), at(3, 0), at(3, 1)}, t, true);
  while (!h.apply(drop(2)).done)
    ;
  EXPECT_THAT(visible(1), ElementsAre(at(2, 0), at(2, 1)));
  expect_sound();
  while (!h.apply(drop(1)).done)
    ;
  EXPECT_EQ(entries(), 0u);
  expect_sound();
}

TEST_P(transactions, are_not_touched_by_decisions_about_others) {
  const auto t = begin(), other = begin();
  send(1, {"orders", t});
  send(1, alone);
  seal(other, {id(at(3))});
  EXPECT_THAT(commit({at(3), at(4)}, other, true).states, ElementsAre(unknown, unknown));
  EXPECT_THAT(commit({at(3), at(4)}).states, ElementsAre(unknown, committed));
  EXPECT_THAT(roll_back({at(3), at(4)}, t).states, ElementsAre(rolled_back, unknown));
  EXPECT_THAT(visible(), ElementsAre(at(4)));
  expect_sound();
}

TEST_P(transactions, wait_for_the_shards_of_their_other_messages_to_confirm) {
  const auto t = begin();
  seal(t, {id(at(7), 2), id(at(8), 2), id(at(9), 3)});
  auto e = decision({}, true, t, true);
  e.elsewhere = {id(at(7), 2), id(at(9), 3), id(at(8), 2)};
  EXPECT_EQ(step(e).state, committed);
  EXPECT_EQ(entries(), 0u);
  h.reopen();
  const auto open = h.store().unconfirmed().value();
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].transaction, t);
  EXPECT_EQ(open[0].state, committed);
  EXPECT_THAT(h.store().transaction(t.index).value()->unconfirmed, ElementsAre(shard_id{2}, shard_id{3}));
  EXPECT_EQ(due(start + 29 * second), 0u);
  EXPECT_EQ(due(start + 30 * second), 1u);
  expect_sound();
  EXPECT_THAT(step(confirm_entry{t.index, shard_id{2}}).found, ElementsAre(true));
  EXPECT_THAT(step(confirm_entry{t.index, shard_id{2}}).found, ElementsAre(false));
  EXPECT_THAT(h.store().transaction(t.index).value()->messages, ElementsAre(id(at(9), 3)));
  EXPECT_FALSE(step(forget_transactions_entry{from_unix_ms(start + 1)}).index == log_index{});
  EXPECT_TRUE(h.store().transaction(t.index).value()) << "it is not confirmed";
  EXPECT_EQ(step(confirm_entry{t.index, shard_id{3}}).state, committed);
  EXPECT_THAT(h.store().unconfirmed().value(), IsEmpty());
  EXPECT_EQ(due(start + 60 * second), 0u);
  EXPECT_THAT(step(confirm_entry{log_index{99}, shard_id{3}}).found, ElementsAre(false));
  expect_sound();
}

TEST_P(transactions, that_ended_are_forgotten_after_a_while_and_open_ones_never) {
  const auto open = begin();
  std::vector<transaction_id> ended;
  for (int i = 0; i < 1500; ++i) {
    ended.push_back(begin());
    h.append({{from_unix_ms(start), decision({}, false, ended.back(), true)}});
  }
  EXPECT_TRUE(step(forget_transactions_entry{from_unix_ms(start)}).done);
  EXPECT_EQ(h.store().transaction(ended[0].index).value()->state, rolled_back);
  EXPECT_FALSE(step(forget_transactions_entry{from_unix_ms(start + 1)}).done);
  EXPECT_FALSE(h.store().transaction(ended[0].index).value());
  EXPECT_TRUE(h.store().transaction(ended[1499].index).value());
  EXPECT_TRUE(step(forget_transactions_entry{from_unix_ms(start + 1)}).done);
  EXPECT_FALSE(h.store().transaction(ended[1499].index).value());
  EXPECT_EQ(h.store().transaction(open.index).value()->state, begun);
  EXPECT_EQ(roll_back({}, ended[0], true).state, unknown);
  expect_sound();
}

} // namespace
} // namespace troupe::test
