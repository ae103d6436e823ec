#pragma once

#include "random_source.hpp"

#include "troupe/shard_log.hpp"

#include <cstdint>
#include <memory>

namespace troupe {

/// How a log of several replicas behaves, in one: entries are durable in the log when append returns, but
/// applied only `delay` commits later; now and then a suffix that is not applied yet is truncated, as a new
/// leader would do, and its proposer appends it again with the next commit. Opened over a log with entries
/// that are not applied, it goes on with them.
class delayed_log final : public shard_log {
public:
  struct behaviour {
    std::uint64_t delay = 3;
    /// One append in so many begins with a truncation; 0: none.
    std::uint64_t truncate_one_in = 4;
    std::uint64_t seed = 1;
  };
  delayed_log(shard& s, handler on_applied, behaviour b);
  ~delayed_log() override;

  error append(std::span<const proposal> proposals) override;
  error admission(std::uint64_t bytes) const override;

  /// Appends again what was truncated; then everything proposed is in the log, applied or not.
  error resend();
  /// resend(), and applies everything.
  error settle_down();
  /// Entries in the log that are not applied.
  std::size_t unapplied() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace troupe
