#pragma once

#include "applier.hpp"
#include "environment.hpp"
#include "guarded.hpp"

#include "troupe/entry.hpp"
#include "troupe/error.hpp"

#include <cstdint>
#include <functional>
#include <span>

namespace troupe {

/// What every shard_log shares: admission by space, one write transaction at a time, and what a failed one
/// means. One thread.
class log_writer {
public:
  /// Most bytes and rows of one call; a single batch may be larger than what is left of the bytes.
  static constexpr std::uint64_t max_bytes = 16u << 20;

  explicit log_writer(environment& env);

  /// Refuses what no log may take: batches whose header contradicts their bytes, kinds of later versions, too
  /// much.
  static error validate(std::span<const proposal> proposals);
  /// About how many bytes of pages they take.
  static std::uint64_t needed(std::span<const proposal> proposals);
  /// True when one of them brings messages, or a transaction.
  static bool publishes(std::span<const proposal> proposals);

  /// Makes room for `bytes`, or says why not. New messages leave the reserve alone; everything else may use
  /// it.
  error admit(std::uint64_t bytes, bool publishing);
  /// Why messages would be refused now, or no error.
  error admission(std::uint64_t bytes = 0) const;

  /// Runs `work` in a write transaction and commits it durably. On an error nothing of it happened. no_space
  /// leaves the log usable; storage_failed and corrupt end it: every later call answers the same.
  error commit(const std::function<void(lmdb_txn&)>& work);

  environment& env() { return env_; }

private:
  error refuse(const char* which, std::uint64_t limit) const;
  /// Lengthens the file for `bytes` of new pages, so that LMDB finds blocks for them.
  error make_room(std::uint64_t bytes);
  /// Whether a failed commit failed for lack of room.
  bool disk_is_full();
  /// Ends the log.
  void fail(error& err);
  void measure();

  environment& env_;
  error failed_;
  page_usage usage_;
  std::uint64_t file_ = 0;
  /// Bytes in use when the file system last had no room for a commit, else 0.
  std::uint64_t full_at_ = 0;
};

/// Writes an entry to the end of the log.
void put_entry(lmdb_txn& txn, const tables& t, const entry_header& header, const entry_body& body);
/// Writes another body in the place of one that is in the log.
void replace_entry(lmdb_txn& txn, const tables& t, const entry_header& header, const entry_body& body);

} // namespace troupe
