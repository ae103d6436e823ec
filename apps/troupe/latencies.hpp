#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace troupe::cli {

/// Counts durations in buckets of about 1.5 % width, from 1 ns up; any thread records, without locks.
class latencies {
public:
  void record(std::chrono::nanoseconds duration) {
    auto ns = duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0;
    buckets_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const auto& b : buckets_)
      sum += b.load(std::memory_order_relaxed);
    return sum;
  }
  /// The duration in microseconds that a part `share` (0 to 1) of all does not exceed; 0 without any.
  double percentile_us(double share) const {
    auto all = count();
    auto wanted = static_cast<double>(all) * share;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i].load(std::memory_order_relaxed);
      if (seen > 0 && static_cast<double>(seen) >= wanted)
        return static_cast<double>(lower_bound_of(i) + lower_bound_of(i + 1)) / 2000.0;
    }
    return 0;
  }

private:
  static constexpr unsigned bits = 6;
  static constexpr std::uint64_t steps = 1u << bits;
  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < steps)
      return ns;
    auto shift = static_cast<unsigned>(std::bit_width(ns)) - bits - 1;
    return (shift + 1) * steps + ((ns >> shift) - steps);
  }
  static std::uint64_t lower_bound_of(std::size_t bucket) {
    if (bucket < steps)
      return bucket;
    auto shift = bucket / steps - 1;
    return (steps + bucket % steps) << shift;
  }
  std::array<std::atomic<std::uint64_t>, steps*(65 - bits)> buckets_{};
};

} // namespace troupe::cli
