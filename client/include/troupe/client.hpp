#pragma once

#include "troupe/dead_letters.hpp"
#include "troupe/definitions.hpp"
#include "troupe/delayed.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/log.hpp"
#include "troupe/message.hpp"
#include "troupe/open_transactions.hpp"
#include "troupe/status.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

class node;
struct topic_subscription;

struct tls_files {
  /// PEM files; all three or none. Off loopback a node demands them.
  std::string certificate;
  std::string key;
  std::string ca;
};

struct client_options {
  /// "HOST:PORT" of a node.
  std::string address = "127.0.0.1:7700";
  /// Shown in logs and `node status`.
  std::string name = "client";
  tls_files tls;
  /// How long a request (admin calls, joining, a producer's first route) may take.
  milliseconds timeout{10'000};
  /// Pause before the second attempt to reconnect; doubles up to max_backoff, with jitter.
  milliseconds min_backoff{50};
  milliseconds max_backoff{5'000};
  /// Told what happens to the connection and what cannot be read; called on threads of the client. Empty:
  /// nobody.
  log_sink log;
};

/// A connection to a node, which producers and consumers share. It reconnects by itself; what is in flight is
/// sent again without being done twice. Owns its threads; thread-safe. Producers and consumers keep it alive.
class client {
public:
  /// Connects to a node in another process. When nobody listens there (`disconnected`) or the node is of
  /// another version (`unknown_version`) it says so at once; when somebody accepts and does not answer, or
  /// the node takes no clients, it tries again for `timeout`, then gives that reason (`disconnected`,
  /// `timeout`, `overloaded`, `shutting_down`).
  static result<client> connect(client_options options = {});
  /// A client of a node in this process, without sockets. The node must outlive it.
  static result<client> attach(node& embedded, client_options options = {});

  // -- administration
  //
  // Each call blocks for at most `timeout` (a bit more with many topics at once) and may come from any thread
  // but a callback's. Besides its own
  // errors each can give: disconnected or timeout (nothing is known of what was asked; ask again), overloaded
  // and no_space (with a hint), shutting_down after close(). What is created, set or deleted is durable when
  // the call returns without error.

  /// already_exists, invalid_argument (name or an option).
  result<topic_info> create_topic(const std::string& name, const topic_options& options = {});
  /// All options, also those that stay as they are. not_found, invalid_argument (fewer queues, for one).
  result<topic_info> set_topic(const std::string& name, const topic_options& options);
  /// Options, and per queue its first and next offset and its bytes. not_found.
  result<topic_info> describe_topic(const std::string& name);
  result<std::vector<std::string>> list_topics();
  /// With all messages; its producers fail with not_found. not_found.
  error delete_topic(const std::string& name);
  /// Creates many topics with the requests in flight together; one result each, in order.
  std::vector<result<topic_info>> create_topics(const std::vector<std::string>& names,
                                                const topic_options& options);

  /// already_exists, invalid_argument.
  result<group_info> create_group(const std::string& name, const group_options& options = {});
  /// All options, also those that stay as they are; they hold for what is delivered, or fails, from then on.
  /// not_found, invalid_argument.
  result<group_info> set_group(const std::string& name, const group_options& options);
  /// Paused: its members get nothing more (what is on its way to them, or buffered there, is theirs) until it
  /// is resumed, also after a restart of the node. not_found.
  result<group_info> pause_group(const std::string& name, bool paused);
  /// For all members of the group, which stay: the topic, with this filter instead of the one it had. `start`
  /// is where the group begins in a topic that is new to it. What is published after the answer is judged by
  /// the filter; what an earlier one passed over stays passed over. not_found (group, topic),
  /// invalid_argument (filter), too_large (1024 topics), overloaded (the topic was removed just before).
  result<group_info> subscribe_group(const std::string& name, const topic_subscription& what,
                                     const start_position& start = {});
  /// For all members: the group's progress and dead letters on the topic are forgotten. not_found (group,
  /// topic, or the group does not subscribe to it), invalid_argument (its only topic).
  result<group_info> unsubscribe_group(const std::string& name, const std::string& topic);
  /// Moves the group's progress, also with members connected: a new generation begins, in which what is
  /// settled, and how often what failed, is forgotten. One result per queue, by number. Each queue is durable
  /// on its own: after an error some may have been moved, and the same reset may be asked for again.
  /// not_found (group, topic, a queue of this number, or the group does not follow the topic).
  result<std::vector<reset_info>> reset_group(const std::string& name, const reset_options& options);
  /// Options, members and progress per queue: offsets, and how long it is behind. not_found.
  result<group_info> describe_group(const std::string& name);
  result<std::vector<std::string>> list_groups();
  /// With its progress; members end with not_found. not_found.
  error delete_group(const std::string& name);

  /// A page of the group's dead letters. What dies or is settled between two pages may be missed or be in
  /// both. not_found (group, or a topic that it does not follow), invalid_argument (filter, max, too many
  /// ids; a broadcast group has none).
  result<dead_letter_page> dead_letters(const std::string& group, const dead_letter_query& query = {});
  /// Forgets 1 to 1000 dead letters, and with the last group that needs a message its body, once it has left
  /// its queue. One result each, in order.
  result<std::vector<dead_letter_result>> purge(const std::string& group, const std::vector<message_id>& ids);
  /// Makes 1 to 1000 of them visible again: at the end of their own queue, for this group only, with their
  /// old id and as if they had never failed. One result each, in order.
  result<std::vector<dead_letter_result>> redrive(const std::string& group,
                                                  const std::vector<message_id>& ids);

  /// A page of the messages that wait for their time. What comes or fires between two pages may be missed.
  /// not_found (topic), invalid_argument (max).
  result<delayed_messages_page> delayed(const delayed_query& query = {});
  /// Forgets a delayed message, durably. Of a cancel and its becoming visible one wins, and the answer says
  /// which. not_found when it does not wait and is in no queue: it never was delayed, was cancelled, or is
  /// gone.
  result<cancel_result> cancel_delayed(const message_id& id);

  /// A page of the transactions that are undecided, or whose decision some shard has not confirmed. What
  /// comes, is asked about or is decided between two pages may be missed or be in both. invalid_argument
  /// (max).
  result<transactions_list_page> list_transactions(const transaction_query& query = {});
  /// Decides by hand, durably, about a half message or a transaction, in the place of programs that do not.
  /// What it is then. not_found (it never was, was rolled back, or went long ago), conflict (it was decided
  /// otherwise), invalid_argument (not prepared; a message of a transaction, which is decided as a whole).
  result<transaction_state> commit_transaction(const message_id& half) {
    return decide_transaction(half, true);
  }
  result<transaction_state> commit_transaction(const transaction_id& id) {
    return decide_transaction(id, true);
  }
  result<transaction_state> rollback_transaction(const message_id& half) {
    return decide_transaction(half, false);
  }
  result<transaction_state> rollback_transaction(const transaction_id& id) {
    return decide_transaction(id, false);
  }

  /// A message by its id. not_found when there is none or retention deleted it, corrupt when it is damaged.
  result<received_message> get(const message_id& id);
  result<node_info> node_status();
  /// Asks the node to drain and stop; returns when all that it had accepted is committed.
  error drain();

  /// Ends the connection; producers and consumers of it fail with shutting_down. Idempotent; also done by the
  /// last copy.
  void close();

  struct impl;
  explicit client(std::shared_ptr<impl> i);
  const std::shared_ptr<impl>& internals() const { return impl_; }

private:
  result<transaction_state> decide_transaction(const message_id& half, bool commit);
  result<transaction_state> decide_transaction(const transaction_id& id, bool commit);

  std::shared_ptr<impl> impl_;
};

} // namespace troupe
