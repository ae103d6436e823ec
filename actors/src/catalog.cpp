#include "catalog.hpp"

#include "join_check.hpp"
#include "messaging.hpp"

#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

/// A commit that takes longer is no commit: the disk is gone.
constexpr auto store_timeout = 60s;
constexpr auto lookup_timeout = 10s;
constexpr std::size_t max_cleaning = 32;
constexpr std::size_t max_lookups = 256;

define_entry to_define(catalog_entry entry) {
  return {std::move(entry.topics), std::move(entry.groups), std::move(entry.removed_topics),
          std::move(entry.removed_groups)};
}

std::vector<queue_id> queues_of(const topic_definition& topic) {
  std::vector<queue_id> result;
  result.reserve(lanes_of(topic.options));
  for (const auto& range : topic.queues)
    for (std::uint32_t n = 0; n < range.count; ++n)
      result.push_back(queue_id{range.first.value + n});
  return result;
}

/// A topic whose queues are all empty.
topic_status fresh_status(const topic_definition& topic) {
  topic_status status;
  status.name = topic.name;
  status.options = topic.options;
  for (auto id : queues_of(topic)) {
    queue_status queue;
    const auto at = place_of_lane(static_cast<std::uint32_t>(status.queues.size()), topic.options.priorities);
    queue.number = at.number;
    queue.priority = at.priority;
    queue.id = id;
    status.queues.push_back(queue);
  }
  return status;
}

error stopping_error() {
  return {errc::shutting_down, "the node stops", "connect again when it runs", 1000ms};
}

} // namespace

// -- requests
// ------------------------------------------------------------------------------------------------------

void catalog_state::init(context_ptr context, catalog_start start) {
  ctx = std::move(context);
  changes.emplace(start.definitions, start.last,
                  [this](const auto& entry, const auto& removed) { announce(entry, removed); });
  children.emplace(self, ctx, definitions());
  delayed.emplace(self, ctx, definitions());
  transactions.emplace(self, ctx, definitions());
  broadcast.emplace(self, ctx, definitions(), *children, [this](auto names, auto propose, auto finish) {
    change(std::move(names), std::move(propose), std::move(finish));
  });
  broadcast->arm();
  for (const auto& topic : start.definitions.topics)
    tell_retention(queues_of(topic), topic.options, false);
  if (!start.orphaned_queues.empty())
    tell_retention(start.orphaned_queues, {}, true);
  leftovers.assign(start.leftovers.begin(), start.leftovers.end());
  for (const auto& l : leftovers)
    if (const auto place = definitions().find(l.queue))
      ++forgetting[{l.group, place->topic->id}];
  clean_up();
}

caf::result<topic_status> catalog_state::create(create_topic r) {
  auto promise = self->make_response_promise<topic_status>();
  auto propose = [this, r](const catalog& has, const catalog_ids& last) {
    return has.create_topic(r.name, r.options, last, ctx->now());
  };
  change({topic_key(r.name)}, std::move(propose), [this, promise, name = r.name](const error& err) mutable {
    if (err)
      promise.deliver(to_caf(err));
    else
      promise.deliver(fresh_status(*definitions().topic(name)));
  });
  return promise;
}

caf::result<topic_status> catalog_state::set(set_topic r) {
  auto promise = self->make_response_promise<topic_status>();
  auto propose = [r](const catalog& has, const catalog_ids& last) {
    return has.set_topic(r.name, r.options, last);
  };
  change({topic_key(r.name)}, std::move(propose), [this, promise, name = r.name](const error& err) mutable {
    if (err)
      promise.deliver(to_caf(err));
    else
      promise.delegate(children->topic(*definitions().topic(name)), status_atom::value);
  });
  return promise;
}

caf::result<bool> catalog_state::remove(topic_name r) {
  auto promise = self->make_response_promise<bool>();
  auto propose = [r](const catalog& has, const catalog_ids&) { return has.delete_topic(r.name); };
  change({topic_key(r.name)}, std::move(propose), [promise](const error& err) mutable {
    if (err)
      promise.deliver(to_caf(err));
    else
      promise.deliver(true);
  });
  return promise;
}

caf::result<topic_status> catalog_state::describe(const topic_name& r) {
  auto found = definitions().expect_topic(r.name);
  if (!found)
    return to_caf(found.error());
  return self->delegate(children->topic(**found), status_atom::value);
}

caf::result<route> catalog_state::find_route(route_request r) {
  auto found = definitions().expect_topic(r.topic);
  if (!found)
    return to_caf(found.error());
  return self->delegate(children->topic(**found), std::move(r));
}

caf::result<group_status> catalog_state::create(create_group r) {
  auto promise = self->make_response_promise<group_status>();
  auto propose = [this, r](const catalog& has, const catalog_ids& last) {
    return has.create_group(r.name, r.options, last, ctx->now());
  };
  change({group_key(r.name)}, std::move(propose), [promise, r](const error& err) mutable {
    if (err)
      promise.deliver(to_caf(err));
    else
      promise.deliver(group_status{r.name, r.options, {}, {}, {}});
  });
  return promise;
}

caf::result<group_status> catalog_state::set(set_group r) {
  return change_group(
      r.name, [r](const catalog& has, const catalog_ids&) { return has.set_group(r.name, r.options); });
}

caf::result<group_status> catalog_state::pause(pause_group r) {
  return change_group(
      r.name, [r](const catalog& has, const catalog_ids&) { return has.pause_group(r.name, r.paused); });
}

caf::result<group_status> catalog_state::subscribe(subscribe_group r) {
  auto wanted = read_subscribe(r);
  if (!wanted)
    return to_caf(wanted.error());
  return r.remove ? remove_topic(r) : add_topic(r, std::move(*wanted));
}

caf::result<group_status> catalog_state::add_topic(const subscribe_group& r, wanted_subscription wanted) {
  clean_up();
  const start_position start{r.start, from_unix_ms(r.start_time)};
  auto propose = [this, name = r.name, wanted, start](const catalog& has,
                                                      const catalog_ids&) -> catalog_proposal {
    const auto* group = has.group(name);
    const auto* topic = has.topic(wanted.topic);
    if (group && topic)
      if (auto wait = still_forgetting(*group, *topic))
        return wait;
    return has.subscribe(name, wanted, begin_in_new_topic(start, ctx->now()));
  };
  return change_group({group_key(r.name), topic_key(r.what.topic)}, r.name, std::move(propose), {});
}

/// A place of before would be taken for the new one, and then be dropped under it.
error catalog_state::still_forgetting(const group_definition& group, const topic_definition& topic) const {
  bool still = forgetting.contains({group.id, topic.id});
  for (const auto* m : definitions().members(group.id))
    still = still || forgetting.contains({m->id, topic.id});
  if (!still)
    return {};
  return {errc::overloaded,
          "what group " + group.name + " had of topic " + topic.name + " is still being forgotten",
          "try again; the node's log says what holds it up", 1000ms};
}

caf::result<group_status> catalog_state::remove_topic(const subscribe_group& r) {
  auto propose = [r](const catalog& has, const catalog_ids&) {
    return has.unsubscribe(r.name, r.what.topic);
  };
  return change_group({group_key(r.name), topic_key(r.what.topic)}, r.name, std::move(propose), [this, r] {
    const auto* group = definitions().group(r.name);
    const auto* topic = definitions().topic(r.what.topic);
    if (!broadcast_groups::is(*group))
      forget_progress(group->id, *topic);
    for (const auto* m : definitions().members(group->id))
      forget_progress(m->id, *topic);
  });
}

caf::result<group_reset> catalog_state::reset(reset_group r) {
  auto found = definitions().expect_group(r.name);
  if (!found)
    return to_caf(found.error());
  if (auto topic = definitions().expect_topic(r.topic); !topic)
    return to_caf(topic.error());
  if (broadcast_groups::is(**found)) {
    auto promise = self->make_response_promise<group_reset>();
    broadcast->reset(**found, r, promise);
    return promise;
  }
  if (!r.member.empty())
    return to_caf({errc::invalid_argument,
                   "group " + r.name + " is no broadcast group: its members share one progress",
                   "reset the group, without naming a member"});
  return self->delegate(children->group(**found), std::move(r));
}

caf::result<dead_page> catalog_state::list(list_dead r) {
  auto found = definitions().expect_group(r.group);
  if (!found)
    return to_caf(found.error());
  if (auto none = broadcast_groups::no_dead_letters(**found))
    return to_caf(none);
  return self->delegate(children->group(**found), std::move(r));
}

caf::result<dead_settled> catalog_state::settle(settle_dead r) {
  auto found = definitions().expect_group(r.group);
  if (!found)
    return to_caf(found.error());
  if (auto none = broadcast_groups::no_dead_letters(**found))
    return to_caf(none);
  return self->delegate(children->group(**found), std::move(r));
}

caf::result<group_status> catalog_state::change_group(std::string name,
                                                      catalog_pipeline::propose_function propose) {
  return change_group({group_key(name)}, name, std::move(propose), {});
}

caf::result<group_status> catalog_state::change_group(std::vector<std::string> names, std::string name,
                                                      catalog_pipeline::propose_function propose,
                                                      std::function<void()> then) {
  auto promise = self->make_response_promise<group_status>();
  auto finish = [this, promise, name = std::move(name), then = std::move(then)](const error& err) mutable {
    if (err)
      return static_cast<void>(promise.deliver(to_caf(err)));
    if (then)
      then();
    answer(*definitions().group(name), std::move(promise));
  };
  change(std::move(names), std::move(propose), std::move(finish));
  return promise;
}

void catalog_state::answer(const group_definition& group, caf::typed_response_promise<group_status> promise) {
  if (broadcast_groups::is(group))
    broadcast->describe(group, std::move(promise));
  else
    promise.delegate(children->group(group), status_atom::value);
}

caf::result<bool> catalog_state::remove(group_name r) {
  auto promise = self->make_response_promise<bool>();
  auto propose = [r](const catalog& has, const catalog_ids&) { return has.delete_group(r.name); };
  change({group_key(r.name)}, std::move(propose), [promise](const error& err) mutable {
    if (err)
      promise.deliver(to_caf(err));
    else
      promise.deliver(true);
  });
  return promise;
}

caf::result<group_status> catalog_state::describe(const group_name& r) {
  auto found = definitions().expect_group(r.name);
  if (!found)
    return to_caf(found.error());
  auto promise = self->make_response_promise<group_status>();
  answer(**found, promise);
  return promise;
}

caf::result<joined> catalog_state::enter(join r) {
  auto wanted = read_join(r);
  if (!wanted)
    return to_caf(wanted.error());
  auto promise = self->make_response_promise<joined>();
  std::vector<std::string> names{group_key(r.group)};
  for (const auto& s : wanted->subscriptions)
    names.push_back(topic_key(s.topic));
  auto propose = [this, wanted = std::move(*wanted)](const catalog& has, const catalog_ids& last) {
    auto now_wanted = wanted;
    now_wanted.start = not_later(wanted.start, ctx->now());
    return propose_join(has, now_wanted, last, ctx->clock->right(self->clock().now()));
  };
  change(std::move(names), std::move(propose), [this, promise, r = std::move(r)](const error& err) mutable {
    if (err || draining)
      return static_cast<void>(promise.deliver(to_caf(err ? err : stopping_error())));
    const auto& group = *definitions().group(r.group);
    promise.delegate(broadcast_groups::is(group) ? broadcast->enter(group, r.member) : children->group(group),
                     std::move(r));
  });
  return promise;
}

caf::result<found_message> catalog_state::find(get_message r) {
  const auto shard = r.id.shard.value;
  if (shard >= ctx->readers.size())
    return to_caf(
        {errc::not_found,
         "there is no message " + to_string(r.id) + ": this node has no shard " + std::to_string(shard),
         "check the id; it ends where it was made"});
  if (lookups >= max_lookups)
    return to_caf({errc::overloaded, std::to_string(lookups) + " look-ups of messages are under way",
                   "ask again", 100ms});
  auto promise = self->make_response_promise<found_message>();
  ++lookups;
  self->request(ctx->readers[shard], lookup_timeout, r)
      .then(
          [this, promise, r](found_message& found) mutable {
            --lookups;
            auto place = definitions().find(queue_id{found.number});
            if (!place)
              return static_cast<void>(promise.deliver(
                  to_caf({errc::not_found, "the topic of message " + to_string(r.id) + " was deleted",
                          "its messages went with it"})));
            found.topic = place->topic->name;
            found.number = place->number;
            promise.deliver(std::move(found));
          },
          [this, promise](caf::error& err) mutable {
            --lookups;
            promise.deliver(std::move(err));
          });
  return promise;
}

// -- changes
// -------------------------------------------------------------------------------------------------------

void catalog_state::change(std::vector<std::string> names, catalog_pipeline::propose_function propose,
                           catalog_pipeline::finish_function finish) {
  changes->take(std::move(names), std::move(propose), std::move(finish));
  arm();
}

void catalog_state::arm() {
  // It lands behind what is in the mailbox already, so that an entry grows with the load.
  if (armed || !changes->ready())
    return;
  armed = true;
  self->send(self, commit_changes{});
}

void catalog_state::commit() {
  armed = false;
  if (auto entry = changes->next())
    self->request(ctx->stores[0], store_timeout, propose_request{to_define(std::move(*entry))})
        .then([this](const applied&) { committed({}); },
              [this](const caf::error& err) { committed(from_caf(err)); });
}

void catalog_state::committed(const error& err) {
  changes->committed(err);
  if (changes->broken())
    report(log_level::error, "catalog_broken", changes->broken().reason);
  arm();
}

void catalog_state::announce(const catalog_entry& entry, const catalog_removed& removed) {
  std::ranges::for_each(removed.topics, [this](const auto& gone) { end_topic(gone); });
  std::ranges::for_each(removed.groups, [this](const auto& gone) { end_group(gone); });
  for (const auto& changed : entry.topics) {
    tell_retention(queues_of(changed), changed.options, false);
    children->changed(changed);
  }
  for (const auto& changed : entry.groups)
    children->changed(changed.id);
  broadcast->arm();
}

// -- what a change means for others
// ----------------------------------------------------------------------------------

void catalog_state::tell_retention(const std::vector<queue_id>& queues, const topic_options& options,
                                   bool removed) {
  std::vector<retention_rule> rules(ctx->retentions.size());
  for (auto queue : queues)
    if (auto shard = ctx->shard_of(queue); shard < rules.size())
      rules[shard].queues.push_back(queue);
  for (std::size_t shard = 0; shard < rules.size(); ++shard) {
    if (rules[shard].queues.empty())
      continue;
    rules[shard].age = options.retention;
    rules[shard].bytes = options.retention_bytes;
    rules[shard].removed = removed;
    rules[shard].keys = options.dedupe_window;
    self->send(ctx->retentions[shard], std::move(rules[shard]));
  }
}

void catalog_state::end_topic(const topic_definition& gone) {
  children->end(gone);
  tell_retention(queues_of(gone), gone.options, true);
}

void catalog_state::end_group(const group_definition& gone) {
  broadcast->forget(gone.id);
  if (broadcast_groups::is(gone) && gone.parent.value == 0)
    return; // it has no GROUP and no progress: its members have
  std::vector<leftover> progress;
  for (const auto& s : gone.subscriptions)
    if (const auto* topic = definitions().topic(s.topic))
      for (auto queue : queues_of(*topic))
        progress.push_back({gone.id, queue});
  if (auto running = children->end(gone)) {
    ending[*running] = std::move(progress);
    return;
  }
  leftovers.insert(leftovers.end(), progress.begin(), progress.end());
  clean_up();
}

void catalog_state::forget_progress(group_id group, const topic_definition& topic) {
  for (auto queue : queues_of(topic)) {
    leftovers.push_back({group, queue});
    ++forgetting[{group, topic.id}];
  }
  clean_up();
}

/// A topic that was deleted meanwhile has taken all of it along; its id does not come again.
void catalog_state::forgotten(const leftover& l) {
  const auto place = definitions().find(l.queue);
  if (!place)
    return;
  const auto at = forgetting.find({l.group, place->topic->id});
  if (at != forgetting.end() && --at->second == 0)
    forgetting.erase(at);
}

void catalog_state::clean_up() {
  while (cleaning < max_cleaning && !leftovers.empty()) {
    auto next = leftovers.front();
    leftovers.pop_front();
    ++cleaning;
    self->request(ctx->stores[ctx->shard_of(next.queue)], store_timeout,
                  propose_request{drop_queue_entry{next.queue, next.group}})
        .then(
            [this, next](const applied& outcome) {
              --cleaning;
              if (outcome.done)
                forgotten(next);
              else
                leftovers.push_front(next);
              clean_up();
            },
            [this, next](const caf::error& err) {
              // Not again by itself: with the next that is to go, or who wants the topic, or the next start.
              --cleaning;
              leftovers.push_back(next);
              report(log_level::warning, "group_progress_kept",
                     "progress that no group needs could not be removed now: " + to_string(from_caf(err)));
            });
  }
}

// -- the end of others, and its own
// ---------------------------------------------------------------------------------

void catalog_state::lost(const caf::down_msg& down) {
  if (auto at = ending.find(down.source); at != ending.end()) {
    leftovers.insert(leftovers.end(), at->second.begin(), at->second.end());
    ending.erase(at);
    clean_up();
  } else if (const auto child = children->lost(down.source)) {
    const bool topic = child->what == catalog_children::kind::topic;
    if (!topic)
      broadcast->lost(child->group);
    report(log_level::warning, topic ? "topic_died" : "group_died",
           std::string{topic ? "a TOPIC" : "a GROUP"} +
               " ended by itself: " + self->system().render(down.reason));
  }
}

void catalog_state::report(log_level level, std::string_view event, std::string text) {
  log(ctx->log, {level, name, event, std::move(text), {}});
}

void catalog_state::drain() {
  if (!from_here(self))
    return;
  draining = true;
  broadcast->drain();
  children->drain();
}

void catalog_state::shut_down() {
  changes->close(stopping_error());
  children->shut_down();
}

// -- the actor
// -------------------------------------------------------------------------------------------------------

namespace {

catalog_self::behavior_type catalog_behavior(catalog_self::stateful_pointer<catalog_state> self,
                                             const context_ptr& ctx, const catalog_start& start) {
  self->state.init(ctx, start);
  ignore_strangers(self);
  self->set_down_handler([self](caf::down_msg& down) { self->state.lost(down); });
  self->set_exit_handler([self](caf::exit_msg& msg) {
    if (!exit_from_here(self, msg))
      return;
    self->state.shut_down();
    self->quit(msg.reason);
  });
  self->set_exception_handler([self](std::exception_ptr&) -> caf::error {
    self->state.shut_down();
    return caf::sec::runtime_error;
  });
  return {
      [self](create_topic& r) { return self->state.create(std::move(r)); },
      [self](set_topic& r) { return self->state.set(std::move(r)); },
      [self](describe_atom, const topic_name& r) { return self->state.describe(r); },
      [self](delete_atom, topic_name& r) { return self->state.remove(std::move(r)); },
      [self](list_topics_atom) { return self->state.topic_names(); },
      [self](route_request& r) { return self->state.find_route(std::move(r)); },
      [self](create_group& r) { return self->state.create(std::move(r)); },
      [self](set_group& r) { return self->state.set(std::move(r)); },
      [self](pause_group& r) { return self->state.pause(std::move(r)); },
      [self](subscribe_group& r) { return self->state.subscribe(std::move(r)); },
      [self](reset_group& r) { return self->state.reset(std::move(r)); },
      [self](list_dead& r) { return self->state.list(std::move(r)); },
      [self](settle_dead& r) { return self->state.settle(std::move(r)); },
      [self](const list_delayed& r) { return self->state.list(r); },
      [self](const cancel_delayed& r) { return self->state.cancel(r); },
      [self](const transactions_request&) { return self->state.who_decides(); },
      [self](const list_transactions& r) { return self->state.list(r); },
      [self](const decide_by_hand& d) { return self->state.decide(d); },
      [self](const topics_request& r) { return self->state.topics_of(r); },
      [self](describe_atom, const group_name& r) { return self->state.describe(r); },
      [self](delete_atom, group_name& r) { return self->state.remove(std::move(r)); },
      [self](list_groups_atom) { return self->state.group_names(); },
      [self](join& r) { return self->state.enter(std::move(r)); },
      [self](const get_message& r) { return self->state.find(r); },
      [self](status_atom) { return self->state.status(); },
      [self](drain_atom) { self->state.drain(); },
      [self](commit_changes) { self->state.commit(); },
      [self](const restart_topic& r) { self->state.restart(r.id); },
      [self](look_at_members) { self->state.look_at_members_again(); },
      [self](end_idle_groups) { self->state.end_idle_groups_again(); },
      [self](const member_moved& m) {
        if (from_here(self))
          self->state.moved(m);
      },
  };
}

} // namespace

result<catalog_actor> spawn_catalog(caf::actor_system& sys, context_ptr ctx) {
  auto start = load_catalog(*ctx);
  if (!start)
    return start.error();
  return catalog_actor{sys.spawn(catalog_behavior, std::move(ctx), std::move(*start))};
}

} // namespace troupe
