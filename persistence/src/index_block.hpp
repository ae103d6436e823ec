#pragma once

#include "troupe/ids.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace troupe {

/// A run of a queue's offsets [base, base + count) that lie one after the other in one entry: the messages
/// themselves, or (a run that lists) the places of messages that lie in older entries of the queue.
struct queue_run {
  queue_offset base;
  log_index index;
  /// Where the run begins among the entry's messages, or in its list.
  std::uint32_t first_ordinal = 0;
  std::uint32_t count = 0;
  /// Shard time of the entry.
  timestamp time{};
  /// Bytes of the run's batches (of a run that lists, of its part of the list), and of all batches that the
  /// queue ever took, up to and with this run.
  std::uint32_t bytes = 0;
  std::uint64_t end_bytes = 0;
  /// 0 for a run that lists: its messages keep their own.
  std::uint8_t lane = 0;
  bool lists = false;
  /// Other queues have runs of the same list: each of these runs holds the entry.
  bool shared = false;

  queue_offset next() const { return queue_offset{base.value + count}; }
  bool operator==(const queue_run&) const = default;
};

/// A few runs of one queue, one after the other, in one row. The newest block of a queue lies in table
/// `tails`, where the blocks of many queues share a page, so that a commit to a thousand queues does not
/// write a thousand pages; full ones move to `queues`. A block without runs keeps the next offset of a queue
/// whose messages are all gone.
class index_block {
public:
  /// Runs in a full block.
  static constexpr std::size_t capacity = 32;

  /// An empty block that goes on where `before` ends.
  static index_block after(queue_offset next, std::uint64_t end_bytes);
  static index_block of(std::span<const queue_run> runs);

  /// Offsets [first, next) and the bytes of all batches before them and up to their end.
  queue_offset first() const { return first_; }
  queue_offset next() const { return next_; }
  std::uint64_t end_bytes() const { return end_bytes_; }
  std::uint64_t start_bytes() const { return start_bytes_; }
  const std::vector<queue_run>& runs() const { return runs_; }

  void encode(std::vector<char>& out) const;
  /// Throws storage_error when bytes are not what they should be.
  static index_block decode(std::span<const char> value);

private:
  queue_offset first_;
  queue_offset next_;
  std::uint64_t start_bytes_ = 0;
  std::uint64_t end_bytes_ = 0;
  std::vector<queue_run> runs_;
};

/// The end of a block in its stored form: what an append needs of it, and the append, without decoding the
/// runs.
class block_tail {
public:
  /// A block that was never stored: begins at offset 0.
  block_tail();
  explicit block_tail(std::span<const char> value);

  queue_offset next() const;
  std::uint64_t end_bytes() const;
  bool full() const;
  bool empty() const;
  /// Adds a run at next(); fills in its base and end_bytes.
  void append(queue_run& run);
  /// Becomes an empty block that goes on here.
  void restart();
  queue_offset first() const;
  std::span<const char> value() const { return value_; }

private:
  std::vector<char> value_;
};

} // namespace troupe
