#pragma once

#include "half_row.hpp"
#include "index_block.hpp"
#include "key_index.hpp"
#include "lmdb.hpp"
#include "rows.hpp"
#include "tables.hpp"
#include "timer_row.hpp"
#include "transaction_row.hpp"

#include "troupe/entry.hpp"
#include "troupe/shard.hpp"

#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// apply(): the only code that changes the replicated tables. Deterministic: it reads the tables of its
/// transaction and the entry, nothing else. Lives as long as one write transaction and before its commit
/// calls finish().
class applier {
public:
  /// Records that one trim or drop entry removes at most, and small rows that one drop or evict entry
  /// removes at most.
  static constexpr std::size_t records_a_step = 64;
  static constexpr std::size_t rows_a_step = 1024;
  /// Of keys that one entry forgets.
  static constexpr std::size_t key_bytes_a_step = 1u << 20;

  /// `keys` speeds up what `firsts` decides.
  applier(lmdb_txn& txn, const tables& t, key_index& keys);

  /// The index and the shard time of an entry proposed now, were it the next.
  entry_header next_header(timestamp proposed) const;

  struct outcome {
    applied answer;
    /// Somebody needs the entry: it must be (or stay) in the log. Otherwise it must not be there any more.
    bool keep = false;
    /// What must stand in the log in its place: the entry without its repeats.
    std::optional<entry_body> rewritten = {};
  };
  /// Applies the next entry: its index must be the one after the last applied.
  outcome apply(const entry_header& header, const entry_body& body);

  const state_row& state() const { return state_; }
  /// Writes down how far it came.
  void finish();

private:
  void apply_body(const append_entry& e, outcome& out);
  void apply_body(const settle_entry& e, outcome& out);
  void apply_body(const define_entry& e, outcome& out);
  void apply_body(const trim_entry& e, outcome& out);
  void apply_body(const drop_queue_entry& e, outcome& out);
  void apply_body(const reset_entry& e, outcome& out);
  void apply_body(const redrive_entry& e, outcome& out);
  void apply_body(const purge_entry& e, outcome& out);
  void apply_body(const fire_entry& e, outcome& out);
  void apply_body(const split_entry& e, outcome& out);
  void apply_body(const cancel_entry& e, outcome& out);
  void apply_body(const evict_entry& e, outcome& out);
  void apply_body(const forget_keys_entry& e, outcome& out);
  void apply_body(const begin_entry& e, outcome& out);
  void apply_body(const seal_entry& e, outcome& out);
  void apply_body(const decide_entry& e, outcome& out);
  void apply_body(const confirm_entry& e, outcome& out);
  void apply_body(const checked_entry& e, outcome& out);
  void apply_body(const forget_transactions_entry& e, outcome& out);
  void apply_body(std::monostate, outcome&) {}

  queue_offset next_offset(queue_id queue);
  /// The newest block of a queue; an empty one at offset 0 for a queue that is new.
  block_tail tail(queue_id queue);
  /// Adds a run to the block; a full one moves to `queues` first.
  void append(queue_id queue, block_tail& tail, queue_run& run);
  std::vector<queue_run> oldest(queue_id queue, std::size_t max);
  subscription_row settle(const settle_section& section);
  /// Its generation is current, and every message of its ranges is there and not settled.
  bool holds(const settle_section& guard);
  void put(const subscription_key& key, const subscription_row& row);
  /// Makes dead letters of the messages at [from, to), for the section's group. One that is not there, or
  /// that was redriven for another group, has nothing to become.
  void bury(const settle_section& section, const settle_range& range, std::uint64_t from, std::uint64_t to);
  void bury(const settle_section& section, message_place message, const dead_row& row);
  /// Removes a dead letter; false when there is none. What it held stays pinned: the caller lets go of it, or
  /// hands it on.
  bool exhume(queue_id queue, group_id group, message_place message);
  void count_dead(queue_id queue, group_id group, int change);
  /// Holders of an entry more.
  void pin(log_index index, std::uint32_t holders = 1);
  /// Holders less. True when the entry went with the last one: when no run of its queue points at it.
  bool unpin(queue_id queue, log_index index, std::uint32_t holders = 1);
  /// One holder less for each of these, which are sorted. Returns how many entries went.
  std::size_t unpin_all(queue_id queue, std::vector<log_index>& indexes);
  /// Makes runs of what was found of this entry's list of a queue, each message of which counts `bytes`.
  visible_messages list_found(queue_id queue, const std::vector<bool>& found, std::uint64_t bytes,
                              bool shared, outcome& out);
  /// The same for an entry of one queue whose answer says what was found.
  void list_found(queue_id queue, std::uint64_t bytes, outcome& out);
  /// Accepted messages wait; all of one entry.
  void delay(queue_id queue, std::vector<timer>& timers, outcome& out);
  template <class BucketOf>
  void put_timers(queue_id queue, std::span<const timer> timers, outcome& out, BucketOf bucket_of);
  /// Takes messages out of rows; says which of them were there. What held them stays pinned.
  std::vector<bool> take_timers(queue_id queue, std::span<const timer_row_place> rows,
                                std::span<const message_place> messages);
  void count_delayed(queue_id queue, std::int64_t change);
  /// Removes delayed messages of a queue, as erase_dead() does dead letters.
  std::size_t erase_timers(queue_id queue, std::size_t room);
  /// Accepted half messages wait for a decision; all of one entry.
  void hold(queue_id queue, std::vector<half_span>& halves, outcome& out);
  /// Ends a transaction at home; nothing when that is not for this entry to do.
  std::optional<stored_transaction> end(const decide_entry& e, outcome& out);
  /// What became of the messages of an entry that decides nothing.
  void report(const decide_entry& e, outcome& out);
  /// Decides about half messages of one queue; says which of them that is.
  std::vector<bool> decide(const decide_entry& e, const decided_messages& some, bool commit, outcome& out);
  std::optional<stored_transaction> transaction(log_index begin);
  void put(log_index begin, const stored_transaction& row);
  /// Removes what says when an M row, or half messages, are looked at.
  void erase_check(log_index begin, const stored_transaction& row);
  /// Writes a row of `halves` that is no new one: `before` is what `checks` says of it.
  void put(const check_place& place, const half_row& row, const check_time& before);
  /// Removes half messages of a queue, as erase_dead() does dead letters.
  std::size_t erase_halves(queue_id queue, std::size_t room);
  /// Removes an entry that nobody needs, with what is known of its half messages; false when it is gone.
  bool erase_entry(queue_id queue, log_index index);
  /// Removes dead letters of a queue (all groups when it is 0) for about `room` rows of work, of which an
  /// entry that goes counts as many as a step may remove per entry. Returns how much it took.
  std::size_t erase_dead(queue_id queue, group_id group, std::size_t room);
  /// What a run that lists holds; nothing when its entry cannot be read.
  std::vector<message_place> listed(queue_id queue, const queue_run& run, group_id only_for = {});
  /// Removes leading runs of `runs` (the oldest of a queue, one more than a step) with the entries that
  /// nobody else needs: while they go, a step at most. Returns how many. What runs listed is let go.
  std::size_t erase_oldest(queue_id queue, std::span<const queue_run> runs,
                           const std::function<bool(const queue_run&)>& goes);
  /// Takes the oldest runs out of the blocks.
  void cut(queue_id queue, std::size_t runs);
  /// Forgets up to `limit` producers of a queue. Returns how many.
  std::size_t erase_producers(queue_id queue, std::size_t limit);
  /// Removes up to `limit` rows of a queue in a table whose keys begin with (queue, group); all groups when
  /// it is 0.
  std::size_t erase_rows(MDB_dbi table, queue_id queue, group_id group, std::size_t limit);

  lmdb_txn& txn_;
  const tables& tables_;
  key_index& keys_;
  state_row state_;
  /// For reuse.
  std::vector<char> buffer_;
};

} // namespace troupe
