#pragma once

#include "line.hpp"
#include "outbox.hpp"

#include "troupe/producer_window.hpp"
#include "troupe/wire.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <memory>
#include <unordered_map>

namespace troupe {

/// OUTBOX -> PRODUCER: there is something to send. At most one is on its way.
using flush_atom = caf::atom_constant<caf::atom("flush")>;
/// The program closed the producer.
using stop_atom = caf::atom_constant<caf::atom("stop")>;
using tick_atom = caf::atom_constant<caf::atom("tick")>;
/// Ask for the route again.
using route_atom = caf::atom_constant<caf::atom("route")>;
/// Close what gathered for long because no queue takes it (the line is down, the queue pauses), so that its
/// timeout runs in the window.
using sweep_atom = caf::atom_constant<caf::atom("sweep")>;

struct producer_config {
  producer_options options;
  producer_id id;
  caf::actor connection;
  std::shared_ptr<outbox> messages;
};

/// PRODUCER: sends the batches of one OUTBOX to the queues of one topic and carries out what the
/// producer_window decides. Invariant: every batch that was collected is in `batches_` until it is settled,
/// exactly once, at the latest when the PRODUCER ends.
struct producer_state {
  static inline const char* name = "producer";

  explicit producer_state(caf::event_based_actor* self) : self(self) {}
  ~producer_state();

  void start(producer_config c);
  void line_came(line_up& up);
  void line_went();
  void ask_route();
  void routed(const route& r);
  void send_gathered();
  void sweep();
  void answered(published& answers);
  void tick(std::uint64_t epoch);
  void queue_lost(const caf::down_msg& down);
  void end(const error& why);

  caf::event_based_actor* self;

private:
  using queue_handles = std::unordered_map<queue_id, caf::actor>;

  /// From now on these are the queues, each monitored once.
  void watch(queue_handles queues);
  milliseconds now() const;
  void no_route(std::uint64_t session, const error& why);
  void take(std::vector<sealed_batch> batches);
  bool takes(queue_id queue, bool keyed) const;
  void carry_out(const publish_result* answer);
  void send(const producer_window::send& s);
  receipt receipt_for(const sealed_batch& b, const publish_result& answer) const;
  void settle(batch_ticket ticket, result<receipt> outcome, std::span<const repeated_message> repeats = {});
  void arm_tick();

  struct kept_batch {
    sealed_batch gathered;
    batch encoded;
  };

  producer_config cfg_;
  producer_window window_;
  caf::actor directory_;
  std::uint64_t session_ = 0;
  bool opened_ = false;
  bool up_ = false;
  bool sweeping_ = false;
  route route_;
  queue_handles handles_;
  std::unordered_map<batch_ticket, kept_batch> batches_;
  std::uint64_t tick_epoch_ = 0;
  std::optional<milliseconds> tick_armed_;
  error ended_{errc::shutting_down, "the producer was closed", "open another one"};
};

caf::behavior producer_actor(caf::stateful_actor<producer_state>* self, producer_config cfg);

} // namespace troupe
