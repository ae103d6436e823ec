#pragma once

#include "troupe/store_actor.hpp"
#include "troupe/timer_actor.hpp"
#include "troupe/wire_transactions.hpp"

#include <caf/typed_actor.hpp>

#include <string>
#include <vector>

namespace troupe {

/// STORE -> TRANSACTIONS, after each commit that stored half messages: shard time of the first of them.
struct halves_stored {
  timestamp at{};
};

/// TRANSACTIONS of a transaction's home -> TRANSACTIONS of another shard, request: what was decided about its
/// messages there. The answer is true, when it is durable.
struct decide_part {
  transaction_id transaction;
  bool commit = false;
  std::vector<message_place> messages;
};
using participant_actor = caf::typed_actor<caf::replies_to<decide_part>::with<bool>>;

/// TRANSACTIONS -> CATALOG, request: the topics of queues, in order; empty names for those that are gone.
struct topics_request {
  std::vector<queue_id> queues;
};
struct topics_found {
  std::vector<std::string> topics;
};
using topics_actor = caf::typed_actor<caf::replies_to<topics_request>::with<topics_found>>;

/// NODE -> TRANSACTIONS, once all of them run: begin. By shard.
struct transactions_peers {
  std::vector<participant_actor> shards;
  topics_actor topics;
};

/// CATALOG -> TRANSACTIONS, request: about `max` open transactions of the shard, behind one.
struct open_request {
  /// Empty: of all.
  std::string group;
  transaction_cursor after;
  std::uint32_t max = 0;
};
struct open_found {
  std::vector<transaction_status> transactions;
  /// Of each; 0 for a transaction of several messages.
  std::vector<queue_id> queues;
  /// Where to go on; `inside` is false when these were the last.
  transaction_cursor next;
};

/// TRANSACTIONS: one per shard, own thread. Decides about the transactions whose home is its shard, and about
/// the half messages of its shard that are transactions of their own; asks producers about those that nobody
/// decides. What is undecided, or not confirmed by other shards, is in the tables and in no memory of its
/// own.
using transactions_actor = participant_actor::extend<
    // Answered by plain sends, when durable.
    caf::reacts_to<decide_halves>, caf::reacts_to<begin_transaction>, caf::reacts_to<seal_transaction>,
    caf::reacts_to<decide_transaction>,
    // From now on the checker is asked, until it ends.
    caf::replies_to<expect_checks>::with<bool>, caf::reacts_to<checks_done>,
    // INTERNAL: from the STORE.
    caf::reacts_to<halves_stored>,
    // INTERNAL
    caf::reacts_to<timed_queue>,
    // INTERNAL
    caf::reacts_to<transactions_peers>,
    // INTERNAL
    caf::replies_to<open_request>::with<open_found>,
    // INTERNAL: durable when answered; not_found for what it does not know.
    caf::replies_to<decide_by_hand>::with<decided_by_hand>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::halves_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::decide_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::topics_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::topics_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::transactions_peers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::open_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::open_found)
