#pragma once

#include "troupe/transactions.hpp"
#include "troupe/wire_transactions.hpp"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <variant>
#include <vector>

namespace troupe {

/// What is wrong when a decision was answered by this state; no error when it holds.
error check_decision(const std::string& what, bool commit, transaction_state state);

/// A decision about a half message that is a transaction of its own.
struct half_decision {
  message_id message;
  bool commit = false;
  /// May be empty.
  transactions::decided done;
  milliseconds deadline{0};
};
/// A step of a transaction of several messages.
struct transaction_step {
  shard_id home;
  std::variant<begin_transaction, seal_transaction, decide_transaction> request;
  std::function<void(const result<transaction_answer>&)> done;
  milliseconds deadline{0};
};

/// Between the program's threads and the TRANSACTION CLIENT. Bounded; thread-safe; calls nobody back but the
/// wake-up. Times are of a clock that never runs backwards.
class decision_board {
public:
  /// Wakes the TRANSACTION CLIENT; set before the first decision.
  void wake_with(std::function<void()> wake);

  // -- the program's threads

  /// Waits while too many are open, until the deadline (`timeout`), or, when it may not block, refuses with
  /// overloaded. `d` is moved from only when it was taken.
  error put(half_decision&& d, bool may_block);
  error put(transaction_step&& s);
  error flush(milliseconds limit);
  /// Takes nothing more.
  void refuse(const error& why);
  /// Waits until it is known who decides, or why it never will be.
  error wait_open(milliseconds limit);
  /// How many shards there are.
  std::size_t shards() const;
  bool wait_ended(milliseconds limit);

  // -- the TRANSACTION CLIENT

  struct work {
    std::vector<half_decision> decisions;
    std::vector<transaction_step> steps;
  };
  work take();
  void opened(std::size_t shards);
  /// So many are answered.
  void settled(std::size_t count);
  void ended(const error& why);

private:
  error taken(std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> wake_;
  work waiting_;
  std::size_t open_ = 0;
  std::size_t shards_ = 0;
  bool woken_ = false;
  bool ended_ = false;
  error refused_;
};

} // namespace troupe
