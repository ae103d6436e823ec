#pragma once

#include "troupe/batch.hpp"
#include "troupe/block.hpp"
#include "troupe/dead_letter.hpp"
#include "troupe/definitions.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/timer_buckets.hpp"
#include "troupe/transaction.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

/// Log entries: every durable change of a shard is one. docs/disk-format.md draws the bytes.
namespace troupe {

/// The kind of a log entry. On disk; append only. Kinds of later features have their number already.
enum class entry_kind : std::uint16_t {
  noop = 0,
  configuration = 1,
  append = 2,
  settle = 3,
  define = 4,
  trim = 5,
  drop_queue = 6,
  reset = 7,
  atomic = 8,
  fire = 9,
  transaction = 10,
  redrive = 11,
  purge = 12,
  split = 13,
  cancel = 14,
  evict = 20,
  forget_keys = 21,
};

/// The fixed header of every entry, 56 bytes on disk, little-endian.
struct entry_header {
  static constexpr std::uint32_t magic = 0x50525431; // "1TRP" in memory order
  static constexpr std::uint16_t version = 1;
  static constexpr std::size_t size = 56;

  entry_kind kind = entry_kind::noop;
  std::uint64_t term = 0;
  log_index index;
  /// Shard time: never less than that of the entry before.
  timestamp time{};
  /// Bytes of the whole entry, header included; a multiple of 8.
  std::uint32_t length = 0;
  /// Batches in the directory (append), 0 otherwise.
  std::uint32_t batches = 0;
  /// The queue (append), else 0.
  queue_id queue;
  /// CRC-32C over the header (with this field 0) and the batch directory; over everything for other kinds.
  std::uint32_t crc = 0;
  /// append: within it a message whose key came before is a repeat; 0: none is. Else 0.
  milliseconds window{0};
  bool operator==(const entry_header&) const = default;
};

/// A message of a batch that its queue has already, by its key.
struct repeated_message {
  /// In the batch.
  std::uint32_t position = 0;
  /// The first one: its place in the log, and its offset.
  log_index index;
  std::uint32_t ordinal = 0;
  queue_offset offset;
  /// The first one was delayed: it had no offset when it came, which is 0 here.
  bool delayed = false;
  bool operator==(const repeated_message&) const = default;
};

/// Batches for one queue that were merged into one record.
struct append_entry {
  queue_id queue;
  std::vector<batch> batches;
  /// Of the topic at that time: messages whose first key the queue had within so much shard time are no new
  /// ones. 0: keys mean nothing. At most 2^32-1 ms.
  milliseconds window{0};
  /// Of each batch's first message, where apply() took repeats out of the entry; empty: without gaps.
  std::vector<std::uint32_t> ordinals = {};
};

/// What becomes of a delivered message.
enum class settle_action : std::uint8_t {
  /// Done: never again for this group.
  ack = 0,
  /// Passed over by the group's filter: counts as done.
  skip = 1,
  /// Failed: again at `retry_at`, with `attempts` failures recorded.
  retry = 2,
  /// To the group's dead letters: counts as done, and the message stays readable until it is redriven or
  /// purged.
  dead = 3,
  /// Expired before delivery: counts as done.
  expired = 4,
};

/// Most messages in one range of dead letters.
inline constexpr std::uint32_t max_dead_range = 16384;

/// One run of offsets [first, first + count) with one outcome.
struct settle_range {
  queue_offset first;
  std::uint32_t count = 0;
  settle_action action = settle_action::ack;
  /// retry and dead: failures recorded so far. retry only: when it is due.
  std::uint16_t attempts = 0;
  timestamp retry_at{};
  /// dead only; such a range has at most max_dead_range messages.
  dead_reason reason = dead_reason::attempts;
  /// dead only: what the consumer said, as dead_detail() leaves it (at most max_dead_detail bytes of UTF-8).
  std::string detail = {};
  bool operator==(const settle_range&) const = default;
};

/// One subscription's settles.
struct settle_section {
  group_id group;
  queue_id queue;
  std::uint8_t lane = 0;
  generation gen;
  std::vector<settle_range> ranges;
  bool operator==(const settle_section&) const = default;
};
struct settle_entry {
  std::vector<settle_section> sections;
  bool operator==(const settle_entry&) const = default;
};

/// Creates, replaces or removes definitions, all or nothing. Only in shard 0.
struct define_entry {
  std::vector<topic_definition> topics;
  std::vector<group_definition> groups;
  std::vector<topic_id> removed_topics;
  std::vector<group_id> removed_groups;
  bool operator==(const define_entry&) const = default;
};

/// Removes the messages below `first` from a queue.
struct trim_entry {
  queue_id queue;
  queue_offset first;
  bool operator==(const trim_entry&) const = default;
};

/// Removes a part of everything about a queue whose topic is gone (at most 64 records a commit; the proposer
/// repeats it until apply() reports that nothing is left). With a group set: only that group's state of it.
struct drop_queue_entry {
  queue_id queue;
  group_id group;
  bool operator==(const drop_queue_entry&) const = default;
};

/// Begins a new generation of a subscription at `to`: its floor moves there, settled state is forgotten.
/// Also how a subscription comes into being.
struct reset_entry {
  group_id group;
  queue_id queue;
  std::uint8_t lane = 0;
  queue_offset to;
  bool operator==(const reset_entry&) const = default;
};

/// A message of a shard's log by where its record lies: a message_id whose shard is known.
struct message_place {
  log_index index;
  std::uint32_t ordinal = 0;
  auto operator<=>(const message_place&) const = default;
};

/// Most messages in one redrive or purge, and in one decision.
inline constexpr std::size_t max_listed_messages = 1024;

/// Makes dead letters of one group and queue visible again, for that group alone, at the end of the queue;
/// their bodies stay where they are. Those that are no dead letters (any more) are passed over.
struct redrive_entry {
  group_id group;
  queue_id queue;
  /// Sorted, without repetitions; 1 to max_listed_messages.
  std::vector<message_place> messages;
  bool operator==(const redrive_entry&) const = default;
};

/// Forgets dead letters of one group and queue, and with the last holder of a message its body. Those that
/// are no dead letters (any more) are passed over.
struct purge_entry {
  group_id group;
  queue_id queue;
  /// As in redrive_entry.
  std::vector<message_place> messages;
  bool operator==(const purge_entry&) const = default;
};

/// A row of `timers` of a queue that is known: some messages of one bucket. `index` is that of the entry that
/// wrote the row.
struct timer_row_place {
  timer_bucket bucket;
  log_index index;
  std::uint16_t chunk = 0;
  auto operator<=>(const timer_row_place&) const = default;
};

/// Makes delayed messages of one queue visible, at its end, in this order; their bodies stay where they are.
/// Those that are not in these rows (any more) are passed over: they were cancelled, or fired before.
struct fire_entry {
  queue_id queue;
  /// About how many bytes one of them has: what it counts in the size of its queue.
  std::uint32_t message_bytes = 0;
  /// Where they wait: sorted, without repetitions; 1 to max_listed_messages.
  std::vector<timer_row_place> rows;
  /// 1 to max_listed_messages.
  std::vector<message_place> messages;
  bool operator==(const fire_entry&) const = default;
};

inline constexpr std::uint32_t max_split_messages = 16384;

/// Moves some messages of a coarse bucket to finer ones; the proposer repeats it until apply() reports that
/// nothing is left.
struct split_entry {
  timer_bucket bucket;
  /// About how many: whole rows, the first one in any case; 1 to max_split_messages.
  std::uint32_t messages = 0;
  bool operator==(const split_entry&) const = default;
};

/// Forgets a delayed message, and with the last holder of its entry the body. Passed over when it is not in
/// this row (any more).
struct cancel_entry {
  queue_id queue;
  timer_row_place row;
  message_place message;
  bool operator==(const cancel_entry&) const = default;
};

/// Forgets producers, those that were silent for longest first, at most 1024 of them: while the hour of
/// shard time in which a producer's last batch was accepted had ended by `before`, or more than `keep` are
/// known in the shard. The proposer repeats it until apply() reports that nothing is left to do.
struct evict_entry {
  timestamp before{};
  std::uint64_t keep = 0;
  bool operator==(const evict_entry&) const = default;
};

/// Forgets which messages of a queue were the first ones of their keys, of those before a shard time; at most
/// 1024 rows. The proposer repeats it until apply() reports that nothing is left to do.
struct forget_keys_entry {
  queue_id queue;
  timestamp before{};
  bool operator==(const forget_keys_entry&) const = default;
};

/// Begins a transaction of several messages; this shard is its home, the index of this entry its name there.
struct begin_entry {
  /// Whom to ask about it; empty: it is not asked about but rolled back when it is due.
  std::string group;
  /// The application's name for it. Both at most max_transaction_name bytes of UTF-8.
  std::string key;
  timestamp next_check{};
  bool operator==(const begin_entry&) const = default;
};

/// All messages of a transaction that was begun here are known: it is prepared. The first seal stands;
/// changes nothing when it is prepared, ended or unknown.
struct seal_entry {
  log_index transaction;
  timestamp next_check{};
  /// 1 to max_listed_messages.
  std::vector<message_id> messages;
  bool operator==(const seal_entry&) const = default;
};

/// Half messages of one queue, in the order in which they become visible; one that is listed twice is decided
/// once.
struct decided_messages {
  queue_id queue;
  /// About how many bytes one of them has: what it counts in the size of its queue.
  std::uint32_t message_bytes = 0;
  std::vector<message_place> messages;
  bool operator==(const decided_messages&) const = default;
};

/// Decides about half messages of this shard, in all their queues at once: makes them visible, at the end of
/// their queues, or forgets them. Only undecided ones of that transaction (or, without one, those that are
/// transactions of their own) are touched, all others passed over: the first decision stands.
struct decide_entry {
  transaction_id transaction;
  /// This shard is the home of the transaction: decides about it, too. When it has ended or is unknown here,
  /// or is to be committed without a guard and is not prepared, the entry changes nothing.
  bool home = false;
  bool commit = false;
  /// Home and commit only; acks only. They settle together with the commit, and only when the generation is
  /// current and each of these messages is in the queue and not settled; else the transaction is rolled back.
  std::optional<settle_section> guard;
  /// Ascending by queue, none empty; together at most max_listed_messages, and 1 at least unless `home`.
  std::vector<decided_messages> queues;
  /// Home only: its messages in other shards, which must confirm; at most max_listed_messages.
  std::vector<message_id> elsewhere;
  /// Home only: when to look again at who has not confirmed.
  timestamp next_check{};
  bool operator==(const decide_entry&) const = default;
};

/// A shard has decided as the transaction's home, this one, said.
struct confirm_entry {
  log_index transaction;
  shard_id shard;
  bool operator==(const confirm_entry&) const = default;
};

/// What is looked at when it is due: some half messages of one entry (`first` is the ordinal of the first),
/// or the transaction that was begun at `index` (queue 0).
struct check_place {
  queue_id queue;
  log_index index;
  std::uint32_t first = 0;
  auto operator<=>(const check_place&) const = default;
};

/// Counts a check of each place, and says when the next one is due; never(): it is asked about no more.
struct checked_entry {
  struct place {
    check_place at;
    timestamp next_check{};
    bool operator==(const place&) const = default;
  };
  /// 1 to max_listed_messages.
  std::vector<place> places;
  bool operator==(const checked_entry&) const = default;
};

/// Forgets transactions that were begun here, ended before a time and were confirmed by all: at most 1024 of
/// them; the proposer repeats it until apply() reports that nothing is left.
struct forget_transactions_entry {
  timestamp before{};
  bool operator==(const forget_transactions_entry&) const = default;
};

/// The body of an entry as plain values. A step of a transaction is an entry of kind `transaction`.
using entry_body =
    std::variant<std::monostate, append_entry, settle_entry, define_entry, trim_entry, drop_queue_entry,
                 reset_entry, redrive_entry, purge_entry, fire_entry, split_entry, cancel_entry, evict_entry,
                 forget_keys_entry, begin_entry, seal_entry, decide_entry, confirm_entry, checked_entry,
                 forget_transactions_entry>;

/// An entry to be: the log gives it its index, term and shard time.
struct proposal {
  /// The proposer's wall-clock time.
  timestamp time{};
  entry_body body;
};

entry_kind kind_of(const entry_body& body);

/// No error when decode_body() accepts what encode() writes for this proposal: nothing else belongs into a
/// log.
error validate(const proposal& p);

/// Bytes that encode() will write, a multiple of 8. For a body that validate() accepts.
std::size_t encoded_size(const entry_body& body);
/// Writes header and body to `out` (exactly encoded_size(body) bytes, 8-aligned). `header` supplies term,
/// index and time; kind, length, batches, queue and crc are computed.
void encode(entry_header header, const entry_body& body, std::span<char> out);

/// Reads and checks a header (magic, version, kind, length against `bytes`, CRC over header and directory).
/// `unknown_version` for a version or kind this program does not know, `corrupt` otherwise.
result<entry_header> decode_header(std::span<const char> bytes);
/// The batch directory of an append entry whose header was decoded. Offsets are relative to the entry's
/// start.
struct batch_place {
  batch_header header;
  std::uint32_t at = 0;
  /// Ordinal of the batch's first message in the entry.
  std::uint32_t first_ordinal = 0;
};
result<std::vector<batch_place>> decode_directory(const entry_header& header, std::span<const char> bytes);
/// The body of an entry of any other kind (checks the CRC). For append: batches that share `bytes`.
result<entry_body> decode_body(const entry_header& header, block bytes);

/// Definitions as values of the `definitions` table (flat Cap'n Proto).
std::vector<char> encode(const topic_definition& topic);
std::vector<char> encode(const group_definition& group);
result<topic_definition> decode_topic(std::span<const char> bytes);
result<group_definition> decode_group(std::span<const char> bytes);

} // namespace troupe
