#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/log.hpp"
#include "troupe/timer_buckets.hpp"
#include "troupe/transaction_checks.hpp"

#include <caf/fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

struct node_status;

/// What a node is started with. Plain data; validate() and start() check it.
struct node_config {
  /// The data directory; made when it does not exist. Required.
  std::filesystem::path data;
  /// Where clients in other processes connect: a host name or address; empty: nowhere, the node is only
  /// embedded. Anything but loopback requires all three TLS files, because a peer on this port has all
  /// rights.
  std::string host;
  /// 0: the system chooses a free one; see node::port().
  std::uint16_t port = 0;
  /// Shards of a new data directory, 1 to 64, fixed when it is made; 0: 1 for a new one, else what it has.
  std::uint16_t shards = 0;
  /// Bytes that all shards may take on disk; 0: what the file system has. At least 128 MiB a shard: each
  /// keeps 64 MiB in reserve for settles and deletes.
  std::uint64_t disk_budget = 0;
  /// Bytes of batches on their way to the disk, over all queues; beyond, producers are told `overloaded`. 16
  /// MiB or more.
  std::uint64_t in_flight = 64u << 20;
  /// Bytes of newest messages kept in memory for consumers that keep up, over all queues.
  std::uint64_t tail_cache = 64u << 20;
  /// How far ahead a message may be due when it is published: 1 ms to 100 years.
  milliseconds max_delay = default_max_delay;
  /// When producers are asked about transactions that they left undecided.
  check_schedule transaction_checks;
  /// Producers that each shard remembers, per queue, so that what they send twice counts once: above the
  /// number (at least 1) those that were silent for longest are forgotten, and each after so much time (at
  /// least an hour) since its last batch.
  std::uint64_t max_producers = 1'000'000;
  milliseconds producer_memory = std::chrono::hours{24 * 7};
  /// Bytes of memory, over all shards, for the keys of topics that take none twice (12 to 18 a key); beyond,
  /// producers of such topics are told `overloaded`. 1 MiB a shard or more.
  std::uint64_t key_memory = 256u << 20;
  /// PEM files: this node's certificate and key, and the private CA that signs the certificates of all peers.
  /// All or none.
  std::filesystem::path tls_certificate;
  std::filesystem::path tls_key;
  std::filesystem::path tls_ca;
  /// Shown to clients and operators; empty: the machine's host name.
  std::string name;
  /// Told what happens; see log.hpp.
  log_sink log;
  /// Called once, from any thread, when the node cannot or shall not go on: a storage failure, or no error
  /// after a client asked it to drain. The owner then calls stop(). Must not block.
  std::function<void(const error&)> on_end;
  /// The wall clock; tests put their own. Any thread calls it.
  std::function<timestamp()> now;
  /// For tests that end the process at a chosen moment: called by the threads of the STOREs with the name of
  /// each step of each entry, `<kind>.before` (it is proposed), `<kind>.stored` (it is durable, and nobody
  /// knows) and `<kind>.told` (whoever asked was answered). The kinds are those of docs/disk-format.md.
  std::function<void(std::string_view)> at_step;
};

/// No error when every value is within its documented range and the values fit each other. Touches no file.
error validate(const node_config& config);

/// A running node: the broker. Owns its threads, its actors and the lock on its data directory. Functions may
/// be called from any thread, none of them from within an actor.
class node {
public:
  /// Opens (or makes) the data directory and starts everything; returns when clients can connect.
  ///   invalid_argument: the configuration breaks a rule, the directory is not one of ours, the number of
  ///   shards differs
  ///     from the directory's, an address cannot be listened on, a TLS file does not parse
  ///   in_use: another process has the directory; the text names its pid
  ///   unknown_version: the directory is of another format version; nothing was touched
  ///   corrupt, storage_failed: the directory cannot be used
  static result<std::unique_ptr<node>> start(node_config config);
  /// Stops.
  ~node();
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  /// "HOST:PORT" with the real port; empty when it does not listen.
  std::string address() const;
  std::uint16_t port() const;

  /// For embedding: the actor system that everything runs in, and the actor that clients talk to first. The
  /// system is valid until stop(); actors that are spawned in it must have ended by then. The actor is nobody
  /// once the node has stopped.
  caf::actor_system& system();
  caf::actor directory() const;

  result<node_status> status() const;
  /// Waits until on_end was, or would have been, called, or the deadline passed; `timeout` then. No error
  /// after a drain.
  error wait(milliseconds deadline);
  /// Drains: accepts nothing new, commits what waits, answers or refuses it, ends all actors. Within 5 s, or
  /// `timeout` when the storage did not come to an end in that time (what was acknowledged is safe all the
  /// same). Idempotent.
  error stop();

private:
  struct impl;
  explicit node(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

/// What verify_data() found.
struct verify_report {
  std::uint16_t shards = 0;
  std::uint64_t entries = 0;
  /// One line each; empty: everything is sound.
  std::vector<std::string> findings;
};

/// Reads and checks everything in a data directory that no node uses (`in_use` else). `progress` gets entries
/// done and in all. Changes nothing.
result<verify_report> verify_data(const std::filesystem::path& data,
                                  const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

} // namespace troupe
