#pragma once

#include "key_chains.hpp"
#include "settle_runs.hpp"

#include "troupe/consumer.hpp"
#include "troupe/definitions.hpp"
#include "troupe/delivery_frame.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace troupe {

/// One delivery, opened: what leased_messages point into. Immutable but for the counter.
struct leased_message::impl {
  group_id group;
  queue_id queue;
  std::string topic;
  std::uint32_t number = 0;
  std::uint8_t priority = 0;
  generation gen;
  lease_id lease;
  /// What it took of the credit for bytes.
  std::uint32_t bytes = 0;
  /// Opened and checked; shares the delivery's block.
  frame_reader messages;

  /// Null: no message of it waits for another.
  std::unique_ptr<key_chains> chains;

  explicit impl(frame_reader m) : messages(std::move(m)) {}
  /// Behind one of its key that failed or was given back: it comes again behind that one, and is neither
  /// begun nor settled.
  bool stopped(std::uint32_t position) const { return chains && chains->behind_failure(position); }
  /// Counts memberships: what a lost one left behind is not handled any more.
  std::uint64_t session = 0;
  /// How many messages were handed out when it came.
  std::uint64_t came_at = 0;
  /// Messages whose handler has not answered.
  mutable std::atomic<std::uint32_t> unhandled{0};
  /// By our own clock, in ms: from here on the lease may have ended. Once it has, it stays so.
  mutable std::atomic<milliseconds::rep> until{0};
};
using delivery_ptr = std::shared_ptr<leased_message::impl>;

/// Where the leases of what is held stand.
struct held_lease {
  queue_id queue;
  lease_id lease;
};

/// What the CONSUMER tells the broker next.
struct consumer_news {
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  std::vector<settle_item> settles;
  /// flush() waits for everything up to this number; 0: nobody waits.
  std::uint64_t confirm = 0;
};

/// What a GROUP told a new member.
struct membership_terms {
  std::uint32_t max_unsettled = 0;
  milliseconds lease{0};
  /// What stays in order; none: nothing.
  std::optional<group_order> order;
};

/// Between the CONSUMER and the program's threads: deliveries one way, credit and settles the other, so that
/// no actor message is spent on each message. Bounded by the credit. Thread-safe.
///
/// A message whose lease may have ended is not begun: others may have it. A lease began when its delivery was
/// sent, which a process that was stopped cannot see; so it counts from the last moment but one at which
/// held() was called before the delivery was read, or from its last renewal. What is late is given back,
/// which is no failure.
///
/// Of what is here the highest priority is handed out first, and in the order in which it came within a
/// priority. But a delivery waits no longer than until as many messages were handed out since it came as the
/// credit allows: how much the lower priorities get is the broker's to say, and what they held up here for
/// ever would use up the credit.
///
/// What a delivery of an ordered group holds of one key goes to one thread (push), which handles it in order,
/// or in order to the one that fetches (pull); what lies behind a failure there is passed over.
class inbox {
public:
  enum class urgency { now, soon };
  struct limits {
    std::uint32_t messages = 0;
    std::uint32_t bytes = 0;
    /// Push: handler threads share what comes, and leases of what they took are renewed until it is handled.
    /// Pull: neither.
    bool push = false;
  };
  /// `now` is a clock that never runs backwards: steady_now() but in tests.
  explicit inbox(limits l, std::function<milliseconds()> now = {});

  // -- the program's threads
  // -------------------------------------------------------------------------------------------

  /// Up to `most` messages; none after `wait`, and none at once when taking was stopped or the CONSUMER has
  /// ended.
  std::vector<leased_message> take(std::size_t most, milliseconds wait);
  /// As take(), waiting without limit, for one of `sharers` threads: leaves their part to the others. More
  /// than `most` where they are of one key.
  std::vector<leased_message> take_share(std::size_t most, std::size_t sharers);
  /// Messages that this thread will not come to soon: the next to take something gets them.
  void put_back(std::vector<leased_message>::const_iterator from,
                std::vector<leased_message>::const_iterator to);
  /// False when it was given back since: after stop_taking(), or with a lost membership. Cheap.
  bool wanted(const leased_message& m) const {
    return m.delivery->session == session_.load(std::memory_order_relaxed) &&
           taking_.load(std::memory_order_relaxed);
  }
  /// Its lease may have ended: it must not be begun, but be given back. Counted.
  bool late(const leased_message& m);
  /// `skipped`: how many of the acknowledged messages the program never saw. `key_waits`: in an ordered group
  /// something waits for it, as it does not for all but the last of a key.
  void settle(const std::vector<settle_item>& items, std::uint64_t skipped = 0, bool key_waits = true);
  /// Waits until all settles so far are durable. What was refused or lost since the last flush that could
  /// tell is told, once.
  error flush(milliseconds limit);
  /// Whoever asks later does not want to hear of settles that earlier memberships lost.
  void forget_lost();
  void stop_taking();
  bool taking() const { return taking_; }
  bool is_member() const;
  error wait_open(milliseconds limit);
  bool wait_ended(milliseconds limit);
  error ended() const;
  consumer::stats statistics() const;

  // -- the CONSUMER
  // ----------------------------------------------------------------------------------------------------

  /// Wakes the CONSUMER; set before anything is delivered.
  void wake_with(std::function<void(urgency)> wake);
  /// A membership begins; its credit is all of the limits.
  void joined(const membership_terms& terms);
  /// It ended: what is left of it was given back and comes again. `unconfirmed`: why settles that were sent
  /// may not be durable, if there are any.
  void lost(const error& unconfirmed);
  void deliver(delivery_ptr d);
  /// A delivery that cannot be read: only its credit comes back.
  void damaged(std::uint32_t messages, std::uint32_t bytes);
  consumer_news collect();
  /// The outcome of flushes up to this number.
  void confirmed(std::uint64_t number, std::uint64_t refused, const error& why);
  void count_refused(std::uint64_t runs);
  /// Leases to renew, which have their whole time again from now on. To be called at least three times in the
  /// time of a lease.
  std::vector<held_lease> held();
  /// Late messages since the last call.
  std::uint64_t take_late();
  void end(const error& why);

private:
  /// A thread in flush().
  struct flusher {
    std::uint64_t number = 0;
    std::optional<error> outcome;
  };

  /// What waits of one priority.
  struct lane {
    std::deque<delivery_ptr> deliveries;
    std::size_t position = 0;             // of the next message in deliveries.front()
    std::vector<leased_message> returned; // handed out first

    bool empty() const { return deliveries.empty() && returned.empty(); }
    std::uint64_t came_at() const;
  };
  using lanes = std::map<std::uint8_t, lane, std::greater<>>;

  lanes::iterator next_lane();
  std::size_t hand_out(lane& from, std::size_t most, std::vector<leased_message>& out);
  std::size_t hand_out_again(lane& from, std::vector<leased_message>& out);
  void give(leased_message m, bool late, std::vector<leased_message>& out);
  /// Whose messages of one key must not be divided between threads; null: they may, or there are none.
  const key_chains* chains_of(const leased_message::impl& d) const {
    return limits_.push ? d.chains.get() : nullptr;
  }
  void finish(std::uint64_t number, const error& why);
  error take_untold();
  error end_reason() const;
  void hand_out(std::size_t most, std::vector<leased_message>& out);
  bool is_late(const leased_message::impl& d) const;
  bool prolong(const leased_message::impl& d, milliseconds now) const;
  void hand_back(const leased_message& m);
  void drop_all();
  bool urgent() const;
  void wake(std::unique_lock<std::mutex>& lock);

  const limits limits_;
  const std::function<milliseconds()> now_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(urgency)> wake_;

  lanes waiting_;            // those that are not empty
  std::size_t buffered_ = 0; // messages in waiting_
  std::uint64_t handed_out_ = 0;
  std::vector<std::weak_ptr<leased_message::impl>>
      taken_; // deliveries that are out of waiting_ and not handled
  settle_runs settles_;
  bool key_waits_ = false; // for one of them
  std::uint32_t credit_messages_ = 0;
  std::uint32_t credit_bytes_ = 0;
  /// Credit of what came too late. It waits for the next held(): after a stop all that comes is late until
  /// then, and would come again at once.
  std::uint32_t late_messages_ = 0;
  std::uint32_t late_bytes_ = 0;
  membership_terms terms_;
  /// When held() was called last, and before that.
  milliseconds beat_{0};
  milliseconds beat_before_{0};
  std::uint64_t late_untold_ = 0;
  std::uint64_t flush_asked_ = 0;
  std::uint64_t flush_sent_ = 0;
  std::vector<flusher*> flushers_;
  std::uint64_t untold_refused_ = 0;
  error untold_lost_;
  bool woken_ = false;
  bool woken_for_soon_ = false;
  std::atomic<bool> taking_{true};
  std::atomic<std::uint64_t> session_{0};
  bool open_ = false;
  bool member_ = false;
  bool ended_ = false;
  error why_;
  consumer::stats stats_;
};

} // namespace troupe
