#pragma once

#include "factories.hpp"

#include "troupe/retention_schedule.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_set>

namespace troupe {

using retention_work_atom = caf::atom_constant<caf::atom("work")>;

/// RETENTION with what it says to itself.
using retention_impl = retention_actor::extend<
    // INTERNAL: look at what is due; counts armings, so that a timer that was overtaken is ignored.
    caf::reacts_to<retention_work_atom, std::uint64_t>>;

struct retention_config {
  std::shared_ptr<shard> data;
  store_actor store;
  std::function<timestamp()> now;
  log_sink log;
};

/// Invariant: when anything is due at some time, a work message or a proposal, whose answer arms one, is
/// under way.
class retention_state {
public:
  static inline const char* name = "retention";
  /// Index rows, and so records, that one proposal removes at most.
  static constexpr std::size_t rows_a_step = 64;
  /// Proposals that may wait for the STORE together. One while there is little to do; more when many queues
  /// are due, so that trimming keeps up with publishing to many queues.
  static constexpr std::size_t max_proposals = 8;
  /// Queues looked at before other messages have their turn.
  static constexpr std::size_t looks_a_turn = 64;
  /// Longest time without a look at the clocks while something waits for its date.
  static constexpr milliseconds longest_wait = std::chrono::minutes{1};
  /// Before something that failed is tried again.
  static constexpr milliseconds pause_after_failure = std::chrono::seconds{1};
  /// A batch that was on its way when its topic was deleted is found by a second look.
  static constexpr milliseconds second_look = std::chrono::minutes{1};

  explicit retention_state(retention_impl::pointer self) : self_(self) {}
  void init(retention_config cfg);

  void rule(const retention_rule& r);
  void appended(const appended_queues& a);
  void work(std::uint64_t arming);

private:
  using work_item = retention_schedule::work;

  void arm_next();
  void judge_clock();
  void look(const work_item& w);
  void look_to_keep(const work_item& w);
  void look_to_keys(const work_item& w, std::optional<timestamp> due);
  void look_to_remove(const work_item& w);
  template <class OnApplied> void propose(queue_id queue, entry_body body, OnApplied on_applied);
  void trimmed(queue_id queue, queue_offset before, const applied& a);
  void dropped(queue_id queue, const applied& a);
  void failed(queue_id queue, const error& why);

  retention_impl::pointer self_;
  retention_config cfg_;
  retention_schedule schedule_;
  std::optional<clock_guard> guard_;
  /// False while the wall clock is not to be trusted: then nothing comes of age. Judged once a turn.
  bool age_counts_ = true;
  /// Queues with a proposal under way; its answer leads to the next look.
  std::unordered_set<queue_id> busy_;
  /// Queues of which everything was removed, until their second look.
  std::unordered_set<queue_id> emptied_;
  std::uint64_t arming_ = 0;
  /// The date that the work message under way is for.
  std::optional<timestamp> armed_for_;
  /// The STORE takes nothing more, for good.
  bool stopped_ = false;
};

retention_impl::behavior_type retention(retention_impl::stateful_pointer<retention_state> self,
                                        retention_config cfg);

} // namespace troupe
