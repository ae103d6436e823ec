#pragma once

#include "troupe/ids.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

/// Which producers a shard forgets, and when: the decision, without a clock or a store.
namespace troupe {

/// A producer and a queue make one row. How many a shard keeps, and for how long after the last batch.
struct producer_limits {
  std::uint64_t most = 1'000'000;
  /// At least an hour: that is how exactly ages are known.
  milliseconds memory = std::chrono::hours{24 * 7};
  bool operator==(const producer_limits&) const = default;
};

/// The producers that a shard knows.
struct producer_census {
  std::uint64_t count = 0;
  /// The end of the hour in which the one that was silent for longest had its last batch accepted.
  std::optional<timestamp> oldest;
  bool operator==(const producer_census&) const = default;
};

struct eviction {
  /// Rows that one step removes at most (applier::rows_a_step), and steps that one decision asks for at most.
  static constexpr std::uint64_t a_step = 1024;
  static constexpr std::uint64_t most_steps = 8;

  /// Whoever was heard of last in an hour that had ended by then is forgotten.
  timestamp before{};
  /// While more than these are known, those that were silent for longest are forgotten, too.
  std::uint64_t keep = 0;
  std::uint64_t steps = 0;
  bool operator==(const eviction&) const = default;
};

/// Nothing while all may stay. Above the limit a few more go than must (a 64th, at most one step), so that
/// not every new producer costs a step. `age_counts`: the clock is to be trusted.
std::optional<eviction> decide(const producer_limits& limits, const producer_census& known, timestamp now,
                               bool age_counts);

} // namespace troupe
