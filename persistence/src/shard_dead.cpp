#include "guarded.hpp"
#include "shard_impl.hpp"

#include <algorithm>

namespace troupe {

namespace {

dead_letter to_dead_letter(shard_id shard, queue_id queue, message_place place, dead_row row) {
  return {{shard, place.index, place.ordinal},
          queue,
          row.offset,
          row.reason,
          row.attempts,
          row.died,
          std::move(row.detail)};
}

} // namespace

result<std::vector<dead_letter>> shard::dead_letters(queue_id queue, group_id group,
                                                     std::optional<message_place> after,
                                                     std::size_t max) const {
  return guarded([&]() -> result<std::vector<dead_letter>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    std::vector<dead_letter> found;
    const auto prefix = key_of(queue, group);
    const auto begin = key_of(queue, group, after.value_or(message_place{}));
    lmdb_cursor rows(txn, impl_->env->db().dead);
    for (bool more = rows.seek(begin); more && found.size() < max; more = rows.next()) {
      if (!std::ranges::equal(rows.key().first(prefix.size()), prefix))
        break;
      const auto place = place_of(rows.key());
      if (!after || *after < place)
        found.push_back(to_dead_letter(id(), queue, place, decode_dead(rows.value())));
    }
    return found;
  });
}

result<std::optional<dead_letter>> shard::find_dead_letter(queue_id queue, group_id group,
                                                           message_place message) const {
  return guarded([&]() -> result<std::optional<dead_letter>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto value = txn.get(impl_->env->db().dead, key_of(queue, group, message));
    if (!value)
      return std::optional<dead_letter>();
    return std::optional(to_dead_letter(id(), queue, message, decode_dead(*value)));
  });
}

result<std::uint64_t> shard::dead_count(queue_id queue, group_id group) const {
  return guarded([&]() -> result<std::uint64_t> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto value = txn.get(impl_->env->db().dead, key_of(queue, group));
    return value ? decode_count(*value) : std::uint64_t{0};
  });
}

} // namespace troupe
