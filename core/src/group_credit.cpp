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
  for (auto& [id, q] : lanes_) {
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

void group_credit::set_low_share(std::uint16_t n) {
  low_share_ = n == 1 ? 2 : n;
  for (auto& [id, l] : lines_)
    l.earned = 0;
}

void group_credit::place(queue_id queue, queue_id line_name, std::uint8_t priority) {
  const auto [at, is_new] = lanes_.try_emplace(queue);
  if (!is_new)
    return;
  at->second.line = line_name;
  at->second.priority = priority;
  auto& all = lines_[line_name].lanes;
  all.insert(std::ranges::find_if(all, [&](auto id) { return lanes_.at(id).priority < priority; }), queue);
}

void group_credit::ready(queue_id queue, std::uint64_t available) {
  place(queue, queue, 0);
  auto& q = lanes_.at(queue);
  q.available = available;
  line_up(q.line, lines_.at(q.line));
}

void group_credit::used(queue_id queue, std::uint32_t messages, std::uint32_t bytes,
                        std::uint64_t available) {
  auto it = lanes_.find(queue);
  if (it == lanes_.end())
    return;
  auto& q = it->second;
  auto& l = lines_.at(q.line);
  if (!l.grant || l.grant->queue != queue)
    return;
  const auto grant = *std::exchange(l.grant, {});
  count_share(l, q.priority, messages, has_member(grant.member) && available > 0 && !l.refused);
  give_back(grant, q, messages, bytes);
  if (messages > 0)
    forget_needs(q.line, bytes);
  q.available = available;
  line_up(q.line, l);
}

/// Settles what it means for the other lanes. Debts are bounded: lanes that cannot be paid now must not take
/// everything later.
void group_credit::count_share(line& l, std::uint8_t priority, std::uint32_t messages, bool may_pass) const {
  const std::uint64_t whole = low_share_ > 0 ? low_share_ - 1 : 0;
  if (l.pays && messages == 0 && may_pass)
    l.earned = 0; // it could not use it, and must not be asked again before the highest
  else if (l.pays)
    l.earned -= std::min(l.earned, messages * whole);
  else if (l.earns && low_share_ > 0)
    l.earned = std::min(l.earned + messages, limits_.messages * whole);
  if (messages > 0)
    l.passed.reset();
  else if (may_pass)
    l.passed = l.pays ? std::uint8_t{0} : priority;
}

void group_credit::too_large(queue_id queue, std::uint64_t bytes) {
  const auto q = lanes_.find(queue);
  if (q == lanes_.end())
    return;
  auto& l = lines_.at(q->second.line);
  if (!l.grant || l.grant->queue != queue)
    return;
  if (auto m = members_.find(l.grant->member); m != members_.end()) {
    m->second.needs = bytes;
    m->second.needs_of = q->second.line;
    if (std::ranges::find(l.needy, m->first) == l.needy.end())
      l.needy.push_back(m->first);
    l.refused = true;
  }
}

void group_credit::forget_needs(queue_id line, std::uint64_t bytes) {
  std::erase_if(lines_.at(line).needy, [&](std::uint64_t id) {
    const auto at = members_.find(id);
    if (at == members_.end() || at->second.needs == 0 || at->second.needs_of != line)
      return true;
    if (at->second.needs > bytes)
      return false;
    at->second.needs = 0;
    line_up(id, at->second);
    return true;
  });
}

void group_credit::bar(queue_id queue, std::uint64_t member) {
  auto it = lanes_.find(queue);
  if (it != lanes_.end() && has_member(member))
    it->second.barred.insert(member);
}

void group_credit::released(queue_id queue, std::uint64_t member, std::uint64_t messages,
                            std::uint64_t bytes) {
  auto q = lanes_.find(queue);
  auto m = members_.find(member);
  if (q == lanes_.end() || m == members_.end())
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
  auto it = lanes_.find(queue);
  if (it == lanes_.end())
    return;
  const auto id = it->second.line;
  auto q = std::move(it->second);
  lanes_.erase(it);
  auto& l = lines_.at(id);
  std::erase(l.lanes, queue);
  if (l.grant && l.grant->queue == queue)
    give_back(*std::exchange(l.grant, {}), q, 0, 0);
  forget_needs(id, std::numeric_limits<std::uint64_t>::max());
  if (l.lanes.empty()) {
    lines_.erase(id);
    std::erase(waiting_, id);
    stalled_.erase(id);
  } else {
    line_up(id, l);
  }
  for (const auto& [member, h] : q.held) {
    auto& m = members_.at(member);
    m.unsettled -= h.messages;
    m.held_bytes -= h.bytes;
    line_up(member, m);
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
    auto it = lines_.find(id);
    if (it == lines_.end() || !it->second.queued) {
      waiting_.pop_front();
      continue;
    }
    auto& l = it->second;
    if (!l.grant && waits(l)) {
      if (const auto t = choose(l))
        return grant_to(*t, l);
      stalled_.insert(id);
    }
    l.queued = false;
    waiting_.pop_front();
  }
  return {};
}

bool group_credit::waits(const line& l) const {
  return std::ranges::any_of(l.lanes, [this](auto id) { return lanes_.at(id).available > 0; });
}

group_credit::hungry_place group_credit::taker(const lane& q) {
  if (q.barred.empty())
    return hungry_.begin();
  return std::ranges::find_if(hungry_, [&](auto id) {
    const auto it = members_.find(id);
    return it != members_.end() && room(it->second) > 0 && !q.barred.contains(id);
  });
}

std::optional<group_credit::turn> group_credit::choose(line& l) {
  for (std::size_t i = 0; i < l.lanes.size(); ++i) {
    const auto& q = lanes_.at(l.lanes[i]);
    if (q.available == 0 || (l.passed && q.priority >= *l.passed))
      continue;
    const auto member = taker(q);
    if (member == hungry_.end())
      continue;
    l.earns = std::any_of(l.lanes.begin() + static_cast<std::ptrdiff_t>(i) + 1, l.lanes.end(),
                          [this](auto id) { return lanes_.at(id).available > 0; });
    l.pays = false;
    if (!l.earns)
      l.earned = 0; // nobody is owed anything
    else if (auto lower = choose_lower(l, i))
      return lower;
    return turn{l.lanes[i], member, limits_.messages};
  }
  if (!std::exchange(l.passed, {}))
    return {};
  return choose(l); // all below it had their chance
}

std::optional<group_credit::turn> group_credit::choose_lower(line& l, std::size_t top) {
  if (low_share_ == 0 || l.passed || l.earned < low_share_ - 1u)
    return {};
  std::optional<turn> first;
  for (auto i = top + 1; i < l.lanes.size(); ++i) {
    const auto& q = lanes_.at(l.lanes[i]);
    const auto member = q.available > 0 ? taker(q) : hungry_.end();
    if (member == hungry_.end() || (first && q.priority >= l.paid))
      continue;
    first = turn{l.lanes[i], member, l.earned / (low_share_ - 1u)};
    if (q.priority < l.paid)
      break;
  }
  if (first) {
    l.paid = lanes_.at(first->queue).priority;
    l.pays = true;
  }
  return first;
}

credit_grant group_credit::grant_to(const turn& t, line& l) {
  const auto share = [&](std::uint64_t available) {
    const auto even = (available + hungry_.size() - 1) / hungry_.size();
    return std::max<std::uint64_t>({even, limits_.share, least_share_});
  };
  const auto id = *t.member;
  auto& m = members_.at(id);
  credit_grant grant{id, t.queue, 0, 0, 0, !m.busy() && m.needs > 0};
  grant.messages = static_cast<std::uint32_t>(std::min(
      {room(m), share(lanes_.at(t.queue).available), t.most, static_cast<std::uint64_t>(limits_.messages)}));
  grant.bytes = static_cast<std::uint32_t>(std::clamp<std::int64_t>(m.bytes, 1, limits_.bytes));
  grant.most_bytes = m.free_bytes();
  // What may be of any size has all the room there is, so that nothing comes beside it.
  if (!grant.any_size)
    grant.most_bytes =
        std::min(grant.most_bytes, std::max(std::uint64_t{grant.bytes} + limits_.overshoot, m.needs));
  grant.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(grant.bytes, grant.most_bytes));
  hungry_.erase(t.member);
  waiting_.pop_front();
  m.queued = l.queued = false;
  m.messages -= grant.messages;
  m.bytes -= grant.bytes;
  m.granted += grant.messages;
  m.granted_bytes += grant.most_bytes;
  m.needs = 0;
  l.grant = grant;
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
    line_up(id, lines_.at(id));
}

void group_credit::line_up(queue_id id, line& l) {
  if (l.queued || l.grant || !waits(l))
    return;
  l.queued = true;
  if (std::exchange(l.refused, false))
    waiting_.push_front(id);
  else
    waiting_.push_back(id);
}

/// What was not used of it is the member's again.
void group_credit::give_back(const credit_grant& g, lane& q, std::uint32_t messages, std::uint32_t bytes) {
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
