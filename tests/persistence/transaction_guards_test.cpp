#include "transactions_fixture.hpp"

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using enum transaction_state;

/// A transaction that settles what it was made from.
class guarded_transactions : public transactions {
protected:
  transaction_id t;
  void SetUp() override {
    h.apply(publish(7, {make_batch(70, 1, 1, 10)}, start));
    h.apply(reset(5, 7, 0));
    t = begin("");
    send(1, {"", t});
  }
  applied commit_with(std::vector<settle_range> ranges, std::uint64_t gen = 1) {
    auto e = decision({at(4)}, true, t, true);
    e.guard = settle_section{group_id{5}, queue_id{7}, 0, generation{gen}, std::move(ranges)};
    const auto a = step(e);
    expect_sound();
    return a;
  }
  std::uint64_t floor() { return h.store().subscription(group_id{5}, queue_id{7}).value()->row.floor.value; }
};

INSTANTIATE_TEST_SUITE_P(logs, guarded_transactions, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(guarded_transactions, commit_and_settle_at_once_without_a_seal) {
  const auto a = commit_with({ack(0, 3), ack(5)});
  EXPECT_EQ(a.state, committed);
  ASSERT_EQ(a.subscriptions.size(), 1u);
  EXPECT_EQ(a.subscriptions[0].floor, queue_offset{3});
  EXPECT_THAT(visible(), ElementsAre(at(4)));
  h.reopen();
  EXPECT_EQ(floor(), 3u);
  const auto again = commit_with({ack(0, 3), ack(5)});
  EXPECT_EQ(again.state, committed);
  EXPECT_THAT(again.subscriptions, IsEmpty());
}

TEST_P(guarded_transactions, are_rolled_back_when_something_that_they_settle_is_settled) {
  struct {
    std::vector<settle_range> before, guard;
  } const cases[] = {
      {{ack(0)}, {ack(0, 3)}},      {{ack(5)}, {ack(0), ack(4, 3)}}, {{ack(9)}, {ack(9)}},
      {{ack(9)}, {ack(0), ack(0)}}, {{ack(9)}, {ack(0, 3), ack(2)}}, {{ack(9)}, {ack(4), ack(2)}}};
  for (const auto& c : cases) {
    h.apply(reset(5, 7, 0));
    const auto gen = h.store().subscription(group_id{5}, queue_id{7}).value()->row.gen.value;
    h.apply(settle(5, 7, gen, c.before, start));
    t = begin("");
    const auto message = at(send(1, {"", t}).index.value);
    auto e = decision({message}, true, t, true);
    e.guard = settle_section{group_id{5}, queue_id{7}, 0, generation{gen}, c.guard};
    const auto before = floor();
    const auto a = step(e);
    EXPECT_EQ(a.state, rolled_back);
    EXPECT_THAT(a.subscriptions, IsEmpty());
    EXPECT_EQ(a.states, std::vector{rolled_back});
    EXPECT_EQ(floor(), before);
    EXPECT_FALSE(h.store().half(message).value()) << "its entry went with it";
    EXPECT_EQ(step(e).state, rolled_back);
  }
  EXPECT_THAT(visible(), IsEmpty());
  expect_sound();
}

TEST_P(guarded_transactions, are_rolled_back_by_another_generation_a_missing_message_or_an_unknown_group) {
  EXPECT_EQ(commit_with({ack(9, 2)}).state, rolled_back);
  for (auto [group, gen] : {std::pair{5u, 2u}, std::pair{6u, 1u}}) {
    t = begin("");
    auto e = decision({}, true, t, true);
    e.guard = settle_section{group_id{group}, queue_id{7}, 0, generation{gen}, {ack(0)}};
    EXPECT_EQ(step(e).state, rolled_back);
  }
  EXPECT_EQ(floor(), 0u);
}

TEST_P(guarded_transactions, settle_what_waits_for_a_retry_and_no_late_failure_changes_that) {
  h.apply(settle(5, 7, 1, {retry(2, 1, start + second)}, start));
  EXPECT_EQ(commit_with({ack(2), ack(4)}).state, committed);
  EXPECT_THAT(h.store().subscription(group_id{5}, queue_id{7}).value()->retries, IsEmpty());
  // A SUBSCRIPTION that does not know of the guard yet says that these failed, expired, or are dead.
  auto expired = ack(4);
  expired.action = settle_action::expired;
  h.apply(settle(
      5, 7, 1,
      {dead(4), dead(2, 1, dead_reason::expired), expired, retry(2, 2, start + second), retry(4, 1, start)},
      start));
  const auto s = h.store().subscription(group_id{5}, queue_id{7}).value().value();
  EXPECT_THAT(s.retries, IsEmpty());
  EXPECT_EQ(s.row.expired, 0u);
  EXPECT_EQ(h.store().dead_count(queue_id{7}, group_id{5}).value(), 0u);
  expect_sound();
}

} // namespace
} // namespace troupe::test
