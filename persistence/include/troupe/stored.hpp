#pragma once

#include "troupe/batch.hpp"
#include "troupe/block.hpp"
#include "troupe/dead_letter.hpp"
#include "troupe/entry.hpp"
#include "troupe/ids.hpp"
#include "troupe/transaction.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What is read of a shard, as plain values.
namespace troupe {

/// Where a subscription stands in the store.
struct subscription_row {
  generation gen;
  /// Everything below is settled.
  queue_offset floor;
  /// Messages that expired before they were delivered, over all generations.
  std::uint64_t expired = 0;
  bool operator==(const subscription_row&) const = default;
};

/// A batch as it lies in a queue. A redriven message comes as a batch of its own, repacked: header as its
/// producer gave it, but with the count, size and checksum of these bytes.
struct stored_batch {
  batch_header header;
  /// Offset of its first message.
  queue_offset base;
  /// Id of its first message; the others follow. Of a redriven message the one it always had.
  log_index index;
  std::uint32_t first_ordinal = 0;
  /// Shard time of the entry that `index` names.
  timestamp stored{};
  block data;
  /// The only group that may see it (a redriven message), all other groups pass it over; 0: everybody.
  group_id only_for = {};
  /// Its messages are delayed and wait for their time, or half messages that wait for a decision: they have
  /// no offset.
  bool waits = false;
};

/// A message that a group gave up. It stays readable, whatever is trimmed, until it is redriven or purged.
struct dead_letter {
  message_id id;
  queue_id queue;
  /// Where it lay when it died. It may have left the queue since.
  queue_offset offset;
  dead_reason reason = dead_reason::attempts;
  /// Failures recorded up to then.
  std::uint16_t attempts = 0;
  /// Shard time of the settle.
  timestamp died{};
  /// What the consumer said: at most max_dead_detail bytes of UTF-8.
  std::string detail;
  bool operator==(const dead_letter&) const = default;
};

/// A delayed message that is not due yet.
struct delayed_message {
  timestamp due{};
  message_id id;
  queue_id queue;
  /// In the order in which they are due.
  auto operator<=>(const delayed_message&) const = default;
};

/// Where a delayed message waits, as the STORE is told to cancel it; no row when it does not wait any more.
struct delayed_place {
  queue_id queue;
  timestamp due{};
  std::optional<timer_row_place> row;
};

/// What is to be proposed about delayed messages, in this order; when there is nothing, when to look again
/// (nothing: none waits).
struct timer_work {
  std::vector<fire_entry> fires;
  std::vector<split_entry> splits;
  std::optional<timestamp> next;
  bool empty() const { return fires.empty() && splits.empty(); }
};

/// A half message as it stands.
struct half_message {
  queue_id queue;
  /// prepared while it waits for a decision.
  transaction_state state = transaction_state::unknown;
  std::string group;
  /// None: it is a transaction of its own.
  transaction_id transaction;
  bool operator==(const half_message&) const = default;
};

/// A transaction of several messages, in its home shard.
struct stored_transaction {
  std::string group;
  std::string key;
  transaction_state state = transaction_state::begun;
  /// Shard time of its begin, and of its end.
  timestamp begun{};
  timestamp ended{};
  std::uint16_t checks = 0;
  /// Of one that has not ended, or that some shard has not confirmed.
  timestamp next_check{};
  /// prepared: its messages. Later: those in other shards that have not confirmed.
  std::vector<message_id> messages;
  /// Shards that have not confirmed, sorted.
  std::vector<shard_id> unconfirmed;
  bool operator==(const stored_transaction&) const = default;
};

/// Something undecided: half messages that lie together, of one group and transaction, or a transaction at
/// home.
struct open_transaction {
  /// The row that a checked_entry names, and by which a listing goes on. Several items may share it.
  check_place row;
  /// What the row's checks sort by.
  bool checked = false;
  timestamp due{};
  /// Shard time of the half messages' entry, or of the begin.
  timestamp since{};
  std::uint16_t checks = 0;
  std::string group;
  /// The application's name for a transaction at home.
  std::string key;
  /// None: each message is a transaction of its own.
  transaction_id transaction;
  /// Half messages: prepared. A transaction at home: its state; ended ones are not confirmed by all.
  transaction_state state = transaction_state::prepared;
  /// The undecided half messages.
  std::vector<message_place> messages;
};

/// What is due to be looked at, and when the next one is that is not among it (nothing: nothing else is
/// undecided, but for what is asked about no more).
struct due_checks {
  std::vector<open_transaction> items;
  std::optional<timestamp> next;
};

/// Extent of a queue.
struct queue_extent {
  queue_offset first;
  queue_offset next;
  /// Bytes of its records.
  std::uint64_t bytes = 0;
  /// Shard time of its oldest message; epoch when empty.
  timestamp oldest{};
  /// Messages that wait for their time; they have no offsets.
  std::uint64_t delayed = 0;
};

/// One subscription as it must be restored: what is settled above the floor, and what waits for a retry.
struct subscription_state {
  subscription_row row;
  /// Half-open ranges of settled offsets above the floor, sorted, disjoint.
  std::vector<std::pair<queue_offset, queue_offset>> settled;
  struct retry {
    queue_offset offset;
    std::uint16_t attempts = 0;
    timestamp due{};
  };
  std::vector<retry> retries;
};

/// A damaged place found by verify() or a read.
struct damage {
  shard_id shard;
  log_index index;
  queue_id queue;
  /// Offsets [first, next) that cannot be read.
  queue_offset first;
  queue_offset next;
  std::string what;
};
std::string to_string(const damage& d);

/// What a read gave. `damaged` names what had to be left out; `next` is where to go on.
struct read_result {
  std::vector<stored_batch> batches;
  queue_offset next;
  std::vector<damage> damaged;
};

} // namespace troupe
