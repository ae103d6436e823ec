#pragma once

#include "dead_letters.hpp"
#include "factories.hpp"
#include "group_queues.hpp"

#include "troupe/group_credit.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

/// Invariant: a member of members_ is one of credit_, and its consumer is monitored.
class group_state {
public:
  static inline const char* name = "group";
  /// The pause before something that failed is tried again.
  static constexpr auto pause = std::chrono::seconds{1};
  /// A join waits so long for the subscriptions to have their place.
  static constexpr auto join_limit = std::chrono::seconds{10};
  static constexpr std::size_t most_members = 4096;
  /// A question for the status waits less, and is then answered with the queues that are there. So many of
  /// them wait at a time; they are answered a round at a time, each by one that began after it came.
  static constexpr auto status_limit = std::chrono::seconds{5};
  static constexpr std::size_t most_asking = 1024;
  /// Resets that wait for the subscriptions to have their place.
  static constexpr std::size_t most_resets = 64;

  explicit group_state(group_impl::pointer self) : self_(self) {}
  void init(context_ptr ctx, group_changed start);

  caf::result<joined> add(const join& j);
  void take(consume& c);
  void prolong(const renew& r);
  bool remove(const leave& l);
  caf::result<group_status> status();
  caf::result<group_reset> reset(const reset_group& r);
  caf::result<dead_page> list(list_dead& r);
  caf::result<dead_settled> settle(settle_dead& r);
  void change(const group_changed& c);
  void drain();
  void started(const subscription_started& s);
  void ready(const subscription_ready& r);
  void used(const grant_used& u);
  void released(const messages_released& r);
  void find_queue_again(const queue_lost& l) { queues_->find_again(l.queue); }
  void tick();
  void lost(const caf::down_msg& down);

private:
  struct member {
    std::string name;
    caf::actor consumer;
    timestamp since{};
  };
  struct waiting_join {
    std::uint64_t member = 0;
    caf::actor_clock::time_point deadline;
    caf::typed_response_promise<joined> promise;
  };
  struct waiting_status {
    caf::actor_clock::time_point deadline;
    caf::typed_response_promise<group_status> promise;
  };

  struct waiting_reset {
    caf::actor_clock::time_point deadline;
    reset_group what;
    caf::typed_response_promise<group_reset> promise;
  };

  joined answer_for(std::uint64_t member) const;
  std::vector<topic_filter> topics() const;
  void tell_members(const std::vector<topic_filter>& before);
  error without_dead_letters() const;
  void tell_dead_letters();
  void begin_resets();
  void tell_watch(bool here);
  void end_member(std::uint64_t id, bool failed, const error& tell);
  void distribute();

  void open_joins();
  void arm();
  void look();
  group_status describe(std::vector<subscription_status> queues) const;

  group_impl::pointer self_;
  context_ptr ctx_;
  group_definition definition_;
  std::optional<group_queues> queues_;
  dead_letter_actor dead_letters_;
  /// Set for a member of a broadcast group.
  member_watch_actor watch_;
  std::map<std::uint64_t, member> members_;
  std::uint64_t last_member_ = 0;
  std::vector<waiting_join> joins_;
  std::vector<waiting_status> asking_;
  std::vector<waiting_reset> resets_;
  /// A round of questions to the SUBSCRIPTIONs is under way.
  bool looking_ = false;
  bool draining_ = false;
  group_credit credit_;
  bool armed_ = false;
};

group_impl::behavior_type group(group_impl::stateful_pointer<group_state> self, context_ptr ctx,
                                group_changed start);

} // namespace troupe
