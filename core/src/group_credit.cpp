#include "troupe/group_credit.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe {
namespace {

/// More than any consumer can mean; keeps sums far from overflow.
constexpr std::uint64_t most_messages = std::uint64_t{1} << 40;

} // namespace

void group_credit::add_member(std::uint64_t member, std::uint32_t max_unsettled, std::uint64_t max_bytes) {
  auto& m = members_[member];
  m.max_unsettled = max_unsettled;
  m.max_bytes = max_bytes;
}

void group_credit::remove_member(std::uint64_t member) {
  members_.erase(member);
  std::erase(hungry_, member);
  for (auto& [id, q] : queues_) {
    q.held.erase(member);
    q.barred.erase(member);
  }
}

void group_credit::set_max_unsettled(std::uint32_t max_unsettled, std::uint64_t max_bytes) {
  for (auto& [id, m] : members_) {
    m.max_unsettled = max_unsettled;
    m.max_bytes = max_bytes;
    line_up(id, m);
  }
}

bool group_credit::add_credit(std::uint64_t member, std::uint32_t messages, std::uint32_t bytes) {
  auto it = members_.find(member);
  if (it == members_.end())
    return false;
  auto& m = it->second;
  m.messages = std::min(m.messages + messages, most_messages);
  m.bytes = std::min(m.bytes + bytes, most_bytes);
  line_up(member, m);
  return true;
}

void group_credit::ready(queue_id queue, std::uint64_t available) {
  auto& q = queues_[queue];
  q.available = available;
  line_up(queue, q);
}

void group_credit::used(queue_id queue, std::uint32_t messages, std::uint32_t bytes,
                        std::uint64_t available) {
  auto it = queues_.find(queue);
  if (it == queues_.end() || !it->second.grant)
    return;
  auto& q = it->second;
  end_grant(q, messages, bytes);
  q.available = available;
  line_up(queue, q);
}

void group_credit::too_large(queue_id queue, std::uint64_t bytes) {
  auto it = queues_.find(queue);
  if (it == queues_.end() || !it->second.grant)
    return;
  if (auto m = members_.find(it->second.grant->member); m != members_.end())
    m->second.needs = bytes;
}

void group_credit::bar(queue_id queue, std::uint64_t member) {
  auto it = queues_.find(queue);
  if (it != queues_.end() && has_member(member))
    it->second.barred.insert(member);
}

void group_credit::released(queue_id queue, std::uint64_t member, std::uint64_t messages,
                            std::uint64_t bytes) {
  auto q = queues_.find(queue);
  auto m = members_.find(member);
  if (q == queues_.end() || m == members_.end())
    return;
  auto held = q->second.held.find(member);
  if (held == q->second.held.end())
    return;
  auto& h = held->second;
  const auto n = std::min(messages, h.messages);
  // The last one takes what is left, whatever was counted for the others.
  const auto b = n == h.messages ? h.bytes : std::min(bytes, h.bytes);
  h.messages -= n;
  h.bytes -= b;
  if (h.messages == 0)
    q->second.held.erase(held);
  m->second.unsettled -= n;
  m->second.held_bytes -= b;
  if (q->second.barred.erase(member) > 0)
    line_up_stalled();
  line_up(member, m->second);
}

void group_credit::remove_queue(queue_id queue) {
  auto it = queues_.find(queue);
  if (it == queues_.end())
    return;
  auto q = std::move(it->second);
  queues_.erase(it);
  std::erase(waiting_, queue);
  stalled_.erase(queue);
  if (q.grant)
    end_grant(q, 0, 0);
  for (const auto& [id, h] : q.held) {
    auto& m = members_.at(id);
    m.unsettled -= h.messages;
    m.held_bytes -= h.bytes;
    line_up(id, m);
  }
}

std::optional<credit_grant> group_credit::next() {
  // Drop what has nothing any more from the front, then match the two fronts.
  while (!hungry_.empty()) {
    auto it = members_.find(hungry_.front());
    if (it != members_.end() && room(it->second) > 0)
      break;
    if (it != members_.end())
      it->second.queued = false;
    hungry_.pop_front();
  }
  while (!hungry_.empty() && !waiting_.empty()) {
    const auto id = waiting_.front();
    auto it = queues_.find(id);
    if (it == queues_.end() || !it->second.queued) {
      waiting_.pop_front();
      continue;
    }
    auto& q = it->second;
    if (q.available > 0 && !q.grant) {
      if (const auto member = taker(q); member != hungry_.end())
        return grant_to(member, id);
      stalled_.insert(id);
    }
    q.queued = false;
    waiting_.pop_front();
  }
  return {};
}

std::deque<std::uint64_t>::iterator group_credit::taker(const queue_state& q) {
  if (q.barred.empty())
    return hungry_.begin();
  return std::ranges::find_if(hungry_, [&](auto id) {
    const auto it = members_.find(id);
    return it != members_.end() && room(it->second) > 0 && !q.barred.contains(id);
  });
}

credit_grant group_credit::grant_to(std::deque<std::uint64_t>::iterator place, queue_id queue) {
  const auto share = [&](std::uint64_t available) {
    const auto even = (available + hungry_.size() - 1) / hungry_.size();
    return std::max<std::uint64_t>(even, limits_.share);
  };
  const auto id = *place;
  auto& m = members_.at(id);
  auto& q = queues_.at(queue);
  credit_grant grant{id, queue, 0, 0, 0, !m.busy()};
  grant.messages = static_cast<std::uint32_t>(
      std::min({room(m), share(q.available), static_cast<std::uint64_t>(limits_.messages)}));
  grant.bytes = static_cast<std::uint32_t>(std::clamp<std::int64_t>(m.bytes, 1, limits_.bytes));
  grant.most_bytes =
      std::min(m.free_bytes(), std::max(std::uint64_t{grant.bytes} + limits_.overshoot, m.needs));
  grant.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(grant.bytes, grant.most_bytes));
  hungry_.erase(place);
  waiting_.pop_front();
  m.queued = q.queued = false;
  m.messages -= grant.messages;
  m.bytes -= grant.bytes;
  m.granted += grant.messages;
  m.granted_bytes += grant.most_bytes;
  m.needs = 0;
  q.grant = grant;
  line_up(id, m);
  return grant;
}

std::uint64_t group_credit::unsettled(std::uint64_t member) const {
  auto it = members_.find(member);
  return it == members_.end() ? 0 : it->second.unsettled;
}

std::uint64_t group_credit::unsettled_bytes(std::uint64_t member) const {
  auto it = members_.find(member);
  return it == members_.end() ? 0 : it->second.held_bytes;
}

std::uint64_t group_credit::member_state::free_bytes() const {
  return max_bytes - std::min(max_bytes, held_bytes + granted_bytes);
}

std::uint64_t group_credit::room(const member_state& m) {
  const auto busy = m.unsettled + m.granted;
  if (busy >= m.max_unsettled)
    return 0;
  // Bytes may be used up while nothing is held (a message larger than all credit): one more then still
  // passes, or the member would wait for ever.
  if (m.busy() && (m.bytes <= 0 || m.free_bytes() < std::max<std::uint64_t>(m.needs, 1)))
    return 0;
  return std::min<std::uint64_t>(m.messages, m.max_unsettled - busy);
}

void group_credit::line_up(std::uint64_t id, member_state& m) {
  if (m.queued || room(m) == 0)
    return;
  m.queued = true;
  hungry_.push_back(id);
  line_up_stalled();
}

void group_credit::line_up_stalled() {
  for (auto id : std::exchange(stalled_, {}))
    line_up(id, queues_.at(id));
}

void group_credit::line_up(queue_id id, queue_state& q) {
  if (q.queued || q.available == 0 || q.grant)
    return;
  q.queued = true;
  waiting_.push_back(id);
}

/// What was not used of it is the member's again.
void group_credit::end_grant(queue_state& q, std::uint32_t messages, std::uint32_t bytes) {
  const auto g = *std::exchange(q.grant, {});
  auto it = members_.find(g.member);
  if (it == members_.end())
    return;
  auto& m = it->second;
  m.granted -= g.messages;
  m.granted_bytes -= g.most_bytes;
  m.messages += g.messages - std::min(messages, g.messages);
  m.bytes += static_cast<std::int64_t>(g.bytes) - bytes;
  if (messages > 0) {
    auto& h = q.held[g.member];
    h.messages += messages;
    h.bytes += bytes;
    m.unsettled += messages;
    m.held_bytes += bytes;
  }
  line_up(g.member, m);
}

} // namespace troupe
