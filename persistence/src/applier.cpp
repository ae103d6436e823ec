#include "applier.hpp"

#include <algorithm>

namespace troupe {

applier::applier(lmdb_txn& txn, const tables& t) : txn_(txn), tables_(t) {
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

std::optional<queue_row> applier::tail(queue_id queue) {
  lmdb_cursor rows(txn_, tables_.queues);
  if (!rows.seek_before(end_key(queue)) || queue_of(rows.key()) != queue)
    return std::nullopt;
  return decode_queue(rows.key(), rows.value());
}

std::vector<queue_row> applier::oldest(queue_id queue, std::size_t max) {
  std::vector<queue_row> found;
  lmdb_cursor rows(txn_, tables_.queues);
  for (bool more = rows.seek(key_of(queue, queue_offset{})); more && found.size() < max; more = rows.next()) {
    if (queue_of(rows.key()) != queue)
      break;
    found.push_back(decode_queue(rows.key(), rows.value()));
  }
  return found;
}

queue_offset applier::next_offset(queue_id queue) {
  const auto last = tail(queue);
  return last ? last->next() : queue_offset{};
}

void applier::put(const queue_row& row) {
  txn_.put(tables_.queues, key_of(row.queue, row.base), encode(row));
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

std::size_t applier::erase_oldest(std::span<const queue_row> rows,
                                  const std::function<bool(const queue_row&)>& goes) {
  std::size_t n = 0;
  for (; n < rows.size() && n < records_a_step && goes(rows[n]); ++n) {
    txn_.erase(tables_.queues, key_of(rows[n].queue, rows[n].base));
    // Rows of one entry follow each other: the last of them takes the entry along.
    if (n + 1 == rows.size() || rows[n + 1].index != rows[n].index)
      txn_.erase(tables_.log, key_of(rows[n].index));
  }
  return n;
}

void applier::apply_body(const trim_entry& e, outcome& out) {
  const auto rows = oldest(e.queue, records_a_step + 1);
  if (rows.empty())
    return;
  auto goes = [&](const queue_row& row) { return row.count && row.next() <= e.first; };
  const auto n = erase_oldest(rows, goes);
  if (n < rows.size()) {
    out.answer.first = rows[n].base;
    out.answer.done = !goes(rows[n]);
    return;
  }
  queue_row marker = rows.back();
  marker.base = rows.back().next();
  marker.index = log_index{};
  marker.first_ordinal = marker.count = marker.bytes = 0;
  put(marker);
  out.answer.first = marker.base;
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
    room -= erase_rows(tables_.producers, e.queue, group_id{}, room);
  room -= erase_rows(tables_.settled, e.queue, e.group, room);
  room -= erase_rows(tables_.subscriptions, e.queue, e.group, room);
  out.answer.done = room != 0;
  if (!everything || !out.answer.done)
    return;
  const auto rows = oldest(e.queue, records_a_step + 1);
  out.answer.done = erase_oldest(rows, [](const queue_row&) { return true; }) == rows.size();
}

void applier::apply_body(const reset_entry& e, outcome& out) {
  const auto key = key_of(e.queue, e.group, e.lane);
  generation gen{1};
  if (const auto value = txn_.get(tables_.subscriptions, key))
    gen = generation{decode_subscription(*value).first.value + 1};
  const auto floor = std::min(e.to, next_offset(e.queue));
  txn_.put(tables_.subscriptions, key, encode(gen, floor));
  lmdb_cursor rows(txn_, tables_.settled);
  for (bool more = rows.seek(key); more; more = rows.next()) {
    if (!std::ranges::equal(rows.key().first(key.size()), key))
      break;
    rows.erase();
  }
  out.answer.subscriptions.push_back({gen, floor});
}

} // namespace troupe
