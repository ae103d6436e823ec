#pragma once

#include "check_round.hpp"
#include "half_decisions.hpp"
#include "home_transactions.hpp"
#include "transactions_parts.hpp"

#include "troupe/backoff.hpp"

#include <cstdint>
#include <optional>

namespace troupe {

struct transactions_config {
  context_ptr ctx;
  shard_id shard;
};

/// Invariant: while anything is undecided but what is asked about no more, a work message or a round of
/// checks, whose end leads to the next look, is under way; nothing is, before the peers are known.
class transactions_state {
public:
  static inline const char* name = transactions_parts::name;
  /// Longest time without a look at the clocks while something waits: a wall clock may be set forward.
  static constexpr milliseconds longest_wait = std::chrono::seconds{10};
  /// Before a program that is slow is offered a question again.
  static constexpr milliseconds busy_pause = std::chrono::seconds{1};
  /// How long the end of a transaction is remembered, and how often what is older is looked for.
  /// Each commit of a processor leaves one.
  static constexpr milliseconds memory = std::chrono::minutes{10};
  static constexpr milliseconds forget_every = std::chrono::minutes{1};
  static constexpr milliseconds first_forget = std::chrono::minutes{1};

  explicit transactions_state(transactions_impl::pointer self);
  void init(transactions_config cfg);

  void start(const transactions_peers& p);
  void decide(const decide_halves& d) { halves_.add(d, sender()); }
  void begin(const begin_transaction& b);
  void seal(const seal_transaction& s);
  void decide(const decide_transaction& d) { home_.decide(d, sender()); }
  caf::result<bool> expect(const expect_checks& e) { return checks_.expect(e); }
  void answered(const checks_done& d);
  void stored(const halves_stored& s);
  void follow(const timed_queue& q);
  caf::result<bool> decide_part_here(const decide_part& p);
  caf::result<open_found> list(const open_request& r);
  caf::result<decided_by_hand> by_hand(const decide_by_hand& d);
  void work(std::uint64_t arming);
  void flush();
  void forget();
  void lost(const caf::actor_addr& who);

private:
  caf::actor sender() const;
  void look_by(timestamp at);
  void arm(timestamp at);
  void look_again(milliseconds pause);
  void round_ended(check_round::ending end, const error& failed);
  void forget_some(timestamp before);
  caf::result<decided_by_hand> half_by_hand(const decide_by_hand& d);

  transactions_parts parts_;
  half_decisions halves_{parts_};
  home_transactions home_{parts_};
  check_round checks_{parts_, home_};
  std::uint64_t arming_ = 0;
  /// What the work message under way is for.
  std::optional<timestamp> armed_for_;
  bool started_ = false;
  bool round_ = false;
  backoff pauses_{milliseconds{100}, std::chrono::seconds{5}};
  /// The STORE takes nothing more, for good.
  bool stopped_ = false;
  std::size_t by_hand_ = 0;
};

transactions_impl::behavior_type
transactions_behavior(transactions_impl::stateful_pointer<transactions_state> self, transactions_config cfg);

} // namespace troupe
