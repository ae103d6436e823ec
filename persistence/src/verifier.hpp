#pragma once

#include "environment.hpp"
#include "lmdb.hpp"

#include "troupe/shard.hpp"

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Checks everything that can be checked of a shard, in one snapshot: entries and batches by their CRCs,
/// every reference in both directions, and that the tables keep their invariants. For a shard that nobody
/// writes to.
class verifier {
public:
  using progress_handler = std::function<void(std::uint64_t, std::uint64_t)>;

  verifier(const environment& env, const lmdb_txn& txn, std::vector<damage>& found);
  /// `progress` may be empty; it gets entries done and in all.
  void run(const progress_handler& progress);

private:
  /// Rows, the records they point at, and the batches in them.
  void check_queues(const progress_handler& progress);
  void check_row(const queue_row& row, const queue_row* before);
  void check_record(const queue_row& row);
  /// That some row points at each entry. After check_queues.
  void check_entries();
  void check_producers();
  void check_subscriptions();
  void check_settled();
  void check_definitions();
  /// That every page is in use or free, as far as LMDB counts them.
  void check_pages();

  void report(log_index index, queue_id queue, std::string what);
  void report(const queue_row& row, std::string what);
  queue_offset next_of(queue_id queue) const;

  const environment& env_;
  const lmdb_txn& txn_;
  std::vector<damage>& found_;
  state_row state_;
  /// Entries that rows point at; sorted when check_queues is done.
  std::vector<log_index> referenced_;
  std::unordered_map<queue_id, queue_offset> next_;
};

} // namespace troupe
