#pragma once

#include <atomic>
#include <cstdint>

namespace troupe {

/// A number of bytes that several actors share: who takes gives back. Safe from every thread, never blocks.
/// One exception to the limit keeps a small budget from refusing a large batch for ever: when nothing is taken, one
/// request of any size succeeds.
class byte_budget {
public:
  explicit byte_budget(std::uint64_t limit) : limit_(limit) {}
  byte_budget(const byte_budget&) = delete;
  byte_budget& operator=(const byte_budget&) = delete;

  /// Takes `n` bytes, or nothing and false.
  bool try_take(std::uint64_t n) {
    auto used = used_.load(std::memory_order_relaxed);
    do {
      if (used != 0 && (used > limit_ || n > limit_ - used))
        return false;
    } while (!used_.compare_exchange_weak(used, used + n, std::memory_order_relaxed));
    return true;
  }
  /// Gives back bytes that try_take() gave.
  void give_back(std::uint64_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }

  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_; }

private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

} // namespace troupe
