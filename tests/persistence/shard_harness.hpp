#pragma once

#include "delayed_log.hpp"
#include "lmdb.hpp"
#include "rows.hpp"
#include "tables.hpp"

#include "troupe/shard.hpp"
#include "troupe/shard_log.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace troupe::test {

/// Which implementation of shard_log a test runs with.
enum class log_kind { local, delayed };
inline std::string to_string(log_kind kind) { return kind == log_kind::local ? "local" : "delayed"; }

/// A fresh directory in memory where there is such a file system with room, else below the system's temporary
/// one: tests that sync a thousand times are not about the disk. Removed at the end of the scope.
class scratch_directory {
public:
  scratch_directory();
  ~scratch_directory();
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

private:
  std::filesystem::path path_;
};

/// Options of a small shard.
inline shard_options small_shard() {
  shard_options o;
  o.reserve = 256u << 10;
  return o;
}

/// A batch of `count` messages with bodies of `size` bytes each.
batch make_batch(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence, std::uint32_t count,
                 std::size_t size = 20);
/// The same, delayed: due at these times, one message each.
batch make_delayed(std::uint64_t producer, std::uint64_t sequence, const std::vector<std::int64_t>& dues,
                   std::size_t size = 20, std::uint32_t epoch = 1);
/// Half messages.
batch make_half(std::uint64_t producer, std::uint64_t sequence, std::uint32_t count, const half_of& whose,
                std::size_t size = 20, std::uint32_t epoch = 1);
/// The same with one message per key; an empty key is none.
batch make_keyed_batch(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                       const std::vector<std::string>& keys, std::size_t size = 20);
struct keyed_message {
  std::string key;
  std::int64_t due = 0;
};
batch make_keyed_delayed(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                         const std::vector<keyed_message>& messages, std::size_t size = 20);
batch make_keyed_half(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                      const std::vector<std::string>& keys, const half_of& whose, std::size_t size = 20);
proposal publish(std::uint32_t queue, std::vector<batch> batches, std::int64_t time = 1000,
                 milliseconds window = {});
proposal settle(std::uint32_t group, std::uint32_t queue, std::uint64_t gen, std::vector<settle_range> ranges,
                std::int64_t time = 1000);
proposal trim(std::uint32_t queue, std::uint64_t first);
proposal reset(std::uint32_t group, std::uint32_t queue, std::uint64_t to);
proposal drop(std::uint32_t queue, std::uint32_t group = 0);
/// Forgets producers heard of last in an hour that ended by `before`, and the oldest above `keep`.
proposal evict(std::int64_t before, std::uint64_t keep = 1'000'000);
proposal forget_keys(std::uint32_t queue, std::int64_t before);
settle_range ack(std::uint64_t first, std::uint32_t count = 1);
settle_range retry(std::uint64_t first, std::uint16_t attempts, std::int64_t due, std::uint32_t count = 1);
settle_range dead(std::uint64_t first, std::uint32_t count = 1, dead_reason reason = dead_reason::attempts,
                  std::string detail = {});
proposal redrive(std::uint32_t group, std::uint32_t queue, std::vector<message_place> messages,
                 std::int64_t time = 1000);
proposal purge(std::uint32_t group, std::uint32_t queue, std::vector<message_place> messages);
inline message_place at(std::uint64_t index, std::uint32_t ordinal = 0) {
  return {log_index{index}, ordinal};
}

/// A shard in a directory with a log of the given kind. `outcomes` gets what the log applied.
class shard_harness {
public:
  explicit shard_harness(log_kind kind, shard_options options = small_shard(), std::uint64_t seed = 1);
  /// In a directory that already exists and outlives it.
  shard_harness(log_kind kind, std::filesystem::path where, shard_options options, std::uint64_t seed = 1);

  /// Closes everything and opens it again.
  void reopen();
  void close();
  shard& store() { return *shard_; }
  shard_log& log() { return *log_; }
  std::filesystem::path data_file() const;
  const std::filesystem::path& where() const { return where_; }

  error append(std::vector<proposal> proposals) { return log_->append(proposals); }
  /// Appends one, applies it, and gives its outcome; fails the test when it is refused.
  applied apply(proposal p);
  /// Everything that was appended is applied.
  void settle_down();
  /// Everything that was appended is in the log.
  void resend();

  std::vector<applied> outcomes;

private:
  void open();

  std::optional<scratch_directory> own_;
  std::filesystem::path where_;
  log_kind kind_;
  shard_options options_;
  std::uint64_t seed_;
  std::unique_ptr<shard> shard_;
  std::unique_ptr<shard_log> log_;
  delayed_log* delayed_ = nullptr;
};

/// Changes rows of a closed shard behind its back.
void tamper(const std::filesystem::path& dir, const std::function<void(lmdb_txn&, const tables&)>& change);

/// Reads a queue from its first offset to its end in steps of about `step` bytes.
std::vector<stored_batch> read_all(const shard& s, queue_id queue, std::uint32_t step = 1u << 20,
                                   std::vector<damage>* damaged = nullptr);
/// The first dead letters of a group in a queue.
std::vector<message_place> dead_places(const shard& s, queue_id queue, group_id group, std::size_t max);
/// The bodies of a batch.
std::vector<std::string> bodies(const stored_batch& b);

} // namespace troupe::test

namespace troupe {
inline void PrintTo(const error& err, std::ostream* out) { *out << (err ? to_string(err) : "no error"); }
inline void PrintTo(const damage& d, std::ostream* out) { *out << to_string(d); }
} // namespace troupe
