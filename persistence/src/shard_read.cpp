#include "guarded.hpp"
#include "half_row.hpp"
#include "listed_reader.hpp"
#include "queue_index.hpp"
#include "record_reader.hpp"
#include "shard_impl.hpp"
#include "timer_row.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// The dead letter of a message, whichever group has it; they lie together by group.
std::optional<dead_row> any_dead_letter(const lmdb_txn& txn, const tables& t, queue_id queue,
                                        message_place message) {
  lmdb_cursor rows(txn, t.dead);
  group_id group;
  for (bool more = rows.seek(key_of(queue, group)); more && queue_of(rows.key()) == queue;
       more = rows.seek(key_of(queue, group))) {
    group = group_of(rows.key());
    if (const auto value = txn.get(t.dead, key_of(queue, group, message)))
      return decode_dead(*value);
    if (++group.value == 0)
      break;
  }
  return std::nullopt;
}

/// Where a message that left its place lies now.
struct moved_to {
  queue_offset offset;
  group_id only_for;
};
/// In the runs behind those of which `before` is true.
std::optional<moved_to> find_listed(const lmdb_txn& txn, const tables& t, queue_id queue,
                                    message_place message,
                                    const std::function<bool(const queue_run&)>& before) {
  queue_index index(txn, t, queue);
  for (auto run = index.search(before); run; run = index.after()) {
    const auto entry = run->lists ? txn.get(t.log, key_of(run->index)) : std::nullopt;
    if (!entry)
      continue;
    const auto list = view_listing(queue, *run, *entry);
    if (!list)
      continue;
    const auto places = std::span(list->messages).subspan(run->first_ordinal, run->count);
    // Redriven ones are sorted by their ids, fired ones by their times.
    const auto place =
        list->fired ? std::ranges::find(places, message) : std::ranges::lower_bound(places, message);
    if (place != places.end() && *place == message)
      return moved_to{queue_offset{run->base.value + static_cast<std::uint64_t>(place - places.begin())},
                      list->only_for};
  }
  return std::nullopt;
}

std::optional<moved_to> find_moved(const lmdb_txn& txn, const tables& t, queue_id queue,
                                   message_place message, const result<timestamp>& due) {
  if (!txn.get(t.pins, key_of(message.index)))
    return std::nullopt;
  if (const auto row = any_dead_letter(txn, t, queue, message))
    return moved_to{row->offset, {}};
  // What was delayed became visible when it was due or later, but for a clock that was wrong.
  if (due)
    if (auto found = find_listed(txn, t, queue, message, [&](const queue_run& r) { return r.time < *due; }))
      return found;
  return find_listed(txn, t, queue, message, [&](const queue_run& r) { return r.index <= message.index; });
}

} // namespace

std::string to_string(const damage& d) {
  return "shard " + std::to_string(d.shard.value) + ", log index " + std::to_string(d.index.value) +
         ", queue " + std::to_string(d.queue.value) + ", offsets [" + std::to_string(d.first.value) + ", " +
         std::to_string(d.next.value) + "): " + d.what;
}

result<read_result> shard::read(queue_id queue, queue_offset from, std::uint32_t max_bytes) const {
  return guarded([&]() -> result<read_result> {
    const auto& db = impl_->env->db();
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    queue_index index(txn, db, queue);
    message_reader messages(txn, db);
    read_result out;
    out.next = from;
    std::uint64_t bytes = 0;
    for (auto run = index.at_or_after(from); run; run = index.after()) {
      if (bytes && bytes + run->bytes > max_bytes && bytes + run->bytes / run->count > max_bytes)
        break;
      const auto entry = txn.get(db.log, key_of(run->index));
      if (!entry) {
        out.damaged.push_back(
            {id(), run->index, queue, std::max(run->base, from), run->next(), "the entry is missing"});
        out.next = run->next();
        ++bytes;
        continue;
      }
      const auto left = bytes < max_bytes ? max_bytes - bytes : 0;
      const stored_run at{id(), queue, *run, *entry};
      bytes += run->lists ? read_listed(messages, at, from, left, out) : read_record(at, from, left, out);
      if (out.next < run->next())
        break;
    }
    return out;
  });
}

result<std::optional<queue_id>> shard::origin(message_place message) const {
  return guarded([&]() -> result<std::optional<queue_id>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto entry = txn.get(impl_->env->db().log, key_of(message.index));
    if (!entry)
      return std::optional<queue_id>{};
    const auto header = decode_header(*entry);
    if (!header)
      return header.error();
    if (header->kind != entry_kind::append)
      return std::optional<queue_id>{};
    return std::optional{header->queue};
  });
}

result<stored_batch> shard::find(const message_id& message, queue_id* queue) const {
  return guarded([&]() -> result<stored_batch> {
    const auto& db = impl_->env->db();
    const error unknown{
        errc::not_found,
        "there is no message " + to_string(message) +
            " (it never was, its retention is over, or its topic was deleted)",
        "see whether the id is whole, and what a topic still has: troupe topic describe TOPIC"};
    if (message.shard != id())
      return unknown;
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto entry = txn.get(db.log, key_of(message.index));
    if (!entry)
      return unknown;
    const auto header = decode_header(*entry);
    if (!header)
      return header.error();
    // Log indexes grow along a queue, so its runs can be searched by them.
    queue_index index(txn, db, header->queue);
    const auto run = index.search([&](const queue_run& r) {
      return r.index < message.index ||
             (r.index == message.index && r.first_ordinal + r.count <= message.ordinal);
    });
    if (!run || run->index != message.index || run->first_ordinal > message.ordinal || run->lists) {
      const message_place place{message.index, message.ordinal};
      message_reader messages(txn, db);
      const auto due = messages.due(header->queue, place);
      const auto half = find_half_row(txn, db, header->queue, place);
      const auto state =
          half ? half->second.state(*half->second.find(place.ordinal)) : transaction_state::unknown;
      if (state == transaction_state::rolled_back)
        return unknown;
      const bool waits = state == transaction_state::prepared ||
                         (due && find_timer_row(txn, db, header->queue, {*due, place}));
      const auto moved = waits ? std::optional(moved_to{}) : find_moved(txn, db, header->queue, place, due);
      if (!moved)
        return unknown;
      auto found = messages.read(header->queue, std::span(&place, 1), max_batch_size);
      if (!found)
        return found.error();
      found->base = moved->offset;
      found->only_for = moved->only_for;
      found->waits = waits;
      if (queue)
        *queue = header->queue;
      return found;
    }
    const queue_offset offset{run->base.value + (message.ordinal - run->first_ordinal)};
    read_result found;
    read_record({id(), header->queue, *run, *entry}, offset, 0, found);
    if (found.batches.empty())
      return error{errc::corrupt,
                   found.damaged.empty() ? "the message is missing" : to_string(found.damaged.front())};
    if (queue)
      *queue = header->queue;
    return std::move(found.batches.front());
  });
}

} // namespace troupe
