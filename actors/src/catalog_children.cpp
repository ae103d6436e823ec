#include "catalog_children.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

/// Before a TOPIC that died is started again for the groups that follow it.
constexpr auto topic_restart_delay = std::chrono::milliseconds{500};

} // namespace

topic_actor catalog_children::topic(const topic_definition& definition) {
  const auto [at, first] = topics_.try_emplace(definition.id);
  auto& handle = at->second;
  if (!handle) {
    handle = spawn_topic(self_->system(), ctx_, definition, !first);
    self_->monitor(handle);
    topic_of_[handle->address()] = definition.id;
  }
  return handle;
}

group_actor catalog_children::group(const group_definition& definition) {
  auto& handle = groups_[definition.id];
  if (!handle) {
    handle = spawn_group(self_->system(), ctx_, news_for(definition));
    self_->monitor(handle);
    group_of_[handle->address()] = definition.id;
  }
  return handle;
}

group_changed catalog_children::news_for(const group_definition& definition) {
  group_changed change{definition, {}};
  if (definition.parent.value != 0) {
    if (const auto* group = definitions_.group(definition.parent))
      change.definition.name = group->name;
    change.watch = self_;
  }
  for (const auto& s : definition.subscriptions)
    if (const auto* followed = definitions_.topic(s.topic))
      change.topics.push_back({*followed, topic(*followed), s.filter, s.start});
  return change;
}

void catalog_children::changed(const topic_definition& topic) {
  if (auto running = topics_.find(topic.id); running != topics_.end() && running->second)
    self_->send(running->second, topic_changed{topic});
  if (topic.version > 1)
    tell_followers(topic.id);
}

void catalog_children::changed(group_id id) {
  auto running = groups_.find(id);
  const auto* definition = definitions_.group(id);
  if (running != groups_.end() && definition)
    self_->send(running->second, news_for(*definition));
}

void catalog_children::tell_followers(topic_id id) {
  for (auto follower : definitions_.followers(id))
    changed(follower);
}

void catalog_children::end(const topic_definition& gone) {
  if (auto at = topics_.find(gone.id); at != topics_.end() && at->second) {
    auto nothing_left = gone;
    nothing_left.queues.clear();
    nothing_left.options.queues = 0;
    ++nothing_left.version;
    auto handle = caf::actor_cast<caf::actor>(at->second);
    self_->send(at->second, topic_changed{std::move(nothing_left)});
    // As an ordinary message, which does not overtake the one before as send_exit would.
    caf::anon_send(handle, caf::exit_msg{self_->address(), caf::exit_reason::user_shutdown});
    topic_of_.erase(handle->address());
  }
  topics_.erase(gone.id);
}

std::optional<caf::actor_addr> catalog_children::end(const group_definition& gone) {
  auto at = groups_.find(gone.id);
  if (at == groups_.end())
    return {};
  auto handle = caf::actor_cast<caf::actor>(at->second);
  self_->send(at->second, group_changed{gone, {}});
  caf::anon_send(handle, caf::exit_msg{self_->address(), caf::exit_reason::user_shutdown});
  group_of_.erase(handle->address());
  groups_.erase(at);
  return handle->address();
}

void catalog_children::rest(group_id id) {
  auto at = groups_.find(id);
  if (at == groups_.end())
    return;
  group_of_.erase(at->second->address());
  self_->send_exit(at->second, caf::exit_reason::user_shutdown);
  groups_.erase(at);
}

std::optional<catalog_children::ended> catalog_children::lost(const caf::actor_addr& who) {
  if (auto topic = topic_of_.find(who); topic != topic_of_.end()) {
    const auto id = topic->second;
    topic_of_.erase(topic);
    topics_[id] = nullptr;
    // Routes start it again when they are asked for; groups would not ask, and must hear of the one that a
    // route started. Later, so that what ends at once cannot spin.
    if (std::ranges::any_of(definitions_.followers(id),
                            [this](auto group) { return groups_.contains(group); }))
      self_->delayed_send(self_, topic_restart_delay, restart_topic{id});
    return ended{kind::topic, {}};
  }
  if (auto group = group_of_.find(who); group != group_of_.end()) {
    const ended result{kind::group, group->second};
    groups_.erase(group->second);
    group_of_.erase(group);
    return result;
  }
  return {};
}

void catalog_children::drain() {
  for (const auto& [id, handle] : groups_)
    self_->send(handle, drain_atom::value);
}

void catalog_children::shut_down() {
  for (const auto& [id, handle] : groups_)
    self_->send_exit(handle, caf::exit_reason::user_shutdown);
  for (const auto& [id, handle] : topics_)
    if (handle)
      self_->send_exit(handle, caf::exit_reason::user_shutdown);
}

} // namespace troupe
