#pragma once

#include "index_block.hpp"
#include "lmdb.hpp"
#include "record_reader.hpp"
#include "tables.hpp"

#include "troupe/entry.hpp"
#include "troupe/stored.hpp"

#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// Bytes that a message of a run that lists counts in its queue: its place in the list.
inline constexpr std::uint32_t listed_bytes = 16;

/// What a run that lists gives: messages that lie in older entries, and who may see them.
struct listing {
  entry_header header;
  /// 0: everybody.
  group_id only_for;
  /// Of the whole entry; those of the run begin at its first_ordinal.
  std::vector<message_place> messages;
};

/// Reads the entry that a run of `queue` points at. `corrupt` when it is damaged or contradicts the run.
result<listing> view_listing(queue_id queue, const queue_run& run, std::span<const char> entry);

/// Reads messages by their ids in one transaction, wherever their entry is, and gives each as a batch of its
/// own. Keeps what neighbours need: the entry and the batch that it looked into last.
class message_reader {
public:
  message_reader(const lmdb_txn& txn, const tables& t) : txn_(txn), tables_(t) {}

  /// `corrupt` when its entry is gone or damaged, or holds no such message. `base` is left to the caller.
  result<stored_batch> read(queue_id queue, message_place at);
  /// Whether read() would give it.
  error check(queue_id queue, message_place at);
  /// Bytes of batches that it opened so far.
  std::uint64_t opened() const { return opened_; }

private:
  /// Makes the entry the last one.
  error open_entry(queue_id queue, log_index index);
  /// Makes the batch that holds the message the open one.
  error open_batch(queue_id queue, message_place at);

  const lmdb_txn& txn_;
  const tables& tables_;
  std::optional<entry_header> header_;
  std::span<const char> bytes_;
  std::vector<batch_place> places_;
  /// The opened batch of the last entry.
  const batch_place* place_ = nullptr;
  std::optional<batch_reader> batch_;
  std::uint64_t opened_ = 0;
};

/// As read_record(), for a run that lists: each of its messages becomes a batch. What a run costs is counted
/// by the batches that were opened for it; stops at the first message that would exceed `max_bytes`, unless
/// `out` holds no batch yet.
std::uint64_t read_listed(message_reader& messages, const stored_run& at, queue_offset from,
                          std::uint64_t max_bytes, read_result& out);

} // namespace troupe
