#pragma once

#include "catalog_self.hpp"

#include "troupe/group_actor.hpp"

#include <caf/typed_response_promise.hpp>

#include <functional>
#include <string>
#include <vector>

namespace troupe {

/// A member of a broadcast group, and the GROUP that keeps its progress.
struct broadcast_member {
  std::string name;
  timestamp seen{};
  group_actor group;
};
inline const group_actor& actor_of(const broadcast_member& m) { return m.group; }

/// Asks the members of a broadcast group, a few at a time, and answers with what they say together: the floor
/// and lag of a queue are those of the member that is furthest behind, and what is leased is added up. Those
/// that were removed meanwhile are left out; another error of one is the answer. `done` comes first. For the
/// CATALOG `self`, in whose thread it goes on.
void describe_members(catalog_self::pointer self, std::vector<broadcast_member> members, group_status blank,
                      caf::typed_response_promise<group_status> promise, std::function<void()> done);

/// Resets all of these, a few at a time. When one fails, others may be done.
void reset_members(catalog_self::pointer self, std::vector<broadcast_member> members, const reset_group& r,
                   caf::typed_response_promise<group_reset> promise, std::function<void()> done);

} // namespace troupe
