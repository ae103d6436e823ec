#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// The pauses before a failed message comes again, as an operator chooses them: a list of steps, or growing
/// ones.
struct retry_schedule {
  /// Steps of a list.
  static constexpr std::size_t most_steps = 64;
  /// Of one pause.
  static constexpr milliseconds shortest = milliseconds{10};
  static constexpr milliseconds longest = std::chrono::hours{24};

  /// The pause after the first, the second, ... failure; the last one repeats. Empty: growing pauses.
  std::vector<milliseconds> steps = rocketmq_steps();
  /// Growing pauses: the first one, how long each is in hundredths of the one before, and the longest.
  milliseconds initial{0};
  std::uint32_t factor = 0;
  milliseconds maximum{0};
  /// Each pause is longer or shorter by at most so many percent, another for each message and failure:
  /// what failed together does not come back together.
  std::uint8_t jitter = 0;
  bool operator==(const retry_schedule&) const = default;

  /// RocketMQ's: 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h.
  static std::vector<milliseconds> rocketmq_steps();
  /// The same pause after every failure.
  static retry_schedule fixed(milliseconds pause) { return {.steps = {pause}}; }
};

/// No error when every value is within its documented range; invalid_argument says which is not.
error validate(const retry_schedule& s);
/// Reads `default` (RocketMQ's steps), a list `10s,30s,1m`, or `exponential:INITIAL,FACTOR,MAXIMUM` with a
/// factor of at most two decimals (`exponential:1s,1.5,10m`); each may end in a jitter, `~20%`. What it gives
/// may still be out of range: see validate().
result<retry_schedule> parse_retry(std::string_view text);
/// The text that parse_retry() reads as this schedule.
std::string format_retry(const retry_schedule& s);
/// The pause after so many failures (from 1), without jitter.
milliseconds pause_after(const retry_schedule& s, std::uint16_t failures);
/// The pauses until they repeat, at most `most` of them, without jitter.
std::vector<milliseconds> pauses_of(const retry_schedule& s, std::size_t most = retry_schedule::most_steps);

/// A message that failed.
struct failed_message {
  queue_id queue;
  queue_offset offset;
  /// Those recorded for it, this one included; from 1.
  std::uint16_t failures = 1;
};

/// What becomes of a message that failed.
struct retry_decision {
  /// False: no further attempt (a later version: to the dead letters).
  bool again = true;
  /// The pause before the next attempt.
  milliseconds delay{0};
  bool operator==(const retry_decision&) const = default;
};

/// Decides when a failed message comes again. Stateless, so that the same failures always give the same
/// decision. Used from many threads at a time.
class retry_policy {
public:
  virtual ~retry_policy() = default;
  virtual retry_decision decide(const failed_message& m) const = 0;
  /// False when messages that failed equally often always get the same decision: one is then asked for all.
  virtual bool spreads() const { return false; }
};

/// The pauses of a schedule, for ever: the last one repeats.
class scheduled_retry final : public retry_policy {
public:
  explicit scheduled_retry(retry_schedule schedule) : schedule_(std::move(schedule)) {}
  retry_decision decide(const failed_message& m) const override;
  bool spreads() const override { return schedule_.jitter > 0; }

private:
  retry_schedule schedule_;
};

} // namespace troupe
