#include "applier.hpp"
#include "listed_reader.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

std::optional<stored_transaction> applier::transaction(log_index begin) {
  const auto value = txn_.get(tables_.transactions, transaction_key_of(begin));
  return value ? std::optional(decode_transaction(*value)) : std::nullopt;
}

void applier::put(log_index begin, const stored_transaction& row) {
  encode(row, buffer_);
  txn_.put(tables_.transactions, transaction_key_of(begin), buffer_);
  if (is_checked(row))
    txn_.put(tables_.checks, key_of(check_time{true, row.next_check, {{}, begin, 0}}), {});
}

void applier::erase_check(log_index begin, const stored_transaction& row) {
  txn_.erase(tables_.checks, key_of(check_time{true, row.next_check, {{}, begin, 0}}));
}

void applier::apply_body(const begin_entry& e, outcome& out) {
  stored_transaction row;
  row.group = e.group;
  row.key = e.key;
  row.begun = state_.time;
  row.next_check = e.next_check;
  put(state_.applied, row);
  out.answer.state = row.state;
}

void applier::apply_body(const seal_entry& e, outcome& out) {
  auto row = transaction(e.transaction);
  if (row && row->state == transaction_state::begun) {
    erase_check(e.transaction, *row);
    row->state = transaction_state::prepared;
    row->messages = e.messages;
    row->checks = 0;
    row->next_check = e.next_check;
    put(e.transaction, *row);
  }
  out.answer.state = row ? row->state : transaction_state::unknown;
}

std::optional<stored_transaction> applier::end(const decide_entry& e, outcome& out) {
  const auto begin = e.transaction.index;
  auto row = transaction(begin);
  out.answer.state = row ? row->state : transaction_state::unknown;
  const bool sealed = row && row->state == transaction_state::prepared;
  if (!row || has_ended(row->state) || (e.commit && !e.guard && !sealed))
    return std::nullopt;
  erase_check(begin, *row);
  const bool commit = e.commit && (!e.guard || holds(*e.guard));
  row->state = out.answer.state = commit ? transaction_state::committed : transaction_state::rolled_back;
  row->ended = state_.time;
  row->checks = 0;
  row->messages = e.elsewhere;
  for (const auto& id : e.elsewhere)
    row->unconfirmed.push_back(id.shard);
  std::ranges::sort(row->unconfirmed);
  row->unconfirmed.erase(std::ranges::unique(row->unconfirmed).begin(), row->unconfirmed.end());
  row->next_check = row->unconfirmed.empty() ? timestamp{} : e.next_check;
  put(begin, *row);
  return row;
}

void applier::apply_body(const decide_entry& e, outcome& out) {
  bool commit = e.commit;
  if (e.home) {
    const auto ended = end(e, out);
    if (!ended)
      return report(e, out);
    commit = ended->state == transaction_state::committed;
    if (commit && e.guard)
      out.answer.subscriptions.push_back(settle(*e.guard));
    out.answer.guard_refused = e.commit && !commit;
  }
  const bool shared = e.queues.size() > 1;
  for (const auto& some : e.queues) {
    const auto decided = decide(e, some, commit, out);
    if (!commit || std::ranges::find(decided, true) == decided.end())
      continue;
    out.answer.visible.push_back(
        list_found(some.queue, decided, listed_bytes + some.message_bytes, shared, out));
  }
}

void applier::apply_body(const confirm_entry& e, outcome& out) {
  auto row = transaction(e.transaction);
  out.answer.state = row ? row->state : transaction_state::unknown;
  const bool waited = row && std::erase(row->unconfirmed, e.shard) > 0;
  out.answer.found.push_back(waited);
  if (!waited)
    return;
  erase_check(e.transaction, *row);
  std::erase_if(row->messages, [&](const message_id& id) { return id.shard == e.shard; });
  if (row->unconfirmed.empty())
    row->next_check = {};
  put(e.transaction, *row);
}

void applier::apply_body(const checked_entry& e, outcome& out) {
  constexpr std::uint16_t most = ~std::uint16_t{0};
  auto count = [&](auto& row, timestamp next_check) {
    row.checks = static_cast<std::uint16_t>(std::min<int>(row.checks + 1, most));
    row.next_check = next_check;
  };
  for (const auto& [at, next_check] : e.places) {
    bool open = false;
    if (at.queue == queue_id{}) {
      auto row = transaction(at.index);
      open = row && is_checked(*row);
      if (open) {
        erase_check(at.index, *row);
        count(*row, next_check);
        put(at.index, *row);
      }
    } else if (const auto value = txn_.get(tables_.halves, key_of(at))) {
      auto row = half_row::decode(*value);
      open = row.undecided() > 0;
      if (open) {
        const auto before = check_of(at, row);
        count(row, next_check);
        put(at, row, before);
      }
    }
    out.answer.found.push_back(open);
  }
}

void applier::apply_body(const forget_transactions_entry& e, outcome& out) {
  std::size_t gone = 0;
  lmdb_cursor rows(txn_, tables_.transactions);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto row = decode_transaction(rows.value());
    if (row.begun >= e.before) // and so all behind it
      return;
    if (is_checked(row) || row.ended >= e.before)
      continue;
    if (gone == rows_a_step) {
      out.answer.done = false;
      return;
    }
    rows.erase();
    ++gone;
  }
}

} // namespace troupe
