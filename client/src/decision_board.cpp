#include "decision_board.hpp"

#include "client_impl.hpp"
#include "outbox.hpp"

#include <utility>

namespace troupe {

error check_decision(const std::string& what, bool commit, transaction_state state) {
  switch (state) {
  case transaction_state::committed:
    return commit ? error{}
                  : error{errc::conflict, what + " was committed before",
                          "the first decision stands: undo its effects otherwise"};
  case transaction_state::rolled_back:
    return commit
               ? error{errc::conflict, what + " was rolled back before: by a check, by hand, or for its age",
                       "the first decision stands: publish it again"}
               : error{};
  case transaction_state::unknown:
    return commit ? error{errc::not_found,
                          what + " is not known: it never was prepared, was rolled back, or went long ago",
                          "troupe transaction list shows what is undecided"}
                  : error{};
  case transaction_state::begun:
    return {errc::invalid_argument, what + " is not prepared", "prepare it, or roll it back"};
  case transaction_state::prepared:
    return {errc::invalid_argument, what + " belongs to a transaction of several messages",
            "decide about that one"};
  }
  return {errc::internal, "an unknown state of " + what, "use the same version of troupe on both sides"};
}

void decision_board::wake_with(std::function<void()> wake) {
  std::lock_guard lock{mutex_};
  wake_ = std::move(wake);
}

/// With the lock, which is given up.
error decision_board::taken(std::unique_lock<std::mutex>& lock) {
  ++open_;
  const bool wake = !std::exchange(woken_, true);
  lock.unlock();
  if (wake)
    wake_();
  return {};
}

error decision_board::put(half_decision&& d, bool may_block) {
  std::unique_lock lock{mutex_};
  const auto fits = [this] { return refused_ || open_ < transactions::most_decisions; };
  if (!fits()) {
    const auto many = std::to_string(open_) + " decisions wait for their answers";
    if (!may_block || inside_callback())
      return {errc::overloaded, many, "wait for some of them", milliseconds{1}};
    if (!changed_.wait_for(lock, d.deadline - steady_now(), fits))
      return {errc::timeout, many, "check that the node runs and answers, or allow more time"};
  }
  if (refused_)
    return refused_;
  waiting_.decisions.push_back(std::move(d));
  return taken(lock);
}

error decision_board::put(transaction_step&& s) {
  std::unique_lock lock{mutex_};
  if (refused_)
    return refused_;
  if (open_ >= transactions::most_decisions)
    return {errc::overloaded, std::to_string(open_) + " decisions wait for their answers",
            "wait for some of them", milliseconds{1}};
  waiting_.steps.push_back(std::move(s));
  return taken(lock);
}

error decision_board::flush(milliseconds limit) {
  if (inside_callback())
    return {errc::invalid_argument, "flush() in a callback would wait for itself",
            "call it from another thread"};
  std::unique_lock lock{mutex_};
  if (changed_.wait_for(lock, limit, [this] { return open_ == 0; }))
    return {};
  return {errc::timeout,
          std::to_string(open_) + " decisions are not answered after " + std::to_string(limit.count()) +
              " ms",
          "check that the node runs and answers, or allow more time"};
}

void decision_board::refuse(const error& why) {
  {
    std::lock_guard lock{mutex_};
    if (!refused_)
      refused_ = why;
  }
  changed_.notify_all();
}

error decision_board::wait_open(milliseconds limit) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, limit, [this] { return shards_ > 0 || refused_; }))
    return {errc::timeout,
            "the node did not say who decides about transactions in " + std::to_string(limit.count()) + " ms",
            "check that the node answers, or allow more time"};
  return refused_;
}

std::size_t decision_board::shards() const {
  std::lock_guard lock{mutex_};
  return shards_;
}

bool decision_board::wait_ended(milliseconds limit) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, limit, [this] { return ended_; });
}

decision_board::work decision_board::take() {
  std::lock_guard lock{mutex_};
  woken_ = false;
  return std::exchange(waiting_, {});
}

void decision_board::opened(std::size_t shards) {
  {
    std::lock_guard lock{mutex_};
    shards_ = shards;
  }
  changed_.notify_all();
}

void decision_board::settled(std::size_t count) {
  {
    std::lock_guard lock{mutex_};
    open_ -= count;
  }
  changed_.notify_all();
}

void decision_board::ended(const error& why) {
  refuse(why);
  {
    std::lock_guard lock{mutex_};
    ended_ = true;
  }
  changed_.notify_all();
}

} // namespace troupe
