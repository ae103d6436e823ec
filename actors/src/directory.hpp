#pragma once

#include "factories.hpp"
#include "reply_addresses.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/stateful_actor.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe {

/// INTERNAL, NODE -> DIRECTORY: clients can connect there.
struct listening {
  std::string address;
  std::uint16_t port = 0;
};
/// INTERNAL: time to look for connections that say nothing.
struct look_for_silent_peers {};

/// Owns what clients ask the node itself: who is connected, its state, draining. `clients` are the monitored
/// actors that said hello, `vital` those that the node cannot do without. At most one round of questions for
/// `status` and one drain are under way; later askers join it.
struct directory_state {
  explicit directory_state(caf::event_based_actor* s)
      : self(static_cast<caf::stateful_actor<directory_state>*>(s)) {}
  static constexpr const char* name = "directory";

  void init(context_ptr context, directory_config config);

  caf::result<welcome> greet(const hello& h);
  caf::result<bool> expect(const expect_replies& r);
  caf::result<bool> forward(reply_message& r);
  void taken(const replies_taken& read);
  caf::result<node_status> status();
  caf::result<bool> drain();
  void heard(listening l);
  void close_silent();
  void lost(const caf::down_msg& down);
  /// The answer to a request that would begin something new while the node drains, or no error.
  caf::error closed() const;

  caf::stateful_actor<directory_state>* self;
  directory_config cfg;

private:
  struct status_round;

  template <class Actors> void watch(const Actors& actors, const char* name);
  void counted(status_round& round);
  void drained(const caf::error& failed);

  context_ptr ctx;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::unordered_map<caf::actor_addr, std::string> clients;
  reply_addresses replies;
  /// Actors without which the node ends.
  std::unordered_map<caf::actor_addr, const char*> vital;
  std::shared_ptr<status_round> asking;
  std::uint16_t port = 0;
  bool draining = false;
  std::size_t draining_stores = 0;
  /// The first error of a STORE that did not drain.
  caf::error not_drained;
  std::vector<caf::response_promise> drain_promises;
};

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::listening)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::look_for_silent_peers)
