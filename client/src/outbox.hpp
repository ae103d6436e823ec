#pragma once

#include "troupe/batch.hpp"
#include "troupe/entry.hpp"
#include "troupe/lanes.hpp"
#include "troupe/message.hpp"
#include "troupe/producer.hpp"
#include "troupe/producer_window.hpp"
#include "troupe/timer_buckets.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

namespace troupe {

/// Milliseconds of the steady clock, as the client's decisions take them.
milliseconds steady_now();
/// As steady_now(), up to a tick of the kernel (1 to 10 ms) ahead of it, never behind, at a fraction of its
/// cost: this one is asked for every message.
milliseconds next_tick_now();
timestamp wall_now();

/// Where a synchronous call finds the answers to its messages.
class answer_board {
public:
  explicit answer_board(std::size_t messages) : answers_(messages), open_(messages) {}
  void put(std::uint32_t slot, const result<receipt>& answer);
  /// Waits until every slot has its answer, and takes them.
  std::vector<result<receipt>> wait();

private:
  std::mutex mutex_;
  std::condition_variable complete_;
  std::vector<std::optional<result<receipt>>> answers_;
  std::size_t open_;
};

/// Who wants to hear of one message. One-way messages have none.
struct completion {
  /// Its position in the batch; filled in by the OUTBOX.
  std::uint32_t position = 0;
  /// Either this...
  std::uint32_t slot = 0;
  std::shared_ptr<answer_board> board;
  /// ... or this.
  producer::callback call;

  bool wanted() const { return board || call; }
  void operator()(const result<receipt>& answer) const;
};

/// Messages of one lane on their way from the program to the PRODUCER.
struct sealed_batch {
  batch_ticket ticket;
  queue_id queue;
  lane_place at;
  batch_kind kind = batch_kind::plain;
  /// Transactional: whose decision the messages wait for.
  half_of half;
  std::uint32_t count = 0;
  /// What it takes of the window.
  std::uint64_t cost = 0;
  milliseconds deadline{0};
  batch_builder builder;
  std::vector<completion> completions;
};

struct outbox_config {
  producer_options options;
  /// Starts with this queue, so that many producers don't march in step.
  std::uint32_t first_queue = 0;
  /// What batches' deadlines are told by: the PRODUCER's clock, or a tick ahead of it.
  std::function<milliseconds()> now = next_tick_now;
  /// The wall clock, by which messages are delayed.
  std::function<timestamp()> wall = wall_now;
};

/// What a topic takes, by its route.
struct message_limits {
  std::uint32_t body = limits{}.body;
  milliseconds delay = default_max_delay;
  /// A message without an order key goes where its first key leads.
  bool by_key = false;
};

/// Between the program's threads and the PRODUCER: messages are encoded here, under a lock, straight into the
/// batch of their queue, so that no actor message is spent on each. Bounded by the window. Thread-safe.
class outbox {
public:
  explicit outbox(outbox_config cfg) : cfg_(std::move(cfg)), sticky_(cfg_.first_queue) {}

  // -- the program's threads
  // -------------------------------------------------------------------------------------------

  /// What can be said of a message before it is taken.
  error check(const message& m) const;
  /// Takes a message that passed check(). Blocks while the window is full (`timeout` at the producer's
  /// timeout), or refuses with overloaded. `done` is moved from only when the message was taken. `half`: it
  /// is a half message.
  error put(const message& m, completion&& done, bool may_block, const half_of* half = nullptr);
  /// Waits until everything taken so far is answered.
  error flush(milliseconds limit);
  /// Takes nothing more.
  void refuse(const error& why);
  /// Waits for the first route, or for why there is none.
  error wait_open(milliseconds limit);
  bool wait_ended(milliseconds limit);
  producer::stats statistics() const;

  // -- the PRODUCER
  // ----------------------------------------------------------------------------------------------------

  /// Wakes the PRODUCER; set before the first message.
  void wake_with(std::function<void()> wake);
  /// The topic's queues: of each number as many lanes as there are priorities (at least 1), in the order of
  /// lane_at(). What was gathered for others is sealed first.
  void route(const std::vector<queue_id>& queues, std::uint8_t priorities, const message_limits& most);
  /// Full batches, those that gathered for long, and of the others those whose queue `takes` one. With `busy`
  /// the PRODUCER promises to come back by itself.
  std::vector<sealed_batch> collect(const std::function<bool(queue_id, bool keyed)>& takes, bool busy);
  /// Messages wait here for their batch to be collected: nobody but the PRODUCER sees that their time passes.
  bool gathers() const;
  /// A builder whose batch is encoded, for reuse.
  void recycle(batch_builder b);
  /// A batch is decided: tells whoever wants to hear, frees its part of the window. `outcome`: the first
  /// message's receipt, whose offset and ordinal count up, or why all failed. `repeats`: messages that have
  /// the place of another one.
  void settle(sealed_batch& batch, result<receipt> outcome, std::span<const repeated_message> repeats = {});
  void count_batch(bool again);
  void count_reconnect();
  /// The PRODUCER is gone: fails what is left here.
  void end(const error& why);

private:
  struct gathering {
    batch_builder builder;
    std::vector<completion> completions;
    std::uint64_t cost = 0;
    milliseconds deadline{0};
    bool keyed = false;
    /// One batch is of one transaction, or of messages that are transactions of their own.
    half_of half;
  };

  error check_priority(const message& m) const;
  error check_delay(const message& m) const;
  std::string_view leading_key(const message& m) const;
  /// Its lane, and whether it waits there with others that are delayed, or half messages.
  std::uint32_t pick(const message& m, bool half) const;
  bool make_room(std::unique_lock<std::mutex>& lock, std::uint64_t cost, bool may_block);
  void open(std::uint32_t lane, milliseconds now);
  void seal(std::uint32_t lane);
  bool is_full(const gathering& g) const;
  bool is_old(const gathering& g, milliseconds now) const;

  const outbox_config cfg_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> wake_;

  std::vector<queue_id> lanes_;
  std::vector<gathering> gathering_; // by lane: plain messages of all lanes, delayed ones, half messages
  std::vector<std::uint32_t> dirty_; // of these, which gather something
  std::vector<sealed_batch> sealed_;
  std::vector<batch_builder> spare_;
  std::vector<std::vector<completion>> spare_completions_;
  std::set<batch_ticket> open_; // sealed and not settled
  std::atomic<std::uint32_t> max_message_{message_limits{}.body};
  std::atomic<milliseconds> max_delay_{message_limits{}.delay};
  std::atomic<std::uint8_t> priorities_{1};
  bool by_key_ = false;
  std::uint32_t sticky_;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t used_ = 0;
  std::size_t waiters_ = 0;  // for room in the window
  std::size_t flushers_ = 0; // for answers
  bool routed_ = false;
  bool woken_ = false; // a wake-up is on its way
  bool busy_ = false;  // the PRODUCER comes back by itself
  bool ended_ = false;
  error refused_;
  producer::stats stats_;
};

} // namespace troupe
