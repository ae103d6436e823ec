#pragma once

#include "key_index.hpp"
#include "rows.hpp"
#include "tables.hpp"

#include "troupe/error.hpp"
#include "troupe/shard.hpp"

#include <lmdb.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

/// Pages of an environment, in bytes.
struct page_usage {
  /// Pages in use by tables, free list and meta pages.
  std::uint64_t used = 0;
  /// Up to and with the highest page that was ever used.
  std::uint64_t high = 0;
  std::uint64_t entries = 0;
};

/// An open LMDB environment with the shard's tables, and the length of its data file.
///
/// Invariant that protects settles on a full disk: the file is kept at least `reserve` bytes longer than the
/// pages in use, and the file system has blocks for all of it: what is not in use was written before and is
/// on LMDB's free list, or it was allocated after the highest page.
class environment {
public:
  /// As shard::open.
  static result<std::unique_ptr<environment>> open(const std::filesystem::path& dir,
                                                   const shard_options& options);
  ~environment();
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

  MDB_env* handle() const { return env_; }
  const tables& db() const { return tables_; }
  const shard_options& options() const { return options_; }

  /// What is wrong with the structure of all pages, found without LMDB; empty for a sound file. While nobody
  /// writes.
  std::vector<std::string> check_pages() const;
  /// What is in use as `txn` sees it. A few reads of table headers.
  page_usage usage(MDB_txn* txn) const;
  std::uint64_t file_size() const;

  /// Lengthens the file to `bytes`, never shortens it: the file system sets blocks aside, which costs a
  /// commit of 1 MiB and more half of what writing zeros first would (measured). Where it cannot, zeros are
  /// written. no_space when the file system is full. Only while no write transaction is open.
  error allocate(std::uint64_t bytes);
  /// Bytes that the file system, and the limit on the size of files, would still give.
  std::uint64_t available() const;

  /// Shard time of the last applied entry, for any thread.
  std::atomic<std::int64_t> last_time{0};
  /// Bytes of keys(), for any thread.
  std::atomic<std::uint64_t> key_memory{0};

  /// Of the thread that writes.
  key_index& keys() { return keys_; }

private:
  environment() = default;
  /// As allocate(), with real zeros: a single commit into them is faster than into blocks never written.
  error write_zeros(std::uint64_t bytes);
  static std::unique_ptr<environment> open_files(const std::filesystem::path& path,
                                                 const shard_options& options);
  static error create(const std::filesystem::path& path, const shard_options& options);
  /// Looks at an existing directory without leaving a trace in it.
  static error inspect(const std::filesystem::path& path, const shard_options& options);

  MDB_env* env_ = nullptr;
  int fd_ = -1;
  std::uint64_t page_size_ = 4096;
  tables tables_;
  key_index keys_;
  shard_options options_;
  std::filesystem::path data_file_;
};

/// Makes a directory's entries durable.
error sync_directory(const std::filesystem::path& dir);

} // namespace troupe
