#include "guarded.hpp"
#include "shard_impl.hpp"

namespace troupe {

result<producer_census> shard::producers() const {
  return guarded([&]() -> result<producer_census> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto& db = impl_->env->db();
    MDB_stat known{};
    check(mdb_stat(txn.get(), db.producers, &known), "counting producers");
    producer_census census{known.ms_entries, {}};
    lmdb_cursor ages(txn, db.ages);
    if (ages.first())
      census.oldest = end_of_hour(age_of(ages.key()).hour);
    return census;
  });
}

result<std::optional<timestamp>> shard::oldest_keys(queue_id queue) const {
  return guarded([&]() -> result<std::optional<timestamp>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    lmdb_cursor rows(txn, impl_->env->db().firsts);
    if (!rows.seek(key_of(queue, first_place{})) || queue_of(rows.key()) != queue)
      return std::optional<timestamp>();
    return std::optional(first_place_of(rows.key()).time);
  });
}

std::uint64_t shard::key_memory() const { return impl_->env->key_memory; }

} // namespace troupe
