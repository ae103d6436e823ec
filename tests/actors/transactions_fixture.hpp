#pragma once

#include "publish_fixture.hpp"
#include "transactions.hpp"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

namespace troupe::test {

using namespace std::chrono_literals;

/// A program of a producer group: it publishes, decides, and is asked.
using program_probe = probe<published, route, decided_halves, transaction_answer, check_transactions>;

/// TRANSACTIONS of a shard that is its only peer, with its STORE and a clock that the test moves.
class transactions_fixture : public publish_fixture {
protected:
  void SetUp() override {
    topics_ = world_.owned(
        topics_actor{world_.system().spawn([](topics_actor::pointer) -> topics_actor::behavior_type {
          return {[](const topics_request& r) {
            return topics_found{std::vector<std::string>(r.queues.size(), "orders")};
          }};
        })});
    start();
  }
  /// `aut` hears of its peers, and of the QUEUEs 1 and 2.
  void start() {
    aut = ctx_->transactions[0];
    program.send(aut, transactions_peers{{aut}, topics_});
    for (std::uint32_t queue : {1, 2})
      program.send(aut, timed_queue{queue_id{queue}, caf::actor_cast<queue_actor>(queues.handle())});
    run();
    queues.take<visible>();
  }
  /// Another one in its place.
  void restart() {
    caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
    run();
    ctx_->transactions = {world_.owned(transactions_actor{
        world_.system().spawn(transactions_behavior, transactions_config{ctx_, shard_id{0}})})};
    start();
  }

  /// Of a producer of its own.
  batch half_batch(const std::vector<std::string>& bodies, const half_view& half) {
    batch_builder builder;
    for (const auto& body : bodies)
      builder.add(message{.body = body});
    auto b = builder.finish(half);
    b.header.producer = producer_id{++producer_};
    b.header.epoch = producer_epoch{1};
    b.header.sequence = batch_sequence{1};
    return b;
  }
  /// The ids of half messages of a group that are transactions of their own, or of one transaction.
  std::vector<message_id> publish(const std::vector<std::string>& bodies,
                                  const half_view& half = {"shop", {}}, std::uint32_t queue = 1) {
    auto b = half_batch(bodies, half);
    program.send(ctx_->stores[0], request(queue, std::move(b), publisher, queues));
    run();
    const auto answers = publisher.take<published>();
    std::vector<message_id> ids;
    if (answers.size() != 1 || answers[0].results.size() != 1 || !answers[0].results[0].placed) {
      ADD_FAILURE() << "not stored";
      return ids;
    }
    const auto& r = answers[0].results[0];
    EXPECT_FALSE(r.visible);
    for (std::uint32_t i = 0; i < bodies.size(); ++i)
      ids.push_back({r.shard, r.index, r.first_ordinal + i});
    return ids;
  }
  /// What became of them, commits first.
  std::vector<transaction_state> decide(std::vector<message_id> commits, std::vector<message_id> rollbacks) {
    program.send(aut, decide_halves{++tag_, std::move(commits), std::move(rollbacks)});
    run();
    const auto answers = program.take<decided_halves>();
    if (answers.size() != 1 || answers[0].tag != tag_ || answers[0].code != errc::none) {
      ADD_FAILURE() << (answers.empty() ? "no answer" : answers[0].reason);
      return {};
    }
    std::vector<transaction_state> states;
    for (const auto state : answers[0].states)
      states.push_back(static_cast<transaction_state>(state));
    return states;
  }
  template <class Request> transaction_answer ask(Request r) {
    r.tag = ++tag_;
    program.send(aut, std::move(r));
    run();
    auto answers = program.take<transaction_answer>();
    if (answers.size() != 1 || answers[0].tag != tag_) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return std::move(answers[0]);
  }
  transaction_id begin(std::string group = "shop", std::string key = "k") {
    const auto answer = ask(begin_transaction{0, std::move(group), std::move(key)});
    EXPECT_EQ(answer.code, errc::none) << answer.reason;
    EXPECT_EQ(answer.state, transaction_state::begun);
    return answer.id;
  }
  transaction_state seal(transaction_id id, std::vector<message_id> messages) {
    return ask(seal_transaction{0, id, std::move(messages)}).state;
  }
  transaction_state decide(transaction_id id, bool commit, std::vector<message_id> messages = {}) {
    return ask(decide_transaction{0, id, commit, std::move(messages), {}}).state;
  }
  result<decided_by_hand> by_hand(message_id message, transaction_id id, bool commit) {
    return world_.ask<decided_by_hand>(aut, decide_by_hand{message, id, commit});
  }
  void expect_checks_for(program_probe& who, const std::string& group = "shop") {
    const auto taken = world_.ask<bool>(aut, expect_checks{group, who.handle()});
    EXPECT_TRUE(taken) << to_string(taken.error());
  }
  /// What a program was asked since the last time.
  static std::vector<checked_item> asked(program_probe& who) {
    std::vector<checked_item> all;
    for (auto& c : who.take<check_transactions>())
      for (auto& item : c.items)
        all.push_back(std::move(item));
    return all;
  }
  static std::string body_of(const checked_item& item) {
    const auto reader = batch_reader::open(item.header, item.data);
    return reader && reader->count() == 1 ? std::string{reader->body(0)} : "?";
  }
  std::vector<transaction_status> open(const std::string& group = {}) {
    const auto found = world_.ask<open_found>(aut, open_request{group, {}, 1000});
    if (!found) {
      ADD_FAILURE() << to_string(found.error());
      return {};
    }
    return found->transactions;
  }
  /// What queues were told that became visible, without the answers to batches.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> told() {
    std::vector<std::pair<std::uint32_t, std::uint64_t>> ends;
    for (const auto& v : queues.take<visible>())
      if (v.answered == 0)
        ends.emplace_back(v.queue.value, v.next.value);
    return ends;
  }
  /// Time passes in steps of a second, as timers are armed one after the other.
  void pass(milliseconds time) {
    for (; time > 0ms; time -= 1s)
      advance(std::min<milliseconds>(time, 1s));
  }
  void expect_sound() { EXPECT_THAT(ctx_->shards[0]->verify({}), testing::IsEmpty()); }

  transactions_actor aut;
  topics_actor topics_;
  program_probe program =
      world_.make_probe<published, route, decided_halves, transaction_answer, check_transactions>();
  program_probe other =
      world_.make_probe<published, route, decided_halves, transaction_answer, check_transactions>();
  producer_probe publisher = world_.make_probe<published, route>();
  queue_probe queues = world_.make_probe<visible>();
  std::uint64_t tag_ = 0;
  std::uint64_t producer_ = 100;
};

} // namespace troupe::test
