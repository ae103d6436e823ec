#include "due_timers.hpp"
#include "guarded.hpp"
#include "shard_impl.hpp"
#include "timer_row.hpp"

#include <algorithm>

namespace troupe {

result<timer_work> shard::due_timers(timestamp now, std::size_t max) const {
  return guarded([&]() -> result<timer_work> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    return troupe::due_timers(txn, impl_->env->db(), now, max).find();
  });
}

result<std::vector<delayed_message>> shard::delayed(const std::vector<queue_id>& queues,
                                                    const std::optional<delayed_message>& after,
                                                    std::size_t max) const {
  return guarded([&]() -> result<std::vector<delayed_message>> {
    std::vector<delayed_message> found; // a heap with the last of them in front
    if (max == 0)
      return found;
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    lmdb_cursor rows(txn, impl_->env->db().timers);
    const auto first = bucket_at(timer_level::days, after ? after->due : timestamp{});
    for (bool more = rows.seek(key_of(first)); more; more = rows.next()) {
      const auto [queue, row] = to_timer_row(rows.key());
      if (found.size() == max && found.front().due < row.bucket.start)
        break;
      if ((after && row.bucket.end() <= after->due) ||
          (!queues.empty() && !std::ranges::binary_search(queues, queue)))
        continue;
      timer_row_reader in(row, rows.value());
      while (const auto t = in.next()) {
        const delayed_message m{t->due, {id(), t->message.index, t->message.ordinal}, queue};
        if (after && m <= *after)
          continue;
        if (found.size() == max && found.front() <= m)
          break;
        if (found.size() == max) {
          std::ranges::pop_heap(found);
          found.pop_back();
        }
        found.push_back(m);
        std::ranges::push_heap(found);
      }
    }
    std::ranges::sort_heap(found);
    return found;
  });
}

result<std::optional<delayed_place>> shard::find_delayed(message_place message) const {
  const auto from = origin(message);
  if (!from)
    return from.error();
  if (!*from)
    return std::optional<delayed_place>();
  return guarded([&]() -> result<std::optional<delayed_place>> {
    const auto& db = impl_->env->db();
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto due = message_reader(txn, db).due(**from, message);
    if (!due) // there is no such message, or its entry went in the meantime, or it was not delayed
      return std::optional<delayed_place>();
    return std::optional(delayed_place{**from, *due, find_timer_row(txn, db, **from, {*due, message})});
  });
}

} // namespace troupe
