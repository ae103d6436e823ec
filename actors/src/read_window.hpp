#pragma once

#include "troupe/filter.hpp"
#include "troupe/group_actor.hpp"
#include "troupe/log.hpp"
#include "troupe/shard.hpp"
#include "troupe/store_actor.hpp"
#include "troupe/subscription.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

class delivery_builder;
struct delivery_wishes;

/// One SUBSCRIPTION's reads of its queue: at most one under way, for the grant that is being served. What is
/// left of a batch that was delivered in part is kept for the next grant; after something failed there is a
/// pause. Decides; sends nothing.
class read_window {
public:
  /// A read that takes longer is given up; its messages stay undelivered.
  static constexpr auto answer_timeout = std::chrono::seconds{10};
  /// The pause after something failed that may work later.
  static constexpr auto pause = std::chrono::seconds{1};
  /// A batch that was delivered in part is kept so long for the next grant.
  static constexpr auto keep_batch = std::chrono::milliseconds{200};

  using reporter = std::function<void(log_level, std::string_view event, std::string text)>;
  struct question {
    queue_offset from;
    std::uint32_t bytes = 0;
    std::uint64_t tag = 0;
  };
  /// Messages under one lease.
  struct parcel {
    lease_id lease;
    std::uint32_t messages = 0;
    block frame;
  };

  read_window(std::shared_ptr<shard> data, queue_id queue, group_id group, reporter report)
      : data_(std::move(data)), queue_(queue), group_(group), report_(std::move(report)) {}

  /// Begins to read at `from` for a grant: what to ask the QUEUE for, or nothing when the batch that was kept
  /// is enough; deliver() is next then. `selective`: a filter or an order will pass messages over.
  std::optional<question> begin(const grant& g, const subscription& core, bool selective, queue_offset from,
                                timestamp now);
  /// False for an answer that is too late to count.
  bool awaits(std::uint64_t tag) const { return read_ && read_->tag == tag; }
  /// Ends the read: leases of what came, and of the batch that was kept, as much as the grant takes. Nothing
  /// when there was nothing deliverable.
  std::optional<parcel> deliver(subscription& core, const delivery_wishes& wishes, const grant& g,
                                const fetched& f, timestamp now);
  /// Not 0: the last deliver() gave nothing because a delivery would have so many bytes, too many for the
  /// grant.
  std::uint64_t too_large() const { return too_large_; }
  /// Ends the read without an answer; what comes for it is too late.
  void give_up() { read_.reset(); }
  /// As give_up, and there is a pause before the next.
  void failed(timestamp now);
  /// Ends the pause and forgets the batch that was kept when it is time. True when the answer is overdue.
  bool expire(timestamp now);

  bool under_way() const { return read_ != nullptr; }
  bool paused(timestamp now) const { return not_before_ && *not_before_ > now; }
  std::optional<timestamp> next_deadline() const;

private:
  // Allocated, both: most SUBSCRIPTIONs are idle, and there may be hundreds of thousands.
  struct kept {
    stored_batch batch;
    timestamp until{};
  };
  struct reading {
    std::uint64_t tag = 0;
    timestamp deadline{};
    /// Asked for; what is missing from here on is no longer there.
    queue_offset from;
    /// The rest of the batch before, when the grant begins with it.
    std::unique_ptr<const kept> rest;
  };

  std::uint32_t bytes_for(const grant& g, bool selective) const;
  void take(delivery_builder& built, const stored_batch& b, subscription& core, timestamp now);
  bool pass_over(queue_offset first, queue_offset next, const fetched& f, subscription& core, timestamp now);

  std::shared_ptr<shard> data_;
  queue_id queue_;
  group_id group_;
  reporter report_;
  std::unique_ptr<reading> read_;
  std::uint64_t last_tag_ = 0;
  /// The batch that was delivered in part, until when.
  std::unique_ptr<const kept> rest_;
  std::optional<timestamp> not_before_;
  std::uint64_t too_large_ = 0;
  /// The last deliver() passed over messages though nobody filters: what comes next may be like it.
  bool passed_ = false;
  /// About how large a message is.
  std::uint32_t bytes_each_ = 256;
};

} // namespace troupe
