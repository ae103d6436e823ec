#pragma once

#include "troupe/catalog.hpp"
#include "troupe/definitions.hpp"
#include "troupe/ids.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>

/// The decisions about the members of broadcast groups. Each has a definition and a progress of its own, as a
/// group has, under its name and the id of its group, and keeps both while it is away.
namespace troupe {

/// Members of one broadcast group, connected or not. A change of the group is one entry that holds all of
/// them, and each costs a place in every queue of its topics and its own actors.
inline constexpr std::size_t most_broadcast_members = 1000;
/// A member that nobody saw for so long is forgotten, with its progress.
inline constexpr milliseconds member_kept = std::chrono::hours{3 * 24};
/// How often somebody looks who is gone. What is known of a connected member is no older than this after a
/// crash, and who was connected until then is kept as much longer.
inline constexpr milliseconds member_look = std::chrono::hours{1};
/// When a member was last seen is not written again for less.
inline constexpr milliseconds member_seen_step = std::chrono::minutes{1};

/// Which members are connected, and when others were noticed. What is not durable of them.
class member_presence {
public:
  /// It asks to be let in.
  void noticed(group_id member, timestamp now) { noticed_[member] = {now, connected(member)}; }
  void moved(group_id member, bool here, timestamp now) { noticed_[member] = {now, here}; }
  void forget(group_id member) { noticed_.erase(member); }
  bool connected(group_id member) const;
  /// Never before what is durable of it: a clock that was set back makes nobody older.
  timestamp last_seen(const group_definition& member, timestamp now) const;

private:
  struct notice {
    timestamp at{};
    bool here = false;
  };
  std::unordered_map<group_id, notice> noticed_;
};

/// What must change so that the consumer can be a member, as catalog::join() and rejoin(). invalid_argument,
/// with both spelled out, when the group is of another mode than it asks for; a new one gets that mode. Of a
/// broadcast group also the member, which begins at its own start: invalid_argument when it has no name,
/// too_large when there are too many.
catalog_proposal propose_join(const catalog& has, const wanted_membership& wanted, const catalog_ids& last,
                              timestamp now);

/// A member as it must be when its group is like this: with the group's options and subscriptions, of which
/// those that it had keep their start.
group_definition member_like(group_definition member, const group_definition& group);

/// When the members of a group were last seen, of those of which that is news. No change when there are none.
catalog_proposal write_seen(const catalog& has, group_id group, const member_presence& presence,
                            timestamp now);
/// The same, and takes away those that were not seen for member_kept and one member_look.
catalog_proposal expire_members(const catalog& has, group_id group, const member_presence& presence,
                                timestamp now);

} // namespace troupe
