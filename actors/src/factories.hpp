#pragma once

#include "node_clock.hpp"

#include "troupe/byte_budget.hpp"
#include "troupe/catalog_actor.hpp"
#include "troupe/group_actor.hpp"
#include "troupe/lanes.hpp"
#include "troupe/log.hpp"
#include "troupe/producer_eviction.hpp"
#include "troupe/queue_actor.hpp"
#include "troupe/retention_actor.hpp"
#include "troupe/shard.hpp"
#include "troupe/shard_log.hpp"
#include "troupe/store_actor.hpp"
#include "troupe/timer_actor.hpp"
#include "troupe/timer_buckets.hpp"
#include "troupe/transaction_checks.hpp"
#include "troupe/transactions_actor.hpp"

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <vector>

/// How the node's actors are started. Each function is defined in <actor>.cpp; nothing else of an actor is
/// visible to another.
namespace troupe {

/// What all actors of a node share: read-only after start, safe from every thread.
struct node_context {
  /// By shard number.
  std::vector<std::shared_ptr<shard>> shards;
  std::vector<store_actor> stores;
  std::vector<reader_actor> readers;
  std::vector<retention_actor> retentions;
  std::vector<timer_actor> timers;
  std::vector<transactions_actor> transactions;
  /// How far ahead a message may be due.
  milliseconds max_delay = default_max_delay;
  /// When producers are asked about what they left undecided.
  check_schedule checks;
  /// Bytes of batches between QUEUEs and STOREs (default limit 64 MiB), and of hot tails (default 64 MiB).
  std::shared_ptr<byte_budget> in_flight;
  std::shared_ptr<byte_budget> tails;
  /// Wall clock; tests put their own.
  std::function<timestamp()> now;
  /// The same, where a clock that was set would do harm.
  std::shared_ptr<node_clock> clock;
  log_sink log;

  std::size_t shard_of(queue_id q) const { return q.value % shards.size(); }
};
using context_ptr = std::shared_ptr<const node_context>;

struct store_config {
  std::shared_ptr<shard> data;
  /// Empty: the log of a single replica.
  std::function<std::unique_ptr<shard_log>(shard&, shard_log::handler)> make_log;
  std::shared_ptr<byte_budget> in_flight;
  std::function<timestamp()> now;
  producer_limits producers;
  /// Bytes of memory for keys of topics that take none twice; beyond, their messages are refused for a while.
  std::uint64_t key_memory = 256u << 20;
  /// Told when the storage failed for good; the node then ends, loudly.
  std::function<void(const error&)> on_failure;
  /// Where appended_queues go; may be empty. Set by the node after both were started, before any message.
  std::function<retention_actor()> retention;
  /// The same for timers_stored, and halves_stored.
  std::function<timer_actor()> timer;
  std::function<transactions_actor()> transactions;
  log_sink log;
  /// node_config's; may be empty.
  std::function<void(std::string_view)> at_step;
};

store_actor spawn_store(caf::actor_system& sys, store_config cfg);
reader_actor spawn_reader(caf::actor_system& sys, std::shared_ptr<shard> data);
retention_actor spawn_retention(caf::actor_system& sys, std::shared_ptr<shard> data, store_actor store,
                                std::function<timestamp()> now, log_sink log = {});
timer_actor spawn_timer(caf::actor_system& sys, std::shared_ptr<shard> data, store_actor store,
                        std::shared_ptr<node_clock> clock, log_sink log = {});
/// Begins when it hears of its peers (transactions_peers). Of `ctx` it needs the shards, STOREs and clock.
transactions_actor spawn_transactions(caf::actor_system& sys, context_ptr ctx, shard_id shard);
/// TOPIC; its QUEUEs are started (and owned, linked) by it on first use. One that `replaces` another that
/// died starts them at once, and catches up with what the old ones had sent to the STORE.
topic_actor spawn_topic(caf::actor_system& sys, context_ptr ctx, topic_definition definition,
                        bool replaces = false);
/// QUEUE of one lane of a topic.
queue_actor spawn_queue(caf::actor_system& sys, context_ptr ctx, const topic_definition& definition,
                        lane_place at);
/// GROUP; starts and owns one SUBSCRIPTION per lane of its topics' queues.
group_actor spawn_group(caf::actor_system& sys, context_ptr ctx, group_changed start);
/// CATALOG; reads the definitions from shard 0, and finds what was left of topics and groups that are gone,
/// in the calling thread before it starts the actor. `storage_failed` or `corrupt` when it cannot.
result<catalog_actor> spawn_catalog(caf::actor_system& sys, context_ptr ctx);

struct directory_config {
  catalog_actor catalog;
  /// name, version, listen and data are filled in; the DIRECTORY fills in the rest.
  node_status about;
  /// Called once, in the DIRECTORY's thread, when a client asked the node to drain and all STOREs have (no
  /// error; else the first one of a STORE), or when an actor that the node cannot do without has died. Must
  /// not block.
  std::function<void(const error&)> on_end;
};
/// DIRECTORY: answers hello, status and drain and passes everything else on to the CATALOG.
caf::actor spawn_directory(caf::actor_system& sys, context_ptr ctx, directory_config cfg);

} // namespace troupe
