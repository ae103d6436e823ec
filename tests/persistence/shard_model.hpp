#pragma once

#include "troupe/entry.hpp"
#include "troupe/shard.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace troupe::test {

/// What a shard must hold after a history of proposals, written down as simply as possible: maps and sets in
/// memory, one step per message. Shares no code with the shard.
class shard_model {
public:
  struct stored {
    batch_header header;
    std::uint64_t base = 0;
    std::uint64_t index = 0;
    std::uint32_t ordinal = 0;
    std::int64_t time = 0;
    block data;
    /// When it became visible where it is.
    std::int64_t visible = 0;
    std::uint32_t only_for = 0;
  };
  /// A run of batches that lie one after the other in one entry; or of redriven messages, each as a batch.
  struct run {
    std::uint64_t index = 0;
    std::uint32_t end_ordinal = 0;
    std::vector<stored> batches;
    bool lists = false;
    /// Of a run that lists: what each message counts.
    std::uint64_t each = 16;
    std::uint64_t base() const { return batches.front().base; }
    std::uint64_t next() const { return batches.back().base + batches.back().header.count; }
    std::uint64_t bytes() const;
  };
  struct producer {
    std::uint32_t epoch = 0;
    std::uint64_t last = 0;
    /// Of its last accepted batch.
    std::int64_t time = 0;
    struct verdict {
      std::uint64_t base = 0;
      std::uint64_t index = 0;
      std::uint32_t ordinal = 0;
      std::uint32_t visible = 0;
      bool delayed_with_repeats = false;
    };
    std::map<std::uint64_t, verdict> verdicts;
  };
  /// A message that was the first one of its key for a while.
  struct first {
    std::int64_t time = 0;
    std::uint64_t index = 0;
    std::uint32_t ordinal = 0;
    /// Nothing when it was delayed.
    std::optional<std::uint64_t> offset;
  };
  struct queue {
    std::uint64_t next = 0;
    std::vector<run> runs;
  };
  struct subscription {
    std::uint64_t gen = 0;
    std::uint64_t floor = 0;
    std::uint64_t expired = 0;
    std::set<std::uint64_t> settled;
    std::map<std::uint64_t, std::pair<std::uint16_t, std::int64_t>> retries;
  };

  /// Queue, group, log index, ordinal.
  using dead_key = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t, std::uint32_t>;
  struct dead {
    std::uint64_t offset = 0;
    std::int64_t died = 0;
    std::uint16_t attempts = 0;
    dead_reason reason = dead_reason::attempts;
    std::string detail;
  };

  /// Bucket start, level, index of the entry that wrote the row, queue.
  using timer_row = std::tuple<std::int64_t, int, std::uint64_t, std::uint32_t>;
  /// Due, log index, ordinal.
  using timer = std::tuple<std::int64_t, std::uint64_t, std::uint32_t>;

  struct half {
    half_of whose;
    transaction_state state = transaction_state::prepared;
  };
  /// The half messages of one entry, by ordinal.
  struct half_row {
    std::int64_t since = 0;
    std::int64_t next_check = 0;
    std::uint16_t checks = 0;
    std::map<std::uint32_t, half> messages;
    bool undecided() const;
  };

  /// Applies the next proposal and says what the shard must answer.
  applied apply(const proposal& p);
  /// What is undecided or not confirmed, in the order in which the shard lists it.
  std::vector<open_transaction> open() const;

  /// The batch that holds a message, if it is in a queue; the message alone, if something else holds it.
  std::optional<stored> find(std::uint64_t index, std::uint32_t ordinal, std::uint32_t* queue) const;
  /// Entries that some queue, dead letter or redriven message needs.
  std::set<std::uint64_t> entries() const;

  std::map<std::uint32_t, queue> queues;
  std::map<std::pair<std::uint32_t, std::uint64_t>, producer> producers;
  /// By queue and group.
  std::map<std::pair<std::uint32_t, std::uint32_t>, subscription> subscriptions;
  /// By queue and key, oldest first.
  std::map<std::uint32_t, std::map<std::string, std::vector<first>>> firsts;
  std::map<dead_key, dead> dead_letters;
  /// Delayed messages.
  std::map<timer_row, std::set<timer>> timers;
  /// By queue and log index.
  std::map<std::pair<std::uint32_t, std::uint64_t>, half_row> halves;
  /// By the log index of the begin.
  std::map<std::uint64_t, stored_transaction> transactions;
  std::map<std::uint32_t, topic_definition> topics;
  std::map<std::uint32_t, group_definition> groups;
  std::uint32_t last_topic = 0;
  std::uint32_t last_queue = 0;
  std::uint32_t last_group = 0;
  std::uint64_t index = 0;
  std::int64_t time = 0;

private:
  void apply(const append_entry& e, applied& out);
  void apply(const settle_entry& e, applied& out);
  void apply(const define_entry& e, applied& out);
  void apply(const trim_entry& e, applied& out);
  void apply(const drop_queue_entry& e, applied& out);
  void apply(const reset_entry& e, applied& out);
  void apply(const redrive_entry& e, applied& out);
  void apply(const purge_entry& e, applied& out);
  void apply(const fire_entry& e, applied& out);
  void apply(const split_entry& e, applied& out);
  void apply(const cancel_entry& e, applied& out);
  void apply(const evict_entry& e, applied& out);
  void apply(const forget_keys_entry& e, applied& out);
  void apply(const begin_entry& e, applied& out);
  void apply(const seal_entry& e, applied& out);
  void apply(const decide_entry& e, applied& out);
  void apply(const confirm_entry& e, applied& out);
  void apply(const checked_entry& e, applied& out);
  void apply(const forget_transactions_entry& e, applied& out);
  void apply(std::monostate, applied&) {}

  batch_verdict judge(std::uint32_t queue, const batch& b) const;
  void delay(std::uint32_t queue, const stored& b, applied& out);
  bool take(std::uint32_t queue, const timer_row_place& row, message_place message);
  bool waits(std::uint32_t queue) const;
  /// Removes a queue's delayed messages as far as there is room.
  std::size_t forget_timers(std::uint32_t queue, std::size_t room);
  /// What the messages of a batch that came again were at the first time.
  void recall(std::uint32_t queue, const batch& b, batch_verdict& v) const;
  /// The messages of a batch whose key came before; takes in the others.
  std::vector<repeated_message> repeats(const append_entry& e, const batch& b, std::uint32_t ordinal);
  void show(std::uint32_t queue, const batch& b, std::uint32_t ordinal);
  void hold(std::uint32_t queue, const stored& b, applied& out);
  half* find_half(std::uint32_t queue, message_place message);
  bool holds(const settle_section& guard) const;
  void decide(const decide_entry& e, const decided_messages& some, bool commit, bool changes, applied& out);
  /// Removes a queue's half messages as far as there is room.
  std::size_t forget_halves(std::uint32_t queue, std::size_t room);
  void bury(const settle_section& section, const settle_range& range, std::uint64_t offset);
  /// A message alone, whatever became of its entry.
  stored alone(std::uint64_t index, std::uint32_t ordinal) const;
  /// The oldest runs of a queue leave it, as far as one step goes.
  void leave(queue& q, std::uint64_t up_to);
  std::size_t rows(std::uint32_t queue, std::uint32_t group) const;

  /// Everything that was ever accepted, by log index.
  std::map<std::uint64_t, std::vector<stored>> accepted_;
  /// Where the next step of a drop goes on among the delayed messages.
  std::map<std::uint32_t, timer_row> dropped_to_;
};

} // namespace troupe::test
