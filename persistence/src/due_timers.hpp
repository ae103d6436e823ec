#pragma once

#include "listed_reader.hpp"
#include "lmdb.hpp"
#include "tables.hpp"
#include "timer_row.hpp"

#include "troupe/stored.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// Finds out what is to be done about the delayed messages of a shard, in one transaction.
///
/// In the order of keys a bucket comes before those that it covers, so the first bucket decides: a coarse one
/// that has begun is split before anything behind it fires, which keeps the order; unless it is over and
/// small: then its messages fire from there. Coarse ones that begin soon are split a little at a time, beside
/// what fires.
class due_timers {
public:
  due_timers(const lmdb_txn& txn, const tables& t, timestamp now, std::size_t max)
      : txn_(txn), tables_(t), now_(now), left_(max), messages_(txn, t) {}

  timer_work find() &&;

private:
  struct candidate {
    timer what;
    queue_id queue;
    timer_row_place row;
    auto operator<=>(const candidate&) const = default;
  };

  bool exists(const timer_bucket& bucket) const;
  /// The bucket's rows are few, and all of its messages are due.
  bool small_and_over(const timer_bucket& bucket) const;
  /// Coarse buckets that are due to be split, but have not begun.
  void split_ahead();
  /// Fires the first ones of what is due of a bucket; says when the first of what is not due is.
  std::optional<timestamp> fire(const timer_bucket& bucket);
  /// Of one queue.
  void fire(std::span<const candidate> some);
  /// When to look again, when the first bucket has nothing to fire before `due`.
  timestamp next(const timer_bucket& first, timestamp due) const;

  const lmdb_txn& txn_;
  const tables& tables_;
  timestamp now_;
  /// How many may still be fired.
  std::size_t left_;
  message_reader messages_;
  timer_work work_;
};

} // namespace troupe
