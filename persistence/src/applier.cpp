#include "applier.hpp"

#include "queue_index.hpp"

#include <algorithm>
#include <iterator>

namespace troupe {

applier::applier(lmdb_txn& txn, const tables& t, key_index& keys) : txn_(txn), tables_(t), keys_(keys) {
  const auto value = txn.get(t.meta, meta_state);
  if (!value)
    throw storage_error{MDB_CORRUPTED, "looking for the log's state"};
  state_ = decode_state(*value);
}

entry_header applier::next_header(timestamp proposed) const {
  entry_header h;
  h.term = state_.term;
  h.index = log_index{state_.applied.value + 1};
  h.time = std::max(state_.time, proposed);
  return h;
}

applier::outcome applier::apply(const entry_header& header, const entry_body& body) {
  if (header.index.value != state_.applied.value + 1 || header.time < state_.time)
    throw storage_error{MDB_CORRUPTED, "applying an entry out of order"};
  state_.applied = header.index;
  state_.time = header.time;
  outcome out;
  out.answer.index = header.index;
  out.answer.time = header.time;
  std::visit([&](const auto& b) { apply_body(b, out); }, body);
  return out;
}

void applier::finish() {
  state_.first = log_index{state_.applied.value + 1};
  txn_.put(tables_.meta, meta_state, encode(state_));
}

block_tail applier::tail(queue_id queue) {
  const auto value = txn_.get(tables_.tails, key_of(queue));
  return value ? block_tail(*value) : block_tail();
}

queue_offset applier::next_offset(queue_id queue) { return tail(queue).next(); }

void applier::append(queue_id queue, block_tail& tail, queue_run& run) {
  if (tail.full()) {
    txn_.put(tables_.queues, key_of(queue, tail.first()), tail.value());
    tail.restart();
  }
  tail.append(run);
}

std::vector<queue_run> applier::oldest(queue_id queue, std::size_t max) {
  std::vector<queue_run> found;
  queue_index index(txn_, tables_, queue);
  for (auto run = index.front(); run && found.size() < max; run = index.after())
    found.push_back(*run);
  return found;
}

void applier::apply_body(const define_entry& e, outcome&) {
  ids_row ids;
  if (const auto value = txn_.get(tables_.meta, meta_ids))
    ids = decode_ids(*value);
  for (const auto& topic : e.topics) {
    txn_.put(tables_.definitions, key_of(topic.id), encode(topic));
    ids.topic = std::max(ids.topic, topic.id);
    for (const auto& range : topic.queues)
      if (range.count)
        ids.queue = std::max(ids.queue, queue_id{range.first.value + range.count - 1});
  }
  for (const auto& group : e.groups) {
    txn_.put(tables_.definitions, key_of(group.id), encode(group));
    ids.group = std::max(ids.group, group.id);
  }
  for (auto topic : e.removed_topics)
    txn_.erase(tables_.definitions, key_of(topic));
  for (auto group : e.removed_groups)
    txn_.erase(tables_.definitions, key_of(group));
  txn_.put(tables_.meta, meta_ids, encode(ids));
}

std::size_t applier::erase_oldest(queue_id queue, std::span<const queue_run> runs,
                                  const std::function<bool(const queue_run&)>& goes) {
  std::size_t n = 0;
  std::vector<log_index> released;
  for (; n < runs.size() && n < records_a_step && released.size() < rows_a_step && goes(runs[n]); ++n) {
    if (runs[n].lists)
      std::ranges::transform(listed(queue, runs[n]), std::back_inserter(released), &message_place::index);
    if (runs[n].shared) { // it goes with the last run of all queues
      released.push_back(runs[n].index);
      continue;
    }
    // Runs of one entry follow each other: the last of them takes the entry along, unless it is pinned.
    const bool last = n + 1 == runs.size() || runs[n + 1].index != runs[n].index;
    if (last && !txn_.get(tables_.pins, key_of(runs[n].index)))
      erase_entry(queue, runs[n].index);
  }
  cut(queue, n);
  unpin_all(queue, released);
  return n;
}

void applier::cut(queue_id queue, std::size_t runs) {
  lmdb_cursor rows(txn_, tables_.queues);
  while (runs > 0 && rows.seek(key_of(queue, queue_offset{})) && queue_of(rows.key()) == queue) {
    const auto block = index_block::decode(rows.value());
    const auto gone = std::min(runs, block.runs().size());
    rows.erase();
    runs -= gone;
    if (gone == block.runs().size())
      continue;
    const auto rest = index_block::of(std::span(block.runs()).subspan(gone));
    rest.encode(buffer_);
    txn_.put(tables_.queues, key_of(queue, rest.first()), buffer_);
  }
  if (runs == 0)
    return;
  const auto value = txn_.get(tables_.tails, key_of(queue));
  const auto block = value ? index_block::decode(*value) : index_block();
  if (runs > block.runs().size())
    throw storage_error{MDB_CORRUPTED, "cutting a queue's index"};
  const auto rest = std::span(block.runs()).subspan(runs);
  (rest.empty() ? index_block::after(block.next(), block.end_bytes()) : index_block::of(rest))
      .encode(buffer_);
  txn_.put(tables_.tails, key_of(queue), buffer_);
}

void applier::apply_body(const trim_entry& e, outcome& out) {
  const auto runs = oldest(e.queue, records_a_step + 1);
  auto goes = [&](const queue_run& run) { return run.next() <= e.first; };
  const auto n = erase_oldest(e.queue, runs, goes);
  out.answer.done = n == runs.size() || !goes(runs[n]);
  out.answer.first = n < runs.size() ? runs[n].base : next_offset(e.queue);
}

std::size_t applier::erase_rows(MDB_dbi table, queue_id queue, group_id group, std::size_t limit) {
  const auto prefix = key_of(queue, group, 0);
  const std::size_t length = group.value ? 8 : 4;
  std::size_t erased = 0;
  lmdb_cursor rows(txn_, table);
  for (bool more = rows.seek(std::span(prefix).first(length)); more && erased < limit; more = rows.next()) {
    if (!std::ranges::equal(rows.key().first(length), std::span(prefix).first(length)))
      break;
    rows.erase();
    ++erased;
  }
  return erased;
}

void applier::apply_body(const drop_queue_entry& e, outcome& out) {
  const bool everything = e.group.value == 0;
  std::size_t room = rows_a_step;
  // Records last: what is left of a queue between two steps has no row that points behind its end.
  if (everything)
    room -= erase_producers(e.queue, room);
  if (everything) {
    room -= erase_rows(tables_.firsts, e.queue, group_id{}, room);
    keys_.forget(e.queue);
  }
  room -= erase_rows(tables_.settled, e.queue, e.group, room);
  room -= erase_dead(e.queue, e.group, room);
  if (everything)
    room -= erase_timers(e.queue, room);
  if (everything)
    room -= erase_halves(e.queue, room);
  // The place behind all else: by it, whoever starts again finds what is left of a group.
  room -= erase_rows(tables_.subscriptions, e.queue, e.group, room);
  out.answer.done = room != 0;
  if (!everything || !out.answer.done)
    return;
  const auto runs = oldest(e.queue, records_a_step + 1);
  out.answer.done = erase_oldest(e.queue, runs, [](const queue_run&) { return true; }) == runs.size();
  if (out.answer.done)
    txn_.erase(tables_.tails, key_of(e.queue));
}

void applier::apply_body(const reset_entry& e, outcome& out) {
  const auto key = key_of(e.queue, e.group, e.lane);
  subscription_row row{generation{1}, std::min(e.to, next_offset(e.queue))};
  if (const auto value = txn_.get(tables_.subscriptions, key)) {
    row.gen = generation{decode_subscription(*value).first.value + 1};
    row.expired = decode_expired(*value);
  }
  put(key, row);
  lmdb_cursor rows(txn_, tables_.settled);
  for (bool more = rows.seek(key); more; more = rows.next()) {
    if (!std::ranges::equal(rows.key().first(key.size()), key))
      break;
    rows.erase();
  }
  out.answer.subscriptions.push_back(row);
}

} // namespace troupe
