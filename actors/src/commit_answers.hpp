#pragma once

#include "commit_plan.hpp"

#include <caf/actor.hpp>

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe {

/// Gathers what became of batches into one message per producer and one per QUEUE. A buffered batch is
/// answered when it is held, and once more only when it was refused after that.
class commit_answers {
public:
  explicit commit_answers(shard_id shard) : shard_(shard) {}

  /// The STORE holds a buffered batch.
  void held(const append_request& r);
  /// The STORE refused a batch at once.
  void refused(const append_request& r, const error& why);
  /// An entry was applied. `entry` and `origins` belong together; the bytes of accepted batches are moved
  /// out.
  void applied(append_entry& entry, const std::vector<append_origin>& origins, const struct applied& outcome);
  /// Messages became visible in a queue.
  void got_messages(queue_id queue);
  /// An entry was refused as a whole.
  void refused(const append_entry& entry, const std::vector<append_origin>& origins, const error& why);

  struct producer_answer {
    caf::actor producer;
    published message;
  };
  struct queue_answer {
    caf::actor queue;
    visible message;
  };
  /// What was gathered since the last take, in order of first mention.
  struct all {
    std::vector<producer_answer> producers;
    std::vector<queue_answer> queues;
    /// Queues that got messages, each once.
    std::vector<queue_id> appended;
    /// When something must be done about the delayed messages that came.
    std::optional<timestamp> look_at;
    /// Shard time of the first half messages.
    std::optional<timestamp> halves;
    /// To give back to the budget of bytes in flight.
    std::uint64_t in_flight = 0;
  };
  all take();

private:
  visible& queue_of(const caf::actor& handle, queue_id id);
  void tell(const caf::actor& producer, publish_result result);
  static void show(visible& to, batch&& b, const batch_verdict& verdict, timestamp time);
  void settle_account(const caf::actor& handle, queue_id id, const batch_header& header);

  shard_id shard_;
  all all_;
  std::unordered_map<caf::actor, std::size_t> producer_index_;
  std::unordered_map<caf::actor, std::size_t> queue_index_;
};

} // namespace troupe
