#include "guarded.hpp"
#include "queue_reader.hpp"
#include "record_reader.hpp"
#include "shard_impl.hpp"

#include <algorithm>

namespace troupe {

std::string to_string(const damage& d) {
  return "shard " + std::to_string(d.shard.value) + ", log index " + std::to_string(d.index.value) +
         ", queue " + std::to_string(d.queue.value) + ", offsets [" + std::to_string(d.first.value) + ", " +
         std::to_string(d.next.value) + "): " + d.what;
}

result<read_result> shard::read(queue_id queue, queue_offset from, std::uint32_t max_bytes) const {
  return guarded([&]() -> result<read_result> {
    const auto& db = impl_->env->db();
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    queue_reader rows(txn, db, queue);
    read_result out;
    out.next = from;
    std::uint64_t bytes = 0;
    for (auto row = rows.at_or_after(from); row && row->count; row = rows.next()) {
      if (bytes && bytes + row->bytes > max_bytes && bytes + row->bytes / row->count > max_bytes)
        break;
      const auto entry = txn.get(db.log, key_of(row->index));
      if (!entry) {
        out.damaged.push_back(
            {id(), row->index, queue, std::max(row->base, from), row->next(), "the entry is missing"});
        out.next = row->next();
        ++bytes;
        continue;
      }
      const auto left = bytes < max_bytes ? max_bytes - bytes : 0;
      bytes += read_record(id(), *row, *entry, from, left, out);
      if (out.next < row->next())
        break;
    }
    return out;
  });
}

result<stored_batch> shard::find(const message_id& message, queue_id* queue) const {
  return guarded([&]() -> result<stored_batch> {
    const auto& db = impl_->env->db();
    const error unknown{errc::not_found,
                        "there is no message " + to_string(message) +
                            " (it never was, its retention is over, or its topic was deleted)"};
    if (message.shard != id())
      return unknown;
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto entry = txn.get(db.log, key_of(message.index));
    if (!entry)
      return unknown;
    const auto header = decode_header(*entry);
    if (!header)
      return header.error();
    // Log indexes grow along a queue, so its rows can be searched by them.
    queue_reader rows(txn, db, header->queue);
    const auto first = rows.first();
    const auto last = rows.last();
    if (!first || !last)
      return unknown;
    std::uint64_t low = first->base.value;
    std::uint64_t high = last->next().value;
    while (low < high) {
      const auto row = rows.at_or_before(queue_offset{low + (high - low) / 2});
      if (!row)
        return error{errc::corrupt,
                     "queue " + std::to_string(header->queue.value) + " has a hole in its index"};
      if (row->index < message.index ||
          (row->index == message.index && row->first_ordinal + row->count <= message.ordinal)) {
        low = row->next().value;
        continue;
      }
      if (row->index > message.index || row->first_ordinal > message.ordinal) {
        high = row->base.value;
        continue;
      }
      const queue_offset offset{row->base.value + (message.ordinal - row->first_ordinal)};
      read_result found;
      read_record(id(), *row, *entry, offset, 0, found);
      if (found.batches.empty())
        return error{errc::corrupt,
                     found.damaged.empty() ? "the message is missing" : to_string(found.damaged.front())};
      if (queue)
        *queue = header->queue;
      return std::move(found.batches.front());
    }
    return unknown;
  });
}

} // namespace troupe
