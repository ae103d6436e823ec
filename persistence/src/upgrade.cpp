#include "upgrade.hpp"

#include "producer_record.hpp"
#include "rows.hpp"

#include <optional>

namespace troupe {

namespace {

/// Producers in one transaction. Their rows in `ages` may each copy a page that holds a hundred others.
constexpr std::size_t producers_a_commit = 16384;
/// The first format version that has `ages`.
constexpr std::uint32_t ages_since = 4;

MDB_dbi open_table(const lmdb_txn& txn, const char* name, unsigned flags = 0) {
  MDB_dbi table = 0;
  check(mdb_dbi_open(txn.get(), name, flags, &table), "opening a table");
  return table;
}

} // namespace

std::uint32_t format_version(const lmdb_txn& txn) {
  MDB_dbi meta = 0;
  const int rc = mdb_dbi_open(txn.get(), "meta", 0, &meta);
  if (rc == MDB_NOTFOUND)
    return 0;
  check(rc, "opening table meta");
  const auto value = txn.get(meta, meta_format);
  require(value.has_value(), "looking for the format version");
  return decode_format(*value).version;
}

void build_ages(MDB_env* env) {
  std::optional<producer_key> after;
  for (bool first = true, more = true; more; first = false) {
    lmdb_txn txn(env, 0);
    const auto version = format_version(txn);
    if (version == 0 || version >= ages_since)
      return;
    const auto producers = open_table(txn, "producers");
    const auto ages = open_table(txn, "ages", MDB_CREATE);
    if (first)
      check(mdb_drop(txn.get(), ages, 0), "emptying a table");
    std::size_t done = 0;
    {
      lmdb_cursor rows(txn, producers);
      more = after ? rows.seek(*after) && rows.next() : rows.first();
      for (; more && done < producers_a_commit; more = rows.next(), ++done) {
        after = to_key<producer_key>(rows.key());
        const auto hour = hour_of(producer_record(rows.value()).last_time());
        txn.put(ages, key_of(producer_age{hour, queue_of(*after), producer_of(*after)}), {});
      }
    }
    txn.commit();
  }
}

} // namespace troupe
