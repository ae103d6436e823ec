#pragma once

#include "commit_answers.hpp"
#include "commit_plan.hpp"
#include "factories.hpp"
#include "sequence_guard.hpp"

#include "troupe/latency_window.hpp"
#include "troupe/retention.hpp"
#include "troupe/shard_log.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace troupe {

using commit_atom = caf::atom_constant<caf::atom("commit")>;
using settle_due_atom = caf::atom_constant<caf::atom("settle_due")>;

/// The STORE with what it says to itself.
using store_impl = store_actor::extend<
    // INTERNAL: lands behind everything the mailbox held when the first of it was taken.
    caf::reacts_to<commit_atom>,
    // INTERNAL: the oldest settle may have waited long enough.
    caf::reacts_to<settle_due_atom>>;

/// Invariant: whatever came in is in exactly one of plan_ (waits), open_ (in the log, not yet applied) or
/// answers_ (to be told), so everything is answered exactly once. A commit message is under way whenever
/// plan_ or answers_ hold something that shall not wait; else a settle timer is, when settles wait.
class store_state {
public:
  static inline const char* name = "store";
  /// How long settles wait for somebody else's commit.
  static constexpr auto settle_delay = std::chrono::milliseconds{20};

  static constexpr auto full_memory = std::chrono::seconds{5};

  explicit store_state(store_impl::pointer self) : self_(self) {}
  void init(store_config cfg);

  void append(append_request& r);
  void settle(settle_request& r);
  caf::result<applied> propose(propose_request& r);
  void commit();
  void settle_due();
  store_status status() const;
  caf::result<bool> drain();
  /// A handler threw: nothing more is acknowledged.
  void fail(const error& why);

private:
  using clock = std::chrono::steady_clock;

  error refusal() const;
  error key_refusal() const;
  bool hold(const append_request& r);
  void arm();
  void run(commit_call call);
  void run_one_by_one(commit_call call);
  error try_append(commit_call& call);
  void forget_applied();
  void refuse(commit_call& call, const error& why);
  void on_applied(const applied& outcome);
  void note_sequences(const append_entry& entry, const std::vector<append_origin>& origins,
                      const applied& outcome);
  void flush();
  void note_space(const error& why);
  void propose_evictions();
  void evicted(const applied* outcome);
  milliseconds monotonic() const;
  void answer(const settle_request& r, const subscription_row& row, const error& failed);

  /// A call that is in the log, and how much of it was applied.
  struct open_call {
    commit_call call;
    std::size_t done = 0;
  };

  store_impl::pointer self_;
  store_config cfg_;
  std::unique_ptr<shard_log> log_;
  commit_plan plan_;
  sequence_guard guard_;
  std::unique_ptr<commit_answers> answers_;
  /// In the log, oldest first; the log applies in order.
  std::deque<open_call> open_;
  std::unordered_map<std::uint64_t, caf::typed_response_promise<applied>> promises_;
  std::uint64_t next_promise_ = 0;
  /// Notices a wall clock that was set: by such a one no producer is forgotten.
  std::optional<clock_guard> clock_;
  /// There may be more producers, or older ones, than shall be.
  bool census_due_ = true;
  /// Evictions in the plan or the log.
  std::size_t evictions_ = 0;
  /// A commit message is under way.
  bool armed_ = false;
  bool settle_timer_ = false;
  caf::actor_clock::time_point oldest_settle_{};
  bool draining_ = false;
  /// New messages were refused for space less than full_memory ago; a store on the brink says so once.
  bool full_ = false;
  caf::actor_clock::time_point last_full_{};
  /// Set once and for ever: the storage failed.
  error failed_;
  latency_window latency_;
};

store_impl::behavior_type store(store_impl::stateful_pointer<store_state> self, store_config cfg);

} // namespace troupe
