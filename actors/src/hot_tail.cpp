#include "hot_tail.hpp"

#include <algorithm>

namespace troupe {

namespace {

std::uint64_t end_of(const stored_batch& b) { return b.base.value + b.header.count; }
/// With about what a batch takes beside its bytes.
std::uint64_t cost_of(const stored_batch& b) { return b.data.size + sizeof(stored_batch) + 64; }

} // namespace

void hot_tail::push(const stored_batch& b) {
  if (!empty() && end_of(batches_->back()) != b.base.value)
    clear();
  // Without this batch the older ones would not reach the queue's end.
  if (!make_room(cost_of(b)))
    return clear();
  bytes_ += cost_of(b);
  if (!batches_)
    batches_.emplace();
  batches_->push_back(b);
}

bool hot_tail::make_room(std::uint64_t n) {
  if (n > limit_)
    return false;
  while (bytes_ + n > limit_)
    pop();
  while (!budget_->try_take(n)) {
    if (empty())
      return false;
    pop();
  }
  return true;
}

std::optional<std::vector<stored_batch>> hot_tail::read(queue_offset from, std::uint32_t max_bytes) const {
  if (empty() || from < batches_->front().base || from.value >= end_of(batches_->back()))
    return std::nullopt;
  auto it = std::partition_point(batches_->begin(), batches_->end(),
                                 [&](const stored_batch& b) { return end_of(b) <= from.value; });
  std::vector<stored_batch> found;
  for (std::uint64_t bytes = 0; it != batches_->end(); ++it) {
    bytes += it->data.size;
    if (bytes > max_bytes && !found.empty())
      break;
    found.push_back(*it);
  }
  return found;
}

void hot_tail::pop() {
  const auto n = cost_of(batches_->front());
  bytes_ -= n;
  budget_->give(n);
  batches_->pop_front();
}

void hot_tail::clear() {
  budget_->give(bytes_);
  bytes_ = 0;
  batches_.reset();
}

} // namespace troupe
