#include "troupe/lease_table.hpp"

#include <algorithm>
#include <limits>

namespace troupe {

std::uint64_t lease_table::open(std::uint64_t member, timestamp deadline) {
  leases_[++last_] = {member, deadline, std::numeric_limits<std::uint64_t>::max(), 0, 0, 0};
  return last_;
}

bool lease_table::close(std::uint64_t id, std::uint64_t bytes) {
  const auto it = leases_.find(id);
  if (it == leases_.end())
    return false;
  if (it->second.messages == 0) {
    leases_.erase(it);
    return false;
  }
  it->second.bytes = bytes;
  ends_.emplace(it->second.deadline, id);
  return true;
}

void lease_table::add(std::uint64_t id, std::uint64_t first, std::uint64_t next) {
  auto& lease = leases_.at(id);
  lease.low = std::min(lease.low, first);
  lease.high = std::max(lease.high, next);
  lease.messages += next - first;
}

void lease_table::suspect(std::uint64_t id) { suspects_[leases_.at(id).member] = id; }

void lease_table::release(std::uint64_t id, std::uint64_t messages) {
  const auto it = leases_.find(id);
  if (it == leases_.end())
    return;
  const auto member = it->second.member;
  const auto bytes = it->second.bytes / it->second.messages * messages +
                     it->second.bytes % it->second.messages * messages / it->second.messages;
  credit({member, messages, bytes});
  it->second.messages -= messages;
  it->second.bytes -= bytes;
  if (it->second.messages > 0)
    return;
  ends_.erase({it->second.deadline, id});
  if (const auto held = suspects_.find(member); held != suspects_.end() && held->second == id)
    suspects_.erase(held);
  leases_.erase(it);
}

void lease_table::credit(const troupe::release& back) {
  const auto known = std::ranges::find(releases_, back.member, &troupe::release::member);
  if (known == releases_.end())
    return releases_.push_back(back);
  known->messages += back.messages;
  known->bytes += back.bytes;
}

bool lease_table::renew(std::uint64_t id, std::uint64_t member, timestamp now, timestamp deadline) {
  const auto it = leases_.find(id);
  if (it == leases_.end() || it->second.member != member || it->second.deadline <= now)
    return false;
  ends_.erase({it->second.deadline, id});
  it->second.deadline = deadline;
  ends_.emplace(deadline, id);
  return true;
}

const lease_table::lease* lease_table::find(std::uint64_t id) const {
  const auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

std::vector<std::uint64_t> lease_table::of(std::uint64_t member) const {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, lease] : leases_)
    if (lease.member == member)
      ids.push_back(id);
  return ids;
}

std::uint64_t lease_table::suspect_of(std::uint64_t member) const {
  const auto it = suspects_.find(member);
  return it == suspects_.end() ? 0 : it->second;
}

std::optional<std::uint64_t> lease_table::over(timestamp now) const {
  if (ends_.empty() || ends_.begin()->first > now)
    return {};
  return ends_.begin()->second;
}

std::optional<timestamp> lease_table::next_end() const {
  if (ends_.empty())
    return {};
  return ends_.begin()->first;
}

void lease_table::clear(std::uint64_t last) {
  for (const auto& [id, lease] : leases_)
    credit({lease.member, lease.messages, lease.bytes});
  leases_.clear();
  ends_.clear();
  suspects_.clear();
  last_ = std::max(last_, last);
}

} // namespace troupe
