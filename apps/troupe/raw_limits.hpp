#pragma once

#include "troupe/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>

/// What this machine can do without Troupe: the limits that the benchmarks compare with. Each measures for
/// about `duration`, in the calling thread, and leaves nothing behind.
namespace troupe::cli {

struct raw_figures {
  /// Messages (or operations) per second, and megabytes (10^6 bytes) per second.
  double per_s = 0;
  double mb_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  std::uint64_t operations = 0;
  double seconds = 0;
};

/// Appends `bytes` to a file and waits for fdatasync, again and again.
result<raw_figures> raw_fdatasync(const std::filesystem::path& directory, std::size_t bytes,
                                  std::chrono::milliseconds duration);
/// Bare LMDB with the options that a shard uses: each durable commit appends one value of `messages` x
/// `bytes`. per_s counts messages, the percentiles are of commits. Writes at most 512 MiB.
result<raw_figures> raw_commit(const std::filesystem::path& directory, std::size_t messages,
                               std::size_t bytes, std::chrono::milliseconds duration);
/// Copies blocks within memory that no cache holds.
raw_figures raw_memcpy(std::size_t bytes, std::chrono::milliseconds duration);
/// A TCP connection over loopback to a thread of ours: `bytes` there and back again.
result<raw_figures> raw_round_trip(std::size_t bytes, std::chrono::milliseconds duration);
/// The same connection in one direction, as fast as it goes.
result<raw_figures> raw_stream(std::size_t bytes, std::chrono::milliseconds duration);

} // namespace troupe::cli
