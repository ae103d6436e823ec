#include "troupe/timer_buckets.hpp"

#include <bit>

namespace troupe {

timer_bucket bucket_at(timer_level level, timestamp due) {
  return {due - due.time_since_epoch() % width_of(level), level};
}

timer_bucket bucket_for(timestamp due, timestamp now) {
  for (auto level : timer_levels) {
    const auto bucket = bucket_at(level, due);
    if (level == timer_level::seconds || now + split_lead(level) < bucket.start)
      return bucket;
  }
  return {};
}

timestamp look_at(const timer_bucket& bucket, timestamp earliest_due) {
  return bucket.level == timer_level::seconds ? earliest_due : bucket.start - split_lead(bucket.level);
}

void timer_row_estimate::add(timestamp due) {
  const auto bucket = bucket_for(due, now_);
  if (last_ == bucket)
    return;
  last_ = bucket;
  const auto ahead = (bucket.start - now_) / width_of(timer_level::days);
  if (bucket.level == timer_level::days && ahead < 64)
    far_ |= std::uint64_t{1} << ahead;
  else
    ++others_;
}

std::uint32_t timer_row_estimate::rows() const {
  return others_ + static_cast<std::uint32_t>(std::popcount(far_));
}

milliseconds delay_of_level(unsigned level) {
  using namespace std::chrono_literals;
  // RocketMQ: MessageStoreConfig.messageDelayLevel.
  constexpr std::array<milliseconds, 18> levels{1s,   5s,   10s,  30s,  1min,  2min,  3min,  4min, 5min,
                                                6min, 7min, 8min, 9min, 10min, 20min, 30min, 1h,   2h};
  return level >= 1 && level <= levels.size() ? levels[level - 1] : 0ms;
}

} // namespace troupe
