#pragma once

#include "troupe/lease_table.hpp"
#include "troupe/range_map.hpp"
#include "troupe/subscription.hpp"
#include "troupe/unwritten_progress.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe {

/// The shared mode: each message to any one member.
///
/// Invariant: every offset is in exactly one state. At or above the cursor: undelivered. Below it, what
/// `open_` holds is leased or waits for (another) delivery, and all the rest is settled. So the floor is
/// where `open_` begins, and a settled message cannot be delivered again: there is no state to do it from.
///
/// Poison: what a consumer held when it was lost, or when its lease ended, is suspect, until it is settled or
/// fails by a consumer's own word. A suspect message is leased alone, one per member, and a member that holds
/// one gets nothing else. When that member is lost, only the suspect message has failed: what it held besides
/// becomes suspect without a failure. A restart forgets who was suspect.
class shared_subscription final : public subscription {
public:
  /// `queue`: what the policy hears of.
  shared_subscription(subscription_limits limits, std::shared_ptr<const retry_policy> policy,
                      queue_id queue = {});

  using subscription::restore;
  void restore(const stored_state& state, lease_id last) override;
  void configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) override;
  void extent(queue_offset first, queue_offset next, timestamp now) override;
  void exhausted(queue_offset next) override;

  std::optional<delivery_plan> plan(std::uint64_t member, timestamp now) override;
  bool holds_suspect(std::uint64_t member) const override { return leases_.suspect_of(member) != 0; }
  std::uint64_t available(timestamp now) override;
  bool needs_keys() const override { return false; }
  bool in_order() const override { return false; }

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
  queue_offset floor() const override;
  queue_offset cursor() const override { return queue_offset{cursor_}; }
  queue_offset next() const override { return queue_offset{next_}; }
  std::uint64_t leased() const override { return leased_; }
  std::uint64_t retrying() const override { return retrying_; }
  std::uint64_t unsettled() const override { return next_ - std::min(cursor_, next_) + leased_ + waiting_; }
  bool bounded() const override;

private:
  /// An offset below the cursor that is not settled: leased (lease != 0) or waiting until `due`.
  struct open_state {
    std::uint64_t lease = 0;
    std::int64_t due = 0;
    std::uint16_t attempts = 0;
    bool suspect = false;
    bool operator==(const open_state&) const = default;
  };
  struct part {
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    open_state state;
  };
  struct due_entry {
    std::int64_t due = 0;
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    bool operator>(const due_entry& o) const { return due != o.due ? due > o.due : first > o.first; }
  };
  /// How a message failed.
  struct failure {
    milliseconds delay{0};
    bool suspect = false;
    std::string_view detail;
  };

  bool fresh() const { return cursor_ < next_ && !bounded(); }
  std::vector<part> parts(std::uint64_t first, std::uint64_t next) const;
  std::uint64_t take_part(const part& p, std::uint64_t base, std::uint64_t left, batch_view* view,
                          std::vector<leased_run>& out);
  void count(const part& p, bool add);
  std::uint32_t take_alone(std::uint64_t first, std::uint64_t next, batch_view* view,
                           std::vector<leased_run>& out);
  void lease_out(std::uint64_t first, std::uint64_t next, const open_state& before,
                 std::vector<leased_run>& out);
  void acknowledge(std::uint64_t first, std::uint64_t next, timestamp now);
  void settle_part(const part& p, const settle_claim& claim, timestamp now);
  void done(const part& p, const offset_outcome& what, timestamp now);
  void wait(const part& p, const open_state& state);
  void fail(const part& p, const failure& how, timestamp now);
  void fail_alike(const part& p, const failure& how, timestamp now);
  enum class lease_end { given_back, lost, over, innocent };
  void end_lease(std::uint64_t id, lease_end how, timestamp now);
  void push_due(std::uint64_t first, std::uint64_t next, std::int64_t due);
  /// The earliest waiting run, or nothing; forgets entries that are no longer true.
  const due_entry* earliest();

  subscription_limits limits_;
  std::shared_ptr<const retry_policy> policy_;
  queue_id queue_;
  generation gen_;
  std::uint64_t cursor_ = 0;
  std::uint64_t next_ = 0;
  range_map<open_state> open_;
  lease_table leases_;
  /// A heap. An entry may be out of date: its offsets have been settled or leased since.
  std::vector<due_entry> due_;
  unwritten_progress unwritten_;
  std::uint64_t taking_ = 0;
  /// The suspect message that the open lease is for.
  std::optional<std::uint64_t> taking_alone_;
  timestamp taking_now_{};
  std::uint64_t leased_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t retrying_ = 0;
};

} // namespace troupe
