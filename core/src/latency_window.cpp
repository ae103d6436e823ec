#include "troupe/latency_window.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace troupe {

// 0 to 15 us have a bucket each; from there on, a power of two is cut into 8.
std::uint16_t latency_window::bucket_of(std::uint64_t us) {
  if (us < 16)
    return static_cast<std::uint16_t>(us);
  const auto power = static_cast<std::uint64_t>(std::bit_width(us) - 1);
  const auto bucket = (power - 2) * 8 + ((us >> (power - 3)) & 7);
  return static_cast<std::uint16_t>(std::min<std::uint64_t>(bucket, buckets - 1));
}

std::uint64_t latency_window::upper_bound_of(std::size_t bucket) {
  if (bucket < 16)
    return bucket;
  const auto power = bucket / 8 + 2;
  return (((bucket & 7) + 9) << (power - 3)) - 1;
}

void latency_window::add(std::chrono::microseconds took) {
  const auto bucket = bucket_of(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
  auto& slot = ring_[count_ % window];
  if (count_ >= window)
    --histogram_[slot];
  slot = bucket;
  ++histogram_[bucket];
  ++count_;
}

std::chrono::microseconds latency_window::quantile(double q) const {
  const auto n = std::min<std::uint64_t>(count_, window);
  if (n == 0)
    return {};
  const auto rank =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(n))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    seen += histogram_[i];
    if (seen >= std::min(rank, n))
      return std::chrono::microseconds{upper_bound_of(i)};
  }
  return std::chrono::microseconds{upper_bound_of(buckets - 1)};
}

} // namespace troupe
