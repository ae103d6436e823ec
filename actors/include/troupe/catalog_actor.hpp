#pragma once

#include "troupe/group_actor.hpp"
#include "troupe/queue_actor.hpp"
#include "troupe/transactions_actor.hpp"
#include "troupe/wire_admin.hpp"
#include "troupe/wire_delayed.hpp"

#include <caf/typed_actor.hpp>

namespace troupe {

/// How much the CATALOG holds. Stays within the node.
struct catalog_status {
  std::uint64_t topics = 0;
  std::uint64_t groups = 0;
};

/// CATALOG: definitions of topics and groups; starts TOPICs and GROUPs on first use and hands out their
/// handles. Every answer to a change comes after it is durable in shard 0.
using catalog_actor = caf::typed_actor<
    caf::replies_to<create_topic>::with<topic_status>, caf::replies_to<set_topic>::with<topic_status>,
    // Delegates to the TOPIC (describe) or removes the topic: its queues are dropped in their shards, groups
    // lose it.
    caf::replies_to<describe_atom, topic_name>::with<topic_status>,
    caf::replies_to<delete_atom, topic_name>::with<bool>, caf::replies_to<list_topics_atom>::with<names>,
    caf::replies_to<route_request>::with<route>, caf::replies_to<create_group>::with<group_status>,
    // The GROUP, when it runs, hears of the change before the answer comes.
    caf::replies_to<set_group>::with<group_status>, caf::replies_to<pause_group>::with<group_status>,
    // Adds or removes a topic, or changes its filter: members hear of it and stay. Answered by the GROUP when
    // its SUBSCRIPTIONs judge by it. What a removed topic leaves is dropped in its shards afterwards; until
    // it is, the group cannot subscribe to it again (`overloaded`).
    caf::replies_to<subscribe_group>::with<group_status>,
    // Delegates to the GROUP.
    caf::replies_to<reset_group>::with<group_reset>, caf::replies_to<list_dead>::with<dead_page>,
    caf::replies_to<settle_dead>::with<dead_settled>,
    caf::replies_to<describe_atom, group_name>::with<group_status>,
    caf::replies_to<delete_atom, group_name>::with<bool>, caf::replies_to<list_groups_atom>::with<names>,
    // Creates the group and its subscriptions when needed, checks consistency (not of who was a member
    // already), delegates to the GROUP.
    caf::replies_to<join>::with<joined>, caf::replies_to<get_message>::with<found_message>,
    // Delayed messages of all shards; a cancel is durable when answered.
    caf::replies_to<list_delayed>::with<delayed_page>,
    caf::replies_to<cancel_delayed>::with<cancelled_delayed>,
    // Who decides about transactions; open ones of all shards; a decision is durable when answered.
    caf::replies_to<transactions_request>::with<transactions_route>,
    caf::replies_to<list_transactions>::with<transactions_page>,
    caf::replies_to<decide_by_hand>::with<decided_by_hand>,
    // INTERNAL
    caf::replies_to<topics_request>::with<topics_found>,
    // INTERNAL: counts.
    caf::replies_to<status_atom>::with<catalog_status>,
    // INTERNAL: the node drains; groups dismiss their members.
    caf::reacts_to<drain_atom>>;

/// DIRECTORY: the one published actor, dynamically typed. It answers `hello`, passes every administrative
/// request, route and join on to the CATALOG (delegated: the answer comes from there), and knows status and
/// drain itself. Any message it does not know is answered with invalid_argument.

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::catalog_status)
