#pragma once

#include "troupe/dead_letter.hpp"
#include "troupe/ids.hpp"

#include <cstdint>
#include <string>

namespace troupe {

/// One run of offsets whose outcome is to be made durable. Runs of one batch of them are disjoint and sorted.
struct progress {
  enum class outcome : std::uint8_t {
    /// Acknowledged or dropped, or a run of acknowledged and skipped ones together.
    done,
    /// Passed over by the filter, or no longer there.
    skipped,
    /// Failed `attempts` times, comes again at `due`.
    retry,
    /// A dead letter after `attempts` attempts, because of `reason`; counts as done.
    dead,
    /// Its time to live was over before it was delivered; counts as done.
    expired,
  };
  queue_offset first;
  queue_offset next;
  outcome what = outcome::done;
  std::uint16_t attempts = 0;
  timestamp due{};
  dead_reason reason = dead_reason::attempts;
  /// dead only: as dead_detail() leaves it.
  std::string detail = {};
  bool operator==(const progress&) const = default;
};

/// What a consumer wants of a run of offsets it holds.
enum class settle_wish : std::uint8_t { ack, retry, give_back, reject };

/// What a member says of [first, first + count), which it holds by a lease of a generation.
struct settle_claim {
  settle_wish wish = settle_wish::ack;
  generation gen;
  lease_id lease;
  queue_offset first;
  std::uint32_t count = 0;
  /// Of a retry: when not 0, this pause instead of the policy's.
  milliseconds delay{0};
  /// Of a retry or reject: what went wrong. Kept when the message is a dead letter then.
  std::string detail = {};
};

struct settle_outcome {
  /// The part that was too late or never delivered; nothing happened to it.
  std::uint64_t refused = 0;
};

/// Messages that a member no longer holds, and their share of the bytes they were delivered in.
struct release {
  std::uint64_t member = 0;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  bool operator==(const release&) const = default;
};

} // namespace troupe
