#include "key_chains.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe {

namespace {

using keyed = std::pair<std::uint32_t, std::uint32_t>; // hash and position

/// Those that have a key, the same ones side by side, each in order.
std::vector<keyed> by_key(const frame_reader& messages) {
  std::vector<keyed> all;
  all.reserve(messages.size());
  for (std::uint32_t i = 0; i < messages.size(); ++i)
    if (const auto hash = messages.meta(i).order_key_hash; hash != 0)
      all.emplace_back(hash, i);
  std::sort(all.begin(), all.end());
  return all;
}

} // namespace

std::unique_ptr<key_chains> key_chains::of(const frame_reader& messages, group_order by) {
  const auto n = messages.size();
  const bool one = by == group_order::queue;
  const auto sorted = one ? std::vector<keyed>{} : by_key(messages);
  const auto same = [](const keyed& a, const keyed& b) { return a.first == b.first; };
  if (n < 2 || (!one && std::adjacent_find(sorted.begin(), sorted.end(), same) == sorted.end()))
    return nullptr;
  // Where the chain that begins at a position is in `sorted`.
  std::vector<std::size_t> begins(n, sorted.size());
  for (auto at = sorted.begin(); at != sorted.end(); ++at)
    if (at == sorted.begin() || !same(*std::prev(at), *at))
      begins[at->second] = static_cast<std::size_t>(at - sorted.begin());
  std::unique_ptr<key_chains> chains{new key_chains(n)};
  std::vector<bool> added(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (added[i])
      continue;
    chains->add(i);
    for (auto next = begins[i] + 1; next < sorted.size() && sorted[next].first == sorted[begins[i]].first;
         ++next) {
      chains->add(sorted[next].second);
      added[sorted[next].second] = true;
    }
    if (!one || i + 1 == n)
      chains->end_chain();
  }
  chains->failed_ = std::vector<std::atomic<std::uint32_t>>(chains->ends_.size());
  for (auto& f : chains->failed_)
    f = std::numeric_limits<std::uint32_t>::max();
  return chains;
}

void key_chains::add(std::uint32_t position) {
  chain_[position] = static_cast<std::uint32_t>(ends_.size());
  turns_.push_back(position);
}

void key_chains::failed(std::uint32_t position) {
  auto& first = failed_[chain_[position]];
  auto known = first.load();
  while (position < known && !first.compare_exchange_weak(known, position)) {
  }
}

} // namespace troupe
