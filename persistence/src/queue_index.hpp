#pragma once

#include "index_block.hpp"
#include "lmdb.hpp"
#include "rows.hpp"
#include "tables.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace troupe {

/// Reads a queue's index in one transaction: its runs in order, from wherever. Only one block is decoded at a
/// time.
class queue_index {
public:
  queue_index(const lmdb_txn& txn, const tables& t, queue_id queue);

  /// False when nothing was ever stored about the queue.
  bool exists() const { return tail_.has_value(); }
  /// Offset behind the newest message, and where the next trim would begin.
  queue_offset next() const { return tail_ ? tail_->next() : queue_offset{}; }
  queue_offset first();
  /// Bytes of all batches in the queue.
  std::uint64_t bytes();

  /// Each of these moves to a run and gives it, or gives nothing: the oldest and the newest one,
  std::optional<queue_run> front();
  std::optional<queue_run> back();
  /// the run that holds `offset` or, when there is none, the first behind it,
  std::optional<queue_run> at_or_after(queue_offset offset);
  /// the first one of which `before` is not true (true of all up to some run, of none behind it; a binary
  /// search),
  std::optional<queue_run> search(const std::function<bool(const queue_run&)>& before);
  /// the one after the run that the last call gave.
  std::optional<queue_run> after();

private:
  /// The oldest block.
  const index_block* head();
  /// Takes the block that the cursor stands on; false when it is another queue's.
  bool take(bool moved);
  std::optional<queue_run> run(std::size_t at);

  lmdb_cursor rows_;
  queue_id queue_;
  std::optional<index_block> tail_;
  /// The block of the last run that was given; the tail when it is not from `queues`.
  std::optional<index_block> block_;
  bool in_tail_ = false;
  std::size_t at_ = 0;
};

} // namespace troupe
