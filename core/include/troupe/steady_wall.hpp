#pragma once

#include "troupe/retention.hpp"

namespace troupe {

/// A wall clock for what must happen at its time: while the machine's is not to be trusted (clock_guard), it
/// goes on from where it was last right, by the monotonic one. So what is due neither fires early nor waits
/// for a clock that was set.
class steady_wall {
public:
  steady_wall(timestamp wall, milliseconds monotonic)
      : guard_(wall, monotonic), wall_(wall), monotonic_(monotonic) {}

  timestamp now(timestamp wall, milliseconds monotonic) {
    trusted_ = guard_.trusts(wall, monotonic);
    if (!trusted_)
      return wall_ + (monotonic - monotonic_);
    wall_ = wall;
    monotonic_ = monotonic;
    return wall;
  }
  /// What the last now() went by was the machine's wall clock.
  bool trusted() const { return trusted_; }
  /// How far that one was ahead (or behind: negative).
  milliseconds off() const { return guard_.off(); }

private:
  clock_guard guard_;
  timestamp wall_;
  milliseconds monotonic_;
  bool trusted_ = true;
};

} // namespace troupe
