#pragma once

#include "firsts_row.hpp"
#include "key_index.hpp"
#include "lmdb.hpp"
#include "tables.hpp"

#include "troupe/batch.hpp"
#include "troupe/shard.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace troupe {

/// Finds messages of one append entry whose key its queue had before, within the topic's window, and writes
/// down the keys of the others. The key is a message's first one.
class repeat_finder {
public:
  /// Of the entry that is applied.
  struct place {
    queue_id queue;
    log_index index;
    timestamp time{};
    milliseconds window{0};
  };
  repeat_finder(lmdb_txn& txn, const tables& t, key_index& index, const place& here);

  /// Adds its repeats to the verdict of a batch. Of one that is accepted: takes in what is new; makes the
  /// verdict `corrupt` when the bytes make no batch. Of a duplicate that had repeats: recalls its first
  /// answer, or makes it unknown.
  void complete(batch_verdict& verdict, const batch& b, bool had_repeats);
  /// Writes the entry's row.
  void store();

private:
  /// The messages of this entry that are no repeats, found by their keys: an open hash table over them.
  class taken_messages {
  public:
    const first_of_key* find(const key_hash& key) const;
    /// A key that is not there yet.
    void add(const first_of_key& m);
    std::vector<first_of_key>& messages() { return messages_; }

  private:
    std::size_t home(const key_hash& key) const { return key.high & (slots_.size() - 1); }
    void grow();

    std::vector<first_of_key> messages_;
    /// Positions in messages_, plus one; a power of two of them, at most half in use.
    std::vector<std::uint32_t> slots_;
  };
  struct keyed {
    std::uint32_t position = 0;
    key_hash key;
  };
  std::optional<std::vector<repeated_message>> take(const batch& b, const batch_verdict& verdict);
  std::optional<std::vector<repeated_message>> recall(const batch& b, const batch_verdict& first);
  /// The keys of the messages that have some.
  std::optional<std::vector<keyed>> keys_of(const batch& b);
  /// The newest message of the key for which `is_it` holds.
  template <class Predicate> std::optional<repeated_message> find(const key_hash& key, Predicate is_it) const;

  lmdb_txn& txn_;
  const tables& tables_;
  key_index& index_;
  place here_;
  bool prepared_ = false;
  taken_messages taken_;
  /// For reuse.
  mutable std::vector<first_place> rows_;
};

} // namespace troupe
