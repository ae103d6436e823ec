#pragma once

#include "check_runner.hpp"
#include "decision_board.hpp"
#include "line.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe {

/// DECISION BOARD -> TRANSACTION CLIENT: there is something to send.
using decide_atom = caf::atom_constant<caf::atom("decide")>;
/// Go on with what had to wait.
using decide_again_atom = caf::atom_constant<caf::atom("decideagn")>;
/// Look for what has waited too long.
using decide_sweep_atom = caf::atom_constant<caf::atom("decideswp")>;
/// Say again for which group this program answers.
using expect_again_atom = caf::atom_constant<caf::atom("expectagn")>;
/// Ask again who decides.
using deciders_atom = caf::atom_constant<caf::atom("deciders")>;
using decide_stop_atom = caf::atom_constant<caf::atom("decidestp")>;

/// CHECK RUNNER -> TRANSACTION CLIENT: a question of this one was dealt with.
struct check_handled {
  caf::actor from;
  std::uint32_t cost = 0;
};

struct transaction_client_config {
  std::string group;
  milliseconds timeout{30'000};
  caf::actor connection;
  std::shared_ptr<decision_board> board;
  /// Nobody, when the program is not asked.
  std::shared_ptr<check_runner> checks;
};

/// TRANSACTION CLIENT: one per `transactions`. Sends decisions, those of many threads together, to the
/// TRANSACTIONS of their shards, again after a reconnect: all of them may be carried out twice. Takes the
/// node's questions. Invariant: what was taken from the board is in exactly one of waiting_, steps_, sent_
/// and sent_steps_ until it is settled, once.
struct transaction_client_state {
  static inline const char* name = "transaction_client";
  /// Requests to one shard at a time, and steps of transactions in all.
  static constexpr std::size_t most_batches = 4;
  static constexpr std::size_t most_steps = 128;

  explicit transaction_client_state(caf::event_based_actor* self) : self(self) {}
  ~transaction_client_state();

  void start(transaction_client_config c);
  void line_came(const line_up& up);
  void line_went();
  void ask_deciders();
  void expect_checks_again();
  void collect();
  void again();
  void answered(decided_halves& d);
  void answered(const transaction_answer& a);
  void asked(check_transactions& c);
  void handled(const check_handled& h);
  void sweep();
  void end(const error& why);

  caf::event_based_actor* self;

private:
  struct batch_sent {
    std::size_t shard = 0;
    std::vector<half_decision> commits;
    std::vector<half_decision> rollbacks;
  };
  using decisions = std::deque<half_decision>;

  void found(const transactions_route& r);
  void distribute();
  void pump();
  void send_batch(std::size_t shard);
  void send_step();
  void take_back(std::vector<half_decision>& from, std::size_t shard);
  void pause(milliseconds wanted);
  void settle(const half_decision& d, const result<transaction_state>& outcome);
  void settle(const transaction_step& s, const result<transaction_answer>& outcome);
  void arm_sweep();

  transaction_client_config cfg_;
  caf::actor directory_;
  std::uint64_t session_ = 0;
  std::vector<caf::actor> shards_;
  std::vector<decisions> waiting_;
  std::vector<std::size_t> under_way_;
  std::deque<transaction_step> steps_;
  std::unordered_map<std::uint64_t, batch_sent> sent_;
  std::unordered_map<std::uint64_t, transaction_step> sent_steps_;
  std::uint64_t last_tag_ = 0;
  std::size_t settled_ = 0;
  bool paused_ = false;
  /// Shards will be asked again to tell what is to be checked.
  bool expecting_ = false;
  bool sweeping_ = false;
  error ended_{errc::shutting_down, "the transactions were closed", "open others"};
};

caf::behavior transaction_client(caf::stateful_actor<transaction_client_state>* self,
                                 transaction_client_config cfg);

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::check_handled)
