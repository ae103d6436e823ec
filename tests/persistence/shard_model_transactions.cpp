#include "shard_model.hpp"

#include <algorithm>

namespace troupe::test {

using enum transaction_state;

bool shard_model::half_row::undecided() const {
  return std::ranges::any_of(messages, [](const auto& m) { return m.second.state == prepared; });
}

void shard_model::hold(std::uint32_t queue, const stored& b, applied& out) {
  if (b.header.count == 0)
    return;
  accepted_[index].push_back(b);
  const auto whose = batch_reader::open(b.header, b.data).value().half().copy();
  auto& row = halves[{queue, index}];
  row.since = time;
  for (std::uint32_t i = 0; i < b.header.count; ++i)
    row.messages[b.ordinal + i] = {whose, prepared};
  out.halves = true;
}

shard_model::half* shard_model::find_half(std::uint32_t queue, message_place message) {
  const auto row = halves.find({queue, message.index.value});
  if (row == halves.end())
    return nullptr;
  const auto found = row->second.messages.find(message.ordinal);
  return found == row->second.messages.end() ? nullptr : &found->second;
}

bool shard_model::holds(const settle_section& guard) const {
  const auto s = subscriptions.find({guard.queue.value, guard.group.value});
  if (s == subscriptions.end() || s->second.gen != guard.gen.value)
    return false;
  auto end = s->second.floor;
  for (const auto& r : guard.ranges) {
    if (r.first.value < end)
      return false;
    end = r.first.value + r.count;
    for (auto offset = r.first.value; offset < end; ++offset)
      if (offset >= queues.at(guard.queue.value).next || s->second.settled.contains(offset))
        return false;
  }
  return true;
}

void shard_model::decide(const decide_entry& e, const decided_messages& some, bool commit, bool changes,
                         applied& out) {
  const auto next = queues.contains(some.queue.value) ? queues[some.queue.value].next : 0;
  bool open = false;
  for (const auto& m : some.messages) {
    auto* half = find_half(some.queue.value, m);
    if (half && half->whose.transaction != e.transaction)
      half = nullptr;
    const bool mine = changes && half && half->state == prepared;
    if (mine)
      half->state = commit ? committed : rolled_back;
    out.found.push_back(mine);
    out.states.push_back(half ? half->state : unknown);
    if (mine && commit) {
      auto& q = queues[some.queue.value];
      if (!open)
        q.runs.push_back({index, 0, {}, true, std::uint64_t{16} + some.message_bytes});
      auto b = alone(m.index.value, m.ordinal);
      b.base = q.next++;
      b.visible = time;
      q.runs.back().batches.push_back(std::move(b));
    }
    open = mine;
  }
  const auto after = queues.contains(some.queue.value) ? queues[some.queue.value].next : 0;
  if (after != next)
    out.visible.push_back({some.queue, queue_offset{next}, queue_offset{after}});
}

void shard_model::apply(const begin_entry& e, applied& out) {
  auto& t = transactions[index];
  t.group = e.group;
  t.key = e.key;
  t.begun = from_unix_ms(time);
  t.next_check = e.next_check;
  out.state = begun;
}

void shard_model::apply(const seal_entry& e, applied& out) {
  const auto t = transactions.find(e.transaction.value);
  if (t == transactions.end())
    return;
  if (t->second.state == begun) {
    t->second.state = prepared;
    t->second.messages = e.messages;
    t->second.checks = 0;
    t->second.next_check = e.next_check;
  }
  out.state = t->second.state;
}

void shard_model::apply(const decide_entry& e, applied& out) {
  bool commit = e.commit, changes = true;
  if (e.home) {
    const auto found = transactions.find(e.transaction.index.value);
    changes = found != transactions.end() && !has_ended(found->second.state) &&
              (!e.commit || e.guard || found->second.state == prepared);
    if (changes) {
      auto& t = found->second;
      commit = e.commit && (!e.guard || holds(*e.guard));
      if (commit && e.guard)
        apply(settle_entry{{*e.guard}}, out);
      std::set<shard_id> shards;
      for (const auto& id : e.elsewhere)
        shards.insert(id.shard);
      t.state = commit ? committed : rolled_back;
      t.ended = from_unix_ms(time);
      t.checks = 0;
      t.messages = e.elsewhere;
      t.unconfirmed.assign(shards.begin(), shards.end());
      t.next_check = shards.empty() ? timestamp{} : e.next_check;
    }
    out.state = found == transactions.end() ? unknown : found->second.state;
  }
  for (const auto& some : e.queues)
    decide(e, some, commit, changes, out);
}

void shard_model::apply(const confirm_entry& e, applied& out) {
  const auto t = transactions.find(e.transaction.value);
  out.state = t == transactions.end() ? unknown : t->second.state;
  out.found.push_back(t != transactions.end() && std::erase(t->second.unconfirmed, e.shard) > 0);
  if (!out.found.back())
    return;
  std::erase_if(t->second.messages, [&](const message_id& id) { return id.shard == e.shard; });
  if (t->second.unconfirmed.empty())
    t->second.next_check = {};
}

void shard_model::apply(const checked_entry& e, applied& out) {
  for (const auto& [at, next_check] : e.places) {
    bool there = false;
    if (at.queue.value == 0) {
      const auto t = transactions.find(at.index.value);
      there = t != transactions.end() && (!has_ended(t->second.state) || !t->second.unconfirmed.empty());
      if (there) {
        ++t->second.checks;
        t->second.next_check = next_check;
      }
    } else {
      const auto row = halves.find({at.queue.value, at.index.value});
      there =
          row != halves.end() && row->second.messages.begin()->first == at.first && row->second.undecided();
      if (there) {
        ++row->second.checks;
        row->second.next_check = to_unix_ms(next_check);
      }
    }
    out.found.push_back(there);
  }
}

void shard_model::apply(const forget_transactions_entry& e, applied&) {
  std::erase_if(transactions, [&](const auto& t) {
    return has_ended(t.second.state) && t.second.unconfirmed.empty() && t.second.ended < e.before;
  });
}

std::size_t shard_model::forget_halves(std::uint32_t queue, std::size_t room) {
  std::size_t taken = 0;
  for (auto row = halves.lower_bound({queue, 0});
       row != halves.end() && row->first.first == queue && taken < room;) {
    const auto at = row->first.second;
    const bool held = row->second.undecided();
    row = halves.erase(row);
    ++taken;
    taken += held && !entries().contains(at) ? 16 : 0;
  }
  return std::min(taken, room);
}

std::vector<open_transaction> shard_model::open() const {
  std::vector<open_transaction> found;
  for (const auto& [key, row] : halves) {
    if (!row.undecided())
      continue;
    const half* before = nullptr;
    std::uint32_t next = 0;
    for (const auto& [ordinal, m] : row.messages) {
      if (!before || ordinal != next || before->whose != m.whose) {
        open_transaction item;
        item.row = {queue_id{key.first}, log_index{key.second}, row.messages.begin()->first};
        item.checked = row.checks > 0;
        item.due = from_unix_ms(row.checks ? row.next_check : row.since);
        item.since = from_unix_ms(row.since);
        item.checks = row.checks;
        item.group = m.whose.group;
        item.transaction = m.whose.transaction;
        found.push_back(std::move(item));
      }
      before = &m;
      next = ordinal + 1;
      if (m.state == prepared)
        found.back().messages.push_back({log_index{key.second}, ordinal});
    }
  }
  std::erase_if(found, [](const open_transaction& item) { return item.messages.empty(); });
  for (const auto& [index, t] : transactions) {
    if (has_ended(t.state) && t.unconfirmed.empty())
      continue;
    open_transaction item;
    item.row = {{}, log_index{index}, 0};
    item.checked = true;
    item.due = t.next_check;
    item.since = t.begun;
    item.checks = t.checks;
    item.group = t.group;
    item.key = t.key;
    item.transaction.index = log_index{index};
    item.state = t.state;
    found.push_back(std::move(item));
  }
  std::ranges::stable_sort(
      found, {}, [](const open_transaction& item) { return std::tuple(item.checked, item.due, item.row); });
  return found;
}

} // namespace troupe::test
