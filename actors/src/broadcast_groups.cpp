#include "broadcast_groups.hpp"

#include "messaging.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

broadcast_groups::broadcast_groups(catalog_self::pointer self, context_ptr ctx, const catalog& definitions,
                                   catalog_children& children, change_function change)
    : self_(self), ctx_(std::move(ctx)), definitions_(definitions), children_(children),
      change_(std::move(change)) {}

/// Whoever was seen while the clock ran ahead must not stay for ever.
timestamp broadcast_groups::now() const { return ctx_->clock->right(self_->clock().now()); }

error broadcast_groups::no_dead_letters(const group_definition& group) {
  if (!is(group))
    return {};
  return {errc::invalid_argument, "group " + group.name + " is a broadcast group: it has no dead letters",
          "a failing message of a broadcast group is passed over"};
}

// -- who is there
// ----------------------------------------------------------------------------------------------------------

group_actor broadcast_groups::enter(const group_definition& group, const std::string& member) {
  const auto* found = definitions_.member(group.id, member);
  if (!found)
    return {};
  presence_.noticed(found->id, now());
  arm();
  may_be_idle(found->id);
  return children_.group(*found);
}

void broadcast_groups::note(group_id member, bool here) {
  const auto* found = definitions_.group(member);
  if (!found || found->parent.value == 0)
    return presence_.forget(member);
  presence_.moved(member, here, now());
  if (!here)
    may_be_idle(member);
  // One change for all that come and go until it has its turn.
  if (!draining_ && writing_.insert(found->parent).second)
    propose(found->parent, false);
}

void broadcast_groups::propose(group_id group, bool expire) {
  const auto* found = definitions_.group(group);
  if (!found)
    return;
  auto propose = [this, group, expire](const catalog& has, const catalog_ids&) -> catalog_proposal {
    if (!expire)
      writing_.erase(group);
    return expire ? expire_members(has, group, presence_, now()) : write_seen(has, group, presence_, now());
  };
  // What was refused is written with the next that is to be written.
  change_({group_key(found->name)}, std::move(propose),
          [this, group](const error&) { writing_.erase(group); });
}

void broadcast_groups::forget(group_id member) {
  presence_.forget(member);
  idle_.erase(member);
}

// Each has a SUBSCRIPTION in every queue: those of a thousand members that are away would cost more than all
// that works.
void broadcast_groups::may_be_idle(group_id member) {
  idle_[member] = self_->clock().now();
  if (!draining_ && !std::exchange(idle_armed_, true))
    self_->delayed_send(self_, idle_time, end_idle_groups{});
}

void broadcast_groups::end_idle() {
  idle_armed_ = false;
  const auto now = self_->clock().now();
  std::erase_if(idle_, [&](const auto& one) {
    const auto& [member, since] = one;
    if (presence_.connected(member))
      return true;
    if (now - since < idle_time)
      return false;
    children_.rest(member);
    return true;
  });
  if (!idle_.empty() && !draining_ && !std::exchange(idle_armed_, true))
    self_->delayed_send(self_, idle_time / 2, end_idle_groups{});
}

void broadcast_groups::arm() {
  if (definitions_.members() > 0 && !std::exchange(armed_, true))
    self_->delayed_send(self_, member_look, look_at_members{});
}

void broadcast_groups::look() {
  armed_ = false;
  // By a clock that was set, members would be forgotten that were here a minute ago.
  if (!draining_ && ctx_->clock->trusted(self_->clock().now()))
    for (const auto& name : definitions_.group_names())
      if (const auto* group = definitions_.group(name); is(*group))
        propose(group->id, true);
  arm();
}

// -- what is asked of all
// ----------------------------------------------------------------------------------------------------------

std::vector<broadcast_member> broadcast_groups::members(const group_definition& group,
                                                        const std::string& only) {
  std::vector<broadcast_member> result;
  for (const auto* m : definitions_.members(group.id))
    if (only.empty() || m->name == only) {
      result.push_back({m->name, presence_.last_seen(*m, now()), children_.group(*m)});
      may_be_idle(m->id);
    }
  return result;
}

error broadcast_groups::too_busy() const {
  if (rounds_ < most_rounds)
    return {};
  return {errc::overloaded,
          std::to_string(most_rounds) + " questions to all members of broadcast groups are under way",
          "ask again", std::chrono::seconds{1}};
}

void broadcast_groups::describe(const group_definition& group,
                                caf::typed_response_promise<group_status> promise) {
  if (auto busy = too_busy())
    return static_cast<void>(promise.deliver(to_caf(busy)));
  group_status blank{.name = group.name, .options = group.options};
  blank.paused = group.paused;
  for (const auto& s : group.subscriptions)
    if (const auto* topic = definitions_.topic(s.topic))
      blank.topics.push_back({topic->name, s.filter});
  ++rounds_;
  describe_members(self_, members(group, {}), std::move(blank), std::move(promise), [this] { --rounds_; });
}

void broadcast_groups::reset(const group_definition& group, const reset_group& r,
                             caf::typed_response_promise<group_reset> promise) {
  const auto refuse = [&](const error& why) { promise.deliver(to_caf(why)); };
  if (auto busy = too_busy())
    return refuse(busy);
  const auto* topic = definitions_.topic(r.topic);
  if (!topic || std::ranges::count(group.subscriptions, topic->id, &group_subscription::topic) == 0)
    return refuse({errc::not_found, "group " + group.name + " does not follow topic " + r.topic,
                   "see what it follows with: troupe group describe " + group.name});
  if (!r.member.empty() && !definitions_.member(group.id, r.member))
    return refuse({errc::not_found, "broadcast group " + group.name + " has no member \"" + r.member + '"',
                   "see who they are with: troupe group describe " + group.name});
  ++rounds_;
  reset_members(self_, members(group, r.member), r, std::move(promise), [this] { --rounds_; });
}

} // namespace troupe
