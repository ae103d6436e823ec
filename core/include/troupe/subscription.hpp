#pragma once

#include "troupe/ids.hpp"
#include "troupe/range_map.hpp"
#include "troupe/retry_policy.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
};

/// One run of offsets whose outcome is to be made durable. Runs of one batch of them are disjoint and sorted.
struct progress {
  enum class outcome : std::uint8_t {
    /// Acknowledged, or a run of acknowledged and skipped ones together.
    done,
    /// Passed over by the filter, or no longer there.
    skipped,
    /// Failed `attempts` times, comes again at `due`.
    retry,
  };
  queue_offset first;
  queue_offset next;
  outcome what = outcome::done;
  std::uint16_t attempts = 0;
  timestamp due{};
  bool operator==(const progress&) const = default;
};

/// What a consumer wants of a run of offsets it holds.
enum class settle_wish : std::uint8_t { ack, retry, give_back };

/// What a member says of [first, first + count), which it holds by a lease of a generation.
struct settle_claim {
  settle_wish wish = settle_wish::ack;
  generation gen;
  lease_id lease;
  queue_offset first;
  std::uint32_t count = 0;
  /// Of a retry: when not 0, this pause instead of the policy's.
  milliseconds delay{0};
};

struct settle_outcome {
  /// The part that was too late or never delivered; nothing happened to it.
  std::uint64_t refused = 0;
};

/// Messages that a member no longer holds: its credit grows by them.
struct release {
  std::uint64_t member = 0;
  std::uint64_t messages = 0;
  bool operator==(const release&) const = default;
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

/// The shared mode of one group on one queue, as a state machine: which offsets are settled, leased, waiting
/// or not yet delivered. Time is an argument and never runs backwards. One owner, one thread.
///
/// Invariant: every offset is in exactly one state. At or above the cursor: undelivered. Below it, what
/// `open_` holds is leased or waits for (another) delivery, and all the rest is settled. So the floor is
/// where `open_` begins, and a settled message cannot be delivered again: there is no state to do it from.
///
/// Poison: what a consumer held when it was lost, or when its lease ended, is suspect, until it is settled or
/// fails by a consumer's own word. A suspect message is leased alone, one per member, and a member that holds
/// one gets nothing else. When that member is lost, only the suspect message has failed: what it held besides
/// becomes suspect without a failure. A restart forgets who was suspect.
class subscription {
public:
  /// `queue`: what the policy hears of.
  subscription(subscription_limits limits, std::shared_ptr<const retry_policy> policy, queue_id queue = {});

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
  void restore(const stored_state& state, lease_id last = {});
  void configure(subscription_limits limits, std::shared_ptr<const retry_policy> policy);

  /// Messages exist below `next`, and none below `first`.
  void extent(queue_offset first, queue_offset next, timestamp now);
  /// Nothing is at or above `next` for now, whatever was said before.
  void exhausted(queue_offset next);

  /// Where to read for the next delivery to the member: due retries first, then the cursor. Empty when
  /// nothing can be delivered to it now.
  std::optional<delivery_plan> plan(std::uint64_t member, timestamp now);
  /// True when the member holds a suspect message: it gets nothing else until that is settled.
  bool holds_suspect(std::uint64_t member) const { return suspects_.count(member) != 0; }
  /// About how many messages could be delivered now.
  std::uint64_t available(timestamp now);

  /// Begins a delivery to a member. Only one lease is open for taking at a time.
  lease_id begin(std::uint64_t member, timestamp now);
  /// Judges a message by its position in the batch and the failures recorded for it; empty: all are wanted.
  using wanted = std::function<bool(std::uint32_t position, std::uint16_t attempts)>;
  /// Leases up to `most` deliverable messages of the batch [base, base + count) and passes over what the
  /// filter does not want. Runs are appended to `out`. Says how many were leased.
  std::uint32_t take(queue_offset base, std::uint32_t count, std::uint32_t most, const wanted& pass,
                     std::vector<leased_run>& out);
  /// These offsets do not exist (trimmed or damaged). What is not leased counts as settled; a leased one when
  /// its lease ends.
  void hole(queue_offset first, queue_offset next, timestamp now);
  /// Ends taking. False when nothing was leased: then there is no such lease.
  bool commit();

  /// A late ack of the same generation counts; a late retry or give-back is refused.
  settle_outcome settle(const settle_claim& claim, timestamp now);
  /// The lease lives on, if it lives and is the member's.
  bool renew(lease_id lease, std::uint64_t member, timestamp now);
  /// The member is gone: each of its messages counts as failed, or is available again at once.
  void member_gone(std::uint64_t member, bool failed, timestamp now);
  /// Ends the leases that are over.
  void expire(timestamp now);

  /// When time alone changes what can be delivered: a lease ends, or a retry becomes due.
  std::optional<timestamp> next_deadline(timestamp now);
  /// When unwritten progress should be written (maybe in the past); empty when there is none. Skips alone may
  /// wait.
  std::optional<timestamp> write_at() const;
  bool has_progress() const { return !unwritten_.empty(); }
  /// Hands out progress, at most so many runs, lowest first. The caller has it until it is durable or put
  /// back.
  std::vector<progress> take_progress(std::size_t most);
  /// What could not be written; newer outcomes win.
  void put_back(const std::vector<progress>& runs, timestamp now);
  /// What members hold no longer, since the last call.
  std::vector<release> take_releases();

  generation current() const { return gen_; }
  queue_offset floor() const;
  queue_offset cursor() const { return queue_offset{cursor_}; }
  /// The queue's end, as far as it is known.
  queue_offset next() const { return queue_offset{next_}; }
  std::uint64_t leased() const { return leased_; }
  /// Messages that failed and wait for another attempt.
  std::uint64_t retrying() const { return retrying_; }
  /// Messages that are not settled: undelivered, leased or waiting. What a filter will pass over counts until
  /// it was looked at.
  std::uint64_t unsettled() const { return next_ - std::min(cursor_, next_) + leased_ + waiting_; }
  /// True when a bound is reached and only retries are served.
  bool bounded() const;

private:
  /// An offset below the cursor that is not settled: leased (lease != 0) or waiting until `due`.
  struct open_state {
    std::uint64_t lease = 0;
    std::int64_t due = 0;
    std::uint16_t attempts = 0;
    bool suspect = false;
    bool operator==(const open_state&) const = default;
  };
  struct outcome_state {
    progress::outcome what = progress::outcome::done;
    std::uint16_t attempts = 0;
    std::int64_t due = 0;
    bool operator==(const outcome_state&) const = default;
  };
  struct lease_state {
    std::uint64_t member = 0;
    timestamp deadline{};
    /// Its offsets lie in [low, high).
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::uint64_t messages = 0;
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

  bool fresh() const { return cursor_ < next_ && !bounded(); }
  std::vector<part> parts(std::uint64_t first, std::uint64_t next) const;
  std::uint64_t take_part(const part& p, std::uint64_t base, std::uint64_t left, const wanted& pass,
                          std::vector<leased_run>& out);
  void count(const part& p, bool add);
  void write(std::uint64_t first, std::uint64_t next, const outcome_state& what, timestamp now);
  std::uint32_t take_alone(std::uint64_t first, std::uint64_t next, std::uint32_t most, const wanted& pass,
                           std::vector<leased_run>& out);
  void lease_out(std::uint64_t first, std::uint64_t next, const open_state& before,
                 std::vector<leased_run>& out);
  void done(const part& p, progress::outcome what, timestamp now);
  void wait(const part& p, const open_state& state);
  void fail(const part& p, milliseconds delay, bool suspect, timestamp now);
  void fail_alike(const part& p, const open_state& state, timestamp now);
  enum class lease_end { given_back, failed, innocent };
  void end_lease(std::uint64_t id, lease_end how, timestamp now);
  void released(std::uint64_t lease, std::uint64_t messages);
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
  std::map<std::uint64_t, lease_state> leases_;
  std::set<std::pair<timestamp, std::uint64_t>> ends_;
  /// A heap. An entry may be out of date: its offsets have been settled or leased since.
  std::vector<due_entry> due_;
  range_map<outcome_state> unwritten_;
  /// When the oldest unwritten progress came about, and whether any of it is more than a skip.
  timestamp unwritten_since_{};
  bool urgent_ = false;
  std::uint64_t last_lease_ = 0;
  std::uint64_t taking_ = 0;
  /// The suspect message that the open lease is for.
  std::optional<std::uint64_t> taking_alone_;
  /// Members that hold a suspect message, by which lease.
  std::map<std::uint64_t, std::uint64_t> suspects_;
  timestamp taking_now_{};
  std::uint64_t leased_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t retrying_ = 0;
  std::vector<release> releases_;
};

} // namespace troupe
