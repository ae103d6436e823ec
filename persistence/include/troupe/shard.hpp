#pragma once

#include "troupe/definitions.hpp"
#include "troupe/entry.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/producer_eviction.hpp"
#include "troupe/stored.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe {

struct shard_options {
  shard_id id;
  std::uint16_t shards = 1;
  /// Bytes of pages that the shard may use; 0: only the file system's limit. Beyond it, appends are refused
  /// with no_space. The file itself may grow up to a third longer than its live data: of free pages between
  /// records of very different sizes not all can be used again.
  std::uint64_t budget = 0;
  /// Room kept for settles, deletes and trims: free pages, and blocks that the file system has set aside.
  std::uint64_t reserve = 64u << 20;
};

/// What apply() decided about one batch.
struct batch_verdict {
  enum class outcome : std::uint8_t {
    accepted = 0,
    /// The broker had it: base, index and first_ordinal are those of the first time (absent when it is older
    /// than the last 64 batches).
    duplicate = 1,
    /// `expected` is the sequence that must come next.
    gap = 2,
    unknown_producer = 3,
    fenced = 4,
    /// The batch's bytes contradict its header.
    corrupt = 5,
  };
  outcome what = outcome::accepted;
  /// Offset of the batch's first message.
  queue_offset base;
  log_index index;
  std::uint32_t first_ordinal = 0;
  batch_sequence expected;
  bool known = true;
  /// accepted, duplicate: messages that are not taken, being repeats, in order. The offsets of the others
  /// follow each other without them, their ordinals do not.
  std::vector<repeated_message> repeats = {};
  bool operator==(const batch_verdict&) const = default;
};

/// Offsets [first, next) of messages that became visible in a queue.
struct visible_messages {
  queue_id queue;
  queue_offset first;
  queue_offset next;
  bool operator==(const visible_messages&) const = default;
};

/// What apply() answers, by kind of entry. Deterministic.
struct applied {
  log_index index;
  timestamp time{};
  /// append: one per batch, in order.
  std::vector<batch_verdict> verdicts;
  /// append, redrive, fire: the queue's offset after this entry. trim: unchanged.
  queue_offset next;
  /// settle: floors after it, one per section (gen 0: section ignored, its generation was not current).
  /// decide with a guard that held: the guard's.
  std::vector<subscription_row> subscriptions;
  /// trim: first offset that still exists. redrive, fire: offset of the first message that became visible;
  /// the others follow in the order of the entry, up to `next`. drop_queue, split, evict, forget_keys,
  /// forget_transactions: done when nothing was left.
  queue_offset first;
  bool done = true;
  /// redrive, purge: per message of the entry, in order, whether it was a dead letter. fire, cancel: whether
  /// it waited. decide: whether this entry decided about it, over all queues in order. checked: per place,
  /// whether anything is undecided there. confirm: one, whether the transaction waited for that shard.
  std::vector<bool> found;
  /// append, split: when something must be done about the delayed messages that it brought or moved.
  std::optional<timestamp> look_at;
  /// decide: per message as in `found`, its state after this entry: unknown when there is no such half
  /// message, or it is of another transaction.
  std::vector<transaction_state> states;
  /// begin, seal, decide at home, confirm: the transaction's state after this entry.
  transaction_state state = transaction_state::unknown;
  /// decide: its guard did not hold, and that is why it rolled the transaction back.
  bool guard_refused = false;
  /// decide: the queues in which messages became visible, in order.
  std::vector<visible_messages> visible;
  /// append: half messages were accepted. They are due to be asked about some time after `time`.
  bool halves = false;
  /// evict: producers whose last batch was accepted before this may be gone; 0 when none is.
  timestamp evicted{};
};

struct shard_stats {
  std::uint64_t entries = 0;
  log_index first;
  log_index last;
  /// Bytes of the file, and of its pages in use.
  std::uint64_t file = 0;
  std::uint64_t used = 0;
};

/// One LMDB environment with one log. Reads may come from any thread at any time: each opens a read
/// transaction, copies out what it answers, and ends it. Writes go through a shard_log (one thread). Knows no
/// actor and no clock.
class shard {
public:
  /// Opens `dir`/shard-<id>, making it when absent. `unknown_version` for a format it does not know (nothing
  /// is touched), `corrupt` for files that are not a shard, `storage_failed` for I/O errors.
  static result<std::unique_ptr<shard>> open(const std::filesystem::path& dir, const shard_options& options);
  ~shard();
  shard(const shard&) = delete;
  shard& operator=(const shard&) = delete;

  shard_id id() const;

  /// Batches from the one that holds offset `from` (or the first after it) on: at most about `max_bytes` (at
  /// least one batch), CRC-checked. One copy of the bytes.
  result<read_result> read(queue_id queue, queue_offset from, std::uint32_t max_bytes) const;
  /// The batch that holds a message; not_found when it is gone or is in no queue. A message that has left its
  /// place in the queue, but is held by a dead letter or was redriven, and one that was delayed, comes alone
  /// in a batch, whose base is then the offset where it died, or the one that it was redriven to or fired at.
  /// Looking for a redriven one reads the index of its queue from its old place on, for a fired one from the
  /// time on at which it was due.
  result<stored_batch> find(const message_id& id, queue_id* queue = nullptr) const;
  result<queue_extent> extent(queue_id queue) const;
  /// Shard time of the first message at or after `offset`; nothing when there is none. Reads the index only.
  result<std::optional<timestamp>> stored_at(queue_id queue, queue_offset offset) const;
  /// First offset stored at or after `time` (binary search over the runs of the index).
  result<queue_offset> offset_at(queue_id queue, timestamp time) const;
  /// Rows of the oldest records for retention: offset after each of the first `max` index rows with newest
  /// time and the bytes of all rows up to and with it (what a trim to `next` would free), so that core can
  /// decide how far to trim.
  struct index_row {
    queue_offset next;
    timestamp last_time{};
    std::uint64_t bytes = 0;
  };
  result<std::vector<index_row>> oldest_rows(queue_id queue, std::size_t max) const;
  result<std::optional<subscription_state>> subscription(group_id group, queue_id queue) const;
  /// Whether there is any. One lookup, however much is kept of it.
  result<bool> has_subscription(group_id group, queue_id queue) const;
  /// Subscriptions of a queue, for listing.
  result<std::vector<std::pair<group_id, subscription_row>>> subscriptions(queue_id queue) const;

  /// Dead letters of a group in a queue, in the order of their ids: up to `max` behind `after` (none: from
  /// the first one on).
  result<std::vector<dead_letter>> dead_letters(queue_id queue, group_id group,
                                                std::optional<message_place> after, std::size_t max) const;
  result<std::optional<dead_letter>> find_dead_letter(queue_id queue, group_id group,
                                                      message_place message) const;
  /// How many there are. One lookup.
  result<std::uint64_t> dead_count(queue_id queue, group_id group) const;
  /// Messages of the queue that expired before the group got them.
  result<std::uint64_t> expired_count(queue_id queue, group_id group) const;
  /// What is due at `now`, each queue's messages in the order in which they are: about `max` of them. Reads
  /// the rows of the buckets that are due, in memory that does not grow with what lies in them.
  result<timer_work> due_timers(timestamp now, std::size_t max) const;
  /// Delayed messages of these queues (sorted; none: of all) behind `after`, in the order in which they are
  /// due, up to `max`.
  result<std::vector<delayed_message>> delayed(const std::vector<queue_id>& queues,
                                               const std::optional<delayed_message>& after,
                                               std::size_t max) const;
  /// Where a message waits; nothing when it never was, was not delayed, or is gone with its entry.
  result<std::optional<delayed_place>> find_delayed(message_place message) const;
  /// The half message at a place; nothing when it is none, or is gone with its entry. One lookup.
  result<std::optional<half_message>> half(message_place message) const;
  /// The transaction that was begun here at that index; nothing when it is unknown.
  result<std::optional<stored_transaction>> transaction(log_index begin) const;
  /// What is due at `now`: half messages that were never asked about `first_check` after they were accepted,
  /// all else when its next check is; of either, whole rows until they have about `max` messages. Those that
  /// are asked about no more are never due.
  result<due_checks> checks_due(timestamp now, milliseconds first_check, std::size_t max) const;
  /// All that is undecided or not confirmed, behind the row of `after`: whole rows, until they have about
  /// `max` messages. Ordered by checked, due, row; what is asked about no more comes last.
  result<std::vector<open_transaction>> open_transactions(const std::optional<open_transaction>& after,
                                                          std::size_t max) const;
  /// Transactions that ended here and wait for other shards to confirm, in the same order.
  result<std::vector<open_transaction>> unconfirmed() const;
  /// These messages by their queues, as a decide_entry takes them: of each queue in their order, with its
  /// mean size. Those whose records are gone are left out.
  result<std::vector<decided_messages>> by_queue(std::span<const message_place> messages) const;
  /// The queue that a message was published to; nothing when its record is gone. One lookup.
  result<std::optional<queue_id>> origin(message_place message) const;

  /// Shard time of the oldest row that says which messages of the queue were the first ones of their keys;
  /// nothing when there is none. One lookup.
  result<std::optional<timestamp>> oldest_keys(queue_id queue) const;
  /// Bytes of memory in which those of all queues are looked up.
  std::uint64_t key_memory() const;
  /// Producers that are known. Two lookups, however many there are.
  result<producer_census> producers() const;

  struct definitions {
    std::vector<topic_definition> topics;
    std::vector<group_definition> groups;
    /// Highest ids ever given.
    topic_id last_topic;
    queue_id last_queue;
    group_id last_group;
  };
  /// Shard 0 only.
  result<definitions> load_definitions() const;
  /// Shard time of the last applied entry.
  timestamp last_time() const;
  shard_stats stats() const;
  /// Reads everything and checks every page's structure, CRC, row and reference; pages first, and nothing
  /// else when they are damaged. While nobody writes. `progress` gets entries done and in all.
  std::vector<damage> verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) const;
  /// A hash over all replicated tables: equal histories give equal hashes.
  result<std::uint64_t> table_hash() const;

private:
  friend class local_log;
  friend class delayed_log;
  struct impl;
  explicit shard(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace troupe
