#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace troupe {

/// A node's data directory, locked for this process: `meta` says what it is (format version, number of
/// shards, the node's identity), `LOCK` is held by the node that uses it and holds its process id,
/// `shard-<n>` are the shards. The lock ends with the process, however that ends.
class data_directory {
public:
  /// The version of the directory's format that this program reads and writes.
  static constexpr int format_version = 1;
  static constexpr std::uint16_t max_shards = 64;

  /// Opens a directory, or makes a new one for `shards` shards (0: 1 for a new one, else what it has). One
  /// that was begun and never completed is made anew: nothing in it was ever acknowledged.
  ///   invalid_argument: it is no directory, holds other things than a node's, or has another number of
  ///   shards; in_use: another process has it; the text names its pid; unknown_version: another format
  ///   version; nothing was touched; corrupt: `meta` cannot be read, or a shard is missing; storage_failed:
  ///   I/O errors
  static result<data_directory> open(const std::filesystem::path& path, std::uint16_t shards = 0);
  /// The same for a directory that must exist already; makes nothing but the lock file. not_found: there is
  /// none, or it was never completed.
  static result<data_directory> open_existing(const std::filesystem::path& path);

  data_directory(data_directory&& other) noexcept;
  data_directory& operator=(data_directory&& other) noexcept;
  /// Unlocks.
  ~data_directory();

  const std::filesystem::path& path() const { return path_; }
  std::uint16_t shards() const { return shards_; }
  /// 32 hexadecimal digits, drawn when the directory was made; never changed.
  const std::string& identity() const { return identity_; }
  /// A new directory becomes a complete one: called once all its shards were made. Durable when it returns.
  error complete();

private:
  data_directory() = default;
  static result<data_directory> open(const std::filesystem::path& path, std::uint16_t shards, bool make);
  error lock();
  void unlock() noexcept;
  error begin(std::uint16_t shards);
  error check_shards() const;

  std::filesystem::path path_;
  std::string identity_;
  std::uint16_t shards_ = 0;
  bool fresh_ = false;
  int lock_ = -1;
};

} // namespace troupe
