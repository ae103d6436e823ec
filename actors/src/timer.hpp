#pragma once

#include "factories.hpp"
#include "followed_queues.hpp"

#include "troupe/backoff.hpp"
#include "troupe/timer_actor.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace troupe {

using timer_work_atom = caf::atom_constant<caf::atom("work")>;

/// TIMER with what it says to itself.
using timer_impl = timer_actor::extend<
    // INTERNAL: look at what is due; counts armings, so that a timer that was overtaken is ignored.
    caf::reacts_to<timer_work_atom, std::uint64_t>>;

struct timer_config {
  std::shared_ptr<shard> data;
  store_actor store;
  std::shared_ptr<node_clock> clock;
  log_sink log;
};

/// Invariant: while anything waits, a work message or a round of proposals, whose end leads to the next look,
/// is under way.
class timer_state {
public:
  static inline const char* name = "timer";
  /// Messages that one round fires at most.
  static constexpr std::size_t messages_a_round = 16384;
  /// Longest time without a look at the clocks while something waits: a wall clock may be set forward.
  static constexpr milliseconds longest_wait = std::chrono::seconds{10};
  /// Cancels under way.
  static constexpr std::size_t most_cancels = 64;
  /// Looks for a message that is cancelled while its bucket is being split.
  static constexpr int most_tries = 5;

  explicit timer_state(timer_impl::pointer self) : self_(self) {}
  void init(timer_config cfg);

  void stored(const timers_stored& s);
  void follow(const timed_queue& q);
  void lost(const caf::actor_addr& who);
  void work(std::uint64_t arming);
  caf::result<cancelled_timer> cancel(const cancel_timer& c);

private:
  struct cancel_round {
    message_place message;
    int tries = 0;
    caf::typed_response_promise<cancelled_timer> promise;
  };

  void arm(timestamp at);
  void propose(timer_work found);
  void propose(queue_id queue, entry_body body);
  void answered(const error& failed);
  void try_cancel(cancel_round round);
  void end(cancel_round& round, result<cancelled_timer> answer);
  timestamp wall();
  void report(log_level level, std::string_view event, std::string text);

  timer_impl::pointer self_;
  timer_config cfg_;
  /// At the last look.
  bool clock_trusted_ = true;
  followed_queues queues_;
  std::uint64_t arming_ = 0;
  /// What the work message under way is for.
  std::optional<timestamp> armed_for_;
  /// Proposals of a round that are not answered.
  std::size_t missing_ = 0;
  /// The first error of the round.
  error failed_;
  backoff pauses_{milliseconds{100}, std::chrono::seconds{5}};
  std::size_t cancels_ = 0;
  /// The STORE takes nothing more, for good.
  bool stopped_ = false;
};

timer_impl::behavior_type timers(timer_impl::stateful_pointer<timer_state> self, timer_config cfg);

} // namespace troupe
