#include "applier.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace troupe {

namespace {

/// Rows of `halves` while an entry decides: each read once and written once.
class half_cache {
public:
  half_cache(const lmdb_txn& txn, const tables& t, queue_id queue) : txn_(txn), tables_(t), queue_(queue) {}

  struct state {
    half_row row;
    /// What `checks` says of it.
    check_time before;
    bool changed = false;
  };

  struct found {
    state* in = nullptr;
    half_row::position at;
  };
  /// Nothing when there is no such half message.
  std::optional<found> find(message_place message) {
    if (last_ && last_index_ == message.index)
      if (const auto at = last_->row.find(message.ordinal))
        return found{last_, *at};
    auto known = rows_.upper_bound(message);
    if (known != rows_.begin() && (--known)->first.index == message.index)
      if (const auto at = known->second.row.find(message.ordinal))
        return remember(message.index, known->second, *at);
    auto stored = find_half_row(txn_, tables_, queue_, message);
    if (!stored)
      return std::nullopt;
    auto& [place, row] = *stored;
    const auto before = check_of(place, row);
    auto& added =
        rows_.emplace(message_place{place.index, place.first}, state{std::move(row), before}).first->second;
    return remember(message.index, added, *added.row.find(message.ordinal));
  }

  const auto& rows() const { return rows_; }

private:
  found remember(log_index index, state& s, half_row::position at) {
    last_ = &s;
    last_index_ = index;
    return {&s, at};
  }

  const lmdb_txn& txn_;
  const tables& tables_;
  queue_id queue_;
  /// By their first messages.
  std::map<message_place, state> rows_;
  state* last_ = nullptr;
  log_index last_index_;
};

} // namespace

void applier::hold(queue_id queue, std::vector<half_span>& halves, outcome& out) {
  std::uint32_t held = 0;
  while (!halves.empty()) {
    const auto row = half_row::take(halves, state_.time);
    const check_place place{queue, state_.applied, row.first()};
    held += row.undecided();
    row.encode(buffer_);
    txn_.put(tables_.halves, key_of(place), buffer_);
    txn_.put(tables_.checks, key_of(check_time{false, state_.time, place}), {});
  }
  if (held == 0)
    return;
  pin(state_.applied, held);
  out.keep = out.answer.halves = true;
}

void applier::put(const check_place& place, const half_row& row, const check_time& before) {
  row.encode(buffer_);
  txn_.put(tables_.halves, key_of(place), buffer_);
  const auto after = check_of(place, row);
  if (row.undecided() && after == before)
    return;
  txn_.erase(tables_.checks, key_of(before));
  if (row.undecided())
    txn_.put(tables_.checks, key_of(after), {});
}

std::vector<bool> applier::decide(const decide_entry& e, const decided_messages& some, bool commit,
                                  outcome& out) {
  half_cache rows(txn_, tables_, some.queue);
  std::vector<bool> decided;
  std::vector<log_index> released;
  decided.reserve(some.messages.size());
  for (const auto& message : some.messages) {
    const auto found = rows.find(message);
    auto state = transaction_state::unknown;
    bool mine = false;
    if (found && found->at.span->whose.transaction == e.transaction) {
      state = found->in->row.state(found->at);
      mine = state == transaction_state::prepared;
    }
    if (mine) {
      found->in->row.decide(found->at, commit);
      found->in->changed = true;
      state = commit ? transaction_state::committed : transaction_state::rolled_back;
      if (!commit)
        released.push_back(message.index);
    }
    decided.push_back(mine);
    out.answer.found.push_back(mine);
    out.answer.states.push_back(state);
  }
  for (const auto& [place, s] : rows.rows())
    if (s.changed)
      put({some.queue, place.index, place.ordinal}, s.row, s.before);
  // Behind the rows: what nobody holds goes with them.
  unpin_all(some.queue, released);
  return decided;
}

void applier::report(const decide_entry& e, outcome& out) {
  for (const auto& some : e.queues) {
    half_cache rows(txn_, tables_, some.queue);
    for (const auto& message : some.messages) {
      const auto found = rows.find(message);
      const bool mine = found && found->at.span->whose.transaction == e.transaction;
      out.answer.found.push_back(false);
      out.answer.states.push_back(mine ? found->in->row.state(found->at) : transaction_state::unknown);
    }
  }
}

bool applier::erase_entry(queue_id queue, log_index index) {
  const auto prefix = half_rows_of(queue, index);
  lmdb_cursor rows(txn_, tables_.halves);
  for (bool more = rows.seek(prefix); more; more = rows.next()) {
    if (!std::ranges::equal(rows.key().first(prefix.size()), prefix))
      break;
    rows.erase();
  }
  return txn_.erase(tables_.log, key_of(index));
}

std::size_t applier::erase_halves(queue_id queue, std::size_t room) {
  constexpr std::size_t entry_rows = rows_a_step / records_a_step;
  std::vector<std::pair<check_place, half_row>> found;
  {
    lmdb_cursor rows(txn_, tables_.halves);
    const auto prefix = key_of(queue);
    for (bool more = rows.seek(prefix); more && found.size() < room; more = rows.next()) {
      if (queue_of(rows.key()) != queue)
        break;
      found.emplace_back(half_place(rows.key()), half_row::decode(rows.value()));
    }
  }
  std::size_t taken = 0;
  for (const auto& [place, row] : found) {
    if (taken >= room)
      break;
    ++taken;
    // An entry that went took its other rows along.
    if (!txn_.erase(tables_.halves, key_of(place)) || row.undecided() == 0)
      continue;
    txn_.erase(tables_.checks, key_of(check_of(place, row)));
    taken += unpin(queue, place.index, row.undecided()) ? entry_rows : 0;
  }
  return std::min(taken, room);
}

} // namespace troupe
