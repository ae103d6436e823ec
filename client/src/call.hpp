#pragma once

#include "troupe/error.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

/// Requests of program threads to the DIRECTORY. CONNECTION carries them out, because it knows when the node
/// is gone and so can end a request that will never be answered.
namespace troupe {

/// One request in the hands of CONNECTION.
class pending_call {
public:
  virtual ~pending_call() = default;
  /// Sends it, unless nobody waits for the answer any more: then nothing must happen at the node either.
  virtual void start(caf::event_based_actor* self, const caf::actor& directory) = 0;
  virtual void fail(const error& why) = 0;
  /// Nobody waits, or it is answered.
  virtual bool over() const = 0;
};

struct call_directory {
  std::shared_ptr<pending_call> call;
};

template <class Answer> class answer_slot : public pending_call {
public:
  using starter =
      std::function<void(caf::event_based_actor*, const caf::actor&, std::shared_ptr<answer_slot>)>;

  explicit answer_slot(starter s) : start_(std::move(s)) {}

  void start(caf::event_based_actor* self, const caf::actor& directory) override {
    if (!over())
      start_(self, directory, self_.lock());
  }
  void fail(const error& why) override { put(why); }
  bool over() const override {
    std::lock_guard lock{mutex_};
    return abandoned_ || answer_.has_value();
  }
  void put(result<Answer> answer) {
    {
      std::lock_guard lock{mutex_};
      if (abandoned_ || answer_)
        return;
      answer_.emplace(std::move(answer));
    }
    arrived_.notify_all();
  }
  /// The answer, or nothing after `limit`: then it is given up.
  std::optional<result<Answer>> wait_until(std::chrono::steady_clock::time_point limit) {
    std::unique_lock lock{mutex_};
    arrived_.wait_until(lock, limit, [this] { return answer_.has_value(); });
    abandoned_ = !answer_;
    return std::move(answer_);
  }

  static std::shared_ptr<answer_slot> make(starter s) {
    auto slot = std::make_shared<answer_slot>(std::move(s));
    slot->self_ = slot;
    return slot;
  }

private:
  starter start_;
  std::weak_ptr<answer_slot> self_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<result<Answer>> answer_;
  bool abandoned_ = false;
};

/// A call that requests (xs...) from the DIRECTORY and expects an Answer.
template <class Answer, class... Ts>
std::shared_ptr<answer_slot<Answer>> make_call(milliseconds timeout, Ts... xs) {
  return answer_slot<Answer>::make([timeout, xs...](caf::event_based_actor* self, const caf::actor& directory,
                                                    std::shared_ptr<answer_slot<Answer>> slot) {
    self->request(directory, timeout, xs...)
        .then([slot](Answer& answer) { slot->put(std::move(answer)); },
              [slot](caf::error& why) { slot->put(from_caf(why)); });
  });
}

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::call_directory)
