#include "troupe/settled_bits.hpp"

#include <algorithm>
#include <vector>

namespace troupe {

bool settled_bits::contains(std::uint64_t at) const {
  if (at < floor_ || full_.contains(at / chunk))
    return true;
  const auto it = partial_.find(at / chunk);
  return it != partial_.end() && it->second.test(at % chunk);
}

void settled_bits::add(std::uint64_t first, std::uint64_t next) {
  first = std::max(first, floor_);
  if (first >= next)
    return;
  const auto whole = (first + chunk - 1) / chunk;
  const auto last = next / chunk;
  if (whole <= last) {
    if (first < whole * chunk)
      add_bits(whole - 1, first, whole * chunk);
    add_full(whole, last);
    if (last * chunk < next)
      add_bits(last, last * chunk, next);
  } else {
    add_bits(last, first, next);
  }
  if (first == floor_)
    move_floor(next_open(next));
}

void settled_bits::add_bits(std::uint64_t number, std::uint64_t first, std::uint64_t next) {
  if (full_.contains(number))
    return;
  auto& b = partial_[number];
  const auto before = b.count();
  for (auto at = first; at < next; ++at)
    b.set(at % chunk);
  count_ += b.count() - before;
  // A chunk that begins below the floor is never whole; the floor passes it.
  if (b.all()) {
    partial_.erase(number);
    full_.add(number, number + 1);
  }
}

void settled_bits::add_full(std::uint64_t first, std::uint64_t next) {
  if (first >= next)
    return;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  full_.visit_gaps(first, next, [&](auto a, auto b) { gaps.emplace_back(a, b); });
  for (const auto& [a, b] : gaps)
    count_ += (b - a) * chunk;
  // Few chunks are settled in part when a run is long, or the run is short.
  if (next - first < partial_.size()) {
    for (auto number = first; number < next; ++number)
      if (const auto it = partial_.find(number); it != partial_.end()) {
        count_ -= it->second.count();
        partial_.erase(it);
      }
  } else {
    std::erase_if(partial_, [&](const auto& p) {
      const bool gone = p.first >= first && p.first < next;
      count_ -= gone ? p.second.count() : 0;
      return gone;
    });
  }
  full_.add(first, next);
}

std::uint64_t settled_bits::next_open(std::uint64_t at) const {
  at = std::max(at, floor_);
  for (;;) {
    const auto number = at / chunk;
    if (const auto end = full_.end_of(number)) {
      at = *end * chunk;
      continue;
    }
    const auto it = partial_.find(number);
    if (it == partial_.end())
      return at;
    while (at / chunk == number && it->second.test(at % chunk))
      ++at;
    if (at / chunk == number)
      return at;
  }
}

std::uint64_t settled_bits::next_settled(std::uint64_t at, std::uint64_t next) const {
  while (at < next) {
    if (full_.contains(at / chunk))
      return at;
    const auto it = partial_.find(at / chunk);
    const auto end = std::min(next, (at / chunk + 1) * chunk);
    if (it == partial_.end())
      at = end;
    else
      for (; at < end; ++at)
        if (it->second.test(at % chunk))
          return at;
  }
  return next;
}

void settled_bits::move_floor(std::uint64_t to) {
  const auto from = floor_ / chunk;
  const auto until = to / chunk;
  // What the floor passes is not counted any more.
  full_.visit(from, until, [&](auto a, auto b) { count_ -= (b - a) * chunk; });
  full_.remove(0, until);
  if (until - from < partial_.size()) {
    for (auto number = from; number < until; ++number)
      if (const auto it = partial_.find(number); it != partial_.end()) {
        count_ -= it->second.count();
        partial_.erase(it);
      }
  } else {
    std::erase_if(partial_, [&](const auto& p) {
      const bool gone = p.first < until;
      count_ -= gone ? p.second.count() : 0;
      return gone;
    });
  }
  if (const auto it = partial_.find(until); it != partial_.end()) {
    for (auto at = until * chunk; at < to; ++at)
      if (it->second.test(at % chunk)) {
        it->second.reset(at % chunk);
        --count_;
      }
    if (it->second.none())
      partial_.erase(it);
  }
  floor_ = to;
}

} // namespace troupe
