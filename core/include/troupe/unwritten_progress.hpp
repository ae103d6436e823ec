#pragma once

#include "troupe/range_map.hpp"
#include "troupe/settling.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

struct subscription_limits;

/// What became of an offset.
struct offset_outcome {
  progress::outcome what = progress::outcome::done;
  std::uint16_t attempts = 0;
  std::int64_t due = 0;
  dead_reason reason = dead_reason::attempts;
  std::string detail = {};
  bool operator==(const offset_outcome&) const = default;
};

/// The outcomes of one subscription that the store doesn't know yet: the newest of each offset.
class unwritten_progress {
public:
  void write(std::uint64_t first, std::uint64_t next, const offset_outcome& what, timestamp now);
  bool empty() const { return runs_.empty(); }
  /// When it should be written (maybe in the past); empty when there is none. What was passed over, by the
  /// filter or because it had expired, waits for a while when there is nothing else.
  std::optional<timestamp> write_at(const subscription_limits& limits) const;
  /// Dead letters that are handed out at a time: each costs the store a row of its own and a pin.
  static constexpr std::uint64_t most_dead = 4096;

  /// Hands out at most so many runs, lowest first. The store keeps acknowledged and skipped ones alike, so
  /// neighbours of these kinds are one run.
  std::vector<progress> take(std::size_t most);
  /// What could not be written; newer outcomes win.
  void put_back(const std::vector<progress>& runs, timestamp now);

private:
  range_map<offset_outcome> runs_;
  /// When the oldest of it came about, and whether any of it is more than a skip.
  timestamp since_{};
  bool urgent_ = false;
};

} // namespace troupe
