#include "troupe/retention_schedule.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// After which something of a new message may have to go; zero for never.
milliseconds shortest(const retention_limits& limits) {
  if (limits.age == milliseconds{0} || limits.keys == milliseconds{0})
    return std::max(limits.age, limits.keys);
  return std::min(limits.age, limits.keys);
}

} // namespace

void retention_schedule::keep(queue_id queue, const retention_limits& limits) {
  auto& q = queues_[queue];
  if (q.remove)
    return;
  q.limits = limits;
  look(queue);
}

void retention_schedule::remove(queue_id queue) {
  queues_[queue].remove = true;
  look(queue);
}

void retention_schedule::forget(queue_id queue) { queues_.erase(queue); }

void retention_schedule::appended(queue_id queue, timestamp now) {
  auto it = queues_.find(queue);
  if (it == queues_.end())
    return;
  auto& q = it->second;
  if (q.remove || q.limits.bytes > 0)
    look(queue);
  else if (const auto wait = shortest(q.limits); wait > milliseconds{0} && (!q.due || *q.due > now + wait))
    look_at(queue, now + wait);
}

void retention_schedule::look(queue_id queue) {
  auto it = queues_.find(queue);
  if (it == queues_.end() || it->second.ready)
    return;
  it->second.ready = true;
  it->second.due.reset();
  ready_.push_back(queue);
}

void retention_schedule::look_at_all() {
  for (const auto& [queue, q] : queues_)
    look(queue);
}

void retention_schedule::look_at(queue_id queue, std::optional<timestamp> when) {
  auto it = queues_.find(queue);
  if (it == queues_.end() || it->second.ready || it->second.due == when)
    return;
  it->second.due = when;
  if (when)
    dates_.push({*when, queue});
}

std::optional<retention_schedule::work> retention_schedule::next(timestamp now) {
  for (drop_stale_dates(); !dates_.empty() && dates_.top().when <= now; drop_stale_dates())
    look(dates_.top().queue);
  while (!ready_.empty()) {
    const auto queue = ready_.front();
    ready_.pop_front();
    auto it = queues_.find(queue);
    if (it == queues_.end())
      continue;
    it->second.ready = false;
    return work{queue, it->second.limits, it->second.remove};
  }
  return std::nullopt;
}

std::optional<timestamp> retention_schedule::next_due() {
  if (!ready_.empty())
    return timestamp::min();
  drop_stale_dates();
  if (dates_.empty())
    return std::nullopt;
  return dates_.top().when;
}

void retention_schedule::drop_stale_dates() {
  while (!dates_.empty()) {
    auto it = queues_.find(dates_.top().queue);
    if (it != queues_.end() && it->second.due == dates_.top().when)
      return;
    dates_.pop();
  }
}

} // namespace troupe
