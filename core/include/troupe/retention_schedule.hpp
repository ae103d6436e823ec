#pragma once

#include "troupe/ids.hpp"
#include "troupe/retention.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Which queue RETENTION looks at next, and when. A queue is looked at when its oldest record comes of age,
/// when it got messages and has a byte limit, and when its rule changes: never by sweeping over all. Costs
/// O(log queues) a step.
class retention_schedule {
public:
  /// The queue's limits (new or changed): look at once.
  void keep(queue_id queue, const retention_limits& limits);
  /// Everything of the queue shall go.
  void remove(queue_id queue);
  /// Nothing of the queue is left, or it was never known.
  void forget(queue_id queue);

  /// The queue got messages at about `now`.
  void appended(queue_id queue, timestamp now);
  /// Look (again) as soon as it is its turn.
  void look(queue_id queue);
  /// Look at every queue: all dates were computed with a clock that was wrong.
  void look_at_all();
  /// Look at that time; an earlier date of before is dropped. Absent: only when it gets messages.
  void look_at(queue_id queue, std::optional<timestamp> when);

  struct work {
    queue_id queue;
    retention_limits limits;
    bool remove = false;
  };
  /// The next queue to look at, in order of becoming due; empty when there is none at `now`.
  std::optional<work> next(timestamp now);
  /// When the next one comes due; in the past when one is. Empty when all wait for messages.
  std::optional<timestamp> next_due();

  std::size_t size() const { return queues_.size(); }

private:
  struct entry {
    retention_limits limits;
    bool remove = false;
    /// In ready_.
    bool ready = false;
    std::optional<timestamp> due;
  };
  struct date {
    timestamp when{};
    queue_id queue;
    bool operator>(const date& other) const { return when > other.when; }
  };
  void drop_stale_dates();

  std::unordered_map<queue_id, entry> queues_;
  std::deque<queue_id> ready_;
  /// Earliest first. A date counts only while it is its queue's `due`.
  std::priority_queue<date, std::vector<date>, std::greater<>> dates_;
};

} // namespace troupe
