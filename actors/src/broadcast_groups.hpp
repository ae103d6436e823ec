#pragma once

#include "broadcast_round.hpp"
#include "catalog_children.hpp"
#include "catalog_self.hpp"
#include "factories.hpp"

#include "troupe/broadcast_members.hpp"
#include "troupe/catalog_pipeline.hpp"
#include "troupe/retention.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <functional>
#include <optional>
#include <string>
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
  void forget(group_id member) { presence_.forget(member); }
  /// Looks at the members in a while, when there are any.
  void arm();
  void look();
  /// The node drains: nothing more is written.
  void drain() { draining_ = true; }

  /// `overloaded` when too many ask.
  void describe(const group_definition& group, caf::typed_response_promise<group_status> promise);
  /// As describe(); not_found (topic, member).
  void reset(const group_definition& group, const reset_group& r,
             caf::typed_response_promise<group_reset> promise);

private:
  milliseconds monotonic() const;
  void note(group_id member, bool here);
  void propose(group_id group, bool expire);
  std::vector<broadcast_member> members(const group_definition& group, const std::string& only);
  error too_busy() const;

  catalog_self::pointer self_;
  context_ptr ctx_;
  const catalog& definitions_;
  catalog_children& children_;
  change_function change_;
  clock_guard clock_;
  member_presence presence_;
  /// Groups of which write_seen() waits for its turn.
  std::unordered_set<group_id> writing_;
  std::size_t rounds_ = 0;
  bool armed_ = false;
  bool draining_ = false;
};

} // namespace troupe
