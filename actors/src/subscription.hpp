#pragma once

#include "factories.hpp"
#include "read_window.hpp"
#include "settle_window.hpp"

#include "troupe/filter.hpp"
#include "troupe/subscription.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace troupe {

struct subscription_config {
  context_ptr ctx;
  group_actor group;
  group_id group_number;
  queue_id queue;
  std::string topic;
  /// Where it is within its topic.
  lane_place at;
  subscription_rules rules;
  std::string filter = "*";
  /// Where to begin when the store knows nothing of this group and queue.
  start_position start;
  queue_actor source;
};

using subscription_tick_atom = caf::atom_constant<caf::atom("tick")>;

/// The SUBSCRIPTION with what it says to itself.
using subscription_impl = subscription_actor::extend<
    // INTERNAL: the timer of this number fired.
    caf::reacts_to<subscription_tick_atom, std::uint64_t>>;

/// Invariants: a grant is answered by exactly one grant_used, whatever happens to the read. At most one
/// settle_request is under way; what it carries is in no other place, and comes back into core_ when it
/// failed. At most one timer that counts is under way, armed for the earliest deadline.
class subscription_shell {
public:
  static inline const char* name = "subscription";
  /// The pause before a place that could not be read or begun is tried again.
  static constexpr auto pause = std::chrono::seconds{1};

  explicit subscription_shell(subscription_impl::pointer self);
  void init(subscription_config cfg);

  void serve(const grant& g);
  void settle(const settle_part& p);
  void renew(const renew_part& p);
  void gone(const member_gone& g);
  void change(const subscription_changed& c);
  void found(const queue_found& q);
  void tail(const tail_moved& t);
  void arrived(fetched& f);
  void committed(const settle_committed& c);
  void tick(std::uint64_t timer);
  caf::result<subscription_status> status() const;
  caf::result<queue_reset> reset(const reset_group& r);
  void lost(const caf::down_msg& down);

private:
  timestamp now() const;
  void configure(const subscription_rules& rules, const std::string& filter);
  void restore();
  void find_place();
  result<queue_offset> start_offset() const;
  result<queue_reset> plan_reset(const reset_group& r) const;
  void stop();
  void begin(const subscription_state& stored);
  void restart_later(const error& why);
  void watch_queue();

  bool can_read(timestamp at) const;
  void read(queue_offset from, timestamp at);
  void deliver(const fetched& f, timestamp at);
  void finish_grant(std::uint32_t messages, std::uint32_t bytes, std::uint64_t too_large = 0);
  void gave_nothing(const error& why, timestamp at);

  void learn_extent(timestamp at);
  void write(timestamp at);
  void tell_settlers(std::vector<settle_window::news>& all);

  /// What follows from every change: settles to write, news for the GROUP, the timer.
  void react(timestamp at);
  void announce(timestamp at);
  void arm(timestamp at);
  void report(log_level level, std::string_view event, std::string text) const;

  subscription_impl::pointer self_;
  subscription_config cfg_;
  std::shared_ptr<shard> data_;
  store_actor store_;
  std::unique_ptr<subscription> core_;
  std::shared_ptr<const filter> filter_;
  /// Wall clock and monotonic clock at the start: leases must not end because somebody sets the clock.
  timestamp wall_origin_{};
  caf::actor_clock::time_point origin_;

  bool running_ = false;
  bool restarting_ = false;
  /// The QUEUE has said where it ends, since the place is known.
  bool tail_known_ = false;
  std::optional<grant> grant_;
  /// What the GROUP was told is available; 0: it knows of nothing.
  std::uint64_t announced_ = 0;
  std::optional<timestamp> restore_at_;
  read_window reads_{nullptr, queue_id{}, group_id{}, {}};
  settle_window settles_{queue_id{}};

  std::uint64_t timer_ = 0;
  std::optional<timestamp> timer_at_;
};

subscription_impl::behavior_type
subscription_behavior(subscription_impl::stateful_pointer<subscription_shell> self, subscription_config cfg);
subscription_actor spawn_subscription(caf::actor_system& sys, subscription_config cfg);

} // namespace troupe
