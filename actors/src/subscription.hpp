#pragma once

#include "factories.hpp"
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
  /// The queue's number within its topic.
  std::uint32_t number = 0;
  group_options options;
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
  /// A read that takes longer is given up; its messages stay undelivered.
  static constexpr auto fetch_timeout = std::chrono::seconds{10};
  /// The pause after something failed that may work later.
  static constexpr auto pause = std::chrono::seconds{1};
  /// A batch that was delivered in part is kept so long for the next grant.
  static constexpr auto keep_batch = std::chrono::milliseconds{200};

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
  void lost(const caf::down_msg& down);

private:
  struct fetch_state {
    std::uint64_t tag = 0;
    timestamp deadline{};
    /// Asked for; what is missing from here on is no longer there.
    queue_offset from;
    /// The rest of the batch before, when the grant begins with it.
    std::optional<stored_batch> rest;
  };

  timestamp now() const;
  void configure(const group_options& options, const std::string& filter);
  void restore();
  void find_place();
  result<queue_offset> start_offset() const;
  void begin(const subscription_state& stored);
  void restart_later(const error& why);
  void watch_queue();

  bool can_read(timestamp at) const;
  void read(queue_offset from, timestamp at);
  std::uint32_t bytes_to_read() const;
  void deliver(const fetch_state& asked, const fetched& f, timestamp at);
  void take(class delivery_builder& built, const stored_batch& b, timestamp at);
  bool pass_over(queue_offset first, queue_offset next, const fetched& f, timestamp at);
  void finish_grant(std::uint32_t messages, std::uint32_t bytes);
  void gave_nothing(const error& why, timestamp at);

  bool settle_one(const settle_item& item, settle_window::settler& who, timestamp at);
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
  subscription core_;
  std::shared_ptr<const filter> filter_;
  /// Wall clock and monotonic clock at the start: leases must not end because somebody sets the clock.
  timestamp wall_origin_{};
  caf::actor_clock::time_point origin_;

  bool running_ = false;
  bool restarting_ = false;
  std::optional<grant> grant_;
  std::optional<fetch_state> fetch_;
  std::uint64_t last_tag_ = 0;
  /// The batch that was delivered in part, until when.
  std::optional<stored_batch> rest_;
  timestamp rest_until_{};
  /// About how large a message is.
  std::uint32_t bytes_each_ = 256;
  /// What the GROUP was told is available; 0: it knows of nothing.
  std::uint64_t announced_ = 0;
  std::optional<timestamp> read_after_;
  std::optional<timestamp> restore_at_;
  settle_window settles_{queue_id{}};

  std::uint64_t timer_ = 0;
  std::optional<timestamp> timer_at_;
};

subscription_impl::behavior_type
subscription_behavior(subscription_impl::stateful_pointer<subscription_shell> self, subscription_config cfg);
subscription_actor spawn_subscription(caf::actor_system& sys, subscription_config cfg);

} // namespace troupe
