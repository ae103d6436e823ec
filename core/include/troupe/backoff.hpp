#pragma once

#include "troupe/ids.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe {

/// Pauses between attempts: the first is `least`, each further one doubles up to `most`; each is shortened by
/// up to half of itself at random, so that many clients of one node don't come back in step.
class backoff {
public:
  backoff(milliseconds least, milliseconds most)
      : least_(least), most_(std::max(least, most)), next_(least) {}

  /// The next pause. `random`: any evenly distributed number.
  milliseconds next(std::uint64_t random) {
    const auto full = next_;
    next_ = std::min(next_ * 2, most_);
    return full - milliseconds{static_cast<milliseconds::rep>(
                      random % static_cast<std::uint64_t>(full.count() / 2 + 1))};
  }
  /// An attempt succeeded.
  void reset() { next_ = least_; }

private:
  milliseconds least_;
  milliseconds most_;
  milliseconds next_;
};

} // namespace troupe
