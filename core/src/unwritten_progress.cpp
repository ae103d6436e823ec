#include "troupe/unwritten_progress.hpp"

#include "troupe/subscription.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// The store keeps these kinds alike.
bool plain(progress::outcome what) {
  return what == progress::outcome::done || what == progress::outcome::skipped;
}

} // namespace

void unwritten_progress::write(std::uint64_t first, std::uint64_t next, const offset_outcome& what,
                               timestamp now) {
  if (runs_.empty())
    since_ = now;
  urgent_ = urgent_ || (what.what != progress::outcome::skipped && what.what != progress::outcome::expired);
  runs_.assign(first, next, what);
}

std::optional<timestamp> unwritten_progress::write_at(const subscription_limits& limits) const {
  if (runs_.empty())
    return {};
  const bool now = urgent_ || runs_.size() >= limits.skip_ranges;
  return now ? since_ : since_ + limits.skip_delay;
}

std::vector<progress> unwritten_progress::take(std::size_t most) {
  std::vector<progress> runs;
  auto dead = most_dead;
  auto it = runs_.begin();
  for (; it != runs_.end(); ++it) {
    const auto& [first, span] = *it;
    const auto& o = span.value;
    if (!runs.empty() && runs.back().next.value == first && plain(o.what) && plain(runs.back().what)) {
      // One run instead of thousands.
      if (runs.back().what != o.what)
        runs.back().what = progress::outcome::done;
      runs.back().next = queue_offset{span.next};
      continue;
    }
    if (runs.size() == most || (o.what == progress::outcome::dead && dead == 0))
      break;
    auto next = span.next;
    if (o.what == progress::outcome::dead) {
      next = std::min(next, first + dead);
      dead -= next - first;
    }
    runs.push_back({queue_offset{first}, queue_offset{next}, o.what, o.attempts, from_unix_ms(o.due),
                    o.reason, o.detail});
    if (next < span.next) {
      runs_.erase(0, next);
      return runs;
    }
  }
  if (it == runs_.end()) {
    runs_.clear();
    urgent_ = false;
  } else {
    runs_.erase(0, it->first);
  }
  return runs;
}

void unwritten_progress::put_back(const std::vector<progress>& runs, timestamp now) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  for (const auto& run : runs) {
    gaps.clear();
    runs_.visit_gaps(run.first.value, run.next.value,
                     [&](auto first, auto next) { gaps.emplace_back(first, next); });
    for (const auto& [first, next] : gaps)
      write(first, next, {run.what, run.attempts, to_unix_ms(run.due), run.reason, run.detail}, now);
  }
}

} // namespace troupe
