#pragma once

#include "index_block.hpp"
#include "lmdb.hpp"
#include "record_reader.hpp"
#include "tables.hpp"

#include "troupe/entry.hpp"
#include "troupe/stored.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Bytes that a message of a run that lists counts in its queue: its place in the list, and of one that was
/// delayed or undecided its own, which no other run counts.
inline constexpr std::uint32_t listed_bytes = 16;
/// Of a run that lists.
constexpr std::uint32_t bytes_of_list(std::uint64_t messages, std::uint64_t each) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(messages * each, ~std::uint32_t{0}));
}

/// What a run that lists gives: messages that lie in older entries, and who may see them.
struct listing {
  entry_header header;
  /// 0: everybody.
  group_id only_for;
  /// Of the whole entry; those of the run begin at its first_ordinal.
  std::vector<message_place> messages;
  /// What each of them counts in its queue.
  std::uint64_t bytes = listed_bytes;
  /// They were delayed or undecided until now; else they are dead letters that were redriven.
  bool fired = false;
};

/// Reads the entry that a run of `queue` points at. `corrupt` when it is damaged or contradicts the run.
result<listing> view_listing(queue_id queue, const queue_run& run, std::span<const char> entry);

/// Reads messages by their ids in one transaction, wherever their entries are. Keeps what neighbours need:
/// the entries and batches that it looked into last.
class message_reader {
public:
  message_reader(const lmdb_txn& txn, const tables& t) : txn_(txn), tables_(t) {}

  /// The first of these messages, and as many of the others as follow it in its batch and in `messages` up to
  /// about `max_bytes`, as a batch of their own. `corrupt` when the entry of the first is gone or damaged, or
  /// holds no such message. `base` is left to the caller.
  result<stored_batch> read(queue_id queue, std::span<const message_place> messages, std::uint64_t max_bytes);
  /// Whether read() would give it.
  error check(queue_id queue, message_place at);
  /// When a message of a delayed batch is due. `corrupt` as read(), and when its batch is of another kind.
  result<timestamp> due(queue_id queue, message_place at);
  /// About how many bytes a message has: the mean of its batch, which is not opened; 0 when it cannot be
  /// read.
  std::uint32_t mean_size(queue_id queue, message_place at);
  /// The same of several, which are not empty; a few of them are looked up.
  std::uint32_t mean_size(queue_id queue, std::span<const message_place> some);
  /// `corrupt` as read(), and when it is no half message of this group and transaction.
  error check_half(queue_id queue, message_place at, const half_of& whose);
  /// Bytes of batches that it opened so far.
  std::uint64_t opened() const { return opened_; }

private:
  struct slot {
    batch_place place;
    std::optional<batch_reader> batch;
  };
  struct entry {
    entry_header header;
    std::span<const char> bytes;
    std::vector<slot> slots;
  };
  /// What one of them holds is bounded; when they are more, it begins anew.
  static constexpr std::size_t most_entries = 256;
  static constexpr std::size_t most_slots = 16384;

  result<entry*> open_entry(queue_id queue, log_index index);
  result<slot*> find(queue_id queue, message_place at);
  /// Its batch is open.
  result<slot*> open(queue_id queue, message_place at);

  const lmdb_txn& txn_;
  const tables& tables_;
  std::unordered_map<log_index, entry> entries_;
  std::size_t slots_ = 0;
  std::uint64_t opened_ = 0;
};

/// As read_record(), for a run that lists: a redriven message becomes a batch, and so do fired ones that
/// follow each other as they were sent. What a run costs is counted by the batches that were opened for it;
/// stops at the first message that would exceed `max_bytes`, unless `out` holds no batch yet.
std::uint64_t read_listed(message_reader& messages, const stored_run& at, queue_offset from,
                          std::uint64_t max_bytes, read_result& out);

} // namespace troupe
