#pragma once

#include "troupe/delivery_frame.hpp"
#include "troupe/filter.hpp"
#include "troupe/subscription.hpp"

#include <cstdint>
#include <vector>

namespace troupe {

/// Leases messages out of batches, in order, and packs them into one delivery. Opens a batch only when
/// somebody wants to see messages, the filter or an order of keys; else the work per message is none.
class delivery_builder {
public:
  /// `core` has begun a lease. At most `messages`, and about `bytes`: one message may be larger.
  delivery_builder(subscription& core, const filter& wanted, std::uint32_t messages, std::uint32_t bytes)
      : core_(core), wanted_(wanted), most_messages_(messages), most_bytes_(bytes) {}

  /// True when no further message fits.
  bool full() const { return messages_ >= most_messages_ || (messages_ > 0 && bytes_ >= most_bytes_); }
  /// Takes what is deliverable of a batch. `corrupt` when its messages cannot be read: nothing was taken of
  /// it then.
  error add(const stored_batch& b);
  std::uint32_t messages() const { return messages_; }
  block pack() const { return pack_frame(segments_); }

private:
  std::uint32_t room(const batch_header& b) const;
  void add_segments(const stored_batch& b);

  subscription& core_;
  const filter& wanted_;
  const std::uint32_t most_messages_;
  const std::uint64_t most_bytes_;
  std::uint32_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::vector<leased_run> runs_;
  std::vector<delivery_segment> segments_;
};

} // namespace troupe
