#pragma once

#include "factories.hpp"
#include "hot_tail.hpp"
#include "publish_window.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <vector>

namespace troupe {

using tail_idle_atom = caf::atom_constant<caf::atom("tail_idle")>;

/// The QUEUE with what it says to itself.
using queue_impl = queue_actor::extend<
    // INTERNAL: has the tail been idle since the last time?
    caf::reacts_to<tail_idle_atom>>;

/// Invariant: window_ counts exactly the batches that went to the STORE and came back in no `visible` yet;
/// the tail, when it holds anything, ends at next_.
class queue_state {
public:
  static inline const char* name = "queue";
  /// A tail that nobody added to or read for so long is given up.
  static constexpr auto tail_idle_time = std::chrono::seconds{10};

  explicit queue_state(queue_impl::pointer self) : self_(self) {}
  void init(context_ptr ctx, const topic_definition& definition, lane_place at);

  void take(publish& p);
  void serve(const fetch& f);
  void add_watcher(const watch& w);
  void made_visible(const visible& v);
  void change(const topic_changed& c);
  void tail_idle();
  caf::result<queue_status> status();
  void lost(const caf::actor_addr& who);

private:
  error check(publish& p) const;
  void refuse(const publish& p, const error& why, batch_sequence expected = {});
  void move_tail(const visible& v);
  bool internal(const char* what);

  queue_impl::pointer self_;
  context_ptr ctx_;
  queue_id id_;
  lane_place place_;
  std::string topic_;
  topic_options options_;
  bool deleted_ = false;
  store_actor store_;
  reader_actor reader_;
  queue_offset first_;
  queue_offset next_;
  publish_window window_;
  std::unique_ptr<hot_tail> tail_;
  bool tail_used_ = false;
  bool tail_timer_ = false;
  std::vector<caf::actor> watchers_;
};

queue_impl::behavior_type queue(queue_impl::stateful_pointer<queue_state> self, context_ptr ctx,
                                const topic_definition& definition, lane_place at);

} // namespace troupe
