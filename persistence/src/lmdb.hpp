#pragma once

#include "troupe/error.hpp"

#include <lmdb.h>

#include <optional>
#include <span>
#include <utility>

/// Thin owners of LMDB's handles. Failures are thrown as storage_error and never leave this layer: every
/// public function of shard and shard_log catches them and answers with an error value (see `guarded`).
namespace troupe {

/// What LMDB, or the system below it, refused: its code (an MDB_ code or an errno) and what was being done.
struct storage_error {
  int code = 0;
  const char* doing = "";
};

/// The public error for it. Space that ran out is `no_space`, damage `corrupt`, the rest `storage_failed`.
error to_error(const storage_error& e);

inline void check(int code, const char* doing) {
  if (code != MDB_SUCCESS)
    throw storage_error{code, doing};
}

/// What was stored is not what it should be: damage.
inline void require(bool sound, const char* doing) {
  if (!sound)
    throw storage_error{MDB_CORRUPTED, doing};
}

inline MDB_val to_val(std::span<const char> bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
inline std::span<const char> to_bytes(const MDB_val& v) {
  return {static_cast<const char*>(v.mv_data), v.mv_size};
}

/// A transaction; aborted when it goes without commit(). A write transaction belongs to one thread.
class lmdb_txn {
public:
  lmdb_txn(MDB_env* env, unsigned flags) {
    check(mdb_txn_begin(env, nullptr, flags, &txn_), "beginning a transaction");
  }
  ~lmdb_txn() {
    if (txn_)
      mdb_txn_abort(txn_);
  }
  lmdb_txn(const lmdb_txn&) = delete;
  lmdb_txn& operator=(const lmdb_txn&) = delete;

  MDB_txn* get() const { return txn_; }
  /// Durable when it returns. Cursors of the transaction must be gone.
  void commit() { check(mdb_txn_commit(std::exchange(txn_, nullptr)), "committing"); }

  std::optional<std::span<const char>> get(MDB_dbi db, std::span<const char> key) const {
    MDB_val k = to_val(key);
    MDB_val v{};
    const int rc = mdb_get(txn_, db, &k, &v);
    if (rc == MDB_NOTFOUND)
      return std::nullopt;
    check(rc, "reading a row");
    return to_bytes(v);
  }
  void put(MDB_dbi db, std::span<const char> key, std::span<const char> value, unsigned flags = 0) {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put(txn_, db, &k, &v, flags), "writing a row");
  }
  /// Room for a value of `size` bytes, to be filled in before the next call.
  std::span<char> reserve(MDB_dbi db, std::span<const char> key, std::size_t size, unsigned flags = 0) {
    MDB_val k = to_val(key);
    MDB_val v{size, nullptr};
    check(mdb_put(txn_, db, &k, &v, flags | MDB_RESERVE), "writing a record");
    return {static_cast<char*>(v.mv_data), v.mv_size};
  }
  /// False when there was no such row.
  bool erase(MDB_dbi db, std::span<const char> key) {
    MDB_val k = to_val(key);
    const int rc = mdb_del(txn_, db, &k, nullptr);
    if (rc == MDB_NOTFOUND)
      return false;
    check(rc, "removing a row");
    return true;
  }

private:
  MDB_txn* txn_ = nullptr;
};

/// A cursor; must go before its transaction ends.
class lmdb_cursor {
public:
  lmdb_cursor(const lmdb_txn& txn, MDB_dbi db) {
    check(mdb_cursor_open(txn.get(), db, &cursor_), "opening a cursor");
  }
  ~lmdb_cursor() { mdb_cursor_close(cursor_); }
  lmdb_cursor(const lmdb_cursor&) = delete;
  lmdb_cursor& operator=(const lmdb_cursor&) = delete;

  /// Moves; false when there is no such row. key() and value() are those of the row it stands on.
  bool seek(std::span<const char> at_or_after) {
    key_ = to_val(at_or_after);
    return move(MDB_SET_RANGE);
  }
  bool first() { return move(MDB_FIRST); }
  bool last() { return move(MDB_LAST); }
  bool next() { return move(MDB_NEXT); }
  bool previous() { return move(MDB_PREV); }
  /// The last row before `key`.
  bool seek_before(std::span<const char> key) { return seek(key) ? previous() : last(); }
  /// Removes the row it stands on; next() then goes to the row after it.
  void erase() { check(mdb_cursor_del(cursor_, 0), "removing a row"); }

  std::span<const char> key() const { return to_bytes(key_); }
  std::span<const char> value() const { return to_bytes(value_); }

private:
  bool move(MDB_cursor_op op) {
    const int rc = mdb_cursor_get(cursor_, &key_, &value_, op);
    if (rc == MDB_NOTFOUND)
      return false;
    check(rc, "reading rows");
    return true;
  }

  MDB_cursor* cursor_ = nullptr;
  MDB_val key_{};
  MDB_val value_{};
};

} // namespace troupe
