#include "check_runner.hpp"

#include "client_impl.hpp"
#include "outbox.hpp"

#include "troupe/batch.hpp"

#include <utility>

namespace troupe {

namespace {

std::optional<message> content_of(const checked_item& item) {
  if (item.header.count != 1)
    return std::nullopt;
  const auto opened = batch_reader::open(item.header, item.data);
  return opened && opened->count() == 1 ? std::optional{opened->at(0).materialize()} : std::nullopt;
}

checked_transaction to_checked(const checked_item& item) {
  checked_transaction t;
  if (item.transaction.known())
    t.transaction = item.transaction;
  else
    t.message = item.message;
  t.key = item.key;
  t.topic = item.topic;
  t.content = content_of(item);
  t.checks = item.checks;
  t.since = from_unix_ms(item.since);
  return t;
}

} // namespace

void check_runner::start(handled tell) {
  tell_ = std::move(tell);
  // It lives as long as its thread: the checker may be who lets go of it last.
  thread_ = std::thread{[self = shared_from_this()] { self->run(); }};
}

check_runner::~check_runner() {
  // Its thread, if it was not joined, is at its end, or the one that does this.
  if (thread_.joinable())
    thread_.detach();
}

void check_runner::put(job j) {
  {
    std::lock_guard lock{mutex_};
    if (stopping_)
      return;
    waiting_.push_back(std::move(j));
  }
  changed_.notify_all();
}

void check_runner::stop(bool wait) {
  {
    std::lock_guard lock{mutex_};
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  if (wait && thread_.joinable() && thread_.get_id() != std::this_thread::get_id())
    thread_.join();
}

void check_runner::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_)
      return;
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    decide(next.item, ask(next.item));
    tell_(next);
    lock.lock();
  }
}

decision check_runner::ask(const checked_item& item) const {
  try {
    return checker_(to_checked(item));
  } catch (...) {
    return decision::unknown; // it is asked again
  }
}

/// Nobody waits for the answer: what is not decided is asked about again.
void check_runner::decide(const checked_item& item, decision d) {
  if (d == decision::unknown)
    return;
  const bool commit = d == decision::commit;
  const auto deadline = steady_now() + timeout_;
  if (!item.transaction.known()) {
    board_->put(half_decision{item.message, commit, {}, deadline}, true);
    return;
  }
  decide_transaction request;
  request.id = item.transaction;
  request.commit = commit;
  board_->put(transaction_step{item.transaction.home, std::move(request), {}, deadline});
}

} // namespace troupe
