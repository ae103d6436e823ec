#include "transaction_history.hpp"

#include "shard_harness.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace troupe::test {

transaction_id transaction_history::transaction() {
  if (model_.transactions.empty() || random_.one_in(4))
    return {shard_id{3}, log_index{random_.between(1, 3)}};
  auto t = model_.transactions.rbegin();
  std::advance(t, random_.below(std::min<std::size_t>(model_.transactions.size(), 4)));
  return {{}, log_index{t->first}};
}

half_of transaction_history::whose() {
  const std::string group = random_.one_in(2) ? "a" : "b";
  return random_.one_in(2) ? half_of{group, {}} : half_of{random_.one_in(2) ? group : "", transaction()};
}

timestamp transaction_history::later() {
  return random_.one_in(10) ? never() : from_unix_ms(time_ + static_cast<std::int64_t>(random_.below(3000)));
}

std::vector<message_id> transaction_history::elsewhere() {
  std::vector<message_id> ids;
  for (auto n = random_.below(4); n > 0; --n)
    ids.push_back(
        {shard_id{static_cast<std::uint16_t>(random_.between(1, 3))}, log_index{random_.between(1, 9)}, 1});
  return ids;
}

decide_entry transaction_history::decision() {
  decide_entry e;
  if (random_.one_in(2))
    e.transaction = transaction();
  e.home = e.transaction.known() && e.transaction.home == shard_id{} && random_.one_in(2);
  e.commit = !random_.one_in(3);
  std::size_t left = random_.between(1, random_.one_in(10) ? 1000 : 20);
  const auto one_in = random_.between(1, 4);
  std::map<std::uint32_t, std::vector<message_place>> places;
  for (const auto& [key, row] : model_.halves)
    for (const auto& [ordinal, m] : row.messages)
      if (left && random_.one_in(one_in) && (m.whose.transaction == e.transaction || random_.one_in(30)) &&
          (m.state == transaction_state::prepared || random_.one_in(20))) {
        places[key.first].push_back({log_index{key.second}, ordinal});
        --left;
      }
  if ((places.empty() && !e.home) || random_.one_in(8))
    places[queue().value].push_back({log_index{random_.between(1, model_.index + 1)}, 0});
  for (auto& [id, some] : places) {
    if (random_.one_in(4))
      std::ranges::rotate(some, some.begin() + static_cast<std::ptrdiff_t>(random_.below(some.size())));
    if (random_.one_in(8))
      some.push_back(some.front());
    e.queues.push_back({queue_id{id}, static_cast<std::uint32_t>(random_.below(200)), std::move(some)});
  }
  if (!e.home)
    return e;
  e.elsewhere = elsewhere();
  e.next_check = later();
  if (e.commit && random_.one_in(2)) {
    settle_section guard{group(), queue(), 0, generation{1}, {}};
    const auto s = model_.subscriptions.find({guard.queue.value, guard.group.value});
    if (s != model_.subscriptions.end() && !random_.one_in(8))
      guard.gen = generation{s->second.gen};
    for (auto n = random_.between(1, 3); n > 0; --n)
      guard.ranges.push_back(ack(s == model_.subscriptions.end() ? 0 : s->second.floor + random_.below(12),
                                 static_cast<std::uint32_t>(random_.between(1, 3))));
    e.guard = std::move(guard);
  }
  return e;
}

entry_body transaction_history::step(std::int64_t now) {
  time_ = now;
  const auto dice = random_.below(22);
  if (dice < 3)
    return begin_entry{random_.one_in(2) ? "a" : "", random_.letters(random_.below(5)), later()};
  if (dice < 6)
    return seal_entry{transaction().index, later(), {{shard_id{1}, log_index{random_.between(1, 9)}, 0}}};
  if (dice < 8)
    return confirm_entry{transaction().index, shard_id{static_cast<std::uint16_t>(random_.between(1, 3))}};
  if (dice < 9)
    return forget_transactions_entry{from_unix_ms(time_ - static_cast<std::int64_t>(random_.below(1000)))};
  if (dice > 11)
    return decision();
  checked_entry e{{{{queue(), log_index{random_.between(1, model_.index + 1)}, 0}, later()}}};
  for (const auto& item : model_.open())
    if (random_.one_in(3) && e.places.size() < 20)
      e.places.push_back({item.row, later()});
  return e;
}

namespace {

void expect_equal(const open_transaction& got, const open_transaction& wanted) {
  EXPECT_EQ(got.row, wanted.row);
  EXPECT_EQ(got.checked, wanted.checked);
  EXPECT_EQ(got.due, wanted.due);
  EXPECT_EQ(got.since, wanted.since);
  EXPECT_EQ(got.checks, wanted.checks);
  EXPECT_EQ(got.group, wanted.group);
  EXPECT_EQ(got.key, wanted.key);
  EXPECT_EQ(got.transaction, wanted.transaction);
  EXPECT_EQ(got.state, wanted.state);
  EXPECT_EQ(got.messages, wanted.messages);
}

} // namespace

void expect_transactions(const shard& s, const shard_model& m, random_source& random) {
  const auto wanted = m.open();
  std::vector<open_transaction> got;
  const auto step = random.between(1, 50);
  for (std::optional<open_transaction> after;; after = got.back()) {
    const auto some = s.open_transactions(after, step).value();
    got.insert(got.end(), some.begin(), some.end());
    if (some.empty())
      break;
  }
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    expect_equal(got[i], wanted[i]);

  const auto now = from_unix_ms(m.time + static_cast<std::int64_t>(random.below(3000)));
  const milliseconds first_check{random.below(2000)};
  std::vector<open_transaction> due;
  std::optional<timestamp> next;
  for (const bool checked : {true, false})
    for (const auto& item : wanted) {
      const auto at = item.checked ? item.due : item.due + first_check;
      if (item.checked != checked || at == never())
        continue;
      if (at <= now)
        due.push_back(item);
      else
        next = std::min(next.value_or(at), at);
    }
  const auto found = s.checks_due(now, first_check, 1u << 20).value();
  EXPECT_EQ(found.next, next);
  ASSERT_EQ(found.items.size(), due.size());
  for (std::size_t i = 0; i < due.size(); ++i)
    expect_equal(found.items[i], due[i]);

  for (const auto& [key, row] : m.halves)
    for (const auto& [ordinal, half] : row.messages)
      if (row.messages.size() < 20 || random.one_in(50)) {
        EXPECT_EQ(s.half({log_index{key.second}, ordinal}).value(),
                  (half_message{queue_id{key.first}, half.state, half.whose.group, half.whose.transaction}));
      }
  for (const auto& [index, t] : m.transactions)
    EXPECT_EQ(s.transaction(log_index{index}).value(), t);
  EXPECT_EQ(s.unconfirmed().value().size(),
            static_cast<std::size_t>(std::ranges::count_if(m.transactions, [](const auto& t) {
              return has_ended(t.second.state) && !t.second.unconfirmed.empty();
            })));
}

} // namespace troupe::test
