#pragma once

#include "inbox.hpp"
#include "line.hpp"

#include "troupe/backoff.hpp"
#include "troupe/log.hpp"
#include "troupe/wire.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <map>
#include <memory>
#include <random>
#include <set>

namespace troupe {

/// INBOX -> CONSUMER: tell the broker, now or a little later.
using news_atom = caf::atom_constant<caf::atom("news")>;
using soon_atom = caf::atom_constant<caf::atom("soon")>;
/// Leave the group and end.
using leave_atom = caf::atom_constant<caf::atom("leave")>;
using rejoin_atom = caf::atom_constant<caf::atom("rejoin")>;
using renew_atom = caf::atom_constant<caf::atom("renew")>;

struct consumer_config {
  consumer_options options;
  /// The member's name is nobody's choice.
  bool made_up = false;
  milliseconds timeout{10'000};
  milliseconds min_backoff{50};
  milliseconds max_backoff{5'000};
  std::uint64_t seed = 0;
  caf::actor connection;
  std::shared_ptr<inbox> messages;
  log_sink log;
};

/// CONSUMER: a member of a group. Joins, joins again when the membership was lost, and carries deliveries,
/// credit, settles and renewals between the broker and the INBOX. Invariant: `group_` is set exactly while we
/// are a member as far as we know.
struct consumer_state {
  static inline const char* name = "consumer";

  explicit consumer_state(caf::event_based_actor* self) : self(self) {}
  ~consumer_state();

  void start(consumer_config c);
  void line_came(line_up& up);
  void line_went();
  void join_group();
  void rejoin(std::uint64_t attempt);
  void delivered(delivery& d);
  void tell_broker();
  void tell_soon();
  void confirmed(const settled& s);
  void renew_leases(std::uint64_t membership);
  void renew_one(const held_lease& held);
  void learn(const group_news& n);
  void was_dismissed(const dismissed& d);
  void group_lost(const caf::down_msg& down);
  void leave_group();
  void end(const error& why);

  caf::event_based_actor* self;

private:
  void learn(std::uint64_t version, const std::vector<topic_filter>& topics);
  void joined_group(std::uint64_t attempt, const joined& j);
  void not_joined(std::uint64_t attempt, error why);
  void lose_membership(const error& why);
  void join_later();
  void arm_renewal();
  void tell_late();
  void expect_confirmation(consume& c);

  /// flush(): the answers that are still to come, and what they said so far.
  struct confirmation {
    std::uint64_t number = 0;
    std::set<queue_id> open;
    std::uint64_t refused = 0;
    error failed;
  };

  consumer_config cfg_;
  backoff pause_{milliseconds{1}, milliseconds{1}};
  std::minstd_rand random_;
  caf::actor directory_;
  caf::actor group_;
  std::uint64_t member_ = 0;
  group_id group_id_;
  std::uint64_t attempt_ = 0;
  /// Of the group's definition, as far as we learned it; what the group subscribes to is in cfg_ then.
  std::uint64_t version_ = 0;
  milliseconds lease_{0};
  /// Queues with settles that are not known to be durable, each with the first confirmation that was asked
  /// for after its last settle; 0: none yet.
  std::map<queue_id, std::uint64_t> unconfirmed_;
  std::vector<confirmation> confirmations_;
  bool opened_ = false;
  bool leaving_ = false;
  error ended_;
};

caf::behavior consumer_actor(caf::stateful_actor<consumer_state>* self, consumer_config cfg);

} // namespace troupe

/// From the program: renew this lease.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::held_lease)
