#pragma once

#include "check_runner.hpp"
#include "decision_board.hpp"
#include "producer_impl.hpp"
#include "transaction_actor.hpp"

#include "troupe/transactions.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

/// What a `transactions` owns: a PRODUCER per topic for its half messages, a TRANSACTION CLIENT for its
/// decisions, a thread for its checker.
struct transactions::impl : std::enable_shared_from_this<transactions::impl> {
  using answered = std::function<void(const result<transaction_answer>&)>;

  client owner;
  transaction_options options;
  std::shared_ptr<decision_board> board = std::make_shared<decision_board>();
  std::shared_ptr<check_runner> checks;
  caf::actor actor;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<producer::impl>> producers;
  std::atomic<std::uint32_t> next_home{0};
  std::atomic<bool> closed{false};

  impl(const client& c, transaction_options o) : owner(c), options(std::move(o)) {}
  ~impl() { close(); }

  error start();
  error flush(milliseconds limit);
  error close();

  /// A half message. Blocks while the window is full.
  error put(const std::string& topic, message& m, completion&& done, const half_of& half);
  error decide(const message_id& id, bool commit, transactions::decided done, bool may_block);
  error take(shard_id home, decltype(transaction_step::request) request, answered done);
  /// Waits for the answer.
  result<transaction_answer> ask(shard_id home, decltype(transaction_step::request) request);
  /// A transaction whose home is that shard; `group` may be empty: then nobody is asked about it.
  result<transaction> begin_at(shard_id home, std::string group, std::string key);

private:
  result<std::shared_ptr<producer::impl>> to(const std::string& topic);
  void forget(const std::string& topic, const std::shared_ptr<producer::impl>& gone);
};

struct transaction::impl {
  enum class phase : std::uint8_t { gathering, prepared, decided };

  std::shared_ptr<transactions::impl> owner;
  transaction_id id;
  half_of half;
  phase now = phase::gathering;

  /// What has become of its messages. Shared with their answers.
  struct messages {
    std::mutex mutex;
    std::condition_variable changed;
    /// By the order in which they were added.
    std::vector<std::optional<message_id>> ids;
    std::size_t open = 0;
    error failed;
    void answer(std::size_t slot, const result<receipt>& r);
  };
  std::shared_ptr<messages> sent = std::make_shared<messages>();

  impl(std::shared_ptr<transactions::impl> o, transaction_id i, std::string group)
      : owner(std::move(o)), id(i), half{std::move(group), i} {}

  error add(const std::string& topic, message m);
  /// Waits until all are durable.
  result<std::vector<message_id>> durable();
  result<std::vector<message_id>> prepare();
  result<transaction_state> decide(bool commit, std::vector<settle_guard> guard);
  decide_transaction request_for(bool commit, std::vector<settle_guard> guard) const;
  /// Rolls back what nobody could decide any more, without waiting.
  void drop();
};

/// For processors: waits until the messages of `t` are durable, then commits them together with these
/// acknowledgements, which the transaction's home shard holds; needs no prepare(). lease_lost: the generation
/// is not current, or something of it is settled already (another run won), so it was rolled back. conflict:
/// it was rolled back before, for its age or by hand.
result<transaction_state> commit_with(transaction& t, settle_guard guard);

/// Waits for one answer.
template <class T> class answer_of_one {
public:
  void put(const result<T>& answer) {
    std::lock_guard lock{mutex_};
    answer_.emplace(answer);
    // Under the lock: who waits may destroy this as soon as it has the answer.
    changed_.notify_all();
  }
  result<T> wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return answer_.has_value(); });
    return std::move(*answer_);
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<result<T>> answer_;
};

/// What a synchronous call in a callback gets.
inline error callback_waits() {
  return {errc::invalid_argument, "a synchronous call in a callback would wait for itself",
          "use its asynchronous form there, or another thread"};
}

} // namespace troupe
