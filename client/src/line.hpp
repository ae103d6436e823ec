#pragma once

#include "troupe/error.hpp"

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

/// What CONNECTION tells the client's other actors, and the program's threads, about the line to the node.
namespace troupe {

/// To CONNECTION: keep this actor informed from now on. It is told the present state at once.
struct attach_line {
  caf::actor who;
};
/// The node answers. `session` counts: what was asked in an earlier one will not be answered.
struct line_up {
  caf::actor directory;
  std::uint64_t session = 0;
};
/// The node is gone; CONNECTION tries to reach it again.
struct line_down {
  error why;
};
/// The client was closed: nothing more will come. Who hears it ends.
struct line_closed {
  error why;
};

/// How the line is, for threads that wait for it. Thread-safe; written by CONNECTION only.
class line_status {
public:
  void up() {
    change([this] {
      up_ = true;
      why_ = {};
    });
  }
  /// An attempt failed, or the line broke.
  void down(error why) {
    change([&, this] {
      up_ = false;
      failed_ = true;
      why_ = std::move(why);
    });
  }
  /// CONNECTION and all that were attached to it are gone.
  void ended() {
    change([this] {
      up_ = false;
      ended_ = true;
    });
  }

  /// Waits for the outcome of the first attempt: no error once the line is up.
  error first_attempt(std::chrono::milliseconds limit) const {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, limit, [this] { return up_ || failed_ || ended_; }))
      return {
          errc::timeout, "the node did not answer in " + std::to_string(limit.count()) + " ms",
          "check address and port, that both sides use TLS or neither does, and that the node is not stopped "
          "or overloaded"};
    return up_ ? error{} : why_;
  }
  bool wait_ended(std::chrono::milliseconds limit) const {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [this] { return ended_; });
  }
  /// Why the line is down, if it is.
  error why() const {
    std::lock_guard lock{mutex_};
    return why_;
  }

private:
  template <class F> void change(F&& f) {
    {
      std::lock_guard lock{mutex_};
      f();
    }
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool up_ = false;
  bool failed_ = false;
  bool ended_ = false;
  error why_;
};

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::attach_line)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_closed)
