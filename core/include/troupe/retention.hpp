#pragma once

#include "troupe/ids.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

/// How long messages are kept: the decisions of RETENTION, without a clock or a store.
namespace troupe {

/// What a topic's options say. Zero means no limit.
struct retention_limits {
  milliseconds age{0};
  std::uint64_t bytes = 0;
  /// How long the keys of messages are kept; zero: not at all.
  milliseconds keys{0};
  bool operator==(const retention_limits&) const = default;
};

/// One of a queue's oldest index rows.
struct retained_row {
  /// Offset after its last message.
  queue_offset next;
  /// Shard time of its newest message.
  timestamp last_time{};
  /// Bytes of this row and all older ones.
  std::uint64_t bytes = 0;
};

/// A queue as RETENTION sees it: its extent and its oldest rows, oldest first (perhaps not all).
struct retained_queue {
  queue_offset first;
  queue_offset next;
  std::uint64_t bytes = 0;
  /// Shard time of its oldest message.
  timestamp oldest{};
  std::span<const retained_row> rows;
};

struct retention_decision {
  /// Messages below it go; `first` of the queue when none does.
  queue_offset trim_to;
  /// When the oldest row that stays comes of age; absent without an age limit, or when nothing stays.
  std::optional<timestamp> due;
};

/// A row goes when its newest message is older than the age limit, or when the queue is above its byte limit
/// with it; rows go oldest first. The row with the newest message goes only by age.
retention_decision decide(const retention_limits& limits, const retained_queue& queue, timestamp now);

/// What can be decided without the rows, which cost a read: nothing goes. Absent: somebody must look at them.
/// A date that it gives may be earlier than that of the oldest row, never later.
std::optional<retention_decision> decide_by_extent(const retention_limits& limits,
                                                   const retained_queue& queue, timestamp now);

/// Notices a wall clock that was set: one that moved more than 10 minutes against the monotonic clock is not
/// trusted until it is back within 10 minutes of where the monotonic clock says it should be. Slow drift
/// (slewing) is followed. Trimming by such a clock could remove what shall be kept.
class clock_guard {
public:
  static constexpr milliseconds tolerance = std::chrono::minutes{10};

  clock_guard(timestamp wall, milliseconds monotonic) : wall_(wall), monotonic_(monotonic) {}
  /// False while the wall clock is not to be trusted.
  bool trusts(timestamp wall, milliseconds monotonic);
  /// How far the wall clock was ahead (or behind: negative) at the last trusts().
  milliseconds off() const { return off_; }

private:
  timestamp wall_;
  milliseconds monotonic_;
  milliseconds off_{0};
};

} // namespace troupe
