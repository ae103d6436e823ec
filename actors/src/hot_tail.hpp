#pragma once

#include "troupe/byte_budget.hpp"
#include "troupe/shard.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace troupe {

/// The newest batches of a queue in memory, for consumers that keep up. Dense: from first() up to the queue's
/// end without a hole. Holds its bytes of the node's budget; when that is used up, it holds less, or nothing.
class hot_tail {
public:
  static constexpr std::uint64_t default_limit = 1u << 20;

  explicit hot_tail(std::shared_ptr<byte_budget> budget, std::uint64_t limit = default_limit)
      : budget_(std::move(budget)), limit_(limit) {}
  ~hot_tail() { clear(); }
  hot_tail(const hot_tail&) = delete;
  hot_tail& operator=(const hot_tail&) = delete;

  /// The queue's next batch (not empty of messages). What does not follow the last one starts a new tail.
  void push(const stored_batch& b);
  /// Batches from the one that holds `from` on, at most max_bytes but at least one; nothing when `from` is
  /// below first() or at the end or beyond.
  std::optional<std::vector<stored_batch>> read(queue_offset from, std::uint32_t max_bytes) const;
  void clear();
  bool empty() const { return !batches_ || batches_->empty(); }
  std::uint64_t bytes() const { return bytes_; }

private:
  void pop();
  bool make_room(std::uint64_t n);

  std::shared_ptr<byte_budget> budget_;
  std::uint64_t limit_;
  /// None while there are none: an empty one takes half a KiB, and there are many idle queues.
  std::optional<std::deque<stored_batch>> batches_;
  std::uint64_t bytes_ = 0;
};

} // namespace troupe
