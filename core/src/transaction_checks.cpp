#include "troupe/transaction_checks.hpp"

#include "troupe/units.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr milliseconds longest_pause = std::chrono::hours{24 * 30};
constexpr std::uint32_t most_checks = 1'000'000;

error wrong_pause(const char* what, milliseconds is) {
  return {errc::invalid_argument,
          std::string{what} + " is " + format_duration(is) + "; it must be 1ms to " +
              format_duration(longest_pause),
          "choose a time in between"};
}

} // namespace

error validate(const check_schedule& s) {
  const auto fits = [](milliseconds pause) { return pause >= milliseconds{1} && pause <= longest_pause; };
  if (!fits(s.after))
    return wrong_pause("the time before an undecided transaction is asked about", s.after);
  if (!fits(s.every))
    return wrong_pause("the time between two checks of a transaction", s.every);
  if (!fits(s.gathering))
    return wrong_pause("the time that a transaction may gather messages", s.gathering);
  if (s.most == 0 || s.most > most_checks)
    return {errc::invalid_argument,
            "the number of checks of a transaction is " + std::to_string(s.most) + "; it must be 1 to " +
                std::to_string(most_checks),
            "15 is the default"};
  return {};
}

check_subject subject_of(transaction_state home_row) {
  if (has_ended(home_row))
    return check_subject::unconfirmed;
  return home_row == transaction_state::prepared ? check_subject::prepared : check_subject::begun;
}

home_answer answer_of(transaction_state home_row, bool listed) {
  if (home_row == transaction_state::begun || home_row == transaction_state::prepared)
    return home_answer::undecided;
  return home_row == transaction_state::committed && listed ? home_answer::committed
                                                            : home_answer::rolled_back;
}

check_step step_for(check_subject subject, bool has_group, home_answer home) {
  switch (subject) {
  case check_subject::prepared:
    return has_group ? check_step::ask : check_step::rollback;
  case check_subject::begun:
    return check_step::rollback;
  case check_subject::unconfirmed:
    return check_step::spread;
  case check_subject::in_doubt:
    break;
  }
  if (home == home_answer::undecided)
    return check_step::later;
  return home == home_answer::committed ? check_step::commit : check_step::rollback;
}

error checker_groups::add(std::string_view group, std::uint64_t member) {
  if (members_.contains(member))
    return {};
  if (members_.size() >= most_members)
    return {errc::overloaded, std::to_string(most_members) + " programs can be asked about transactions",
            "close some of them", std::chrono::seconds{1}};
  auto at = groups_.find(group);
  if (at == groups_.end())
    at = groups_.emplace(std::string{group}, group_state{}).first;
  auto& list = at->second.members;
  list.insert(std::ranges::upper_bound(list, member), member);
  members_.emplace(member, member_state{std::string{group}});
  return {};
}

void checker_groups::remove(std::uint64_t member) {
  const auto gone = members_.extract(member);
  if (!gone)
    return;
  const auto at = groups_.find(gone.mapped().group);
  std::erase(at->second.members, member);
  if (at->second.members.empty())
    groups_.erase(at);
}

checker_groups::choice checker_groups::next(std::string_view group, std::uint32_t cost, milliseconds now) {
  const auto at = groups_.find(group);
  if (at == groups_.end())
    return {};
  auto& [members, last, busy] = at->second;
  auto candidate = std::ranges::upper_bound(members, last);
  for (std::size_t i = 0; i < members.size(); ++i, ++candidate) {
    if (candidate == members.end())
      candidate = members.begin();
    auto& open = members_.at(*candidate).open;
    if (open > 0 && open + cost > most_open)
      continue;
    open += cost;
    last = *candidate;
    busy.reset();
    return {turn::found, last};
  }
  if (!busy)
    busy = now;
  return {now - *busy >= patience ? turn::nobody : turn::busy, 0};
}

void checker_groups::answered(std::uint64_t member, std::uint32_t cost) {
  const auto at = members_.find(member);
  if (at == members_.end())
    return;
  at->second.open -= std::min(at->second.open, cost);
  groups_.find(at->second.group)->second.busy.reset();
}

} // namespace troupe
