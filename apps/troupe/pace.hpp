#pragma once

#include "interrupt.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace troupe::cli {

/// Keeps to a rate: the n-th message not before n/rate seconds after the first. A late one does not make
/// others early.
class pace {
public:
  /// Without a rate nothing waits.
  explicit pace(std::optional<double> per_second) : per_second_(per_second) {}

  /// Returns when the next `messages` may go, or a signal came.
  void wait(const interrupt& stop, std::uint64_t messages = 1) {
    if (!per_second_)
      return;
    using std::chrono::duration;
    const auto step = std::chrono::duration_cast<clock::duration>(duration<double>(1 / *per_second_));
    const auto now = clock::now();
    next_ = std::max(next_, now - step * 10);
    if (next_ > now)
      stop.wait_until(next_);
    next_ += step * messages;
  }

private:
  using clock = std::chrono::steady_clock;
  std::optional<double> per_second_;
  clock::time_point next_ = clock::now();
};

} // namespace troupe::cli
