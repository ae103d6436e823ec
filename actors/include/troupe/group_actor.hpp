#pragma once

#include "troupe/queue_actor.hpp"
#include "troupe/subscription.hpp"
#include "troupe/wire_admin.hpp"
#include "troupe/wire_dead.hpp"

#include <caf/typed_actor.hpp>

#include <limits>

/// The protocols of GROUP and SUBSCRIPTION.
namespace troupe {

/// One topic of a group, with what the GROUP needs to reach its queues.
struct group_topic {
  topic_definition definition;
  topic_actor topic;
  std::string filter;
  start_position start;
};
/// GROUP -> CATALOG, of a member of a broadcast group: it is connected now, or no longer.
struct member_moved {
  group_id member;
  bool here = false;
};
/// Who is told.
using member_watch_actor = caf::typed_actor<caf::reacts_to<member_moved>>;

/// CATALOG -> GROUP: definition and topics, at start and after each change (a deleted topic is absent).
struct group_changed {
  /// Of a member of a broadcast group: its own, under the name of the broadcast group.
  group_definition definition;
  std::vector<group_topic> topics;
  /// Set for a member of a broadcast group.
  member_watch_actor watch = {};
};

/// SUBSCRIPTION -> GROUP, once per incarnation: its place in the queue is durable, so nothing that is
/// published from now on can be missed.
struct subscription_started {
  queue_id queue;
};
/// SUBSCRIPTION -> GROUP: about so many messages can be delivered as soon as somebody has credit. Said when
/// there was nothing before and no grant is outstanding, and again when it has become much more.
struct subscription_ready {
  queue_id queue;
  std::uint64_t available = 0;
};
/// SUBSCRIPTION -> GROUP: how much of a grant was used, and about how many more messages could be delivered.
struct grant_used {
  queue_id queue;
  std::uint64_t member = 0;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  std::uint64_t available = 0;
  /// The member gets nothing more of this queue until it has released something of it.
  bool barred = false;
  /// Not 0: nothing was delivered, because the next delivery has so many bytes, above the grant's most_bytes.
  std::uint64_t too_large = 0;
};
/// SUBSCRIPTION -> GROUP: messages that members hold no longer.
struct messages_released {
  queue_id queue;
  std::vector<release> members;
};
/// SUBSCRIPTION -> GROUP: its QUEUE died. The answer is `queue_found`, whenever there is one.
struct queue_lost {
  queue_id queue;
};

using group_actor = caf::typed_actor<
    // A consumer becomes a member; the CATALOG has checked its subscription. The GROUP monitors the consumer.
    // Answered when all the group's subscriptions have a durable place: what is published after the answer is
    // delivered, also to a group that starts with the latest message. `overloaded` when that takes too long
    // or the group has 4096 members.
    caf::replies_to<join>::with<joined>,
    // Credit and settles of a member (from anywhere). Somebody who is no member gets `dismissed`.
    caf::reacts_to<consume>, caf::reacts_to<renew>,
    // Gives everything back without recording failures; true also for somebody who is no member.
    caf::replies_to<leave>::with<bool>,
    // Members, floors, lags. `overloaded` when 1024 questions wait.
    caf::replies_to<status_atom>::with<group_status>,
    // From the CATALOG: a new generation of the progress on a topic, queue by queue: when one fails, others
    // may be done. not_found when the group does not follow the topic or it has no such queue.
    caf::replies_to<reset_group>::with<group_reset>,
    // From the CATALOG, passed on to the DEAD LETTER. invalid_argument for a broadcast group, which has none.
    caf::replies_to<list_dead>::with<dead_page>, caf::replies_to<settle_dead>::with<dead_settled>,
    // INTERNAL
    caf::reacts_to<group_changed>,
    // INTERNAL: the node drains: members are dismissed, and joins refused, with shutting_down.
    caf::reacts_to<drain_atom>,
    // INTERNAL, from its SUBSCRIPTIONs
    caf::reacts_to<subscription_started>, caf::reacts_to<subscription_ready>, caf::reacts_to<grant_used>,
    caf::reacts_to<messages_released>, caf::reacts_to<queue_lost>>;

/// GROUP -> SUBSCRIPTION: deliver at most this to this member. About `bytes`, but never more than most_bytes
/// (of a batch with messages of different sizes: than that and the rest of the batch), unless it is one
/// message and `any_size`. Exactly one `grant_used` comes back; one grant is outstanding at a time.
struct grant {
  std::uint64_t member = 0;
  caf::actor consumer;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max();
  bool any_size = true;
};
/// GROUP -> SUBSCRIPTION: the part of a `consume` that concerns this queue.
struct settle_part {
  std::uint64_t member = 0;
  caf::actor consumer;
  std::vector<settle_item> items;
  std::uint64_t confirm = 0;
};
struct renew_part {
  std::uint64_t member = 0;
  std::vector<lease_id> leases;
};
/// GROUP -> SUBSCRIPTION: the member is gone. `failed`: it was lost (each lease counts as a failure); else it
/// left.
struct member_gone {
  std::uint64_t member = 0;
  bool failed = false;
};
/// What a SUBSCRIPTION needs of its group's options. The policy is one object for all of them. Mode and order
/// are what they are when it starts.
struct subscription_rules {
  subscription_limits limits;
  std::shared_ptr<const retry_policy> retry;
  group_mode mode = group_mode::shared;
  group_order order_by = group_order::key;
};
/// GROUP -> SUBSCRIPTION: other options or another filter from now on.
struct subscription_changed {
  subscription_rules rules;
  std::string filter;
};
/// GROUP -> SUBSCRIPTION: the QUEUE to read from.
struct queue_found {
  queue_actor queue;
};

/// SUBSCRIPTION: one group's progress on one queue. Owned and started by its GROUP, and ends with it. All
/// INTERNAL.
using subscription_actor = caf::typed_actor<
    caf::reacts_to<grant>, caf::reacts_to<settle_part>, caf::reacts_to<renew_part>,
    caf::reacts_to<member_gone>, caf::reacts_to<subscription_changed>, caf::reacts_to<queue_found>,
    // From the QUEUE, the READER and the STORE.
    caf::reacts_to<tail_moved>, caf::reacts_to<fetched>, caf::reacts_to<settle_committed>,
    // Answered when the new generation is durable. `overloaded` while the place is not known.
    caf::replies_to<reset_group>::with<queue_reset>, caf::replies_to<status_atom>::with<subscription_status>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::member_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::group_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::subscription_started)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::subscription_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::grant_used)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::messages_released)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::queue_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::settle_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::renew_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::member_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::subscription_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::queue_found)
