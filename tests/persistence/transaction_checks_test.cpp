#include "half_row.hpp"
#include "transaction_row.hpp"
#include "transactions_fixture.hpp"

#include <functional>

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using enum transaction_state;

/// When what is undecided is looked at.
class transaction_checks : public transactions {};

INSTANTIATE_TEST_SUITE_P(logs, transaction_checks, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(transaction_checks, are_due_to_be_asked_about_and_later_again_until_they_are_parked) {
  send(2);
  auto found = h.store().checks_due(from_unix_ms(start + 6 * second - 1), first_check, 100).value();
  EXPECT_THAT(found.items, IsEmpty());
  EXPECT_EQ(found.next, from_unix_ms(start + 6 * second));
  found = h.store().checks_due(from_unix_ms(start + 6 * second), first_check, 100).value();
  ASSERT_EQ(found.items.size(), 1u);
  EXPECT_EQ(found.next, std::nullopt);
  const auto item = found.items[0];
  EXPECT_EQ(item.group, "orders");
  EXPECT_EQ(item.since, from_unix_ms(start));
  EXPECT_EQ(item.checks, 0u);
  EXPECT_THAT(item.messages, ElementsAre(at(1, 0), at(1, 1)));
  EXPECT_THAT(step(checked_entry{{{item.row, from_unix_ms(start + 36 * second)}}}).found, ElementsAre(true));
  expect_sound();
  EXPECT_EQ(due(start + 35 * second), 0u);
  h.reopen();
  EXPECT_EQ(due(start + 36 * second), 1u);
  commit({at(1, 0)});
  found = h.store().checks_due(from_unix_ms(start + 36 * second), first_check, 100).value();
  EXPECT_THAT(found.items.at(0).messages, ElementsAre(at(1, 1)));
  EXPECT_EQ(found.items[0].checks, 1u);
  step(checked_entry{{{item.row, never()}}});
  found = h.store().checks_due(never(), first_check, 100).value();
  EXPECT_THAT(found.items, IsEmpty());
  EXPECT_EQ(found.next, std::nullopt);
  EXPECT_THAT(h.store().open_transactions({}, 100).value(), SizeIs(1)) << "parked";
  expect_sound();
  EXPECT_THAT(commit({at(1, 1)}).states, ElementsAre(committed)) << "by hand";
  EXPECT_THAT(h.store().open_transactions({}, 100).value(), IsEmpty());
  EXPECT_THAT(step(checked_entry{{{item.row, never()}}}).found, ElementsAre(false));
  expect_sound();
}

TEST_P(transaction_checks, of_what_is_at_home_are_due_when_its_entries_say) {
  const auto t = begin("orders", "order 7");
  EXPECT_EQ(due(start + 5 * second), 0u);
  const auto found = h.store().checks_due(from_unix_ms(start + 6 * second), first_check, 100).value().items;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].transaction, t);
  EXPECT_EQ(found[0].state, begun);
  EXPECT_EQ(found[0].key, "order 7");
  step(checked_entry{{{found[0].row, from_unix_ms(start + 20 * second)}}});
  EXPECT_EQ(due(start + 19 * second), 0u);
  step(seal_entry{t.index, from_unix_ms(start + 10 * second), {id(at(9))}});
  EXPECT_EQ(due(start + 10 * second), 1u);
  EXPECT_EQ(h.store().transaction(t.index).value()->checks, 0u);
  roll_back({}, t, true);
  EXPECT_EQ(due(start + 60 * second), 0u);
  expect_sound();
}

TEST_P(transaction_checks, are_listed_in_pages_of_whole_rows) {
  for (int i = 0; i < 5; ++i)
    send(3);
  begin();
  h.apply(publish(2, {make_half(20, 1, 1, {"a", {}}), make_half(21, 1, 1, {"b", {}})}, start));
  step(checked_entry{{{{queue_id{1}, log_index{2}, 0}, never()}}});
  std::vector<open_transaction> all;
  for (std::optional<open_transaction> after;;) {
    const auto some = h.store().open_transactions(after, 4).value();
    if (some.empty())
      break;
    all.insert(all.end(), some.begin(), some.end());
    after = some.back();
  }
  std::vector<std::uint64_t> indexes;
  for (const auto& item : all)
    indexes.push_back(item.row.index.value);
  EXPECT_THAT(indexes, ElementsAre(1, 3, 4, 5, 7, 7, 6, 2));
}

TEST(transaction_tables, are_made_in_a_directory_that_lacks_them_and_older_programs_refuse_it_then) {
  scratch_directory dir;
  {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    h.apply(publish(1, {make_batch(1, 1, 1, 2)}, start));
  }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    for (auto table : {t.halves, t.checks, t.transactions})
      mdb_drop(txn.get(), table, 1);
    txn.put(t.meta, meta_format, encode(format_row{4, {}, 1}));
  });
  shard_harness h(log_kind::local, dir.path(), small_shard());
  EXPECT_THAT(h.store().verify({}), IsEmpty());
  h.apply(publish(1, {make_half(2, 1, 2, alone)}, start));
  EXPECT_EQ(h.store().half(at(2, 1)).value()->state, prepared);
  h.close();
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    EXPECT_GE(decode_format(txn.get(t.meta, meta_format).value()).version, 6u);
  });
}

TEST(verify, finds_half_messages_and_transactions_that_contradict_their_entries_and_each_other) {
  struct {
    const char* what;
    std::function<void(lmdb_txn&, const tables&)> change;
  } const cases[] = {
      {"nobody will look at undecided",
       [](auto& txn, auto& t) {
         lmdb_cursor rows(txn, t.checks);
         rows.first();
         rows.erase();
       }},
      {"pinned 3 times",
       [](auto& txn, auto& t) {
         auto row = half_row::decode(*txn.get(t.halves, key_of({queue_id{1}, log_index{1}, 0})));
         row.decide(*row.find(1), true);
         std::vector<char> bytes;
         row.encode(bytes);
         txn.put(t.halves, key_of({queue_id{1}, log_index{1}, 0}), bytes);
       }},
      {"the message was another group's",
       [](auto& txn, auto& t) {
         std::vector<half_span> spans{{0, 3, {"others", {}}}};
         std::vector<char> bytes;
         half_row::take(spans, from_unix_ms(start)).encode(bytes);
         txn.put(t.halves, key_of({queue_id{1}, log_index{1}, 0}), bytes);
       }},
      {"nobody will look at an open transaction",
       [](auto& txn, auto& t) {
         lmdb_cursor rows(txn, t.checks);
         rows.last();
         rows.erase();
       }},
      {"that is not undecided",
       [](auto& txn, auto& t) { txn.erase(t.transactions, transaction_key_of(log_index{2})); }},
      {"reading half messages", [](auto& txn, auto& t) {
         const auto key = key_of({queue_id{1}, log_index{1}, 0});
         const auto value = *txn.get(t.halves, key);
         std::vector<char> bytes(value.begin(), value.end());
         bytes.back() |= 3;
         txn.put(t.halves, key, bytes);
       }}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    shard_harness h(log_kind::local);
    h.apply(publish(1, {make_half(1, 1, 3, alone)}, start));
    h.apply({from_unix_ms(start), begin_entry{"orders", "", from_unix_ms(start + second)}});
    EXPECT_THAT(h.store().verify({}), IsEmpty());
    h.close();
    tamper(h.where(), c.change);
    h.reopen();
    const auto found = h.store().verify({});
    std::string all;
    for (const auto& d : found)
      all += to_string(d) + "\n";
    EXPECT_THAT(all, HasSubstr(c.what));
  }
}

} // namespace
} // namespace troupe::test
