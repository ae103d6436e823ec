#pragma once

#include <atomic>
#include <cstdint>

namespace troupe {

/// Counts bytes that several actors hold together against one limit. Safe from every thread.
class byte_budget {
public:
  explicit byte_budget(std::uint64_t limit) : limit_(limit) {}

  /// Takes n bytes, or nothing and false when they do not fit. An empty budget always grants one request, however
  /// large, so that a limit below the largest message delays but never blocks.
  bool try_take(std::uint64_t n) {
    auto used = used_.load(std::memory_order_relaxed);
    do {
      if (used != 0 && (used >= limit_ || n > limit_ - used))
        return false;
    } while (!used_.compare_exchange_weak(used, used + n, std::memory_order_relaxed));
    return true;
  }
  /// Returns n bytes that were taken.
  void give(std::uint64_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_; }

private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

} // namespace troupe
