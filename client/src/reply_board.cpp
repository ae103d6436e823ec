#include "reply_board.hpp"

namespace troupe {

std::optional<std::uint64_t> reply_board::add(requester::callback done, milliseconds deadline) {
  std::lock_guard lock{mutex_};
  if (waiting_.size() >= requester::most_waiting)
    return {};
  waiting_.emplace(++last_, place{std::move(done), deadline});
  deadlines_.emplace(deadline, last_);
  return last_;
}

std::optional<requester::callback> reply_board::take(std::uint64_t correlation) {
  std::lock_guard lock{mutex_};
  auto found = waiting_.extract(correlation);
  if (!found)
    return {};
  const auto [from, to] = deadlines_.equal_range(found.mapped().deadline);
  for (auto at = from; at != to; ++at)
    if (at->second == correlation) {
      deadlines_.erase(at);
      break;
    }
  return std::move(found.mapped().done);
}

std::vector<requester::callback> reply_board::take_late(milliseconds now) {
  std::lock_guard lock{mutex_};
  std::vector<requester::callback> late;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    late.push_back(std::move(waiting_.extract(deadlines_.begin()->second).mapped().done));
    deadlines_.erase(deadlines_.begin());
  }
  return late;
}

std::vector<requester::callback> reply_board::take_all() {
  std::lock_guard lock{mutex_};
  std::vector<requester::callback> all;
  for (auto& [correlation, place] : waiting_)
    all.push_back(std::move(place.done));
  waiting_.clear();
  deadlines_.clear();
  return all;
}

std::optional<milliseconds> reply_board::next_deadline() const {
  std::lock_guard lock{mutex_};
  return deadlines_.empty() ? std::nullopt : std::optional{deadlines_.begin()->first};
}

void reply_board::known() {
  {
    std::lock_guard lock{mutex_};
    known_ = true;
  }
  changed_.notify_all();
}

void reply_board::ended(const error& why) {
  {
    std::lock_guard lock{mutex_};
    why_ = why;
  }
  changed_.notify_all();
}

error reply_board::wait_known(milliseconds limit) const {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, limit, [this] { return known_ || why_; }))
    return {errc::timeout,
            "the node did not take the address for replies in " + std::to_string(limit.count()) + " ms",
            "check that the node answers, or allow more time"};
  return why_;
}

} // namespace troupe
