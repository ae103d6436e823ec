#pragma once

#include "lmdb.hpp"
#include "rows.hpp"
#include "tables.hpp"

#include "troupe/ids.hpp"
#include "troupe/key_hash.hpp"

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Says in which rows of `firsts` a key may be: a hash table in memory, made of these rows when a queue is
/// first asked for. It decides nothing: whoever asks looks into the row. What it says too much costs that
/// look; it never says too little, as long as it is told of every row that is written, and cleared when a
/// transaction is aborted. 12 to 18 bytes a key. Belongs to the thread that writes.
class key_index {
public:
  /// Before a queue is asked for in a transaction: reads its rows, or forgets those that are gone since.
  void prepare(const lmdb_txn& txn, MDB_dbi firsts, queue_id queue);
  /// Forgets rows of a queue that are gone; nothing when it was never asked for.
  void prune(const lmdb_txn& txn, MDB_dbi firsts, queue_id queue) {
    if (queues_.contains(queue))
      prepare(txn, firsts, queue);
  }
  /// A row was written.
  void add(queue_id queue, const first_place& row, const std::vector<key_hash>& keys);
  /// Makes the next look for this key cheaper.
  void prefetch(queue_id queue, const key_hash& key) const;
  /// Rows that may have the key, newest first, in `out`: mostly none, or one.
  void find(queue_id queue, const key_hash& key, std::vector<first_place>& out) const;

  void forget(queue_id queue) { queues_.erase(queue); }
  void clear() { queues_.clear(); }
  /// What it takes of the memory.
  std::uint64_t bytes() const;

private:
  /// Keys of rows that follow each other: an open hash table that grows until the segment is closed. A slot
  /// has 40 bits of the key, and 24 that say how many rows behind the segment's first one it lies, plus one.
  class segment {
  public:
    explicit segment(std::uint64_t first_row) : first_row_(first_row) {}
    bool takes(std::uint64_t row) const { return row - first_row_ < most_rows; }
    void add(const key_hash& key, std::uint64_t row);
    void prefetch(const key_hash& key) const;
    /// Adds rows that may have the key, in any order.
    void find(const key_hash& key, std::vector<std::uint64_t>& rows) const;
    std::uint64_t first_row() const { return first_row_; }
    std::size_t size() const { return size_; }
    std::uint64_t bytes() const { return slots_.capacity() * sizeof(std::uint64_t); }

  private:
    static constexpr std::uint64_t row_bits = 24;
    static constexpr std::uint64_t most_rows = (std::uint64_t{1} << row_bits) - 1;
    static std::uint64_t part_of(const key_hash& key) { return key.low & ~most_rows; }
    std::size_t home(std::uint64_t part) const {
      return static_cast<std::size_t>((part >> 32) * slots_.size() >> 32);
    }
    void put(std::uint64_t slot);
    void grow();

    std::uint64_t first_row_;
    std::size_t size_ = 0;
    std::vector<std::uint64_t> slots_;
  };

  struct of_queue {
    /// rows[i] has the number first_row + i.
    std::deque<first_place> rows;
    std::uint64_t first_row = 0;
    std::deque<segment> segments;
    std::size_t keys = 0;
  };
  static void add(of_queue& q, const first_place& row, const std::vector<key_hash>& keys);

  std::unordered_map<queue_id, of_queue> queues_;
  /// For reuse.
  mutable std::vector<std::uint64_t> found_;
};

} // namespace troupe
