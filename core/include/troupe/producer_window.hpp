#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

/// The sequencing of an idempotent producer (design.md section 5), without bytes, clock or network.
namespace troupe {

/// Names a batch of the shell's, which the window never looks into. From 1.
using batch_ticket = strong<struct batch_ticket_tag, std::uint64_t>;

/// What the broker said of one batch.
struct batch_answer {
  queue_id queue;
  producer_epoch epoch;
  batch_sequence sequence;
  /// As publish_result's: none is stored (or held).
  errc code = errc::none;
  /// gap: what must come next.
  batch_sequence expected{};
  milliseconds retry_after{0};
  std::string reason{};
  std::string hint{};
};

/// Batches between a producer and its queues: at most `most` per queue are in flight, numbered from 1 without
/// gaps. Each is sent until it is answered; what comes back decides whether it is stored, sent again in the
/// same order and with the same boundaries, or failed. A batch that failed keeps its sequence, with an empty
/// batch in it, as the broker accepts sequences without gaps only. Should the broker refuse that one too, and
/// not for a while, the queue starts a new epoch without it: nothing may block a queue for ever.
///
/// Epochs are per queue, because the broker judges them per queue: a queue that forgot this producer (or lost
/// what it only held) costs the other queues nothing.
///
/// Times are milliseconds of a clock that never runs backwards. Calls add effects, in the order in which they
/// must be carried out; take() hands them over.
class producer_window {
public:
  /// Hand this batch to the line; its answer is expected.
  struct send {
    queue_id queue;
    producer_epoch epoch;
    batch_sequence sequence;
    /// 0: an empty batch, which takes the place of one that failed.
    batch_ticket batch;
    /// It was sent before, under this or another sequence.
    bool again = false;
    bool operator==(const send&) const = default;
  };
  /// The broker has it: every message of the batch is accepted.
  struct stored {
    batch_ticket batch;
    bool operator==(const stored&) const = default;
  };
  /// No message of the batch is accepted, as far as we know; `why` says whether it may be stored all the
  /// same.
  struct failed {
    batch_ticket batch;
    error why;
    bool operator==(const failed&) const = default;
  };
  using effect = std::variant<send, stored, failed>;

  explicit producer_window(std::size_t most = 64) : most_(most) {}

  /// The line is up. Whatever is in flight is sent again, in order. Batches of queues that are not among
  /// these fail with not_found. Also when the topic's queues change: then nothing is sent again.
  void connected(const std::vector<queue_id>& queues, milliseconds now);
  /// The line is down: answers that have not come yet never will.
  void disconnected();
  /// Takes a batch. Fails it with not_found when the queue is unknown. It waits while `most` are in flight,
  /// while the queue asked for a pause, or while the line is down. It fails at `deadline`; where the queue
  /// refused what came before, already when 7/8 of its time are over, because a later answer could come too
  /// late to say whether it is stored.
  void add(queue_id queue, batch_ticket batch, milliseconds deadline, milliseconds now);
  /// An answer. One that matches nothing in flight is ignored.
  void answer(const batch_answer& a, milliseconds now);
  /// Time passed: fails what is late, resumes what paused.
  void tick(milliseconds now);
  /// Fails everything.
  void fail_all(const error& why);

  /// When tick() may have something to do; nothing when it never will. May be too early, never too late.
  std::optional<milliseconds> next_tick() const { return next_tick_; }
  std::vector<effect> take() { return std::exchange(effects_, {}); }
  bool has_effects() const { return !effects_.empty(); }

  /// Answers that are expected, over all queues and of one queue.
  std::size_t expected() const { return expected_; }
  std::size_t expected(queue_id queue) const;
  /// Batches that have not been decided, of one queue.
  std::size_t undecided(queue_id queue) const;
  bool is_up() const { return up_; }
  /// A batch added to this queue now would be sent, or failed, at once.
  bool is_open(queue_id queue, milliseconds now) const;

private:
  struct entry {
    batch_ticket batch; // 0: an empty one stands in
    milliseconds deadline{0};
    milliseconds last_call{0};  // from then on a queue that refuses is not asked any more
    std::uint32_t expected = 0; // answers that this connection owes us
    bool sent = false;
    bool doubtful = false; // was sent, and lost its answer with the connection: it may be stored
    bool decided = false;  // but still behind an undecided one
    bool refused = false;  // though empty
  };
  struct lane {
    queue_id id;
    producer_epoch epoch{1};
    batch_sequence first{1}; // sequence of in_flight.front()
    std::deque<entry> in_flight;
    std::deque<entry> waiting; // have no sequence yet
    std::size_t cursor = 0;    // in_flight[cursor...] are to be sent (again)
    std::size_t expected = 0;  // sum over in_flight
    bool confirmed = false;    // this connection brought news of a stored batch
    bool hopeless = false;     // the broker refuses an empty batch: a new epoch, once all answers are here
    milliseconds paused_until{0};
    error refusal; // why it pauses
    error closed;  // why it takes nothing any more
  };

  void pump(lane& q, milliseconds now);
  void send_at(lane& q, std::size_t at);
  void decide(lane& q, std::size_t at);
  void on_gap(lane& q, batch_sequence expected, milliseconds now);
  void on_unknown(lane& q, std::size_t at, milliseconds now);
  void on_pause(lane& q, std::size_t at, const batch_answer& a, milliseconds now);
  void on_refusal(lane& q, std::size_t at, const batch_answer& a, milliseconds now);
  void on_empty_refused(lane& q, std::size_t at, milliseconds now);
  void begin_epoch(lane& q);
  void leave_epoch(lane& q);
  void rewind(lane& q, std::size_t at);
  void give_up_late(lane& q, milliseconds now);
  void expire(lane& q, milliseconds now);
  void close(lane& q, const error& why);
  void fail(entry& e, const error& why);
  void forget_expected(lane& q, entry& e);
  void wake_at(milliseconds when);

  std::size_t most_;
  bool up_ = false;
  std::size_t expected_ = 0;
  std::optional<milliseconds> next_tick_;
  std::unordered_map<queue_id, lane> lanes_;
  std::vector<effect> effects_;
};

} // namespace troupe
