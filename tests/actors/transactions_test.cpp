#include "transactions_fixture.hpp"

#include <set>

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using state = transaction_state;

class transactions_test : public transactions_fixture {};

// -- half messages that are transactions of their own

TEST_F(transactions_test, a_half_message_is_invisible_until_its_commit_and_gone_after_a_rollback) {
  const auto ids = publish({"a", "b", "c"});
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
  EXPECT_THAT(decide({ids[2], ids[0]}, {ids[1]}),
              ElementsAre(state::committed, state::committed, state::rolled_back));
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "c"));
  EXPECT_THAT(told(), ElementsAre(Pair(1, 2)));
  EXPECT_THAT(open(), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, the_first_decision_stands_and_may_be_said_again) {
  const auto ids = publish({"a", "b"});
  ASSERT_THAT(decide({ids[0]}, {ids[1]}), ElementsAre(state::committed, state::rolled_back));
  EXPECT_THAT(decide({ids[1]}, {ids[0]}), ElementsAre(state::rolled_back, state::committed));
  EXPECT_THAT(decide({ids[0]}, {ids[1]}), ElementsAre(state::committed, state::rolled_back));
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
}

TEST_F(transactions_test, of_a_message_that_is_named_twice_the_commit_comes_first) {
  const auto ids = publish({"a"});
  EXPECT_THAT(decide({ids[0], ids[0]}, {ids[0]}),
              ElementsAre(state::committed, state::committed, state::committed));
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
}

TEST_F(transactions_test, nothing_is_decided_about_what_is_no_half_message) {
  program.send(ctx_->stores[0], request(1, make_batch(5, 1, {"plain"}), publisher, queues));
  run();
  EXPECT_THAT(decide({{shard_id{0}, log_index{1}, 0}, {shard_id{0}, log_index{77}, 0}},
                     {{shard_id{0}, log_index{1}, 9}}),
              ElementsAre(state::unknown, state::unknown, state::unknown));
}

TEST_F(transactions_test, decisions_that_come_while_the_store_is_busy_go_as_one_entry) {
  std::vector<message_id> ids;
  for (int i = 0; i < 50; ++i)
    for (const auto& id : publish({"m" + std::to_string(i)}))
      ids.push_back(id);
  const auto before = ctx_->shards[0]->last_time();
  const auto entries = ctx_->shards[0]->stats().last.value;
  for (std::size_t i = 0; i < ids.size(); ++i)
    program.send(aut, decide_halves{i, {ids[i]}, {}});
  run();
  EXPECT_THAT(program.take<decided_halves>(), SizeIs(50));
  EXPECT_EQ(ctx_->shards[0]->stats().last.value, entries + 1);
  EXPECT_EQ(ctx_->shards[0]->last_time(), before);
  EXPECT_THAT(stored(queue_id{1}), SizeIs(50));
}

TEST_F(transactions_test, says_why_when_it_decides_nothing) {
  const auto ids = publish({"a"});
  const auto refusal = [&](decide_halves d) {
    program.send(aut, std::move(d));
    run();
    const auto answers = program.take<decided_halves>();
    return answers.size() == 1 ? answers[0].code : errc::none;
  };
  EXPECT_EQ(refusal({1, {}, {}}), errc::invalid_argument);
  EXPECT_EQ(refusal({1, {{shard_id{1}, log_index{1}, 0}}, {}}), errc::invalid_argument);
  EXPECT_EQ(refusal({1, std::vector<message_id>(1025, ids[0]), {}}), errc::invalid_argument);
  *faults_ = {.what = {errc::no_space, "full"}, .times = 1};
  EXPECT_THAT(decide({ids[0]}, {}), ElementsAre(state::committed)) << "a full disk stops publishing only";
}

// -- checks

TEST_F(transactions_test, asks_a_program_of_the_group_after_six_seconds_and_then_every_thirty) {
  expect_checks_for(program);
  const auto ids = publish({"one book"});
  pass(5s);
  EXPECT_THAT(asked(program), IsEmpty());
  pass(1s);
  auto first = asked(program);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].message, ids[0]);
  EXPECT_EQ(body_of(first[0]), "one book");
  EXPECT_EQ(first[0].topic, "orders");
  EXPECT_EQ(first[0].checks, 1u);
  EXPECT_FALSE(first[0].transaction.known());
  pass(29s);
  EXPECT_THAT(asked(program), IsEmpty());
  pass(1s);
  ASSERT_THAT(asked(program), SizeIs(1));
  EXPECT_THAT(decide({ids[0]}, {}), ElementsAre(state::committed));
  pass(60s);
  EXPECT_THAT(asked(program), IsEmpty());
}

TEST_F(transactions_test, what_nobody_answers_for_is_asked_fifteen_times_and_then_waits_for_an_operator) {
  expect_checks_for(program);
  const auto ids = publish({"a", "b"});
  for (std::uint32_t i = 1; i <= 15; ++i) {
    pass(i == 1 ? 6s : 30s);
    ASSERT_THAT(asked(program), SizeIs(2)) << i;
    program.send(aut, checks_done{2});
  }
  pass(10min);
  EXPECT_THAT(asked(program), IsEmpty());
  const auto left = open();
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_TRUE(left[0].parked);
  EXPECT_EQ(left[0].checks, 15u);
  EXPECT_EQ(left[0].group, "shop");
  EXPECT_EQ(by_hand(ids[0], {}, true)->state, state::committed);
  EXPECT_EQ(by_hand(ids[0], {}, false)->state, state::committed) << "the first decision stands";
  EXPECT_EQ(by_hand(ids[1], {}, false)->state, state::rolled_back);
  EXPECT_EQ(by_hand({shard_id{0}, log_index{99}, 0}, {}, true)->state, state::unknown);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
  EXPECT_THAT(open(), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, without_a_program_to_ask_the_checks_count_all_the_same) {
  publish({"a"});
  pass(6s + 14 * 30s);
  const auto left = open("shop");
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_TRUE(left[0].parked);
  EXPECT_THAT(open("another"), IsEmpty());
}

TEST_F(transactions_test, asks_the_programs_of_a_group_in_turn_and_nobody_of_another) {
  auto stranger =
      world_.make_probe<published, route, decided_halves, transaction_answer, check_transactions>();
  expect_checks_for(program);
  expect_checks_for(other);
  expect_checks_for(stranger, "bank");
  publish({"a", "b"});
  pass(6s);
  EXPECT_THAT(asked(program), SizeIs(1));
  EXPECT_THAT(asked(other), SizeIs(1));
  EXPECT_THAT(asked(stranger), IsEmpty());
}

TEST_F(transactions_test, a_program_that_died_is_asked_no_more_and_another_one_decides) {
  expect_checks_for(program);
  expect_checks_for(other);
  publish({"a", "b", "c"});
  program.kill();
  pass(6s);
  const auto questions = asked(other);
  ASSERT_THAT(questions, SizeIs(3));
  std::vector<message_id> commits;
  for (const auto& q : questions)
    commits.push_back(q.message);
  other.send(aut, decide_halves{1, commits, {}});
  run();
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "b", "c"));
}

TEST_F(transactions_test, a_program_that_is_slow_is_not_asked_more_than_it_can_hold) {
  expect_checks_for(program);
  std::vector<std::string> bodies(600, "x");
  publish(bodies);
  publish(bodies);
  pass(6s);
  std::set<message_id> seen;
  const auto first = asked(program);
  EXPECT_EQ(first.size(), std::size_t{checker_groups::most_open});
  for (const auto& q : first)
    seen.insert(q.message);
  pass(25s);
  EXPECT_THAT(asked(program), IsEmpty());
  program.send(aut, checks_done{checker_groups::most_open});
  pass(6s);
  for (const auto& q : asked(program))
    seen.insert(q.message);
  EXPECT_EQ(seen.size(), 1200u) << "those that were left out before come first";
}

TEST_F(transactions_test, one_that_starts_anew_goes_on_with_what_is_undecided) {
  publish({"a"});
  restart();
  expect_checks_for(program);
  pass(6s);
  EXPECT_THAT(asked(program), SizeIs(1));
  now_ += 30s;
  restart();
  EXPECT_EQ(open().at(0).checks, 2u) << "it counts also when nobody is there yet";
}

TEST_F(transactions_test, checks_that_the_store_refuses_are_made_later) {
  expect_checks_for(program);
  publish({"a"});
  *faults_ = {.what = {errc::internal, "not now"}, .times = 2};
  pass(6s);
  EXPECT_THAT(asked(program), IsEmpty());
  pass(5s);
  EXPECT_THAT(asked(program), SizeIs(1));
  EXPECT_THAT(logged_, testing::Contains("check_failed"));
}

TEST_F(transactions_test, takes_no_checker_of_a_group_that_cannot_be) {
  EXPECT_EQ(world_.ask<bool>(aut, expect_checks{"no group", program.handle()}).error().code,
            errc::invalid_argument);
  EXPECT_EQ(world_.ask<bool>(aut, expect_checks{"shop", {}}).error().code, errc::invalid_argument);
}

// -- transactions of several messages

TEST_F(transactions_test, a_commit_makes_all_messages_of_a_transaction_visible_at_once) {
  const auto id = begin();
  auto all = publish({"a", "b"}, {"shop", id});
  const auto second = publish({"c"}, {"shop", id}, 2);
  all.insert(all.end(), second.begin(), second.end());
  EXPECT_EQ(decide(id, true), state::begun) << "it is not known to be complete";
  EXPECT_EQ(seal(id, all), state::prepared);
  EXPECT_EQ(seal(id, all), state::prepared);
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
  const auto entries = ctx_->shards[0]->stats().last.value;
  EXPECT_EQ(decide(id, true), state::committed);
  EXPECT_EQ(ctx_->shards[0]->stats().last.value, entries + 1);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a", "b"));
  EXPECT_THAT(stored(queue_id{2}), ElementsAre("c"));
  EXPECT_THAT(told(), UnorderedElementsAre(Pair(1, 2), Pair(2, 1)));
  EXPECT_EQ(decide(id, true), state::committed);
  EXPECT_EQ(decide(id, false), state::committed) << "the first decision stands";
  EXPECT_THAT(open(), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, a_rollback_forgets_all_of_them) {
  const auto id = begin();
  const auto all = publish({"a", "b"}, {"shop", id});
  EXPECT_EQ(decide(id, false, all), state::rolled_back);
  EXPECT_EQ(decide(id, true), state::rolled_back);
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
  EXPECT_THAT(open(), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, a_message_of_a_transaction_is_not_decided_alone) {
  const auto id = begin();
  const auto all = publish({"a"}, {"shop", id});
  EXPECT_THAT(decide({all[0]}, {}), ElementsAre(state::prepared));
  EXPECT_EQ(by_hand(all[0], {}, true)->belongs_to, id);
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
}

TEST_F(transactions_test, one_that_is_not_prepared_in_a_minute_is_rolled_back_with_its_messages) {
  expect_checks_for(program);
  const auto id = begin();
  publish({"a"}, {"shop", id});
  pass(60s);
  EXPECT_EQ(decide(id, true), state::rolled_back);
  pass(60s);
  EXPECT_THAT(open(), IsEmpty()) << "what was in doubt looked at home";
  EXPECT_THAT(asked(program), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, one_whose_preparation_is_on_its_way_is_not_rolled_back_for_its_age) {
  const auto id = begin();
  const auto all = publish({"a"}, {"shop", id});
  pass(59s);
  program.send(aut, seal_transaction{7, id, all});
  pass(1s);
  ASSERT_THAT(program.take<transaction_answer>(), SizeIs(1));
  EXPECT_EQ(decide(id, true), state::committed);
}

TEST_F(transactions_test, a_prepared_one_is_asked_about_by_its_name) {
  expect_checks_for(program);
  const auto id = begin("shop", "order 7");
  const auto all = publish({"a"}, {"shop", id});
  ASSERT_EQ(seal(id, all), state::prepared);
  pass(6s);
  const auto questions = asked(program);
  ASSERT_THAT(questions, SizeIs(1));
  EXPECT_EQ(questions[0].transaction, id);
  EXPECT_EQ(questions[0].key, "order 7");
  EXPECT_EQ(questions[0].checks, 1u);
  const auto listed = open();
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_EQ(listed[0].transaction, id);
  EXPECT_EQ(listed[0].state, state::prepared);
  EXPECT_EQ(listed[0].messages, 1u);
  EXPECT_EQ(by_hand({}, id, true)->state, state::committed);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
}

TEST_F(transactions_test, one_without_a_group_is_rolled_back_when_it_is_due) {
  const auto id = begin("");
  const auto all = publish({"a"}, {"", id});
  ASSERT_EQ(seal(id, all), state::prepared);
  pass(6s);
  EXPECT_EQ(decide(id, true), state::rolled_back);
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
}

TEST_F(transactions_test, a_message_that_the_commit_did_not_list_is_rolled_back) {
  const auto id = begin();
  const auto all = publish({"a"}, {"shop", id});
  publish({"late"}, {"shop", id});
  ASSERT_EQ(seal(id, all), state::prepared);
  ASSERT_EQ(decide(id, true), state::committed);
  pass(40s);
  EXPECT_THAT(stored(queue_id{1}), ElementsAre("a"));
  EXPECT_THAT(open(), IsEmpty());
  expect_sound();
}

TEST_F(transactions_test, a_guard_that_does_not_hold_rolls_back) {
  const auto id = begin("");
  const auto all = publish({"a"}, {"", id});
  decide_transaction d;
  d.id = id;
  d.commit = true;
  d.messages = all;
  d.guard = {{group_id{1}, queue_id{1}, generation{1}, {{queue_offset{0}, 1}}}};
  EXPECT_EQ(ask(d).code, errc::lease_lost) << "there is no such subscription";
  const auto again = ask(d);
  EXPECT_EQ(again.code, errc::none) << "by now it is not known why";
  EXPECT_EQ(again.state, state::rolled_back);
  EXPECT_THAT(stored(queue_id{1}), IsEmpty());
}

TEST_F(transactions_test, refuses_what_makes_no_sense) {
  const auto id = begin();
  EXPECT_EQ(ask(begin_transaction{0, std::string(256, 'g'), {}}).code, errc::invalid_argument);
  EXPECT_EQ(ask(begin_transaction{0, "shop", std::string(256, 'k')}).code, errc::invalid_argument);
  EXPECT_EQ(ask(seal_transaction{0, id, {}}).code, errc::invalid_argument);
  EXPECT_EQ(ask(seal_transaction{0, {shard_id{1}, id.index}, {{}}}).code, errc::invalid_argument);
  EXPECT_EQ(ask(seal_transaction{0, id, std::vector<message_id>(1025)}).code, errc::too_large);
  EXPECT_EQ(ask(seal_transaction{0, id, {{shard_id{60'000}, log_index{1}, 0}}}).code, errc::invalid_argument);
  EXPECT_EQ(ask(begin_transaction{0, "shop", "\xff"}).code, errc::invalid_argument);
  EXPECT_EQ(ask(begin_transaction{0, "no group", {}}).code, errc::invalid_argument);
  const auto guarded = [&](std::vector<offset_run> runs) {
    return ask(decide_transaction{
                   0, id, true, {}, {settle_guard{group_id{1}, queue_id{1}, generation{1}, std::move(runs)}}})
        .code;
  };
  EXPECT_EQ(guarded({}), errc::invalid_argument);
  EXPECT_EQ(guarded({{queue_offset{0}, 1025}}), errc::invalid_argument);
  EXPECT_EQ(guarded(std::vector<offset_run>(1025, {queue_offset{0}, 0})), errc::invalid_argument);
  EXPECT_EQ(ask(decide_transaction{0, {shard_id{0}, log_index{0}}, true, {}, {}}).code,
            errc::invalid_argument);
  decide_transaction rollback{0, id, false, {}, {settle_guard{}}};
  EXPECT_EQ(ask(rollback).code, errc::invalid_argument);
  EXPECT_EQ(ask(decide_transaction{0, {shard_id{0}, log_index{4711}}, true, {}, {}}).state, state::unknown);
  EXPECT_EQ(by_hand({}, {shard_id{0}, log_index{4711}}, true)->state, state::unknown);
}

TEST_F(transactions_test, what_ended_is_forgotten_after_ten_minutes) {
  const auto id = begin();
  ASSERT_EQ(decide(id, false), state::rolled_back);
  for (int i = 0; i < 9; ++i)
    advance(1min);
  EXPECT_EQ(decide(id, true), state::rolled_back);
  for (int i = 0; i < 3; ++i)
    advance(1min);
  EXPECT_EQ(decide(id, true), state::unknown);
}

} // namespace
} // namespace troupe::test
