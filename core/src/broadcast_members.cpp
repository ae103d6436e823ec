#include "troupe/broadcast_members.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe {

namespace {

std::string spell(group_mode mode) {
  switch (mode) {
  case group_mode::ordered:
    return "an ordered";
  case group_mode::broadcast:
    return "a broadcast";
  default:
    return "a shared";
  }
}

error other_mode(const std::string& group, group_mode has, group_mode wanted) {
  return {errc::invalid_argument,
          "group \"" + group + "\" is " + spell(has) + " group; this member asks for " + spell(wanted) +
              " one",
          "ask for no mode to join it as it is, or use another group"};
}

error nameless(const std::string& group) {
  return {errc::invalid_argument,
          "\"" + group + "\" is a broadcast group, and the member that joins it has no name",
          "give it one that stays (--member NAME, or consumer_options::member): the group keeps the place of "
          "each of its members under the member's name"};
}

error too_many(const std::string& group) {
  return {errc::too_large,
          "broadcast group \"" + group + "\" has " + std::to_string(most_broadcast_members) +
              " members, connected or not, and more are not allowed",
          "use names again: who is not seen for 3 days is forgotten; or use another broadcast group"};
}

/// Adds the member to a change of its group, or makes one.
catalog_proposal with_member(const catalog& has, const wanted_membership& wanted,
                             std::optional<catalog_change> change, const catalog_ids& last, timestamp now) {
  const auto* known = has.group(wanted.group);
  if (known && has.member(known->id, wanted.member))
    return change;
  if (known && has.members(known->id).size() >= most_broadcast_members)
    return too_many(wanted.group);
  const auto& group = change ? change->entry.groups.front() : *known;
  const auto above = std::max(last.group, group.id);
  if (above.value == std::numeric_limits<group_id::rep>::max())
    return error{errc::too_large, "all group ids of this node are used up: they are never reused",
                 "start another node with a new data directory"};
  group_definition made;
  made.id = group_id{above.value + 1};
  made.name = wanted.member;
  made.options = group.options;
  made.subscriptions = group.subscriptions;
  for (auto& s : made.subscriptions)
    s.start = wanted.start;
  made.created = now;
  made.paused = group.paused;
  made.parent = group.id;
  made.seen = now;
  if (!change)
    change = catalog_change{{}, {group_key(wanted.group)}};
  change->entry.groups.push_back(std::move(made));
  return change;
}

/// Adds to `change` when members were last seen.
void add_seen(const catalog& has, group_id group, const member_presence& presence, timestamp now,
              catalog_change& change) {
  for (const auto* m : has.members(group)) {
    const auto seen = presence.last_seen(*m, now);
    if (seen - m->seen < member_seen_step || std::ranges::count(change.entry.removed_groups, m->id) > 0)
      continue;
    auto changed = *m;
    changed.seen = seen;
    change.entry.groups.push_back(std::move(changed));
  }
}

} // namespace

bool member_presence::connected(group_id member) const {
  const auto at = noticed_.find(member);
  return at != noticed_.end() && at->second.here;
}

timestamp member_presence::last_seen(const group_definition& member, timestamp now) const {
  const auto at = noticed_.find(member.id);
  if (at == noticed_.end())
    return member.seen;
  return std::max(member.seen, at->second.here ? now : at->second.at);
}

catalog_proposal propose_join(const catalog& has, const wanted_membership& wanted, const catalog_ids& last,
                              timestamp now) {
  const auto* known = has.group(wanted.group);
  const auto mode = known ? known->options.mode : wanted.mode.value_or(group_mode::shared);
  if (wanted.mode && *wanted.mode != mode)
    return other_mode(wanted.group, mode, *wanted.mode);
  if (mode == group_mode::broadcast && wanted.member.empty())
    return nameless(wanted.group);
  auto change = wanted.again ? has.rejoin(wanted.group, wanted.subscriptions, wanted.start, last, now)
                             : has.join(wanted.group, wanted.subscriptions, wanted.start, last, now);
  if (!change)
    return change;
  if (!known)
    (*change)->entry.groups.front().options = default_options(mode);
  if (mode != group_mode::broadcast)
    return change;
  return with_member(has, wanted, std::move(*change), last, now);
}

group_definition member_like(group_definition member, const group_definition& group) {
  const auto before = std::exchange(member.subscriptions, group.subscriptions);
  for (auto& s : member.subscriptions)
    if (auto at = std::ranges::find(before, s.topic, &group_subscription::topic); at != before.end())
      s.start = at->start;
  member.options = group.options;
  member.paused = group.paused;
  ++member.version;
  return member;
}

catalog_proposal write_seen(const catalog& has, group_id group, const member_presence& presence,
                            timestamp now) {
  catalog_change change;
  add_seen(has, group, presence, now, change);
  if (change.entry.empty())
    return std::optional<catalog_change>{};
  change.names = {has.key_of(*has.group(group))};
  return std::optional{std::move(change)};
}

catalog_proposal expire_members(const catalog& has, group_id group, const member_presence& presence,
                                timestamp now) {
  catalog_change change;
  for (const auto* m : has.members(group))
    if (now - presence.last_seen(*m, now) >= member_kept + member_look)
      change.entry.removed_groups.push_back(m->id);
  add_seen(has, group, presence, now, change);
  if (change.entry.empty())
    return std::optional<catalog_change>{};
  change.names = {has.key_of(*has.group(group))};
  return std::optional{std::move(change)};
}

} // namespace troupe
