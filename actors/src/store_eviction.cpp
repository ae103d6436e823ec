#include "store.hpp"

#include <limits>

// How the STORE keeps the number of producers that its shard knows within their limits.

namespace troupe {

namespace {

/// In place of the key of somebody's promise.
constexpr auto nobody = std::numeric_limits<std::uint64_t>::max();

} // namespace

milliseconds store_state::monotonic() const {
  return std::chrono::duration_cast<milliseconds>(self_->clock().now().time_since_epoch());
}

/// A batch that was acknowledged before its commit must find its producer known: so from the moment that
/// producers are to go none is acknowledged early, and those that were are committed first.
void store_state::propose_evictions() {
  if (!census_due_ || evictions_ > 0)
    return;
  const auto known = cfg_.data->producers();
  const auto now = cfg_.now();
  const bool trusted = clock_->trusts(now, monotonic());
  const auto what = known ? decide(cfg_.producers, *known, now, trusted) : std::nullopt;
  if (!what) {
    census_due_ = false;
    return guard_.open();
  }
  guard_.close();
  if (plan_.has_held())
    return;
  census_due_ = false;
  for (; evictions_ < what->steps; ++evictions_)
    plan_.add(evict_entry{what->before, what->keep}, nobody);
}

/// One eviction was applied, or refused (no outcome): then the next batches bring the next attempt.
void store_state::evicted(const applied* outcome) {
  --evictions_;
  if (!outcome)
    return;
  guard_.evicted(outcome->evicted);
  census_due_ = true;
  arm();
}

} // namespace troupe
