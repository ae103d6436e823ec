#pragma once

#include "troupe/error.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_actor.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace troupe::test {

/// Keeps every message of types Ts that its actor gets, in order of arrival.
template <class... Ts> class probe {
public:
  explicit probe(caf::actor_system& sys)
      : got_(std::make_shared<inbox>()),
        actor_(sys.spawn([got = got_](caf::event_based_actor* self) -> caf::behavior {
          return {[got, self](Ts& x) {
            std::get<std::vector<Ts>>(got->messages).push_back(std::move(x));
            got->sender = self->current_sender();
          }...};
        })) {}

  const caf::actor& handle() const { return actor_; }
  template <class T> std::vector<T>& all() { return std::get<std::vector<T>>(got_->messages); }
  /// Who sent the latest.
  caf::actor sender() const { return caf::actor_cast<caf::actor>(got_->sender); }
  /// Everything of type T since the last take.
  template <class T> std::vector<T> take() { return std::exchange(all<T>(), {}); }
  /// Sends in this actor's name; `to` may be typed.
  template <class Handle, class... Us> void send(const Handle& to, Us&&... what) {
    caf::send_as(actor_, caf::actor_cast<caf::actor>(to), std::forward<Us>(what)...);
  }
  void kill() { caf::anon_send_exit(actor_, caf::exit_reason::kill); }

private:
  struct inbox {
    std::tuple<std::vector<Ts>...> messages;
    caf::strong_actor_ptr sender;
  };
  std::shared_ptr<inbox> got_;
  caf::actor actor_;
};

/// An actor system without threads of its own: actors run only within run(), and time passes only by
/// advance(). Spawn what is detached in production as an ordinary actor (its behaviour function), or it runs
/// by itself.
class deterministic {
public:
  deterministic();
  /// Ends the actors that were given to owned().
  ~deterministic();

  caf::actor_system& system() { return *sys_; }
  /// Delivers messages until none is left. Timers do not fire.
  void run();
  /// Lets time pass in one step, fires what became due, and runs.
  void advance(std::chrono::milliseconds step);
  /// Ends with this fixture; returns the handle.
  template <class Handle> Handle owned(Handle h) {
    owned_.push_back(caf::actor_cast<caf::actor>(h));
    return h;
  }
  template <class... Ts> probe<Ts...> make_probe() {
    probe<Ts...> p{system()};
    owned(p.handle());
    return p;
  }

  /// Sends a request and runs. The answer, the error it was answered with, or `timeout` when nothing came.
  template <class T, class Handle, class... Us> result<T> ask(const Handle& whom, Us&&... what) {
    auto pending = self().request(whom, std::chrono::minutes{60}, std::forward<Us>(what)...);
    run();
    if (!self().has_next_message())
      return error{errc::timeout, "no answer came", {}};
    std::optional<result<T>> answer;
    pending.receive([&](T& x) { answer.emplace(std::move(x)); },
                    [&](const caf::error& err) { answer.emplace(from_caf(err)); });
    return std::move(*answer);
  }

private:
  struct config : caf::actor_system_config {
    config();
  };
  caf::scoped_actor& scoped() { return *self_; }
  caf::blocking_actor& self() { return *scoped().ptr(); }

  config cfg_;
  std::unique_ptr<caf::actor_system> sys_;
  std::unique_ptr<caf::scoped_actor> self_;
  std::vector<caf::actor> owned_;
};

} // namespace troupe::test
