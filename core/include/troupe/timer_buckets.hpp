#pragma once

#include "troupe/ids.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

/// Where a delayed message waits: in buckets of due times, coarse ones far ahead, which are split into finer
/// ones when their time nears (ADR 5). Any level is right for any message; the rules here are about speed
/// only.
namespace troupe {

/// How wide a bucket is. On disk; in the order of keys a bucket comes before those that it covers.
enum class timer_level : std::uint8_t {
  /// 2^26 ms, 18.6 hours.
  days = 0,
  /// 2^18 ms, 4.4 minutes.
  minutes = 1,
  /// 2^10 ms.
  seconds = 2,
};
inline constexpr std::array timer_levels = {timer_level::days, timer_level::minutes, timer_level::seconds};

constexpr milliseconds width_of(timer_level level) {
  constexpr std::array<std::int64_t, timer_levels.size()> widths{1 << 26, 1 << 18, 1 << 10};
  return milliseconds{widths[static_cast<std::size_t>(level)]};
}

/// The level below, of a level that is not the finest.
constexpr timer_level finer(timer_level level) {
  return static_cast<timer_level>(static_cast<std::uint8_t>(level) + 1);
}

struct timer_bucket {
  /// A multiple of the level's width.
  timestamp start{};
  timer_level level = timer_level::seconds;
  timestamp end() const { return start + width_of(level); }
  auto operator<=>(const timer_bucket&) const = default;
};

/// How long before its start a bucket is split, of a level that is not the finest: a quarter of its width, so
/// that it is done in time also when many millions lie in it.
constexpr milliseconds split_lead(timer_level level) { return width_of(level) / 4; }

/// The bucket of a level that holds a time (not before 1970).
timer_bucket bucket_at(timer_level level, timestamp due);

/// Where a message that is accepted at `now` goes: to the coarsest bucket that is not yet due to be split.
timer_bucket bucket_for(timestamp due, timestamp now);

/// When something must be done about a bucket whose earliest message is due then: it is split, or fires.
timestamp look_at(const timer_bucket& bucket, timestamp earliest_due);

/// About how many rows the messages of one batch make: never fewer buckets than they lie in, as long as they
/// are due within 64 of the coarsest; more when their times go up and down within those that are near.
class timer_row_estimate {
public:
  explicit timer_row_estimate(timestamp now) : now_(now) {}
  void add(timestamp due);
  std::uint32_t rows() const;

private:
  timestamp now_;
  std::uint64_t far_ = 0;
  std::uint32_t others_ = 0;
  std::optional<timer_bucket> last_;
};

/// RocketMQ's delay levels 1 to 18; zero for another number.
milliseconds delay_of_level(unsigned level);

/// How far ahead a message may be due, unless the node's operator says otherwise.
inline constexpr milliseconds default_max_delay = std::chrono::hours{24 * 40};

} // namespace troupe
