#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/transaction.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// How producers are asked about transactions that they left undecided: when, whom, and what comes of it. No
/// clock, no actor.
namespace troupe {

/// When a transaction that nobody decides is asked about (RocketMQ's transactionTimeOut,
/// transactionCheckInterval and transactionCheckMax).
struct check_schedule {
  /// Before the first check: what its producer is likely to need.
  milliseconds after = std::chrono::seconds{6};
  milliseconds every = std::chrono::seconds{30};
  /// So many, then it is parked: kept, listed, and asked about no more.
  std::uint32_t most = 15;
  /// How long a transaction of several messages may go on gathering them; then it is rolled back.
  milliseconds gathering = std::chrono::minutes{1};
  bool operator==(const check_schedule&) const = default;

  timestamp first(timestamp prepared) const { return prepared + after; }
  /// The next check after the one that makes `checks` of them; nothing: parked.
  std::optional<timestamp> next(std::uint32_t checks, timestamp now) const {
    return checks >= most ? std::nullopt : std::optional{now + every};
  }
};

/// No error when each time is 1 ms to 30 days, and at least one check is made, at most a million.
error validate(const check_schedule& schedule);

/// What is due.
enum class check_subject : std::uint8_t {
  /// Prepared: a half message that is a transaction of its own, or one of several messages at home.
  prepared,
  /// Begun at home, and not prepared in time.
  begun,
  /// A half message of a transaction whose home is asked.
  in_doubt,
  /// Decided at home, and not confirmed by all shards.
  unconfirmed,
};

/// The subject that a row at home is, by its state.
check_subject subject_of(transaction_state home_row);

/// What home says of a message in doubt. `listed`: its transaction names it as one that is not confirmed.
enum class home_answer : std::uint8_t { undecided, committed, rolled_back };
home_answer answer_of(transaction_state home_row, bool listed);

enum class check_step : std::uint8_t {
  /// A producer of its group is asked; it counts.
  ask,
  commit,
  rollback,
  /// Again later, however often.
  later,
  /// The shards that have not confirmed are told again.
  spread,
};

/// `has_group`: there is a producer group that could be asked. `home` counts for what is in doubt only.
check_step step_for(check_subject subject, bool has_group, home_answer home = home_answer::undecided);

/// The programs that can be asked, by producer group, each under a number of the caller's. Round robin in
/// each group, over those that have room for another question.
///
/// Invariant: the questions that a member has open cost no more than `most_open`, but for a single one.
class checker_groups {
public:
  static constexpr std::size_t most_members = 16384;
  static constexpr std::uint32_t most_open = 1024;
  /// A group without room that did not deal with any question for so long counts as nobody.
  static constexpr milliseconds patience = std::chrono::seconds{30};

  /// Overloaded when there are too many. A member that is known already stays what it is.
  error add(std::string_view group, std::uint64_t member);
  void remove(std::uint64_t member);

  enum class turn : std::uint8_t { nobody, busy, found };
  struct choice {
    turn what = turn::nobody;
    std::uint64_t member = 0;
  };
  /// Whose turn it is; the question is open from now on. `busy`: all that there are have no room.
  choice next(std::string_view group, std::uint32_t cost, milliseconds now);
  /// It has dealt with questions of this cost.
  void answered(std::uint64_t member, std::uint32_t cost);

  std::size_t members() const { return members_.size(); }

private:
  struct group_state {
    /// Sorted.
    std::vector<std::uint64_t> members;
    /// Whose turn was last.
    std::uint64_t last = 0;
    /// Since when none has room.
    std::optional<milliseconds> busy;
  };
  struct member_state {
    std::string group;
    std::uint32_t open = 0;
  };
  std::map<std::string, group_state, std::less<>> groups_;
  std::unordered_map<std::uint64_t, member_state> members_;
};

} // namespace troupe
