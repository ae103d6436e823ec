#pragma once

#include "call.hpp"
#include "line.hpp"

#include "troupe/backoff.hpp"
#include "troupe/wire.hpp"

#include <caf/stateful_actor.hpp>

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace troupe {

/// To CONNECTION: end, once everybody attached has ended.
using close_atom = caf::atom_constant<caf::atom("close")>;
using retry_atom = caf::atom_constant<caf::atom("retry")>;

struct connection_config {
  /// Where the node is; not used when `embedded` is set.
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  /// Who connects for us: a middleman actor of CAF's kind.
  caf::actor middleman;
  /// The DIRECTORY of a node in this process.
  caf::actor embedded;
  std::string client_name;
  milliseconds timeout{10'000};
  milliseconds min_backoff{50};
  milliseconds max_backoff{5'000};
  std::uint64_t seed = 0;
  std::shared_ptr<line_status> status;

  /// For people.
  std::string address() const {
    if (embedded)
      return "this process";
    return (host.find(':') == std::string::npos ? host : '[' + host + ']') + ':' + std::to_string(port);
  }
};

/// CONNECTION: one per client. Finds the node's DIRECTORY, greets it, watches it, and finds it again after it
/// was lost. Invariant: `directory` is set exactly while the node has answered our hello and has not been
/// reported down since.
struct connection_state {
  static inline const char* name = "connection";

  explicit connection_state(caf::event_based_actor* self) : self(self) {}
  ~connection_state();

  void start(connection_config c);
  void attempt();
  void retry(std::uint64_t after);
  void found(std::uint64_t number, const caf::strong_actor_ptr& published);
  void greeted(std::uint64_t number, const welcome& w);
  /// An attempt failed; `greeting`: after somebody was found there.
  void missed(std::uint64_t number, const caf::error& why, bool greeting);
  /// As missed(), in words. `final`: who waits for the first attempt need not wait for another.
  void failed(std::uint64_t number, error why, bool final);
  void lost(const caf::down_msg& down);
  void attach(caf::actor who);
  void carry_out(std::shared_ptr<pending_call> call);
  void close();

  caf::event_based_actor* self;
  connection_config cfg;

private:
  void drop_line(const error& why);
  void ask_for_directory(std::uint64_t number);
  void forget_finished_calls();
  template <class Message> void tell_all(const Message& m);

  backoff pause_{milliseconds{1}, milliseconds{1}};
  std::minstd_rand random_;
  caf::actor directory_;
  caf::actor candidate_; // watched, not yet greeted
  std::uint64_t attempt_ = 0;
  std::uint64_t session_ = 0;
  std::vector<caf::actor> attached_;
  std::vector<std::weak_ptr<pending_call>> asked_;
  std::deque<std::weak_ptr<pending_call>> waiting_;
  bool closing_ = false;
};

caf::behavior connection(caf::stateful_actor<connection_state>* self, connection_config cfg);

} // namespace troupe
