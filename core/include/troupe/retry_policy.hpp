#pragma once

#include "troupe/ids.hpp"

#include <cstdint>

namespace troupe {

/// What becomes of a message that failed.
struct retry_decision {
  /// False: no further attempt (a later version: to the dead letters).
  bool again = true;
  /// The pause before the next attempt.
  milliseconds delay{0};
  bool operator==(const retry_decision&) const = default;
};

/// Decides when a failed message comes again. Stateless, so that the same failures always give the same
/// decision.
class retry_policy {
public:
  virtual ~retry_policy() = default;
  /// `failures`: those recorded for the message, this one included; from 1.
  virtual retry_decision decide(std::uint16_t failures) const = 0;
};

/// The same pause after every failure, for ever.
class fixed_delay final : public retry_policy {
public:
  explicit fixed_delay(milliseconds delay) : delay_(delay) {}
  retry_decision decide(std::uint16_t) const override { return {.again = true, .delay = delay_}; }

private:
  milliseconds delay_;
};

} // namespace troupe
