#include "group.hpp"

#include "join_check.hpp"
#include "messaging.hpp"
#include "subscription_round.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace troupe {

namespace {

bool clean_end(const caf::error& reason) {
  return !reason || reason == caf::exit_reason::normal || reason == caf::exit_reason::user_shutdown;
}

const error draining{errc::shutting_down, "the node drains", "connect again when it runs",
                     std::chrono::seconds{1}};

} // namespace

void group_state::init(context_ptr ctx, group_changed start) {
  ctx_ = std::move(ctx);
  queues_.emplace(self_, ctx_, definition_, [this] { arm(); });
  change(start);
}

// -- members
// --------------------------------------------------------------------------------------------------------

caf::result<joined> group_state::add(const join& j) {
  if (auto wrong = draining_ ? draining : check_join(j))
    return to_caf(wrong);
  if (queues_->topics().empty())
    return to_caf({errc::not_found, "group " + definition_.name + " has no topics", "subscribe to one"});
  // The newest of a name is the one that lives: after a lost connection it is the same program again.
  for (const auto& [id, m] : members_)
    if (!j.member.empty() && m.name == j.member) {
      const error replaced{errc::fenced, "another consumer joined as " + j.member};
      end_member(id, false, m.consumer == j.consumer ? error{} : replaced);
      break;
    }
  if (members_.size() >= most_members)
    return to_caf({errc::overloaded,
                   "group " + definition_.name + " has " + std::to_string(most_members) + " members",
                   "use fewer consumers, each with more threads", std::chrono::seconds{1}});
  const auto id = ++last_member_;
  members_[id] = {j.member.empty() ? "member-" + std::to_string(id) : j.member, j.consumer, ctx_->now()};
  credit_.add_member(id, definition_.options.max_unsettled, definition_.options.max_unsettled_bytes);
  self_->monitor(j.consumer);
  tell_watch(true);
  if (queues_->not_started() == 0)
    return answer_for(id);
  auto promise = self_->make_response_promise<joined>();
  joins_.push_back({id, self_->clock().now() + join_limit, promise});
  arm();
  return promise;
}

joined group_state::answer_for(std::uint64_t id) const {
  return {caf::actor_cast<caf::actor>(self_),
          id,
          static_cast<std::uint32_t>(definition_.options.lease.count()),
          definition_.options.max_unsettled,
          definition_.options.mode,
          definition_.version,
          topics(),
          definition_.options.order_by,
          definition_.options.order_batch,
          definition_.id};
}

std::vector<topic_filter> group_state::topics() const {
  std::vector<topic_filter> all;
  for (const auto& [id, t] : queues_->topics())
    all.push_back({t.definition.name, t.filter});
  return all;
}

/// Who still waits to be a member learns it with its answer.
void group_state::tell_members(const std::vector<topic_filter>& before) {
  const auto same = [](const auto& a, const auto& b) { return a.topic == b.topic && a.filter == b.filter; };
  const auto present = topics();
  if (std::ranges::equal(before, present, same))
    return;
  for (const auto& [id, m] : members_)
    tell(self_, m.consumer, group_news{id, definition_.version, present});
}

void group_state::tell_watch(bool here) {
  if (watch_)
    self_->send(watch_, member_moved{definition_.id, here});
}

void group_state::end_member(std::uint64_t id, bool failed, const error& why) {
  auto it = members_.find(id);
  if (it == members_.end())
    return;
  const auto m = std::move(it->second);
  members_.erase(it);
  credit_.remove_member(id);
  self_->demonitor(m.consumer.address());
  if (why)
    tell(self_, m.consumer, dismissed{id, why.code, why.reason});
  for (auto j = joins_.begin(); j != joins_.end(); ++j)
    if (j->member == id) {
      j->promise.deliver(to_caf(why ? why : error{errc::disconnected, "the member left before it was one"}));
      joins_.erase(j);
      break;
    }
  for (const auto& s : queues_->subscriptions())
    self_->send(s, member_gone{id, failed});
  if (members_.empty())
    tell_watch(false);
  distribute();
}

void group_state::drain() {
  draining_ = true;
  while (!members_.empty())
    end_member(members_.begin()->first, false, draining);
}

bool group_state::remove(const leave& l) {
  end_member(l.member, false, {});
  return true;
}

void group_state::take(consume& c) {
  auto from = members_.find(c.member);
  if (from == members_.end()) {
    tell(self_, caf::actor_cast<caf::actor>(self_->current_sender()),
         dismissed{c.member, errc::disconnected, "not a member of group " + definition_.name});
    return;
  }
  std::map<queue_id, settle_part> parts;
  for (auto& item : c.settles)
    parts[item.queue].items.push_back(item);
  for (auto& [queue, part] : parts) {
    part.member = c.member;
    part.consumer = from->second.consumer;
    part.confirm = c.confirm;
    if (const auto to = queues_->subscription(queue))
      self_->send(to, std::move(part));
    else
      tell(self_, part.consumer,
           settled{queue, c.confirm, static_cast<std::uint32_t>(part.items.size()), errc::lease_lost});
  }
  credit_.add_credit(c.member, c.messages, c.bytes);
  distribute();
}

void group_state::prolong(const renew& r) {
  if (members_.count(r.member) == 0) {
    tell(self_, caf::actor_cast<caf::actor>(self_->current_sender()),
         dismissed{r.member, errc::disconnected, "not a member of group " + definition_.name});
    return;
  }
  std::map<queue_id, renew_part> parts;
  for (std::size_t i = 0; i < std::min(r.queues.size(), r.leases.size()); ++i)
    parts[r.queues[i]].leases.push_back(r.leases[i]);
  for (auto& [queue, part] : parts) {
    part.member = r.member;
    if (const auto to = queues_->subscription(queue))
      self_->send(to, std::move(part));
  }
}

// -- deliveries
// -----------------------------------------------------------------------------------------------------

void group_state::distribute() {
  if (definition_.paused)
    return;
  while (auto g = credit_.next())
    self_->send(queues_->subscription(g->queue), grant{g->member, members_.at(g->member).consumer,
                                                       g->messages, g->bytes, g->most_bytes, g->any_size});
}

void group_state::ready(const subscription_ready& r) {
  if (!queues_->from_place(r.queue))
    return;
  queues_->place_lane(r.queue, credit_);
  credit_.ready(r.queue, r.available);
  distribute();
}

void group_state::used(const grant_used& u) {
  if (!queues_->from_place(u.queue))
    return;
  if (u.barred)
    credit_.bar(u.queue, u.member);
  if (u.too_large > 0)
    credit_.too_large(u.queue, u.too_large);
  credit_.used(u.queue, u.messages, u.bytes, u.available);
  distribute();
}

void group_state::released(const messages_released& r) {
  if (!queues_->from_place(r.queue))
    return;
  for (const auto& m : r.members)
    credit_.released(r.queue, m.member, m.messages, m.bytes);
  distribute();
}

// -- topics and their queues
// ----------------------------------------------------------------------------------------

void group_state::change(const group_changed& c) {
  const bool other_options = c.definition.options != definition_.options;
  const auto before = topics();
  definition_ = c.definition;
  watch_ = c.watch;
  if (other_options) {
    credit_.set_max_unsettled(definition_.options.max_unsettled, definition_.options.max_unsettled_bytes);
    credit_.set_low_share(definition_.options.low_share);
    credit_.set_least_share(definition_.options.order_batch);
  }
  for (auto gone : queues_->follow(c.topics, other_options))
    credit_.remove_queue(gone);
  if (queues_->topics().empty())
    while (!members_.empty())
      end_member(members_.begin()->first, false,
                 {errc::not_found, "group " + definition_.name + " or its last topic was deleted"});
  tell_members(before);
  tell_dead_letters();
  open_joins();
  queues_->start_next();
  distribute();
}

void group_state::started(const subscription_started& s) {
  if (queues_->started(s.queue))
    open_joins();
}

void group_state::open_joins() {
  if (queues_->not_started() > 0)
    return;
  for (auto& j : std::exchange(joins_, {}))
    j.promise.deliver(answer_for(j.member));
  begin_resets();
  look();
}

// -- time and failures
// ----------------------------------------------------------------------------------------------

/// Runs only while something waits.
void group_state::arm() {
  if (joins_.empty() && asking_.empty() && resets_.empty() && !queues_->waits())
    return;
  if (!std::exchange(armed_, true))
    self_->delayed_send(self_, pause, group_tick_atom::value);
}

void group_state::tick() {
  armed_ = false;
  queues_->try_again();
  const auto now = self_->clock().now();
  std::vector<std::uint64_t> late;
  for (const auto& j : joins_)
    if (j.deadline <= now)
      late.push_back(j.member);
  for (auto id : late)
    end_member(id, false,
               {errc::overloaded,
                std::to_string(queues_->not_started()) + " queues of group " + definition_.name +
                    " have no place yet",
                "try again; the node's log says what holds them up", std::chrono::seconds{1}});
  for (auto& r : resets_)
    if (r.deadline <= now)
      r.promise.deliver(
          to_caf({errc::overloaded,
                  std::to_string(queues_->not_started()) + " queues of group " + definition_.name +
                      " have no place yet; nothing was reset",
                  "try again; the node's log says what holds them up", std::chrono::seconds{1}}));
  std::erase_if(resets_, [now](const auto& r) { return r.deadline <= now; });
  look();
  arm();
}

void group_state::lost(const caf::down_msg& down) {
  std::vector<std::uint64_t> ended;
  for (const auto& [id, m] : members_)
    if (m.consumer.address() == down.source)
      ended.push_back(id);
  for (auto id : ended)
    end_member(id, !clean_end(down.reason), {});
  if (dead_letters_ && dead_letters_.address() == down.source) {
    dead_letters_ = nullptr;
    tell_dead_letters();
  }
  if (const auto died = queues_->lost(down.source)) {
    credit_.remove_queue(*died);
    // What it had not written is gone with it; nobody knows whose, and a flush must not call it durable.
    for (const auto& [id, m] : members_)
      tell(self_, m.consumer, settled{*died, 0, 1, errc::lease_lost});
  }
  distribute();
}

// -- status
// ---------------------------------------------------------------------------------------------------------

caf::result<group_status> group_state::status() {
  if (asking_.size() >= most_asking)
    return to_caf(
        {errc::overloaded,
         std::to_string(most_asking) + " questions for the state of group " + definition_.name + " wait",
         "ask again", std::chrono::seconds{1}});
  auto promise = self_->make_response_promise<group_status>();
  asking_.push_back({self_->clock().now() + status_limit, promise});
  look();
  arm();
  return promise;
}

/// A GROUP that has just come up knows nothing yet of its queues, and "no lag" would be a lie: until it does,
/// only those are answered who have waited long enough. They asked in the order of their deadlines.
void group_state::look() {
  const auto now = self_->clock().now();
  const auto patient = queues_->not_started() == 0
                           ? asking_.end()
                           : std::ranges::find_if(asking_, [&](const auto& a) { return a.deadline > now; });
  if (looking_ || patient == asking_.begin())
    return;
  looking_ = true;
  std::vector<waiting_status> served(std::make_move_iterator(asking_.begin()),
                                     std::make_move_iterator(patient));
  asking_.erase(asking_.begin(), patient);
  ask_all(self_, queues_->subscriptions(), [this, served = std::move(served)](auto queues) mutable {
    looking_ = false;
    const auto answer = describe(std::move(queues));
    for (auto& a : served)
      a.promise.deliver(answer);
    look();
  });
}

// -- reset
// ----------------------------------------------------------------------------------------------------------

caf::result<group_reset> group_state::reset(const reset_group& r) {
  const auto topic = std::ranges::find_if(queues_->topics(),
                                          [&](const auto& t) { return t.second.definition.name == r.topic; });
  if (topic == queues_->topics().end())
    return to_caf({errc::not_found, "group " + definition_.name + " does not follow topic " + r.topic,
                   "see what it follows with: troupe group describe " + definition_.name});
  const auto queues = topic->second.definition.options.queues;
  if (r.queue >= 0 && static_cast<std::uint32_t>(r.queue) >= queues)
    return to_caf({errc::not_found,
                   "topic " + r.topic + " has no queue " + std::to_string(r.queue) + ", only 0 to " +
                       std::to_string(queues - 1),
                   "name one of these, or none to reset all"});
  if (r.to > reset_target::offset)
    return to_caf({errc::invalid_argument, "this version does not know what to reset the group to",
                   "reset to earliest, latest, a time or an offset"});
  if (resets_.size() >= most_resets)
    return to_caf({errc::overloaded, std::to_string(most_resets) + " resets of the group wait", "try again",
                   std::chrono::seconds{1}});
  auto promise = self_->make_response_promise<group_reset>();
  resets_.push_back({self_->clock().now() + join_limit, r, promise});
  if (queues_->not_started() == 0)
    begin_resets();
  arm();
  return promise;
}

void group_state::begin_resets() {
  for (auto& r : std::exchange(resets_, {})) {
    const auto topic = std::ranges::find_if(
        queues_->topics(), [&](const auto& t) { return t.second.definition.name == r.what.topic; });
    if (topic == queues_->topics().end())
      r.promise.deliver(to_caf({errc::not_found, "topic " + r.what.topic + " was deleted"}));
    else
      reset_all(self_, queues_->subscriptions(topic->first, r.what.queue), r.what, std::move(r.promise));
  }
}

// -- dead letters
// ---------------------------------------------------------------------------------------------------

error group_state::without_dead_letters() const {
  if (definition_.options.mode != group_mode::broadcast)
    return {};
  return {errc::invalid_argument,
          "group " + definition_.name + " is a broadcast group: it has no dead letters",
          "a failing message of a broadcast group is passed over"};
}

void group_state::tell_dead_letters() {
  if (without_dead_letters())
    return;
  if (!dead_letters_) {
    dead_letters_ = spawn_dead_letters(self_->system(), ctx_, self_);
    self_->monitor(dead_letters_);
  }
  dead_scope scope{definition_.id, definition_.name, definition_.options.dead_letter_retention, {}};
  for (const auto& [id, t] : queues_->topics())
    for (std::uint32_t n = 0; n < lanes_of(t.definition.options); ++n)
      scope.queues[lane_id(t.definition, n)] = {t.definition.name,
                                                place_of_lane(n, t.definition.options.priorities), t.topic};
  self_->send(dead_letters_, std::move(scope));
}

caf::result<dead_page> group_state::list(list_dead& r) {
  if (auto err = without_dead_letters())
    return to_caf(err);
  return self_->delegate(dead_letters_, std::move(r));
}

caf::result<dead_settled> group_state::settle(settle_dead& r) {
  if (auto err = without_dead_letters())
    return to_caf(err);
  return self_->delegate(dead_letters_, std::move(r));
}

group_status group_state::describe(std::vector<subscription_status> queues) const {
  group_status s{.name = definition_.name, .options = definition_.options};
  s.queues = std::move(queues);
  s.paused = definition_.paused;
  s.topics = topics();
  for (const auto& [id, m] : members_)
    s.members.push_back({m.name, caf::to_string(m.consumer.node()), to_unix_ms(m.since)});
  return s;
}

group_impl::behavior_type group(group_impl::stateful_pointer<group_state> self, context_ptr ctx,
                                group_changed start) {
  ignore_strangers(self);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.lost(down); });
  self->state.init(std::move(ctx), std::move(start));
  const auto inside = [self](auto handle) {
    if (from_here(self))
      handle(self->state);
  };
  return {
      [self](const join& j) { return self->state.add(j); },
      [self](consume& c) { self->state.take(c); },
      [self](const renew& r) { self->state.prolong(r); },
      [self](const leave& l) { return self->state.remove(l); },
      [self](status_atom) { return self->state.status(); },
      [self](const reset_group& r) { return self->state.reset(r); },
      [self](list_dead& r) { return self->state.list(r); },
      [self](settle_dead& r) { return self->state.settle(r); },
      [=](const group_changed& c) { inside([&](auto& s) { s.change(c); }); },
      [=](const subscription_started& m) { inside([&](auto& s) { s.started(m); }); },
      [=](const subscription_ready& m) { inside([&](auto& s) { s.ready(m); }); },
      [=](const grant_used& m) { inside([&](auto& s) { s.used(m); }); },
      [=](const messages_released& m) { inside([&](auto& s) { s.released(m); }); },
      [=](const queue_lost& m) { inside([&](auto& s) { s.find_queue_again(m); }); },
      [=](drain_atom) { inside([](auto& s) { s.drain(); }); },
      [=](group_tick_atom) { inside([](auto& s) { s.tick(); }); },
  };
}

group_actor spawn_group(caf::actor_system& sys, context_ptr ctx, group_changed start) {
  return sys.spawn(group, std::move(ctx), std::move(start));
}

} // namespace troupe
