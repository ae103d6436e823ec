#include "troupe/catalog.hpp"

#include "troupe/broadcast_members.hpp"
#include "troupe/filter.hpp"
#include "troupe/lanes.hpp"
#include "troupe/message.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <span>

namespace troupe {

namespace {

/// A group may subscribe to this many topics; keeps its definition and its messages small.
constexpr std::size_t max_subscriptions = 1024;

std::string quoted(std::string_view name) { return '"' + std::string{name} + '"'; }

std::string lower(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

/// Edits (insert, delete, replace, swap of neighbours) between two texts.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

/// The name that was probably meant: at most two edits away (one for short names), case aside.
template <class Names> std::optional<std::string> close_name(std::string_view wanted, const Names& names) {
  const auto target = lower(wanted);
  std::size_t best = wanted.size() < 5 ? 2 : 3;
  std::optional<std::string> found;
  for (const auto& [name, ignored] : names) {
    auto difference = name.size() > target.size() ? name.size() - target.size() : target.size() - name.size();
    if (difference >= best)
      continue;
    if (auto edits = distance(target, lower(name)); edits < best) {
      best = edits;
      found = std::string{name};
    }
  }
  return found;
}

template <class Names>
error unknown(const std::string& kind, const std::string& name, const Names& names,
              const std::string& create) {
  auto hint = create;
  if (auto other = close_name(name, names))
    hint = "did you mean " + quoted(*other) + "? Otherwise " + create;
  return {errc::not_found, "there is no " + kind + " " + quoted(name), std::move(hint)};
}

error taken(const std::string& kind, const std::string& name) {
  return {errc::already_exists, "there is a " + kind + " " + quoted(name) + " already",
          "use it, change it with: troupe " + kind + " set " + name + ", or choose another name"};
}

error used_up(const std::string& kind) {
  return {errc::too_large, "all " + kind + " ids of this node are used up: they are never reused",
          "start another node with a new data directory"};
}

/// True when `count` more ids can follow `last`.
template <class Id> bool room_for(Id last, std::uint32_t count) {
  return count <= std::numeric_limits<typename Id::rep>::max() - last.value;
}

using spelled_subscriptions = std::vector<std::pair<std::string, std::string>>;

/// Those of `subscriptions` that `others` (both sorted) does not have, as far as an error text may be long.
std::string spell(const spelled_subscriptions& subscriptions, const spelled_subscriptions& others) {
  constexpr std::size_t most = 16, longest = 256;
  spelled_subscriptions differ;
  std::ranges::set_difference(subscriptions, others, std::back_inserter(differ));
  std::string text;
  for (const auto& [topic, filter] : std::span(differ).first(std::min(most, differ.size())))
    text += (text.empty() ? "" : ", ") + quoted(topic) + " with filter " +
            quoted(filter.size() > longest ? filter.substr(0, longest) + "..." : filter);
  if (differ.size() > most)
    text += " and " + std::to_string(differ.size() - most) + " more";
  if (differ.size() < subscriptions.size())
    text +=
        (text.empty() ? "only " : ", and ") + std::to_string(subscriptions.size() - differ.size()) + " alike";
  return text;
}

error check_filters(std::span<const group_subscription> all) {
  std::size_t bytes = 0;
  for (const auto& s : all)
    bytes += s.filter.size();
  if (bytes <= max_filters_of_group)
    return {};
  return {errc::too_large,
          "the filters of the group's subscriptions have " + std::to_string(bytes) +
              " bytes together; the limit is " + std::to_string(max_filters_of_group),
          "ask for less, use several groups, or give messages a property that says what you ask for"};
}

template <class T> void append(std::vector<T>& to, std::vector<T> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

} // namespace

// -- small things
// --------------------------------------------------------------------------------------------------

bool catalog_entry::empty() const {
  return topics.empty() && groups.empty() && removed_topics.empty() && removed_groups.empty();
}

void catalog_entry::merge(catalog_entry other) {
  append(topics, std::move(other.topics));
  append(groups, std::move(other.groups));
  append(removed_topics, std::move(other.removed_topics));
  append(removed_groups, std::move(other.removed_groups));
}

std::string topic_key(std::string_view topic) { return "topic " + std::string{topic}; }

std::string group_key(std::string_view group) { return "group " + std::string{group}; }

template <class Id, class Definition>
const Definition* catalog::table<Id, Definition>::find(std::string_view name) const {
  auto at = by_name.find(name);
  return at == by_name.end() ? nullptr : at->second;
}

template <class Id, class Definition> const Definition* catalog::table<Id, Definition>::find(Id id) const {
  auto at = by_id.find(id);
  return at == by_id.end() ? nullptr : at->second.get();
}

template <class Id, class Definition>
void catalog::table<Id, Definition>::put(const Definition& definition, bool named) {
  remove(definition.id);
  auto stored = std::make_unique<const Definition>(definition);
  if (named)
    by_name[stored->name] = stored.get();
  by_id[definition.id] = std::move(stored);
}

template <class Id, class Definition> void catalog::table<Id, Definition>::remove(Id id) {
  auto at = by_id.find(id);
  if (at == by_id.end())
    return;
  if (auto named = by_name.find(at->second->name);
      named != by_name.end() && named->second == at->second.get())
    by_name.erase(named);
  by_id.erase(at);
}

template <class Id, class Definition> std::vector<std::string> catalog::table<Id, Definition>::names() const {
  std::vector<std::string> result;
  result.reserve(by_name.size());
  for (const auto& [name, definition] : by_name)
    result.emplace_back(name);
  return result;
}

// -- topics
// --------------------------------------------------------------------------------------------------------

catalog_proposal catalog::create_topic(const std::string& name, const topic_options& options,
                                       const catalog_ids& last, timestamp now) const {
  if (auto err = validate_topic_name(name))
    return err;
  if (auto err = validate(options))
    return err;
  if (topic(name))
    return taken("topic", name);
  if (!room_for(last.topic, 1))
    return used_up("topic");
  if (!room_for(last.queue, lanes_of(options)))
    return used_up("queue");
  topic_definition made;
  made.id = topic_id{last.topic.value + 1};
  made.name = name;
  made.options = options;
  made.queues = {{queue_id{last.queue.value + 1}, lanes_of(options)}};
  made.created = now;
  catalog_change change;
  change.entry.topics.push_back(std::move(made));
  change.names = {topic_key(name)};
  return std::optional{std::move(change)};
}

result<std::optional<catalog_change>>
catalog::set_topic(const std::string& name, const topic_options& options, const catalog_ids& last) const {
  auto found = expect_topic(name);
  if (!found)
    return found.error();
  const auto& old = **found;
  if (auto err = validate(options))
    return err;
  if (options.queues < old.options.queues)
    return error{errc::invalid_argument,
                 "topic " + quoted(name) + " has " + std::to_string(old.options.queues) +
                     " queues; it cannot have only " + std::to_string(options.queues) +
                     ", because that would lose messages",
                 "leave the number or raise it"};
  if (options.priorities != old.options.priorities)
    return error{errc::invalid_argument,
                 "the number of priorities of topic " + quoted(name) + " is " +
                     std::to_string(old.options.priorities) + ", fixed since it was created; it cannot be " +
                     std::to_string(options.priorities),
                 "leave the number as it is, or make another topic"};
  if (options == old.options)
    return std::optional<catalog_change>{};
  const auto more = lanes_of(options) - lanes_of(old.options);
  if (!room_for(last.queue, more))
    return used_up("queue");
  auto changed = old;
  changed.options = options;
  ++changed.version;
  if (more > 0)
    changed.queues.push_back({queue_id{last.queue.value + 1}, more});
  catalog_change change;
  change.entry.topics.push_back(std::move(changed));
  change.names = {topic_key(name)};
  return std::optional{std::move(change)};
}

catalog_proposal catalog::delete_topic(const std::string& name) const {
  auto found = expect_topic(name);
  if (!found)
    return found.error();
  const auto id = (*found)->id;
  catalog_change change;
  change.entry.removed_topics.push_back(id);
  change.names.push_back(topic_key(name));
  for (auto follower : followers(id)) {
    auto changed = *group(follower);
    std::erase_if(changed.subscriptions, [id](const auto& s) { return s.topic == id; });
    ++changed.version;
    change.names.push_back(key_of(changed));
    change.entry.groups.push_back(std::move(changed));
  }
  return std::optional{std::move(change)};
}

// -- groups
// --------------------------------------------------------------------------------------------------------

catalog_proposal catalog::create_group(const std::string& name, const group_options& options,
                                       const catalog_ids& last, timestamp now) const {
  if (auto err = validate_group_name(name))
    return err;
  if (auto err = validate(options))
    return err;
  if (group(name))
    return taken("group", name);
  if (!room_for(last.group, 1))
    return used_up("group");
  group_definition made;
  made.id = group_id{last.group.value + 1};
  made.name = name;
  made.options = options;
  made.created = now;
  catalog_change change;
  change.entry.groups.push_back(std::move(made));
  change.names = {group_key(name)};
  return std::optional{std::move(change)};
}

/// With its members, when it is a broadcast group.
catalog_proposal catalog::changed(group_definition group) const {
  ++group.version;
  catalog_change change;
  change.names = {group_key(group.name)};
  change.entry.groups.push_back(group);
  for (const auto* m : members(group.id))
    change.entry.groups.push_back(member_like(*m, group));
  return std::optional{std::move(change)};
}

catalog_proposal catalog::set_group(const std::string& name, const group_options& options) const {
  auto found = expect_group(name);
  if (!found)
    return found.error();
  if (auto err = validate(options))
    return err;
  if ((*found)->options == options)
    return std::optional<catalog_change>{};
  if (options.mode != (*found)->options.mode || options.order_by != (*found)->options.order_by)
    return error{errc::invalid_argument,
                 "the mode of group " + quoted(name) +
                     " and its order are fixed since it was created: what it "
                     "has delivered was delivered by them",
                 "make another group, and move it to where this one is: troupe group reset"};
  auto group = **found;
  group.options = options;
  return changed(std::move(group));
}

catalog_proposal catalog::pause_group(const std::string& name, bool paused) const {
  auto found = expect_group(name);
  if (!found)
    return found.error();
  if ((*found)->paused == paused)
    return std::optional<catalog_change>{};
  auto group = **found;
  group.paused = paused;
  return changed(std::move(group));
}

catalog_proposal catalog::delete_group(const std::string& name) const {
  auto found = expect_group(name);
  if (!found)
    return found.error();
  catalog_change change;
  change.entry.removed_groups.push_back((*found)->id);
  for (const auto* m : members((*found)->id))
    change.entry.removed_groups.push_back(m->id);
  change.names = {group_key(name)};
  return std::optional{std::move(change)};
}

catalog_proposal catalog::join(const std::string& name, std::span<const wanted_subscription> wanted,
                               const start_position& start, const catalog_ids& last, timestamp now) const {
  if (auto err = validate_group_name(name))
    return err;
  if (wanted.empty() || wanted.size() > max_subscriptions)
    return error{errc::invalid_argument, "a consumer of group " + quoted(name) + " subscribes to " +
                                             std::to_string(wanted.size()) + " topics; it must be 1 to " +
                                             std::to_string(max_subscriptions)};
  catalog_change change;
  change.names.push_back(group_key(name));
  std::vector<group_subscription> subscriptions;
  spelled_subscriptions asked;
  for (const auto& [topic_name, filter] : wanted) {
    auto found = expect_topic(topic_name);
    if (!found)
      return found.error();
    subscriptions.push_back({(*found)->id, filter, start});
    asked.emplace_back(topic_name, filter);
    change.names.push_back(topic_key(topic_name));
  }
  std::ranges::sort(asked);
  for (std::size_t i = 1; i < asked.size(); ++i)
    if (asked[i].first == asked[i - 1].first)
      return error{errc::invalid_argument, "topic " + quoted(asked[i].first) + " is named twice",
                   "name each topic once; tags are joined as A || B"};
  if (auto wrong = check_filters(subscriptions))
    return wrong;
  const auto* known = group(name);
  if (known && !known->subscriptions.empty()) {
    spelled_subscriptions has;
    for (const auto& s : known->subscriptions)
      has.emplace_back(topic(s.topic)->name, s.filter);
    std::ranges::sort(has);
    if (has == asked)
      return std::optional<catalog_change>{};
    return error{errc::inconsistent_subscription,
                 "all members of a group subscribe alike: group " + quoted(name) + " has " +
                     spell(has, asked) + "; this member asks for " + spell(asked, has),
                 "subscribe as the group does, use another group, or change it for all members with: troupe "
                 "group subscribe " +
                     name + " --topic TOPIC --filter FILTER"};
  }
  if (known) {
    auto made = *known;
    made.subscriptions = std::move(subscriptions);
    change.entry = std::move((*changed(std::move(made)))->entry);
    return std::optional{std::move(change)};
  }
  auto created = create_group(name, {}, last, now);
  if (!created)
    return created.error();
  change.entry = std::move((*created)->entry);
  change.entry.groups.front().subscriptions = std::move(subscriptions);
  return std::optional{std::move(change)};
}

catalog_proposal catalog::rejoin(const std::string& name, std::span<const wanted_subscription> wanted,
                                 const start_position& start, const catalog_ids& last, timestamp now) const {
  const auto* known = group(name);
  if (known && !known->subscriptions.empty())
    return std::optional<catalog_change>{};
  return join(name, wanted, start, last, now);
}

catalog_proposal catalog::subscribe(const std::string& name, const wanted_subscription& wanted,
                                    const start_position& start) const {
  auto found = expect_group(name);
  if (!found)
    return found.error();
  auto topic = expect_topic(wanted.topic);
  if (!topic)
    return topic.error();
  auto group = **found;
  auto at = std::ranges::find(group.subscriptions, (*topic)->id, &group_subscription::topic);
  if (at == group.subscriptions.end()) {
    if (group.subscriptions.size() >= max_subscriptions)
      return error{errc::too_large,
                   "group " + quoted(name) + " subscribes to " + std::to_string(max_subscriptions) +
                       " topics, and more are not allowed",
                   "use another group, or end one of them with: troupe group subscribe " + name +
                       " --topic TOPIC --remove"};
    group.subscriptions.push_back({(*topic)->id, wanted.filter, start});
  } else if (at->filter == wanted.filter) {
    return std::optional<catalog_change>{};
  } else {
    at->filter = wanted.filter;
  }
  if (auto wrong = check_filters(group.subscriptions))
    return wrong;
  auto change = changed(std::move(group));
  (*change)->names.push_back(topic_key(wanted.topic));
  return change;
}

catalog_proposal catalog::unsubscribe(const std::string& name, const std::string& topic_name) const {
  auto found = expect_group(name);
  if (!found)
    return found.error();
  auto topic = expect_topic(topic_name);
  if (!topic)
    return topic.error();
  auto group = **found;
  if (std::erase_if(group.subscriptions, [&](const auto& s) { return s.topic == (*topic)->id; }) == 0)
    return error{errc::not_found,
                 "group " + quoted(name) + " does not subscribe to topic " + quoted(topic_name),
                 "see what it subscribes to with: troupe group describe " + name};
  if (group.subscriptions.empty())
    return error{errc::invalid_argument,
                 "topic " + quoted(topic_name) + " is the only one that group " + quoted(name) +
                     " subscribes to",
                 "let it subscribe to another one first, or delete it with: troupe group delete " + name};
  auto change = changed(std::move(group));
  (*change)->names.push_back(topic_key(topic_name));
  return change;
}

// -- state
// ---------------------------------------------------------------------------------------------------------

void catalog::apply(const catalog_entry& entry) {
  auto forget = [this](topic_id id) {
    if (const auto* old = topic(id))
      for (const auto& range : old->queues)
        ranges_.erase(range.first);
  };
  for (auto id : entry.removed_topics) {
    forget(id);
    topics_.remove(id);
  }
  for (auto id : entry.removed_groups)
    remove(id);
  for (const auto& definition : entry.topics) {
    forget(definition.id);
    topics_.put(definition);
    for (const auto& range : definition.queues)
      ranges_[range.first] = definition.id;
  }
  for (const auto& definition : entry.groups)
    put(definition);
}

void catalog::put(group_definition definition) {
  // Holds the invariant whatever a store loaded.
  std::erase_if(definition.subscriptions, [this](const auto& s) { return !topic(s.topic); });
  remove(definition.id);
  groups_.put(definition, definition.parent.value == 0);
  if (const auto* stored = group(definition.id); stored->parent.value != 0)
    members_[stored->parent][stored->name] = stored->id;
}

void catalog::remove(group_id id) {
  if (const auto* old = group(id); old && old->parent.value != 0) {
    auto siblings = members_.find(old->parent);
    siblings->second.erase(old->name);
    if (siblings->second.empty())
      members_.erase(siblings);
  }
  groups_.remove(id);
}

const topic_definition* catalog::topic(std::string_view name) const { return topics_.find(name); }

const topic_definition* catalog::topic(topic_id id) const { return topics_.find(id); }

const group_definition* catalog::group(std::string_view name) const { return groups_.find(name); }

const group_definition* catalog::group(group_id id) const { return groups_.find(id); }

const group_definition* catalog::member(group_id group, std::string_view name) const {
  const auto all = members_.find(group);
  if (all == members_.end())
    return nullptr;
  const auto at = all->second.find(name);
  return at == all->second.end() ? nullptr : groups_.find(at->second);
}

std::vector<const group_definition*> catalog::members(group_id group) const {
  std::vector<const group_definition*> result;
  if (const auto all = members_.find(group); all != members_.end())
    for (const auto& [name, id] : all->second)
      result.push_back(groups_.find(id));
  return result;
}

std::string catalog::key_of(const group_definition& of) const {
  const auto* owner = of.parent.value == 0 ? &of : group(of.parent);
  return group_key(owner ? owner->name : of.name);
}

result<const topic_definition*> catalog::expect_topic(const std::string& name) const {
  if (auto err = validate_topic_name(name))
    return err;
  if (const auto* found = topic(name))
    return found;
  return unknown("topic", name, topics_.by_name, "create it with: troupe topic create " + name);
}

result<const group_definition*> catalog::expect_group(const std::string& name) const {
  if (auto err = validate_group_name(name))
    return err;
  if (const auto* found = group(name))
    return found;
  return unknown("group", name, groups_.by_name,
                 "create it with: troupe group create " + name +
                     ", or let its first consumer do so; see: troupe group list");
}

std::optional<catalog::place> catalog::find(queue_id queue) const {
  auto at = ranges_.upper_bound(queue);
  if (at == ranges_.begin())
    return std::nullopt;
  --at;
  const auto* owner = topic(at->second);
  std::uint32_t number = 0;
  for (const auto& range : owner->queues) {
    if (queue >= range.first && queue.value - range.first.value < range.count)
      return place{owner, (number + queue.value - range.first.value) / owner->options.priorities};
    number += range.count;
  }
  return std::nullopt;
}

std::vector<group_id> catalog::followers(topic_id topic) const {
  std::vector<group_id> result;
  for (const auto& [id, definition] : groups_.by_id)
    if (std::ranges::any_of(definition->subscriptions, [topic](const auto& s) { return s.topic == topic; }))
      result.push_back(id);
  std::ranges::sort(result);
  return result;
}

std::vector<std::string> catalog::topic_names() const { return topics_.names(); }

std::vector<std::string> catalog::group_names() const { return groups_.names(); }

// -- changes under way
// ---------------------------------------------------------------------------------------------

std::optional<std::string> catalog_window::held(std::span<const std::string> names) const {
  auto at = std::ranges::find_if(names, [this](const auto& name) { return names_.contains(name); });
  if (at == names.end())
    return std::nullopt;
  return *at;
}

void catalog_window::begin(const catalog_change& change) {
  names_.insert(change.names.begin(), change.names.end());
  for (const auto& made : change.entry.topics) {
    last_.topic = std::max(last_.topic, made.id);
    for (const auto& range : made.queues)
      last_.queue = std::max(last_.queue, queue_id{range.first.value + range.count - 1});
  }
  for (const auto& made : change.entry.groups)
    last_.group = std::max(last_.group, made.id);
}

void catalog_window::end(const catalog_change& change) {
  for (const auto& name : change.names)
    names_.erase(name);
}

} // namespace troupe
