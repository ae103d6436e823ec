#pragma once

#include "troupe/wire.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

namespace troupe {

/// Settles on their way to the broker: runs of offsets with one lease and one outcome are kept as one item.
class settle_runs {
public:
  void add(const settle_item& item) {
    messages_ += item.count;
    if (items_.empty() || !extend(items_.back(), item))
      items_.push_back(item);
  }
  std::size_t messages() const { return messages_; }
  bool empty() const { return items_.empty(); }

  /// What was added, in as few items as it takes, ordered by queue and offset.
  std::vector<settle_item> take() {
    std::stable_sort(items_.begin(), items_.end(),
                     [](const auto& a, const auto& b) { return key(a) < key(b); });
    std::vector<settle_item> out;
    for (const auto& item : items_)
      if (out.empty() || !extend(out.back(), item))
        out.push_back(item);
    items_.clear();
    messages_ = 0;
    return out;
  }

private:
  static std::tuple<queue_id, generation, lease_id, queue_offset> key(const settle_item& x) {
    return {x.queue, x.gen, x.lease, x.first};
  }
  static bool extend(settle_item& run, const settle_item& x) {
    if (run.queue != x.queue || run.gen != x.gen || run.lease != x.lease || run.action != x.action ||
        run.delay_ms != x.delay_ms || run.give_back != x.give_back ||
        run.first.value + run.count != x.first.value || run.detail != x.detail)
      return false;
    run.count += x.count;
    return true;
  }

  std::vector<settle_item> items_;
  std::size_t messages_ = 0;
};

} // namespace troupe
