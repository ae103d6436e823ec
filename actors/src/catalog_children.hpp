#pragma once

#include "catalog_self.hpp"
#include "factories.hpp"

#include "troupe/catalog.hpp"

#include <caf/actor_addr.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <optional>
#include <unordered_map>

namespace troupe {

/// The TOPICs and GROUPs that the CATALOG started: each on first use, monitored, told of what changes, ended
/// when its definition goes. Part of the CATALOG, in its thread.
///
/// Invariant: `topic_of_` and `group_of_` name exactly those that run; a TOPIC that died leaves an empty
/// handle, so that its replacement is known as one.
class catalog_children {
public:
  enum class kind { topic, group };
  struct ended {
    kind what = kind::topic;
    /// Of a GROUP.
    group_id group;
  };

  /// `definitions` outlives it.
  catalog_children(catalog_self::pointer self, context_ptr ctx, const catalog& definitions)
      : self_(self), ctx_(std::move(ctx)), definitions_(definitions) {}

  /// Starts it when it does not run. The definition of a member of a broadcast group has a GROUP, that of a
  /// broadcast group has none.
  topic_actor topic(const topic_definition& definition);
  group_actor group(const group_definition& definition);

  /// A topic's definition is new or changed: its TOPIC and the groups that follow it hear of it, those that
  /// run.
  void changed(const topic_definition& topic);
  /// The same for a group.
  void changed(group_id id);
  /// The GROUPs that run hear again which TOPIC they follow, which is started when need be.
  void tell_followers(topic_id id);

  /// The definition was removed.
  void end(const topic_definition& gone);
  /// As for a topic; says whose end to wait for when the GROUP ran.
  std::optional<caf::actor_addr> end(const group_definition& gone);
  /// Ends a GROUP that nobody needs at present; group() starts it again.
  void rest(group_id id);

  /// Says what the actor was that ended, unless it is not, or no longer, one of ours.
  std::optional<ended> lost(const caf::actor_addr& who);
  /// Members of all GROUPs hear that the node drains.
  void drain();
  void shut_down();

private:
  group_changed news_for(const group_definition& definition);

  catalog_self::pointer self_;
  context_ptr ctx_;
  const catalog& definitions_;
  std::unordered_map<topic_id, topic_actor> topics_;
  std::unordered_map<group_id, group_actor> groups_;
  std::unordered_map<caf::actor_addr, topic_id> topic_of_;
  std::unordered_map<caf::actor_addr, group_id> group_of_;
};

} // namespace troupe
