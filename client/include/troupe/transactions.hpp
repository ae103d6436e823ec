#pragma once

#include "troupe/client.hpp"
#include "troupe/error.hpp"
#include "troupe/message.hpp"
#include "troupe/producer.hpp"
#include "troupe/transaction.hpp"

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe {

/// What becomes of a transaction, as far as a program knows.
enum class decision : std::uint8_t { commit, rollback, unknown };

/// A transaction that nobody decided, as the node asks about it.
struct checked_transaction {
  /// Of a half message that is a transaction of its own; else `transaction` is set.
  std::optional<message_id> message;
  std::optional<transaction_id> transaction;
  /// The application's name for a transaction of several messages, as begin() got it.
  std::string key;
  /// Of a half message; the content is absent when it cannot be read any more.
  std::string topic;
  std::optional<troupe::message> content;
  /// How often it was asked about, this time included.
  std::uint32_t checks = 0;
  timestamp since{};
};
using transaction_checker = std::function<decision(const checked_transaction&)>;

struct transaction_options {
  /// The producer group: programs that can answer for each other's transactions. Required.
  std::string group;
  /// Asked about transactions of the group that nobody decided, of this program or another one that is gone:
  /// looks up what became of the work that belongs to it. Runs on a thread of its own, one question at a
  /// time; may block and may use the client. An exception counts as unknown: then it is asked again later, as
  /// often as the node allows. Empty: this program is not asked.
  transaction_checker checker;
  /// As of producer_options, for each topic. Half messages are always durable.
  std::uint32_t window = 8u << 20;
  std::uint32_t batch_bytes = 256u << 10;
  std::uint32_t batch_messages = 4096;
  /// How long a message, and a decision, may take from the call to its answer, over reconnects.
  milliseconds timeout{30'000};
};

/// What became of send().
struct transaction_receipt {
  receipt half;
  /// What the local work came to.
  decision local = decision::unknown;
  /// committed, rolled_back, or prepared: it is undecided, and the checker will be asked.
  transaction_state state = transaction_state::prepared;
  /// Why the decision is not known to have reached the node, if so.
  error undecided;
};

class transaction;

/// Publishes messages that nobody sees before they are committed (RocketMQ's transactional messages), and
/// answers for those that were left undecided. A half message is durable, and has its id, before its fate is
/// known; it becomes visible at the end of its queue by the commit. Thread-safe; keeps its client alive.
///
/// A decision about a transaction that was decided otherwise before, by a check or by an operator, fails with
/// `conflict`: the first one stands. Said again it is no error.
class transactions {
public:
  using decided = std::function<void(const result<transaction_state>&)>;
  /// The program's own work for a message that is prepared. An exception counts as unknown.
  using local_work = std::function<decision(const message&, const message_id&)>;
  /// Topics that one object publishes to.
  static constexpr std::size_t most_topics = 1024;
  /// Decisions that are not answered.
  static constexpr std::size_t most_decisions = 65'536;
  /// Messages in one transaction.
  static constexpr std::size_t most_messages = 1024;

  /// invalid_argument (group, an option), and what keeps the node from saying who decides: as a call of
  /// client.
  static result<transactions> open(const client& c, transaction_options options);
  transactions(transactions&&) noexcept;
  transactions& operator=(transactions&&) noexcept;
  /// As close().
  ~transactions();

  /// RocketMQ's form: publishes the half message, does the local work in the calling thread, decides. Fails,
  /// without local work, when the half message does.
  result<transaction_receipt> send(const std::string& topic, message m, const local_work& work);

  /// A half message that is a transaction of its own, whose id is the message's. As producer::send(); the
  /// first message to a topic waits for its route.
  result<receipt> prepare(const std::string& topic, message m);
  void prepare_async(const std::string& topic, message m, producer::callback done);
  /// Decides about one. Durable when answered: then the message is in its queue, or gone. not_found for a
  /// commit of what is no half message, was rolled back, or went long ago; conflict.
  result<transaction_state> commit(const message_id& id);
  result<transaction_state> rollback(const message_id& id);
  /// Decisions of many threads travel together. The callback runs on a thread of the client and must not
  /// block; it may be empty.
  void commit_async(const message_id& id, decided done);
  void rollback_async(const message_id& id, decided done);

  /// A transaction of several messages, to any topics. `key`: the program's own name for it, at most 255
  /// bytes, which its checker is told. When it is not prepared within the node's time for that (a minute) it
  /// is rolled back.
  result<transaction> begin(std::string key = {});
  /// All of them, or none: a transaction that is begun, prepared and committed. The ids, in order.
  result<std::vector<message_id>> publish(std::vector<std::pair<std::string, message>> messages);

  /// Waits until everything that was begun so far is answered, at most `limit`.
  error flush(milliseconds limit = milliseconds{30'000});
  /// Flushes, then refuses further calls; the checker is asked no more, and has returned. What is undecided
  /// stays so, for others of the group.
  error close();

  struct impl;
  const std::shared_ptr<impl>& internals() const { return impl_; }

private:
  explicit transactions(std::shared_ptr<impl> i);
  std::shared_ptr<impl> impl_;
};

/// One transaction of several messages. Not thread-safe. Destroying one that is neither prepared nor decided
/// rolls it back; a prepared one is left to the checker.
class transaction {
public:
  transaction(transaction&&) noexcept;
  transaction& operator=(transaction&&) noexcept;
  ~transaction();

  const transaction_id& id() const;
  /// Takes a message. What the node says of it is heard in prepare(). What the client refuses (invalid, a
  /// full window, the 1025th, after prepare()) is returned, and the message is not part of it.
  error add(const std::string& topic, message m);
  /// Waits until all messages are durable, then until the transaction is: from now on it is not rolled back
  /// for its age, and a commit makes all of them visible. The ids, in order. When a message failed so does
  /// this; then nothing but a rollback is left. invalid_argument (no message), conflict (rolled back
  /// meanwhile), not_found.
  result<std::vector<message_id>> prepare();
  /// Prepares first if need be. Durable when answered; the messages in other shards than its home follow
  /// within moments, whatever happens. conflict, not_found.
  result<transaction_state> commit();
  result<transaction_state> rollback();

  struct impl;
  explicit transaction(std::shared_ptr<impl> i);
  const std::shared_ptr<impl>& internals() const { return impl_; }

private:
  void drop();
  std::shared_ptr<impl> impl_;
};

} // namespace troupe
