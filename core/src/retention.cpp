#include "troupe/retention.hpp"

namespace troupe {

retention_decision decide(const retention_limits& limits, const retained_queue& queue, timestamp now) {
  retention_decision result{.trim_to = queue.first};
  std::uint64_t gone = 0;
  for (const auto& row : queue.rows) {
    const bool aged = limits.age > milliseconds{0} && row.last_time + limits.age <= now;
    const bool newest = row.next >= queue.next;
    const bool too_big = limits.bytes > 0 && !newest && queue.bytes - gone > limits.bytes;
    if (!aged && !too_big) {
      if (limits.age > milliseconds{0})
        result.due = row.last_time + limits.age;
      return result;
    }
    result.trim_to = row.next;
    gone = row.bytes < queue.bytes ? row.bytes : queue.bytes;
  }
  return result;
}

std::optional<retention_decision> decide_by_extent(const retention_limits& limits,
                                                   const retained_queue& queue, timestamp now) {
  retention_decision nothing{.trim_to = queue.first};
  if (queue.first == queue.next)
    return nothing;
  if (limits.bytes > 0 && queue.bytes > limits.bytes)
    return std::nullopt;
  if (limits.age > milliseconds{0}) {
    nothing.due = queue.oldest + limits.age;
    if (*nothing.due <= now)
      return std::nullopt;
  }
  return nothing;
}

bool clock_guard::trusts(timestamp wall, milliseconds monotonic) {
  off_ = (wall - wall_) - (monotonic - monotonic_);
  const bool trusted = off_ <= tolerance && off_ >= -tolerance;
  // What is within the tolerance is the new truth only after an hour, so that a clock cannot creep away by
  // many small steps in a short time.
  if (trusted && monotonic - monotonic_ >= std::chrono::hours{1}) {
    wall_ = wall;
    monotonic_ = monotonic;
  }
  return trusted;
}

} // namespace troupe
