#pragma once

#include "lmdb.hpp"
#include "rows.hpp"
#include "tables.hpp"

#include <optional>

namespace troupe {

/// Finds rows of `queues` in one transaction.
class queue_reader {
public:
  queue_reader(const lmdb_txn& txn, const tables& t, queue_id queue) : rows_(txn, t.queues), queue_(queue) {}

  /// The row that holds `offset`, or the first after it; the marker counts as a row.
  std::optional<queue_row> at_or_after(queue_offset offset) {
    const bool found = rows_.seek(key_of(queue_, offset));
    if (found && queue_of(rows_.key()) == queue_ && current()->base == offset)
      return current();
    // The row before it may reach over `offset`.
    if ((found ? rows_.previous() : rows_.last()) && queue_of(rows_.key()) == queue_ &&
        current()->next() > offset)
      return current();
    return rows_.seek(key_of(queue_, offset)) ? checked() : std::nullopt;
  }
  /// The row that holds `offset`, or the last before it.
  std::optional<queue_row> at_or_before(queue_offset offset) {
    return rows_.seek_before(key_of(queue_, queue_offset{offset.value + 1})) ? checked() : std::nullopt;
  }
  std::optional<queue_row> first() {
    return rows_.seek(key_of(queue_, queue_offset{})) ? checked() : std::nullopt;
  }
  std::optional<queue_row> last() { return rows_.seek_before(end_key(queue_)) ? checked() : std::nullopt; }
  std::optional<queue_row> next() { return rows_.next() ? checked() : std::nullopt; }

private:
  std::optional<queue_row> current() const { return decode_queue(rows_.key(), rows_.value()); }
  std::optional<queue_row> checked() const {
    return queue_of(rows_.key()) == queue_ ? current() : std::nullopt;
  }

  lmdb_cursor rows_;
  queue_id queue_;
};

} // namespace troupe
