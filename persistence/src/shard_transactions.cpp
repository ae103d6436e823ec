#include "guarded.hpp"
#include "half_row.hpp"
#include "listed_reader.hpp"
#include "open_checks.hpp"
#include "shard_impl.hpp"
#include "transaction_row.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace troupe {

namespace {

/// The queue of an append entry; nothing when it is gone, or is none.
std::optional<queue_id> queue_of_entry(const lmdb_txn& txn, const tables& t, log_index index) {
  const auto entry = txn.get(t.log, key_of(index));
  const auto header = entry ? decode_header(*entry) : result<entry_header>(error{errc::not_found, ""});
  return header && header->kind == entry_kind::append ? std::optional(header->queue) : std::nullopt;
}

/// What belongs to this shard is told apart by the shard, which rows do not name.
std::vector<open_transaction> at_home(std::vector<open_transaction> items, shard_id home) {
  for (auto& item : items)
    if (item.row.queue == queue_id{})
      item.transaction.home = home;
  return items;
}

} // namespace

result<std::optional<half_message>> shard::half(message_place message) const {
  return guarded([&]() -> result<std::optional<half_message>> {
    const auto& db = impl_->env->db();
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto queue = queue_of_entry(txn, db, message.index);
    const auto found = queue ? find_half_row(txn, db, *queue, message) : std::nullopt;
    if (!found)
      return std::optional<half_message>();
    const auto at = *found->second.find(message.ordinal);
    return std::optional(
        half_message{*queue, found->second.state(at), at.span->whose.group, at.span->whose.transaction});
  });
}

result<std::optional<stored_transaction>> shard::transaction(log_index begin) const {
  return guarded([&]() -> result<std::optional<stored_transaction>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto value = txn.get(impl_->env->db().transactions, transaction_key_of(begin));
    return value ? std::optional(decode_transaction(*value)) : std::nullopt;
  });
}

result<due_checks> shard::checks_due(timestamp now, milliseconds first_check, std::size_t max) const {
  return guarded([&]() -> result<due_checks> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    open_checks checks(txn, impl_->env->db());
    due_checks found;
    auto& next = found.next;
    next = checks.due(true, std::min(now, never() - milliseconds{1}), max, found.items);
    if (next == never())
      next.reset();
    if (auto since = checks.due(false, now - first_check, max, found.items)) {
      const auto due = *since + first_check;
      next = std::min(next.value_or(due), due);
    }
    found.items = at_home(std::move(found.items), id());
    return found;
  });
}

result<std::vector<open_transaction>> shard::open_transactions(const std::optional<open_transaction>& after,
                                                               std::size_t max) const {
  return guarded([&]() -> result<std::vector<open_transaction>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    std::optional<check_time> from;
    if (after)
      from = check_time{after->checked, after->due, after->row};
    return at_home(open_checks(txn, impl_->env->db()).behind(from, max), id());
  });
}

result<std::vector<open_transaction>> shard::unconfirmed() const {
  return guarded([&]() -> result<std::vector<open_transaction>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    return at_home(open_checks(txn, impl_->env->db()).ended(), id());
  });
}

result<std::vector<decided_messages>> shard::by_queue(std::span<const message_place> messages) const {
  return guarded([&]() -> result<std::vector<decided_messages>> {
    const auto& db = impl_->env->db();
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    std::unordered_map<log_index, std::optional<queue_id>> owners;
    std::map<queue_id, std::vector<message_place>> queues;
    for (const auto& message : messages) {
      const auto [owner, added] = owners.try_emplace(message.index);
      if (added)
        owner->second = queue_of_entry(txn, db, message.index);
      if (owner->second)
        queues[*owner->second].push_back(message);
    }
    message_reader reader(txn, db);
    std::vector<decided_messages> found;
    for (auto& [queue, places] : queues)
      found.push_back({queue, reader.mean_size(queue, places), std::move(places)});
    return found;
  });
}

} // namespace troupe
