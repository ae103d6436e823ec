#pragma once

#include "troupe/definitions.hpp"
#include "troupe/ids.hpp"
#include "troupe/retry_policy.hpp"
#include "troupe/settling.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

/// The bounds of one subscription. Each is a documented default.
struct subscription_limits {
  /// How long a member may hold messages without settling or renewing.
  milliseconds lease = std::chrono::seconds{60};
  /// Offsets between the floor and the cursor; beyond, only retries are served.
  std::uint64_t span = 10'000'000;
  /// Messages that wait for another attempt; beyond, only retries are served.
  std::uint64_t retries = 1'000'000;
  /// How long skips may wait for company before they are written on their own, and how many ranges of them.
  milliseconds skip_delay = std::chrono::seconds{1};
  std::size_t skip_ranges = 4096;
  /// The failure of this number is a message's last; 0: there is no last one. What becomes of it then.
  std::uint16_t max_attempts = 16;
  exhausted_action on_exhausted = exhausted_action::dead_letter;
  /// What becomes of a message whose time to live is over before it is delivered.
  expired_action on_expired = expired_action::drop;
  /// Ordered: messages of one key that may be out at a time.
  std::uint32_t order_batch = 1;
  /// A lease that ended and a lost consumer count as failures. If not, the messages are given back.
  bool losses_fail = true;
};

/// Where to read for the next delivery to a member.
struct delivery_plan {
  queue_offset from;
  /// One message, and nothing else with it: its last consumer was lost, or did not settle it in time, and
  /// what else it held then must not suffer if this one is the cause.
  bool alone = false;
  bool operator==(const delivery_plan&) const = default;
};

/// Consecutive offsets that were leased together, with the failures recorded for each of them.
struct leased_run {
  queue_offset first;
  queue_offset next;
  std::uint16_t attempts = 0;
  bool operator==(const leased_run&) const = default;
};

/// What a message is to a delivery.
enum class message_fate : std::uint8_t {
  deliver,
  /// The group's filter does not want it.
  skip,
  /// The filter wants it, but its time to live is over.
  expire,
};

/// What a subscription asks of the messages of one batch, by position.
class batch_view {
public:
  virtual ~batch_view() = default;
  /// Of a message with so many failures recorded.
  virtual message_fate judge(std::uint32_t position, std::uint16_t attempts) = 0;
  /// The hash of its order key; 0: it has none.
  virtual std::uint32_t order_key(std::uint32_t position) = 0;
};

/// One group on one queue, as a state machine: which offsets are settled, leased, waiting or not yet
/// delivered. Time is an argument and never runs backwards. One owner, one thread.
///
/// Failures: a retry that was asked for, a lease that ended, a consumer that was lost. The failure number
/// max_attempts makes a message a dead letter, or drops it, or changes nothing (`block`). What a consumer
/// rejects is a dead letter at once, whatever its attempts (that one counts); with `drop` it is dropped; with
/// `block`, too, it is a dead letter, because somebody said so.
class subscription {
public:
  virtual ~subscription() = default;

  /// What the store kept. Settled ranges are sorted and disjoint, above the floor.
  struct stored_state {
    generation gen;
    queue_offset floor;
    std::vector<std::pair<queue_offset, queue_offset>> settled;
    struct retry {
      queue_offset offset;
      std::uint16_t attempts = 0;
      timestamp due{};
    };
    std::vector<retry> retries;
  };
  /// Begins from what is stored. Leases don't survive: what was leased is undelivered again with its attempts
  /// unchanged. New ones are numbered above `last`, which the caller chooses above all that an earlier object
  /// gave: a late retry of one of those must not meet another lease of its number.
  virtual void restore(const stored_state& state, lease_id last) = 0;
  void restore(const stored_state& state) { restore(state, {}); }
  virtual void configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy) = 0;

  /// Messages exist below `next`, and none below `first`.
  virtual void extent(queue_offset first, queue_offset next, timestamp now) = 0;
  /// Nothing is at or above `next` for now, whatever was said before.
  virtual void exhausted(queue_offset next) = 0;

  /// Where to read for the next delivery to the member: what failed and is due first, then what is new. Empty
  /// when nothing can be delivered to it now.
  virtual std::optional<delivery_plan> plan(std::uint64_t member, timestamp now) = 0;
  /// True when the member holds a suspect message: it gets nothing else until that is settled.
  virtual bool holds_suspect(std::uint64_t member) const = 0;
  /// About how many messages could be delivered now.
  virtual std::uint64_t available(timestamp now) = 0;
  /// True when take() must see every batch, also when everything is wanted.
  virtual bool needs_keys() const = 0;
  /// True when a delivery must hold its messages in the order in which they were taken.
  virtual bool in_order() const = 0;

  /// Begins a delivery to a member. Only one lease is open for taking at a time.
  virtual lease_id begin(std::uint64_t member, timestamp now) = 0;
  /// Leases up to `most` deliverable messages of the batch [base, base + count), passes over what the filter
  /// does not want, and settles what has expired: it is dropped, or a dead letter. Without a view all are
  /// wanted, and none has a key. Runs are appended to `out`. Says how many were leased.
  virtual std::uint32_t take(queue_offset base, std::uint32_t count, std::uint32_t most, batch_view* view,
                             std::vector<leased_run>& out) = 0;
  /// These offsets do not exist (trimmed or damaged). What is not leased counts as settled; a leased one when
  /// its lease ends.
  virtual void hole(queue_offset first, queue_offset next, timestamp now) = 0;
  /// Ends taking; what was leased goes out in so many bytes. False when nothing was leased: then there is no
  /// such lease.
  virtual bool commit(std::uint64_t bytes) = 0;
  bool commit() { return commit(0); }

  /// An ack of this generation counts up to the queue's end, also when its lease is over or was given by an
  /// earlier object: that one cannot be asked what it gave. A consumer that acknowledges what it never had
  /// takes it from its own group. A late retry, give-back or reject is refused.
  virtual settle_outcome settle(const settle_claim& claim, timestamp now) = 0;
  /// The lease lives on, if it lives and is the member's.
  virtual bool renew(lease_id lease, std::uint64_t member, timestamp now) = 0;
  /// The member is gone: each of its messages counts as failed, or is available again at once.
  virtual void member_gone(std::uint64_t member, bool failed, timestamp now) = 0;
  /// Ends the leases that are over.
  virtual void expire(timestamp now) = 0;

  /// When time alone changes what can be delivered: a lease ends, or a retry becomes due.
  virtual std::optional<timestamp> next_deadline(timestamp now) = 0;
  /// When unwritten progress should be written (maybe in the past); empty when there is none. Skips alone may
  /// wait.
  virtual std::optional<timestamp> write_at() const = 0;
  virtual bool has_progress() const = 0;
  /// Hands out progress, at most so many runs, lowest first. The caller has it until it is durable or put
  /// back.
  virtual std::vector<progress> take_progress(std::size_t most) = 0;
  /// What could not be written; newer outcomes win.
  virtual void put_back(const std::vector<progress>& runs, timestamp now) = 0;
  /// What members hold no longer, since the last call.
  virtual std::vector<release> take_releases() = 0;

  virtual generation current() const = 0;
  virtual queue_offset floor() const = 0;
  /// Everything below was looked at.
  virtual queue_offset cursor() const = 0;
  /// The queue's end, as far as it is known.
  virtual queue_offset next() const = 0;
  virtual std::uint64_t leased() const = 0;
  /// Messages that failed and wait for another attempt.
  virtual std::uint64_t retrying() const = 0;
  /// Messages that are not settled: undelivered, leased or waiting. What a filter will pass over counts until
  /// it was looked at.
  virtual std::uint64_t unsettled() const = 0;
  /// True when a bound is reached and only retries are served.
  virtual bool bounded() const = 0;

protected:
  subscription() = default;
  subscription(const subscription&) = default;
  subscription(subscription&&) = default;
  subscription& operator=(const subscription&) = default;
  subscription& operator=(subscription&&) = default;
};

} // namespace troupe
