#pragma once

#include "decision_board.hpp"

#include <caf/actor.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace troupe {

/// Asks a program's checker, one question at a time, in a thread of its own, and passes on what it decides.
/// Bounded by what the node has open with one checker (checker_groups::most_open). Thread-safe.
class check_runner : public std::enable_shared_from_this<check_runner> {
public:
  struct job {
    checked_item item;
    /// Who asks.
    caf::actor from;
  };
  /// A question was dealt with.
  using handled = std::function<void(const job&)>;

  check_runner(transaction_checker checker, std::shared_ptr<decision_board> board, milliseconds timeout)
      : checker_(std::move(checker)), board_(std::move(board)), timeout_(timeout) {}
  ~check_runner();
  check_runner(const check_runner&) = delete;
  check_runner& operator=(const check_runner&) = delete;

  void start(handled tell);
  void put(job j);
  /// What waits is dropped; with `wait` until the checker has returned, unless it is the checker that calls.
  void stop(bool wait);

private:
  void run();
  decision ask(const checked_item& item) const;
  void decide(const checked_item& item, decision d);

  const transaction_checker checker_;
  const std::shared_ptr<decision_board> board_;
  const milliseconds timeout_;
  handled tell_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<job> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace troupe
