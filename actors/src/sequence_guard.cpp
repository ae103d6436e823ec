#include "sequence_guard.hpp"

namespace troupe {

bool sequence_guard::enters(queue_id queue, const batch_header& header) {
  if (places_.empty())
    return false;
  auto it = places_.find({queue, header.producer});
  if (it == places_.end())
    return false;
  auto& p = it->second;
  if (header.epoch == p.epoch && header.sequence == p.next) {
    ++p.next.value;
    return !closed_;
  }
  // A repeat changes nothing. A new epoch or a gap: apply() decides.
  if (header.epoch > p.epoch || (header.epoch == p.epoch && header.sequence > p.next))
    places_.erase(it);
  return false;
}

void sequence_guard::accepted(queue_id queue, const batch_header& header, timestamp time) {
  if (places_.size() >= max_producers_)
    places_.clear();
  auto [it, is_new] = places_.try_emplace({queue, header.producer});
  auto& p = it->second;
  const batch_sequence next{header.sequence.value + 1};
  if (is_new || header.epoch > p.epoch || (header.epoch == p.epoch && next > p.next))
    p = {header.epoch, next, time};
  else if (header.epoch == p.epoch)
    p.time = time;
}

void sequence_guard::evicted(timestamp before) {
  std::erase_if(places_, [&](const auto& place) { return place.second.time < before; });
}

void sequence_guard::refused(queue_id queue, const batch_header& header) {
  if (!places_.empty())
    places_.erase({queue, header.producer});
}

} // namespace troupe
