#pragma once

#include "call.hpp"
#include "line.hpp"

#include "troupe/client.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>

#include <atomic>
#include <memory>

namespace troupe {

inline error client_closed() { return {errc::shutting_down, "the client was closed", "connect again"}; }

/// What producers, consumers and administration share. Ends when the last of them lets go.
struct client::impl {
  ~impl();

  client_options options;
  std::string address;
  /// Of a remote client; empty for an embedded one, which lives in its node's system.
  std::unique_ptr<caf::actor_system_config> config;
  std::unique_ptr<caf::actor_system> own;
  caf::actor_system* system = nullptr;
  caf::actor connection;
  std::shared_ptr<line_status> line = std::make_shared<line_status>();

  std::atomic<bool> closed{false};
  /// The first attempt came through. Set before anybody else has this.
  bool connected = false;

  void close();
  /// Why a call got no answer in time.
  error no_answer() const;

  /// Asks the DIRECTORY (xs...) and waits for the Answer, at most options.timeout.
  template <class Answer, class... Ts> result<Answer> ask(Ts... xs) {
    if (closed)
      return client_closed();
    const auto limit = std::chrono::steady_clock::now() + options.timeout;
    auto call = make_call<Answer>(options.timeout, std::move(xs)...);
    caf::anon_send(connection, call_directory{call});
    // A little more, so that the reason that comes from the request's own timeout wins.
    auto answer = call->wait_until(limit + milliseconds{200});
    return answer ? std::move(*answer) : result<Answer>{no_answer()};
  }
};

/// Spawns CONNECTION and the actors that a client needs in `system`.
struct connection_config;
result<client> connect_through(std::shared_ptr<client::impl> impl, connection_config cfg);

/// True while the calling thread runs a program's callback on behalf of a client: then nothing may wait for
/// the client.
bool inside_callback();
/// Marks it, as long as it lives.
class callback_mark {
public:
  callback_mark();
  ~callback_mark();
  callback_mark(const callback_mark&) = delete;
  callback_mark& operator=(const callback_mark&) = delete;

private:
  bool before_;
};

/// A program's thread in a function that spawns actors. CAF remembers in each such thread the logger of its
/// actor system, and the system's destructor waits until nobody does: so the thread forgets it on its way
/// out.
class visit {
public:
  visit() = default;
  ~visit();
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
};

} // namespace troupe
