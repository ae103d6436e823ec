#pragma once

#include "troupe/ids.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace troupe {

/// How large one grant may be.
struct grant_limits {
  std::uint32_t messages = 8192;
  std::uint32_t bytes = 512u << 10;
  /// A small backlog is split between the members that wait, but not into smaller pieces than this.
  std::uint32_t share = 16;
};

/// Leave for one queue to deliver to one member.
struct credit_grant {
  std::uint64_t member = 0;
  queue_id queue;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  bool operator==(const credit_grant&) const = default;
};

/// Matches the queues of a group that have messages with the members that have credit: round robin over both,
/// so that no queue and no member waits while another is served twice. One outstanding grant per queue. One
/// owner, one thread.
///
/// Invariant: a member never holds more than its max_unsettled messages, delivered or granted; what a queue
/// did not use of a grant is the member's again.
class group_credit {
public:
  /// Of credit of one member, whatever it claims: what the broker may have to hold for one that does not
  /// read.
  static constexpr std::int64_t most_bytes = std::int64_t{64} << 20;

  explicit group_credit(grant_limits limits = {}) : limits_(limits) {}

  void add_member(std::uint64_t member, std::uint32_t max_unsettled);
  /// Its outstanding grants still end by `used` (with nothing to give back).
  void remove_member(std::uint64_t member);
  bool has_member(std::uint64_t member) const { return members_.count(member) != 0; }
  void set_max_unsettled(std::uint32_t max_unsettled);

  /// The member can take so much more. False when there is no such member.
  bool add_credit(std::uint64_t member, std::uint32_t messages, std::uint32_t bytes);
  /// A queue has about so many deliverable messages; 0: none any more.
  void ready(queue_id queue, std::uint64_t available);
  /// The queue is done with its grant: it delivered so much (maybe a little more bytes than granted) and has
  /// about `available` messages left.
  void used(queue_id queue, std::uint32_t messages, std::uint32_t bytes, std::uint64_t available);
  /// The member gets nothing more of the queue until something of it is released by the member.
  void bar(queue_id queue, std::uint64_t member);
  /// The member holds so many messages of the queue no longer.
  void released(queue_id queue, std::uint64_t member, std::uint64_t messages);
  /// The queue is gone: its grant is given back, and members hold nothing of it.
  void remove_queue(queue_id queue);

  /// The next grant to make, or nothing. Call until there is none after anything above.
  std::optional<credit_grant> next();

  /// Messages that the member holds unsettled.
  std::uint64_t unsettled(std::uint64_t member) const;

private:
  struct member_state {
    std::uint32_t max_unsettled = 0;
    std::uint64_t messages = 0;
    /// Below zero after a message that was larger than the grant.
    std::int64_t bytes = 0;
    std::uint64_t unsettled = 0;
    std::uint64_t granted = 0;
    bool queued = false;
  };
  struct queue_state {
    std::uint64_t available = 0;
    bool queued = false;
    /// Its outstanding grant; no member: none.
    std::optional<credit_grant> grant;
    /// What members hold of it.
    std::map<std::uint64_t, std::uint64_t> held;
    /// Members that get nothing of it at present.
    std::set<std::uint64_t> barred;
  };

  /// Messages that can be granted to the member now.
  static std::uint64_t room(const member_state& m);
  void line_up(std::uint64_t id, member_state& m);
  void line_up(queue_id id, queue_state& q);
  void line_up_stalled();
  /// Of the members with room, the one whose turn it is to get something of the queue.
  std::deque<std::uint64_t>::iterator taker(const queue_state& q);
  credit_grant grant_to(std::deque<std::uint64_t>::iterator place, queue_id queue);
  void give_back(const credit_grant& g, std::uint32_t messages, std::uint32_t bytes);

  grant_limits limits_;
  std::map<std::uint64_t, member_state> members_;
  std::map<queue_id, queue_state> queues_;
  /// Members with room and queues with messages, in the order in which they are served. May name ones that
  /// are gone or have nothing any more.
  std::deque<std::uint64_t> hungry_;
  std::deque<queue_id> waiting_;
  /// Queues with messages that no member with room may have at present.
  std::set<queue_id> stalled_;
};

} // namespace troupe
