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
  /// What a delivery may be larger than the bytes of its grant, where the member has room for it: more than
  /// any one batch.
  std::uint32_t overshoot = 5u << 20;
};

/// Leave for one queue to deliver to one member.
struct credit_grant {
  std::uint64_t member = 0;
  queue_id queue;
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
  /// The delivery must not be larger than this, unless it is one message and `any_size`: the member holds
  /// nothing and is granted nothing else, and something was too large for it before.
  std::uint64_t most_bytes = 0;
  bool any_size = false;
  bool operator==(const credit_grant&) const = default;
};

/// Matches the queues of a group that have messages with the members that have credit: round robin over both,
/// so that no queue and no member waits while another is served twice. One outstanding grant per queue. One
/// owner, one thread.
///
/// Queues that are lanes of one line have one turn and one grant together. It goes to the highest lane with
/// messages that somebody may have; lower ones get their share (set_low_share) in between. A lane whose grant
/// gave nothing (a filter wanted nothing of it) lets the next lower one go once.
///
/// Invariant: a member never holds more than its max_unsettled messages, delivered or granted, nor more than
/// its max_bytes, but for one message of any size to one that holds nothing; what a queue did not use of a
/// grant is the member's again. Both count over all queues, and so bound what it holds of each, too.
class group_credit {
public:
  /// Of credit of one member, whatever it claims: what the broker may have to hold for one that does not
  /// read.
  static constexpr std::int64_t most_bytes = std::int64_t{64} << 20;

  explicit group_credit(grant_limits limits = {}) : limits_(limits) {}

  void add_member(std::uint64_t member, std::uint32_t max_unsettled,
                  std::uint64_t max_bytes = std::uint64_t{64} << 20);
  /// Its outstanding grants still end by `used` (with nothing to give back).
  void remove_member(std::uint64_t member);
  bool has_member(std::uint64_t member) const { return members_.count(member) != 0; }
  void set_max_unsettled(std::uint32_t max_unsettled, std::uint64_t max_bytes = std::uint64_t{64} << 20);

  /// While lanes of several priorities wait, one message in `n` (2 or more) is of a lower one than the
  /// highest, which take turns; messages count, not grants. 0: strict, the highest goes first always.
  void set_low_share(std::uint16_t n);
  /// A small backlog is not split into smaller pieces than `messages`, either: the batch of an ordered group.
  void set_least_share(std::uint32_t messages) { least_share_ = messages; }
  /// The queue is the lane of this priority in the line that another queue gives its name to. Before its
  /// first ready(); again is no news. A queue of which it is not said is a line of its own.
  void place(queue_id queue, queue_id line, std::uint8_t priority);

  /// The member can take so much more. False when there is no such member.
  bool add_credit(std::uint64_t member, std::uint32_t messages, std::uint32_t bytes);
  /// A queue has about so many deliverable messages; 0: none any more.
  void ready(queue_id queue, std::uint64_t available);
  /// The queue is done with its grant: it delivered so much (maybe more than `bytes`, but as most_bytes and
  /// any_size say) and has about `available` messages left.
  void used(queue_id queue, std::uint32_t messages, std::uint32_t bytes, std::uint64_t available);
  /// Before used() with no messages: the next delivery has so many bytes, above most_bytes. The member gets
  /// nothing until it has room for that, or holds nothing, and then of this queue's line first; or until
  /// another member got as much.
  void too_large(queue_id queue, std::uint64_t bytes);
  /// The member gets nothing more of the queue until something of it is released by the member.
  void bar(queue_id queue, std::uint64_t member);
  /// The member holds so many messages of the queue no longer, and so many bytes.
  void released(queue_id queue, std::uint64_t member, std::uint64_t messages, std::uint64_t bytes = 0);
  /// The queue is gone: its grant is given back, and members hold nothing of it.
  void remove_queue(queue_id queue);

  /// The next grant to make, or nothing. Call until there is none after anything above.
  std::optional<credit_grant> next();

  /// Messages that the member holds unsettled, and their bytes.
  std::uint64_t unsettled(std::uint64_t member) const;
  std::uint64_t unsettled_bytes(std::uint64_t member) const;

private:
  struct held_part {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  struct member_state {
    std::uint32_t max_unsettled = 0;
    std::uint64_t max_bytes = 0;
    std::uint64_t messages = 0;
    /// Below zero after a message that was larger than the grant.
    std::int64_t bytes = 0;
    std::uint64_t unsettled = 0;
    std::uint64_t granted = 0;
    /// Of its deliveries that are not settled, and what its grants may become.
    std::uint64_t held_bytes = 0;
    std::uint64_t granted_bytes = 0;
    /// What it must have room for, before it gets more, and of which line.
    std::uint64_t needs = 0;
    queue_id needs_of;
    bool queued = false;

    bool busy() const { return unsettled + granted > 0; }
    std::uint64_t free_bytes() const;
  };
  struct lane {
    queue_id line;
    std::uint8_t priority = 0;
    std::uint64_t available = 0;
    /// What members hold of it.
    std::map<std::uint64_t, held_part> held;
    /// Members that get nothing of it at present.
    std::set<std::uint64_t> barred;
  };
  struct line {
    /// Highest priority first.
    std::vector<queue_id> lanes;
    bool queued = false;
    /// Its last delivery was too large: others must not take the room that it waits for.
    bool refused = false;
    /// Members that something of it was too large for.
    std::vector<std::uint64_t> needy;
    /// Its outstanding grant; no member: none.
    std::optional<credit_grant> grant;
    /// A lower lane waited when it was made; it is made of what the lower lanes have earned.
    bool earns = false;
    bool pays = false;
    /// What the lower lanes have earned, in parts of a message: low_share_ - 1 make one.
    std::uint64_t earned = 0;
    /// The lane that was paid last.
    std::uint8_t paid = 0;
    /// The lane whose grant gave nothing: now those below it go first.
    std::optional<std::uint8_t> passed;
  };
  using hungry_place = std::deque<std::uint64_t>::iterator;
  struct turn {
    queue_id queue;
    hungry_place member;
    std::uint64_t most = 0;
  };

  /// Messages that can be granted to the member now.
  static std::uint64_t room(const member_state& m);
  void line_up(std::uint64_t id, member_state& m);
  void line_up(queue_id id, line& l);
  void line_up_stalled();
  bool waits(const line& l) const;
  void count_share(line& l, std::uint8_t priority, std::uint32_t messages, bool may_pass) const;
  /// Of the members with room, the one whose turn it is to get something of the queue.
  hungry_place taker(const lane& q);
  std::optional<turn> choose(line& l);
  /// The lower lane whose turn it is, of those behind `top`.
  std::optional<turn> choose_lower(line& l, std::size_t top);
  credit_grant grant_to(const turn& t, line& l);
  /// What was too large for some members, but not above this, somebody else got: they need no room for it.
  void forget_needs(queue_id line, std::uint64_t bytes);
  void give_back(const credit_grant& g, lane& q, std::uint32_t messages, std::uint32_t bytes);

  grant_limits limits_;
  std::map<std::uint64_t, member_state> members_;
  std::map<queue_id, lane> lanes_;
  /// Named by one of their queues, or by one that is gone.
  std::map<queue_id, line> lines_;
  std::uint16_t low_share_ = 0;
  std::uint32_t least_share_ = 0;
  /// Members with room and lines with messages, in the order in which they are served. May name ones that
  /// are gone or have nothing any more.
  std::deque<std::uint64_t> hungry_;
  std::deque<queue_id> waiting_;
  /// Lines with messages that no member with room may have at present.
  std::set<queue_id> stalled_;
};

} // namespace troupe
