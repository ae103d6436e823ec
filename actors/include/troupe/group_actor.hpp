#pragma once

#include "troupe/queue_actor.hpp"
#include "troupe/wire.hpp"

#include <caf/typed_actor.hpp>

/// The protocols of GROUP and SUBSCRIPTION.
namespace troupe {

/// One topic of a group, with what the GROUP needs to reach its queues.
struct group_topic {
  topic_definition definition;
  topic_actor topic;
  std::string filter;
  start_position start;
};
/// CATALOG -> GROUP: definition and topics, at start and after each change (a deleted topic is absent).
struct group_changed {
  group_definition definition;
  std::vector<group_topic> topics;
};

using group_actor = caf::typed_actor<
  // A consumer becomes a member; the CATALOG has checked its subscription. The GROUP monitors the consumer.
  caf::replies_to<join>::with<joined>,
  // Credit and settles of a member (dynamic senders, from anywhere).
  caf::reacts_to<consume>,
  caf::reacts_to<renew>,
  // Gives everything back without recording failures.
  caf::replies_to<leave>::with<bool>,
  // Members, floors, lags.
  caf::replies_to<status_atom>::with<group_status>,
  // INTERNAL
  caf::reacts_to<group_changed>,
  // INTERNAL: a SUBSCRIPTION has deliverable messages / what it used of a grant. See subscription_actor.
  caf::reacts_to<struct subscription_ready>,
  caf::reacts_to<struct grant_used>>;

/// SUBSCRIPTION -> GROUP: messages can be delivered as soon as somebody has credit.
struct subscription_ready {
  queue_id queue;
};
/// GROUP -> SUBSCRIPTION: deliver at most this to this member. Exactly one `grant_used` comes back.
struct grant {
  std::uint64_t member = 0;
  caf::actor consumer;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
};
/// SUBSCRIPTION -> GROUP: how much of a grant was used; `more`: it is still ready.
struct grant_used {
  queue_id queue;
  std::uint64_t member = 0;
  std::uint32_t granted_messages = 0;
  std::uint32_t granted_bytes = 0;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  bool more = false;
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
/// GROUP -> SUBSCRIPTION: the member is gone. `failed`: it was lost (each lease counts as a failure); else it left.
struct member_gone {
  std::uint64_t member = 0;
  bool failed = false;
};

/// SUBSCRIPTION: one group's progress on one queue. Owned and started by its GROUP, beside the queue's shard.
using subscription_actor = caf::typed_actor<
  caf::reacts_to<grant>,
  caf::reacts_to<settle_part>,
  caf::reacts_to<renew_part>,
  caf::reacts_to<member_gone>,
  caf::reacts_to<tail_moved>,
  caf::reacts_to<fetched>,
  caf::reacts_to<settle_committed>,
  caf::replies_to<status_atom>::with<subscription_status>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::group_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::subscription_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::grant_used)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::settle_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::renew_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::member_gone)
