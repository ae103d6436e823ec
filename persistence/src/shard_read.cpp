#include "guarded.hpp"
#include "queue_index.hpp"
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
    queue_index index(txn, db, queue);
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
      bytes += read_record({id(), queue, *run, *entry}, from, left, out);
      if (out.next < run->next())
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
    // Log indexes grow along a queue, so its runs can be searched by them.
    queue_index index(txn, db, header->queue);
    const auto run = index.search([&](const queue_run& r) {
      return r.index < message.index ||
             (r.index == message.index && r.first_ordinal + r.count <= message.ordinal);
    });
    if (!run || run->index != message.index || run->first_ordinal > message.ordinal)
      return unknown;
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
