#pragma once

#include "troupe/error.hpp"
#include "troupe/requester.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe {

/// Requests that wait for their replies, between the program's threads and the REPLY INBOX. Thread-safe;
/// calls nobody back: who takes a callback out calls it. Times are of a clock that never runs backwards.
class reply_board {
public:
  /// The number that its reply will carry. Nothing when too many wait.
  std::optional<std::uint64_t> add(requester::callback done, milliseconds deadline);
  /// Whose reply this is; nothing when nobody waits for it (any more).
  std::optional<requester::callback> take(std::uint64_t correlation);
  std::vector<requester::callback> take_late(milliseconds now);
  std::vector<requester::callback> take_all();
  std::optional<milliseconds> next_deadline() const;

  /// The node knows where replies go. Stays so for wait_known().
  void known();
  /// It never will.
  void ended(const error& why);
  error wait_known(milliseconds limit) const;

private:
  struct place {
    requester::callback done;
    milliseconds deadline{0};
  };
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::unordered_map<std::uint64_t, place> waiting_;
  std::multimap<milliseconds, std::uint64_t> deadlines_;
  std::uint64_t last_ = 0;
  bool known_ = false;
  error why_;
};

} // namespace troupe
