#include "queue_index.hpp"

#include <algorithm>

namespace troupe {

queue_index::queue_index(const lmdb_txn& txn, const tables& t, queue_id queue)
    : rows_(txn, t.queues), queue_(queue) {
  if (const auto value = txn.get(t.tails, key_of(queue)))
    tail_ = index_block::decode(*value);
}

bool queue_index::take(bool moved) {
  if (!moved || queue_of(rows_.key()) != queue_)
    return false;
  block_ = index_block::decode(rows_.value());
  if (key_of(queue_, block_->first()) != to_key<queue_key>(rows_.key()))
    throw storage_error{MDB_CORRUPTED, "reading a queue's index"};
  in_tail_ = false;
  return true;
}

const index_block* queue_index::head() {
  if (!tail_)
    return nullptr;
  return take(rows_.seek(key_of(queue_, queue_offset{}))) ? &*block_ : &*tail_;
}

queue_offset queue_index::first() {
  const auto* h = head();
  return h ? h->first() : queue_offset{};
}

std::uint64_t queue_index::bytes() {
  const auto* h = head();
  return h ? tail_->end_bytes() - h->start_bytes() : 0;
}

std::optional<queue_run> queue_index::run(std::size_t at) {
  const auto& block = in_tail_ ? tail_ : block_;
  if (!block || at >= block->runs().size())
    return std::nullopt;
  at_ = at;
  return block->runs()[at];
}

std::optional<queue_run> queue_index::front() {
  const auto* h = head();
  in_tail_ = !h || h == &*tail_;
  return run(0);
}

std::optional<queue_run> queue_index::back() {
  in_tail_ = true;
  if (tail_ && !tail_->runs().empty())
    return run(tail_->runs().size() - 1);
  if (!tail_ || !take(rows_.seek_before(end_key(queue_))))
    return std::nullopt;
  return run(block_->runs().size() - 1);
}

std::optional<queue_run> queue_index::at_or_after(queue_offset offset) {
  if (!tail_)
    return std::nullopt;
  auto within = [&](const index_block& block) {
    const auto place =
        std::ranges::find_if(block.runs(), [&](const queue_run& r) { return r.next() > offset; });
    return run(static_cast<std::size_t>(place - block.runs().begin()));
  };
  in_tail_ = true;
  if (offset >= tail_->first())
    return within(*tail_);
  // The block that begins at or before it, or else the oldest.
  if (take(rows_.seek_before(key_of(queue_, queue_offset{offset.value + 1}))) && block_->next() > offset)
    return within(*block_);
  if (take(rows_.seek(key_of(queue_, offset))))
    return within(*block_);
  in_tail_ = true;
  return run(0);
}

std::optional<queue_run> queue_index::search(const std::function<bool(const queue_run&)>& before) {
  // `before` is true of what lies below `low`, and of nothing from `high` on.
  std::uint64_t low = first().value;
  std::uint64_t high = next().value;
  while (low < high) {
    const queue_offset middle{low + (high - low) / 2};
    const auto found = at_or_after(middle);
    if (!found || found->base > middle)
      throw storage_error{MDB_CORRUPTED, "searching a queue's index"};
    if (before(*found))
      low = found->next().value;
    else
      high = found->base.value;
  }
  return at_or_after(queue_offset{low});
}

std::optional<queue_run> queue_index::after() {
  if (const auto next = run(at_ + 1); next || in_tail_)
    return next;
  in_tail_ = !take(rows_.next());
  return run(0);
}

} // namespace troupe
