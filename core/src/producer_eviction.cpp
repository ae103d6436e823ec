#include "troupe/producer_eviction.hpp"

#include <algorithm>
#include <limits>

namespace troupe {

std::optional<eviction> decide(const producer_limits& limits, const producer_census& known, timestamp now,
                               bool age_counts) {
  const auto before = now - limits.memory;
  const bool aged = age_counts && known.oldest && *known.oldest <= before && before > timestamp{};
  const bool many = known.count > limits.most;
  if (!aged && !many)
    return std::nullopt;
  eviction e{aged ? before : timestamp{}, std::numeric_limits<std::uint64_t>::max(), 1};
  if (many) {
    e.keep = limits.most - std::min(limits.most / 64, eviction::a_step);
    e.steps = std::clamp<std::uint64_t>((known.count - e.keep) / eviction::a_step, 1, eviction::most_steps);
  }
  return e;
}

} // namespace troupe
