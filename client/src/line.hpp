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
  /// An attempt failed, or the line broke. Not `final`: another attempt may well succeed.
  void down(error why, bool final = true) {
    change([&, this] {
      up_ = false;
      final_ = final_ || final;
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

  /// Waits until the line is up or an attempt failed for good; no error once it is up. After `limit` the
  /// reason of the last attempt counts; for that of an attempt that is still under way it waits for `grace`
  /// more.
  error first_line(std::chrono::milliseconds limit, std::chrono::milliseconds grace = {}) const {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, limit, [this] { return settled_here(); }) && !why_)
      changed_.wait_for(lock, grace, [this] { return settled_here() || why_; });
    if (up_ || why_)
      return up_ ? error{} : why_;
    return {
        errc::timeout, "the node did not answer in " + std::to_string(limit.count()) + " ms",
        "check address and port, that both sides use TLS or neither does, and that the node is not stopped "
        "or overloaded"};
  }
  /// The line is up, or was, or it makes no sense to wait for it.
  bool settled() const {
    std::lock_guard lock{mutex_};
    return settled_here();
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
  bool settled_here() const { return up_ || final_ || ended_; }
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
  bool final_ = false;
  bool ended_ = false;
  error why_;
};

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::attach_line)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::line_closed)
