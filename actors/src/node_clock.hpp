#pragma once

#include "troupe/ids.hpp"
#include "troupe/retention.hpp"

#include <caf/actor_clock.hpp>

#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace troupe {

/// The node's wall clock, judged once for all its actors (clock_guard): the judgement begins with the node,
/// so that an actor that starts later does not believe a clock that was set in between. Safe from every
/// thread.
class node_clock {
public:
  using moment = caf::actor_clock::time_point;

  node_clock(std::function<timestamp()> wall, moment monotonic)
      : wall_(std::move(wall)), guard_(wall_(), since_epoch(monotonic)) {}

  /// The wall clock; nothing while it is not to be trusted.
  std::optional<timestamp> trusted(moment monotonic) {
    std::lock_guard lock{mutex_};
    const auto now = wall_();
    return guard_.trusts(now, since_epoch(monotonic)) ? std::optional{now} : std::nullopt;
  }
  /// The wall clock; while it is not to be trusted what it would show had nobody set it.
  timestamp right(moment monotonic) {
    std::lock_guard lock{mutex_};
    const auto now = wall_();
    return guard_.trusts(now, since_epoch(monotonic)) ? now : now - guard_.off();
  }
  /// How far the wall clock was ahead (or behind: negative) when it was last asked.
  milliseconds off() {
    std::lock_guard lock{mutex_};
    return guard_.off();
  }

private:
  static milliseconds since_epoch(moment at) {
    return std::chrono::duration_cast<milliseconds>(at.time_since_epoch());
  }

  std::function<timestamp()> wall_;
  std::mutex mutex_;
  clock_guard guard_;
};

} // namespace troupe
