#pragma once

#include "troupe/batch.hpp"
#include "troupe/error.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>

namespace troupe {

/// What a QUEUE lets into the STORE at a time. Documented defaults.
struct publish_limits {
  /// Bytes of one queue that wait for their commit.
  std::uint64_t bytes = 8u << 20;
  /// Batches of one producer and queue that wait for theirs.
  std::uint32_t batches = 64;
  /// Producers remembered because one of their batches was refused.
  std::size_t producers = 4096;
};

/// A QUEUE's accounts of what is on its way to the STORE, per producer.
///
/// After a refused batch the later ones of the same producer and epoch are refused with `gap` until it comes
/// again: apply() would do the same, but only after they cost a commit, and a buffered one would have been
/// answered by then.
class publish_window {
public:
  explicit publish_window(const publish_limits& limits = {}) : limits_(limits) {}

  struct verdict {
    /// none: let it in. overloaded, or gap with `expected`.
    errc code = errc::none;
    batch_sequence expected;
    /// "8388608 bytes of this queue wait for the disk", or so.
    std::string reason;
  };
  /// May this batch go on? Changes nothing but what a repeat of a refused batch ends.
  verdict judge(const batch_header& header, std::uint64_t cost);
  /// It goes on.
  void entered(const batch_header& header, std::uint64_t cost);
  /// It was refused, by judge() or by anything after it.
  void refused(const batch_header& header);
  /// A batch of this producer was answered.
  void answered(producer_id producer);
  void answered_bytes(std::uint64_t cost);

  std::uint64_t bytes() const { return bytes_; }
  std::size_t producers() const { return producers_.size(); }

private:
  struct refusal {
    producer_epoch epoch;
    batch_sequence sequence;
  };
  struct account {
    std::uint32_t batches = 0;
    std::optional<refusal> refused;
  };
  void forget_idle();

  publish_limits limits_;
  std::uint64_t bytes_ = 0;
  std::unordered_map<producer_id, account> producers_;
};

} // namespace troupe
