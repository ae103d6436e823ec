#pragma once

#include "environment.hpp"
#include "half_row.hpp"
#include "index_block.hpp"
#include "listed_reader.hpp"
#include "lmdb.hpp"
#include "timer_row.hpp"
#include "transaction_row.hpp"

#include "troupe/shard.hpp"

#include <functional>
#include <map>
#include <span>
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
  /// Runs, the records they point at, and the batches in them.
  void check_queues(const progress_handler& progress);
  void check_queue(queue_id queue, const progress_handler& progress);
  void check_run(queue_id queue, const queue_run& run, const queue_run* before);
  void check_record(queue_id queue, const queue_run& run);
  void check_list(queue_id queue, const queue_run& run, std::span<const char> entry);
  /// That some run or pin points at each entry. After check_pins.
  void check_entries();
  /// Dead letters, their messages, and how many each group has in a queue. After check_queues.
  void check_dead();
  void check_dead(std::span<const char> key, std::span<const char> value);
  /// Delayed messages, that each is one and due when its row says, and how many a queue has.
  void check_timers();
  void check_timers(queue_id queue, const timer_row_place& row, std::span<const char> value);
  void check_delayed_counts();
  /// Half messages, that each is one of the group and transaction that its row says; transactions of several
  /// messages; and that each stands in `checks` while it is open, and nothing else.
  void check_transactions();
  void check_halves(const check_place& place, const half_row& row);
  void check_checks();
  /// That entries are pinned as often as they are held: by dead letters, delayed and half messages, and runs
  /// that list.
  /// After all of these.
  void check_pins();
  /// What is known of producers, and that each stands in `ages` under its hour, and nobody else.
  void check_producers();
  void check_ages();
  /// Which messages were the first ones of their keys. After check_queues.
  void check_firsts();
  void check_firsts(std::span<const char> key, std::span<const char> value);
  void check_subscriptions();
  void check_settled();
  void check_definitions();
  /// That every page is in use or free, as far as LMDB counts them.
  void check_pages();

  void report(log_index index, queue_id queue, std::string what);
  void report_run(queue_id queue, const queue_run& run, std::string what);
  queue_offset next_of(queue_id queue) const;

  const environment& env_;
  const lmdb_txn& txn_;
  std::vector<damage>& found_;
  state_row state_;
  std::uint64_t entries_ = 0;
  /// Entries that runs point at; sorted when check_queues is done.
  std::vector<log_index> referenced_;
  /// How often entries are held.
  std::map<log_index, std::uint64_t> held_;
  /// Delayed messages by queue.
  std::map<queue_id, std::uint64_t> delayed_;
  message_reader messages_;
  std::unordered_map<queue_id, queue_offset> next_;
};

} // namespace troupe
