#pragma once

#include "troupe/delivery_frame.hpp"
#include "troupe/filter.hpp"
#include "troupe/subscription.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace troupe {

/// What one delivery may have, as in `grant`.
struct delivery_bounds {
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max();
  bool any_size = true;
};

/// What a group wants of the messages there are.
struct delivery_wishes {
  const filter& wanted;
  /// The wall clock; what expired before it is not delivered. Absent while the clock is not to be trusted:
  /// nothing expires.
  std::optional<timestamp> wall = {};
};

/// Leases messages out of batches, in order, and packs them into one delivery. Opens a batch only when
/// somebody wants to see messages (the filter, an order of keys) or some may have expired; else the work per
/// message is none.
class delivery_builder {
public:
  /// `core` has begun a lease.
  delivery_builder(subscription& core, const delivery_wishes& wishes, const delivery_bounds& bounds)
      : core_(core), wishes_(wishes), bounds_(bounds) {}

  /// True when no further message fits.
  bool full() const {
    return stopped_ || messages_ >= bounds_.messages || (messages_ > 0 && bytes_ >= bounds_.bytes);
  }
  /// Takes what is deliverable of a batch. `corrupt` when its messages cannot be read: nothing was taken of
  /// it then.
  error add(const stored_batch& b);
  std::uint32_t messages() const { return messages_; }
  /// Not 0: nothing was taken, because a delivery of the first batch would have so many bytes.
  std::uint64_t too_large() const { return too_large_; }
  block pack() const { return pack_frame(segments_); }

private:
  std::uint32_t room(const batch_header& b) const;
  std::uint32_t fitting(const batch_header& b, std::uint32_t n) const;
  void add_segments(const stored_batch& b);

  subscription& core_;
  const delivery_wishes wishes_;
  const delivery_bounds bounds_;
  std::uint32_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  /// What pack() will give, about.
  std::uint64_t packed_ = frame_size::least;
  /// What comes next does not fit.
  bool stopped_ = false;
  std::uint64_t too_large_ = 0;
  std::vector<leased_run> runs_;
  std::vector<delivery_segment> segments_;
};

} // namespace troupe
