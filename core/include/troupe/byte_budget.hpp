#pragma once

#include <atomic>
#include <cstdint>

namespace troupe {

/// Counts bytes that several actors hold together against one limit. Any thread, no locks. What was taken is
/// given back exactly once by whoever took it.
class byte_budget {
public:
  explicit byte_budget(std::uint64_t limit) noexcept : limit_(limit) {}
  byte_budget(const byte_budget&) = delete;
  byte_budget& operator=(const byte_budget&) = delete;

  /// Takes `n` bytes when they fit below the limit. One amount above the whole limit passes while nothing
  /// else is taken, so that a large message does not wait for ever: at most max(limit, largest amount) is
  /// ever in use.
  bool try_take(std::uint64_t n) noexcept {
    auto used = used_.load(std::memory_order_relaxed);
    do {
      bool fits = n <= limit_ && used <= limit_ - n;
      if (!fits && used != 0)
        return false;
    } while (
        !used_.compare_exchange_weak(used, used + n, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
  }

  /// Gives `n` bytes back. More than is taken leaves zero: a mistake here must not turn into an endless
  /// refusal.
  void give(std::uint64_t n) noexcept {
    auto used = used_.load(std::memory_order_relaxed);
    while (!used_.compare_exchange_weak(used, used > n ? used - n : 0, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
    }
  }

  std::uint64_t used() const noexcept { return used_.load(std::memory_order_acquire); }
  std::uint64_t limit() const noexcept { return limit_; }

private:
  std::atomic<std::uint64_t> used_{0};
  const std::uint64_t limit_;
};

} // namespace troupe
