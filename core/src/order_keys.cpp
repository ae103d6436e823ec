#include "troupe/order_keys.hpp"

#include <algorithm>

namespace troupe {

void order_keys::state::hold(std::uint64_t at) {
  last_held = held() ? std::max(last_held, at) : at;
  first_held = std::min(first_held, at);
}

const order_keys::state* order_keys::find(std::uint64_t key) const {
  const auto it = keys_.find(key);
  return it == keys_.end() ? nullptr : &it->second;
}

void order_keys::unplace(std::uint64_t key, const state& s) {
  if (s.out > 0 || !s.held())
    return;
  if (s.due > 0)
    waiting_.erase({s.due, key});
  else
    ready_.erase({s.first_held, key});
}

void order_keys::place(std::uint64_t key, state& s) {
  if (s.first_held > s.last_held)
    s.first_held = none;
  if (s.out > 0)
    return;
  s.lease = 0;
  if (!s.held())
    keys_.erase(key);
  else if (s.due > 0)
    waiting_.emplace(s.due, key);
  else
    ready_.emplace(s.first_held, key);
}

void order_keys::wake(std::int64_t now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now)
    change(waiting_.begin()->second, [](state& s) { s.due = 0; });
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> order_keys::first_ready() const {
  if (ready_.empty())
    return {};
  return *ready_.begin();
}

std::optional<std::int64_t> order_keys::next_due() const {
  if (waiting_.empty())
    return {};
  return waiting_.begin()->first;
}

void order_keys::passed(std::uint64_t first, std::uint64_t next, std::uint64_t pass) {
  for (auto it = ready_.lower_bound({first, 0}); it != ready_.end() && it->first < next;) {
    const auto key = (it++)->second;
    if (keys_.at(key).stopped != pass)
      change(key, [&](state& s) { s.first_held = next; });
  }
}

} // namespace troupe
