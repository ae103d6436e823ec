#include "group.hpp"

#include "join_check.hpp"
#include "messaging.hpp"
#include "status_round.hpp"
#include "subscription.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
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
  change(start);
}

// -- members
// --------------------------------------------------------------------------------------------------------

caf::result<joined> group_state::add(const join& j) {
  if (auto wrong = draining_ ? draining : check_join(j))
    return to_caf(wrong);
  if (topics_.empty())
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
  credit_.add_member(id, definition_.options.max_unsettled);
  self_->monitor(j.consumer);
  if (not_started_ == 0)
    return answer_for(id);
  auto promise = self_->make_response_promise<joined>();
  joins_.push_back({id, self_->clock().now() + join_limit, promise});
  arm();
  return promise;
}

joined group_state::answer_for(std::uint64_t id) const {
  return {caf::actor_cast<caf::actor>(self_), id,
          static_cast<std::uint32_t>(definition_.options.lease.count()), definition_.options.max_unsettled};
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
  for (const auto& [queue, place] : queues_)
    if (place.subscription)
      self_->send(place.subscription, member_gone{id, failed});
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
    if (auto place = queues_.find(queue); place != queues_.end() && place->second.subscription)
      self_->send(place->second.subscription, std::move(part));
    else if (c.confirm != 0)
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
    if (auto place = queues_.find(queue); place != queues_.end() && place->second.subscription)
      self_->send(place->second.subscription, std::move(part));
  }
}

// -- deliveries
// -----------------------------------------------------------------------------------------------------

void group_state::distribute() {
  while (auto g = credit_.next())
    self_->send(queues_.at(g->queue).subscription,
                grant{g->member, members_.at(g->member).consumer, g->messages, g->bytes});
}

void group_state::ready(const subscription_ready& r) {
  if (!has_place(r.queue))
    return;
  credit_.ready(r.queue, r.available);
  distribute();
}

void group_state::used(const grant_used& u) {
  if (!has_place(u.queue))
    return;
  credit_.used(u.queue, u.messages, u.bytes, u.available);
  distribute();
}

void group_state::released(const messages_released& r) {
  if (!has_place(r.queue))
    return;
  for (const auto& m : r.members)
    credit_.released(r.queue, m.member, m.messages);
  distribute();
}

/// What a SUBSCRIPTION says after it was dropped, or after it died, means nothing.
bool group_state::has_place(queue_id id) const {
  auto it = queues_.find(id);
  return it != queues_.end() && it->second.subscription &&
         it->second.subscription.address() == caf::actor_cast<caf::actor_addr>(self_->current_sender());
}

// -- topics and their queues
// ----------------------------------------------------------------------------------------

void group_state::change(const group_changed& c) {
  const bool other_options = c.definition.options != definition_.options;
  definition_ = c.definition;
  if (other_options)
    credit_.set_max_unsettled(definition_.options.max_unsettled);
  std::set<queue_id> wanted;
  for (const auto& t : c.topics)
    for (std::uint32_t i = 0; i < t.definition.options.queues; ++i)
      wanted.insert(t.definition.queue(i));
  std::vector<queue_id> unwanted;
  for (const auto& [id, place] : queues_)
    if (wanted.count(id) == 0)
      unwanted.push_back(id);
  for (auto id : unwanted)
    drop_queue(id);
  auto before = std::exchange(topics_, {});
  for (const auto& t : c.topics) {
    const auto old = before.find(t.definition.id);
    const bool known = old != before.end();
    if (other_options || (known && old->second.filter != t.filter))
      for (const auto& [id, place] : queues_)
        if (place.topic == t.definition.id && place.subscription)
          self_->send(place.subscription, subscription_changed{definition_.options, t.filter});
    topics_[t.definition.id] = t;
    follow(t, known);
  }
  if (topics_.empty())
    while (!members_.empty())
      end_member(members_.begin()->first, false,
                 {errc::not_found, "group " + definition_.name + " or its last topic was deleted"});
  open_joins();
  start_next();
}

void group_state::follow(const group_topic& t, bool known) {
  std::optional<start_position> start;
  for (std::uint32_t i = 0; i < t.definition.options.queues; ++i) {
    const auto id = t.definition.queue(i);
    if (queues_.count(id) != 0)
      continue;
    if (!start)
      start = start_of(t, known);
    queues_[id] = {.topic = t.definition.id, .number = i, .start = *start};
    ++not_started_;
    start_queue(id);
  }
}

/// Where queues begin of which the store knows no place. One that is new in a topic the group follows already
/// begins with its first message: the start position is for what was there when the group came. After a
/// restart nobody knows whether a queue without a place is new, or a crash came before its place was durable;
/// what was stored since the group came is right for both.
start_position group_state::start_of(const group_topic& t, bool known) const {
  if (known)
    return {};
  if (t.start.from == start_position::kind::latest && met_before(t))
    return {start_position::kind::time, t.start.at};
  return t.start;
}

/// True when the group has a place in any queue of the topic, or nobody can tell.
bool group_state::met_before(const group_topic& t) const {
  for (std::uint32_t i = 0; i < t.definition.options.queues; ++i) {
    const auto id = t.definition.queue(i);
    auto place = ctx_->shards[ctx_->shard_of(id)]->subscription(definition_.id, id);
    if (!place || *place)
      return true;
  }
  return false;
}

void group_state::start_queue(queue_id id) {
  if (std::exchange(queues_.at(id).starting, true))
    return;
  starting_.push_back(id);
}

void group_state::start_next() {
  while (asked_ < most_starting && !starting_.empty()) {
    const auto id = starting_.front();
    starting_.pop_front();
    auto place = queues_.find(id);
    if (place == queues_.end())
      continue;
    ++asked_;
    self_
        ->request(topics_.at(place->second.topic).topic, request_timeout, queue_request{place->second.number})
        .then([this, id](const queue_handle& h) { queue_handle_came(id, h.queue); },
              [this, id](const caf::error& err) { start_failed(id, from_caf(err)); });
  }
}

void group_state::queue_handle_came(queue_id id, const queue_actor& queue) {
  --asked_;
  if (auto it = queues_.find(id); it != queues_.end()) {
    auto& place = it->second;
    place.starting = false;
    if (place.subscription) {
      self_->send(place.subscription, queue_found{queue});
    } else {
      const auto& t = topics_.at(place.topic);
      place.subscription = spawn_subscription(self_->system(), {.ctx = ctx_,
                                                                .group = self_,
                                                                .group_number = definition_.id,
                                                                .queue = id,
                                                                .topic = t.definition.name,
                                                                .number = place.number,
                                                                .options = definition_.options,
                                                                .filter = t.filter,
                                                                .start = place.start,
                                                                .source = queue});
      self_->monitor(place.subscription);
    }
  }
  start_next();
}

void group_state::start_failed(queue_id id, const error& why) {
  --asked_;
  if (queues_.count(id) != 0) {
    report(log_level::warning, "no_queue",
           "queue " + std::to_string(id.value) + " cannot be reached now: " + to_string(why));
    try_again_.push_back(id);
    arm();
  }
  start_next();
}

void group_state::drop_queue(queue_id id) {
  auto it = queues_.find(id);
  if (!it->second.started)
    --not_started_;
  if (const auto s = it->second.subscription) {
    self_->demonitor(s.address());
    self_->send_exit(s, caf::exit_reason::user_shutdown);
  }
  queues_.erase(it);
  credit_.remove_queue(id);
}

void group_state::started(const subscription_started& s) {
  if (!has_place(s.queue) || std::exchange(queues_.at(s.queue).started, true))
    return;
  --not_started_;
  open_joins();
}

void group_state::find_queue_again(const queue_lost& l) {
  if (!has_place(l.queue))
    return;
  start_queue(l.queue);
  start_next();
}

void group_state::open_joins() {
  if (not_started_ > 0)
    return;
  for (auto& j : std::exchange(joins_, {}))
    j.promise.deliver(answer_for(j.member));
  look();
}

// -- time and failures
// ----------------------------------------------------------------------------------------------

/// Runs only while something waits.
void group_state::arm() {
  if (joins_.empty() && asking_.empty() && try_again_.empty())
    return;
  if (!std::exchange(armed_, true))
    self_->delayed_send(self_, pause, group_tick_atom::value);
}

void group_state::tick() {
  armed_ = false;
  for (auto id : std::exchange(try_again_, {}))
    if (auto it = queues_.find(id); it != queues_.end()) {
      it->second.starting = false;
      start_queue(id);
    }
  start_next();
  const auto now = self_->clock().now();
  std::vector<std::uint64_t> late;
  for (const auto& j : joins_)
    if (j.deadline <= now)
      late.push_back(j.member);
  for (auto id : late)
    end_member(id, false,
               {errc::overloaded,
                std::to_string(not_started_) + " queues of group " + definition_.name + " have no place yet",
                "try again; the node's log says what holds them up", std::chrono::seconds{1}});
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
  for (auto& [id, place] : queues_)
    if (place.subscription && place.subscription.address() == down.source) {
      report(log_level::error, "subscription_died",
             "the subscription of queue " + std::to_string(id.value) +
                 " ended by itself and is started again");
      credit_.remove_queue(id);
      if (std::exchange(place.started, false))
        ++not_started_;
      place.subscription = nullptr;
      place.starting = true;
      try_again_.push_back(id);
      arm();
      break;
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
  const auto patient = not_started_ == 0
                           ? asking_.end()
                           : std::ranges::find_if(asking_, [&](const auto& a) { return a.deadline > now; });
  if (looking_ || patient == asking_.begin())
    return;
  looking_ = true;
  std::vector<waiting_status> served(std::make_move_iterator(asking_.begin()),
                                     std::make_move_iterator(patient));
  asking_.erase(asking_.begin(), patient);
  std::vector<subscription_actor> all;
  for (const auto& [id, place] : queues_)
    if (place.subscription)
      all.push_back(place.subscription);
  ask_all(self_, std::move(all), [this, served = std::move(served)](auto queues) mutable {
    looking_ = false;
    const auto answer = describe(std::move(queues));
    for (auto& a : served)
      a.promise.deliver(answer);
    look();
  });
}

group_status group_state::describe(std::vector<subscription_status> queues) const {
  group_status s{.name = definition_.name, .options = definition_.options};
  s.queues = std::move(queues);
  for (const auto& [id, t] : topics_)
    s.topics.push_back({t.definition.name, t.filter});
  for (const auto& [id, m] : members_)
    s.members.push_back({m.name, caf::to_string(m.consumer.node()), to_unix_ms(m.since)});
  return s;
}

void group_state::report(log_level level, std::string_view event, std::string text) const {
  log(ctx_->log, {level, name, event, std::move(text), {{"group", definition_.name}}});
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
