#pragma once

#include "troupe/store_actor.hpp"

#include <cstdint>
#include <deque>
#include <variant>
#include <vector>

/// What the STORE puts into one call of the log. No actor, no clock; handles are only carried along.
namespace troupe {

/// What one call of the log takes, and one record. See shard_log::append() and design.md, "The bytes".
struct commit_limits {
  std::uint64_t bytes = 8u << 20;
  std::uint32_t rows = 20'000;
  std::uint32_t record = 256u << 10;
};

/// Who waits for a batch; the batch itself is in the proposal.
struct append_origin {
  durability wanted = durability::durable;
  /// It was acknowledged already.
  bool held = false;
  caf::actor producer;
  caf::actor queue_handle;
};
/// Batches of one append_entry, settles of one settle_entry (in the order of its batches, its sections), or
/// the key of another entry.
using commit_origin = std::variant<std::vector<append_origin>, std::vector<settle_request>, std::uint64_t>;

/// One call of the log: proposals, and for each who waits for it.
struct commit_call {
  std::vector<proposal> proposals;
  std::vector<commit_origin> origins;

  bool empty() const { return proposals.empty(); }
  /// Moves the appends out of this call into another one; the rest keeps its order.
  commit_call split_appends();
};

/// What waits for a commit. take() gives the next call:
/// - first all settles as one entry, then other entries in order of arrival, then appends;
/// - batches of one queue are merged into records of at most `record` bytes; a larger batch is a record of
/// its own;
/// - a queue's batches keep their order of arrival, over calls too;
/// - what is over `bytes` or `rows` stays for the next call; a call that would be empty takes one thing
/// however large.
class commit_plan {
public:
  explicit commit_plan(const commit_limits& limits = {}) : limits_(limits) {}

  /// `held`: it was acknowledged already.
  void add(append_request r, bool held = false);
  void add(settle_request r);
  /// `key` names the entry in the origin.
  void add(entry_body body, std::uint64_t key);

  /// The next call, every proposal with this time. Empty when nothing waits.
  commit_call take(timestamp now);

  bool empty() const { return appends_.empty() && settles_.empty() && others_.empty(); }
  bool has_settles() const { return !settles_.empty(); }
  /// Batches that were acknowledged already wait.
  bool has_held() const { return held_ > 0; }
  /// Bytes of the batches that wait.
  std::uint64_t bytes() const { return bytes_; }
  /// Bytes on disk that all batches that wait may take at most, and one: a record of its own, an index row, a
  /// producer's row.
  std::uint64_t room() const { return room_; }
  static std::uint64_t room_of(const append_request& r) {
    return r.data.data.size + room_per_batch + r.timer_rows * room_per_timer_row;
  }

private:
  static constexpr std::uint64_t room_per_batch = 16u << 10;
  /// A page each.
  static constexpr std::uint64_t room_per_timer_row = 4u << 10;

  struct waiting_append {
    append_request request;
    bool held = false;
  };
  struct other {
    entry_body body;
    std::uint64_t key = 0;
  };
  struct budget {
    std::uint64_t bytes = 0;
    std::uint32_t rows = 0;
  };
  bool fits(const budget& used, std::uint64_t bytes, std::uint32_t rows) const;
  void take_settles(commit_call& call, budget& used);
  void take_others(commit_call& call, budget& used);
  void take_appends(commit_call& call, budget& used);

  commit_limits limits_;
  std::deque<waiting_append> appends_;
  std::deque<settle_request> settles_;
  std::deque<other> others_;
  std::uint64_t bytes_ = 0;
  std::uint64_t room_ = 0;
  std::size_t held_ = 0;
};

} // namespace troupe
