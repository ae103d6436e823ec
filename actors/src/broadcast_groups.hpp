#pragma once

#include "broadcast_round.hpp"
#include "catalog_children.hpp"
#include "catalog_self.hpp"
#include "factories.hpp"

#include "troupe/broadcast_members.hpp"
#include "troupe/catalog_pipeline.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace troupe {

/// The broadcast groups: who of their members is connected, what is written of when they were seen, when they
/// are forgotten, and what is asked of all of them. Part of the CATALOG, in its thread. A broadcast group has
/// no GROUP of its own, each of its members has one.
class broadcast_groups {
public:
  using change_function = std::function<void(
      std::vector<std::string> names, catalog_pipeline::propose_function, catalog_pipeline::finish_function)>;
  /// Questions to all members of a group that are under way.
  static constexpr std::size_t most_rounds = 64;
  /// Longer than a consumer takes from its leave to join until it has joined, and than a question takes.
  static constexpr auto idle_time = std::chrono::minutes{2};

  /// `definitions` and `children` outlive it. `change` makes a change of the catalog.
  broadcast_groups(catalog_self::pointer self, context_ptr ctx, const catalog& definitions,
                   catalog_children& children, change_function change);

  static bool is(const group_definition& group) { return group.options.mode == group_mode::broadcast; }
  static error no_dead_letters(const group_definition& group);

  /// The GROUP of a member that is about to join; no handle when the member was removed meanwhile.
  group_actor enter(const group_definition& group, const std::string& member);
  void moved(const member_moved& m) { note(m.member, m.here); }
  /// Its GROUP died.
  void lost(group_id member) { note(member, false); }
  void forget(group_id member);
  /// Looks at the members in a while, when there are any.
  void arm();
  void look();
  /// Ends the GROUPs of members that have not been there for a while.
  void end_idle();
  /// The node drains: nothing more is written.
  void drain() { draining_ = true; }

  /// `overloaded` when too many ask.
  void describe(const group_definition& group, caf::typed_response_promise<group_status> promise);
  /// As describe(); not_found (topic, member).
  void reset(const group_definition& group, const reset_group& r,
             caf::typed_response_promise<group_reset> promise);

private:
  timestamp now() const;
  void note(group_id member, bool here);
  void propose(group_id group, bool expire);
  std::vector<broadcast_member> members(const group_definition& group, const std::string& only);
  /// Its GROUP runs, though the member may not be there: it ends when nobody comes.
  void may_be_idle(group_id member);
  error too_busy() const;

  catalog_self::pointer self_;
  context_ptr ctx_;
  const catalog& definitions_;
  catalog_children& children_;
  change_function change_;
  member_presence presence_;
  /// Groups of which write_seen() waits for its turn.
  std::unordered_set<group_id> writing_;
  /// Members of which a GROUP may run for nobody, and since when.
  std::unordered_map<group_id, caf::actor_clock::time_point> idle_;
  bool idle_armed_ = false;
  std::size_t rounds_ = 0;
  bool armed_ = false;
  bool draining_ = false;
};

} // namespace troupe
