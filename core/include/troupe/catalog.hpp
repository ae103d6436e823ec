#pragma once

#include "troupe/definitions.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

/// The decisions of the CATALOG: which topics and groups there are, and which changes may be made.
namespace troupe {

/// Definitions to create or replace and ids to remove, all or nothing.
struct catalog_entry {
  std::vector<topic_definition> topics;
  std::vector<group_definition> groups;
  std::vector<topic_id> removed_topics;
  std::vector<group_id> removed_groups;

  bool empty() const;
  /// Adds what `other` holds; the two concern different names.
  void merge(catalog_entry other);
  bool operator==(const catalog_entry&) const = default;
};

/// Highest ids given so far, those of changes under way included.
struct catalog_ids {
  topic_id topic;
  queue_id queue;
  group_id group;
  bool operator==(const catalog_ids&) const = default;
};

/// A change that may be made. It was judged against the catalog as it is, so it holds only while nothing else
/// changes one of `names` (see catalog_window).
struct catalog_change {
  catalog_entry entry;
  /// topic_key() and group_key() of all that it reads or changes.
  std::vector<std::string> names;
};

/// What may be done about a request: a change, nothing (it is so already), or why not.
using catalog_proposal = result<std::optional<catalog_change>>;

std::string topic_key(std::string_view topic);
std::string group_key(std::string_view group);

/// What a consumer asks for.
struct wanted_subscription {
  std::string topic;
  /// In canonical form: equal filters have equal texts.
  std::string filter = "*";
};

/// What a consumer that joins asks for.
struct wanted_membership {
  std::string group;
  /// Its name, unless it was made up.
  std::string member;
  /// Absent: whatever mode the group has.
  std::optional<group_mode> mode;
  std::vector<wanted_subscription> subscriptions;
  start_position start;
  /// It was a member, and learned what the group subscribes to.
  bool again = false;
};

/// All definitions. Proposals are const and may refuse; what they give goes into the log, and apply() makes
/// it so. Invariants: names are unique among topics, among groups, and among the members of a broadcast
/// group, which are no groups to who asks by name; queue ranges never overlap; a group subscribes only to
/// topics that exist; members of a broadcast group have its options and subscribe as it does.
class catalog {
public:
  /// already_exists, invalid_argument. The queues, or each one's lanes, get the next ids, so that they spread
  /// evenly over shards by id.
  catalog_proposal create_topic(const std::string& name, const topic_options& options,
                                const catalog_ids& last, timestamp now) const;
  /// not_found; invalid_argument when it would have fewer queues or another number of priorities. New queues
  /// get the next ids. No change when it has these options already.
  catalog_proposal set_topic(const std::string& name, const topic_options& options,
                             const catalog_ids& last) const;
  /// Also takes the topic out of the groups that subscribe to it. not_found.
  catalog_proposal delete_topic(const std::string& name) const;
  catalog_proposal create_group(const std::string& name, const group_options& options,
                                const catalog_ids& last, timestamp now) const;
  /// not_found, invalid_argument. No change when it has these options already.
  catalog_proposal set_group(const std::string& name, const group_options& options) const;
  /// not_found. No change when it is so already.
  catalog_proposal pause_group(const std::string& name, bool paused) const;
  catalog_proposal delete_group(const std::string& name) const;
  /// What must change so that a consumer with these subscriptions can be a member: nothing when the group has
  /// them; the group (with default options) when there is none, its subscriptions when it has none yet.
  /// inconsistent_subscription, with both spelled out, when it has others; not_found for an unknown topic.
  /// Names each topic at most once. Modes and members: propose_join() in broadcast_members.hpp.
  catalog_proposal join(const std::string& group, std::span<const wanted_subscription> wanted,
                        const start_position& start, const catalog_ids& last, timestamp now) const;
  /// As join(), of a consumer that learned what the group subscribes to and lost its membership: a group that
  /// has subscriptions takes it whatever it asks for.
  catalog_proposal rejoin(const std::string& group, std::span<const wanted_subscription> wanted,
                          const start_position& start, const catalog_ids& last, timestamp now) const;
  /// For all members: the topic with its filter, instead of the one it had. `start` is where the group begins
  /// in a topic that is new to it. not_found (group, topic), too_large (of topics). No change when it is so.
  catalog_proposal subscribe(const std::string& group, const wanted_subscription& wanted,
                             const start_position& start) const;
  /// not_found (group, topic, or the group does not subscribe to it); invalid_argument for the group's only
  /// one.
  catalog_proposal unsubscribe(const std::string& group, const std::string& topic) const;

  /// The only mutator. Accepts what the proposals made and what a store loaded.
  void apply(const catalog_entry& entry);

  /// Pointers are valid until the next apply().
  const topic_definition* topic(std::string_view name) const;
  const topic_definition* topic(topic_id id) const;
  const group_definition* group(std::string_view name) const;
  /// Also a member of a broadcast group.
  const group_definition* group(group_id id) const;
  const group_definition* member(group_id group, std::string_view name) const;
  /// By name.
  std::vector<const group_definition*> members(group_id group) const;
  /// What a change of it holds: the group's key, also for a member of a broadcast group.
  std::string key_of(const group_definition& group) const;
  /// not_found with a hint how to create it and, when a name is close, which one may be meant.
  result<const topic_definition*> expect_topic(const std::string& name) const;
  result<const group_definition*> expect_group(const std::string& name) const;

  struct place {
    const topic_definition* topic = nullptr;
    /// The queue's number within its topic.
    std::uint32_t number = 0;
  };
  /// Which topic a queue belongs to; nothing when its topic is gone.
  std::optional<place> find(queue_id queue) const;
  /// The groups and members of broadcast groups that subscribe to a topic, by id.
  std::vector<group_id> followers(topic_id topic) const;

  /// Sorted by name.
  std::vector<std::string> topic_names() const;
  std::vector<std::string> group_names() const;
  std::size_t topics() const { return topics_.size(); }
  std::size_t groups() const { return groups_.by_name.size(); }
  /// Of all broadcast groups.
  std::size_t members() const { return groups_.size() - groups(); }

private:
  template <class Id, class Definition> struct table {
    std::unordered_map<Id, std::unique_ptr<const Definition>> by_id;
    /// Views into the definitions.
    std::map<std::string_view, const Definition*> by_name;

    std::size_t size() const { return by_id.size(); }
    const Definition* find(std::string_view name) const;
    const Definition* find(Id id) const;
    void put(const Definition& definition, bool named = true);
    void remove(Id id);
    std::vector<std::string> names() const;
  };
  catalog_proposal changed(group_definition group) const;
  void put(group_definition definition);
  void remove(group_id id);

  table<topic_id, topic_definition> topics_;
  /// Members of broadcast groups have no name here.
  table<group_id, group_definition> groups_;
  /// Of each broadcast group that has any, by name; views into the definitions.
  std::unordered_map<group_id, std::map<std::string_view, group_id>> members_;
  /// First id of each queue range -> its topic.
  std::map<queue_id, topic_id> ranges_;
};

/// Which names changes under way hold, and the ids they took. A request that meets a held name waits until it
/// is free and is judged again then, so that requests about one name are decided in the order they came.
class catalog_window {
public:
  catalog_window() = default;
  explicit catalog_window(catalog_ids last) : last_(last) {}

  /// The first of these names that is held; nothing when all are free.
  std::optional<std::string> held(std::span<const std::string> names) const;
  /// Holds the change's names and takes its ids. All of them were free.
  void begin(const catalog_change& change);
  /// The change was applied, or failed: its names are free again. Its ids stay taken: they are never reused.
  void end(const catalog_change& change);
  const catalog_ids& last() const { return last_; }

private:
  catalog_ids last_;
  std::unordered_set<std::string> names_;
};

} // namespace troupe
