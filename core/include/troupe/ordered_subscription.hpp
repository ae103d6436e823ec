#pragma once

#include "troupe/lease_table.hpp"
#include "troupe/order_keys.hpp"
#include "troupe/settled_bits.hpp"
#include "troupe/subscription.hpp"
#include "troupe/unwritten_progress.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe {

/// The ordered mode: as shared, but messages with the same order key one after the other. At most order_batch
/// of a key are out at a time, by one lease; the next go out when all of these are settled. A failure stops
/// its key only, until the message's pause is over; messages of the key that the same lease has behind it are
/// taken back, without a failure. Messages without a key have no order with anything. By queue: all have one
/// key.
///
/// Invariant: every offset below the cursor is settled, out, or held by its key; a held one is not remembered
/// but found again: its key's bounds enclose it. A message goes out only in a pass over the queue that began
/// at or below its key's first held offset and left no message of the key behind. So a key that is stuck
/// costs the same however much waits behind it, and a restart needs no table of keys: the cursor begins at
/// the floor, and the pass from there finds everything in order.
///
/// Poison as in shared_subscription: what was with a consumer that was lost is leased alone. Of a key only
/// the first counts as failed: the others were not begun, or are the first when this one is done.
class ordered_subscription final : public subscription {
public:
  ordered_subscription(subscription_limits limits, std::shared_ptr<const retry_policy> policy,
                       group_order by = group_order::key, queue_id queue = {});

  using subscription::restore;
  void restore(const stored_state& state, lease_id last) override;
  void configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) override;
  void extent(queue_offset first, queue_offset next, timestamp now) override;
  void exhausted(queue_offset next) override;

  std::optional<delivery_plan> plan(std::uint64_t member, timestamp now) override;
  bool holds_suspect(std::uint64_t member) const override { return leases_.suspect_of(member) != 0; }
  std::uint64_t available(timestamp now) override;
  bool needs_keys() const override { return by_ == group_order::key; }
  bool in_order() const override { return true; }

  lease_id begin(std::uint64_t member, timestamp now) override;
  std::uint32_t take(queue_offset base, std::uint32_t count, std::uint32_t most, batch_view* view,
                     std::vector<leased_run>& out) override;
  void hole(queue_offset first, queue_offset next, timestamp now) override;
  using subscription::commit;
  bool commit(std::uint64_t bytes) override;

  settle_outcome settle(const settle_claim& claim, timestamp now) override;
  bool renew(lease_id lease, std::uint64_t member, timestamp now) override;
  void member_gone(std::uint64_t member, bool failed, timestamp now) override;
  void expire(timestamp now) override;

  std::optional<timestamp> next_deadline(timestamp now) override;
  std::optional<timestamp> write_at() const override { return unwritten_.write_at(limits_); }
  bool has_progress() const override { return !unwritten_.empty(); }
  std::vector<progress> take_progress(std::size_t most) override { return unwritten_.take(most); }
  void put_back(const std::vector<progress>& runs, timestamp now) override { unwritten_.put_back(runs, now); }
  std::vector<release> take_releases() override { return leases_.take_releases(); }

  generation current() const override { return gen_; }
  queue_offset floor() const override { return queue_offset{settled_.floor()}; }
  queue_offset cursor() const override { return queue_offset{cursor_}; }
  queue_offset next() const override { return queue_offset{next_}; }
  std::uint64_t leased() const override { return out_.size(); }
  std::uint64_t retrying() const override { return retrying_; }
  std::uint64_t unsettled() const override;
  bool bounded() const override;

  /// Keys that are remembered, and chunks of settled offsets: what memory goes by.
  std::size_t keys() const { return keys_.size(); }
  std::size_t chunks() const { return settled_.chunks(); }

private:
  /// A message that is out.
  struct out_state {
    std::uint64_t lease = 0;
    std::uint64_t key = 0;
    std::uint16_t attempts = 0;
    bool suspect = false;
  };
  /// A held message of which there is more to know: it failed, or is suspect.
  struct failed_state {
    std::int64_t due = 0;
    /// no_key: no pass has seen it yet.
    std::uint64_t key = 0;
    std::uint16_t attempts = 0;
    bool suspect = false;
  };
  struct failure {
    milliseconds delay{0};
    bool suspect = false;
    std::string_view detail;
  };
  /// What a pass does with a message.
  enum class verdict { lease, hold, stop };

  bool fresh() const { return cursor_ < next_ && !bounded(); }
  const order_keys::state* the_queue() const;
  bool looked_at(std::uint64_t first, std::uint64_t next) const;
  std::uint64_t key_of(std::uint64_t at, std::uint64_t base, batch_view* view) const;
  verdict judge(std::uint64_t at, std::uint64_t key) const;
  std::uint32_t scan(std::uint64_t base, std::uint64_t next, std::uint32_t most, batch_view* view,
                     std::vector<leased_run>& out);
  std::uint32_t take_alone(std::uint64_t base, std::uint64_t next, batch_view* view,
                           std::vector<leased_run>& out);
  void lease_out(std::uint64_t at, std::uint64_t key, std::vector<leased_run>& out);
  void hold_back(std::uint64_t at, std::uint64_t key);
  void pass_over(std::uint64_t at, message_fate fate, std::uint16_t attempts);

  void settled(std::uint64_t first, std::uint64_t next, const offset_outcome& what, timestamp now);
  void let_go(std::uint64_t key, std::uint64_t at);
  void forget_failed(std::uint64_t first, std::uint64_t next);
  void settle_one(std::uint64_t at, const settle_claim& claim, timestamp now);
  void fail(std::uint64_t at, const failure& how, timestamp now);
  /// Not out any more, without a failure, as all behind it of its key; what is suspect then is leased alone.
  void take_back(std::uint64_t at, bool suspect);
  out_state recall(std::uint64_t at);
  void remember(std::uint64_t at, const failed_state& f);
  enum class lease_end { given_back, lost, over, innocent };
  void end_lease(std::uint64_t id, lease_end how, timestamp now);

  subscription_limits limits_;
  std::shared_ptr<const retry_policy> policy_;
  group_order by_;
  queue_id queue_;
  generation gen_;
  std::uint64_t cursor_ = 0;
  std::uint64_t next_ = 0;
  settled_bits settled_;
  order_keys keys_;
  std::map<std::uint64_t, out_state> out_;
  std::map<std::uint64_t, failed_state> failed_;
  /// Those of failed_ that failed.
  std::uint64_t retrying_ = 0;
  lease_table leases_;
  unwritten_progress unwritten_;
  /// The pass under way, by its lease: it went over [pass_first_, pass_next_).
  std::uint64_t taking_ = 0;
  std::uint64_t plan_from_ = 0;
  std::optional<std::uint64_t> pass_first_;
  std::uint64_t pass_next_ = 0;
  std::optional<std::uint64_t> taking_alone_;
  timestamp taking_now_{};
};

} // namespace troupe
