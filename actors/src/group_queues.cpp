#include "group_queues.hpp"

#include "subscription.hpp"

#include <set>
#include <utility>

namespace troupe {

subscription_rules group_queues::rules_of(const group_definition& of) {
  const auto& o = of.options;
  return {.limits = {.lease = o.lease,
                     .max_attempts = o.max_attempts,
                     .on_exhausted = o.on_exhausted,
                     .on_expired = o.on_expired,
                     .order_batch = o.order_batch,
                     .losses_fail = o.mode != group_mode::broadcast},
          .retry = std::make_shared<scheduled_retry>(o.retry),
          .mode = o.mode,
          .order_by = o.order_by};
}

std::vector<queue_id> group_queues::follow(const std::vector<group_topic>& topics, bool other_options) {
  if (other_options)
    rules_ = rules_of(of_);
  std::set<queue_id> wanted;
  for (const auto& t : topics)
    for (std::uint32_t i = 0; i < lanes_of(t.definition.options); ++i)
      wanted.insert(lane_id(t.definition, i));
  std::vector<queue_id> unwanted;
  for (const auto& [id, place] : places_)
    if (wanted.count(id) == 0)
      unwanted.push_back(id);
  for (auto id : unwanted)
    drop(id);
  auto before = std::exchange(topics_, {});
  for (const auto& t : topics) {
    const auto old = before.find(t.definition.id);
    const bool known = old != before.end();
    if (other_options || (known && old->second.filter != t.filter))
      for (const auto& [id, place] : places_)
        if (place.topic == t.definition.id && place.subscription)
          self_->send(place.subscription, subscription_changed{rules_, t.filter});
    topics_[t.definition.id] = t;
    add_places(t, known);
  }
  return unwanted;
}

void group_queues::add_places(const group_topic& t, bool known) {
  std::optional<start_position> begin;
  for (std::uint32_t i = 0; i < lanes_of(t.definition.options); ++i) {
    const auto id = lane_id(t.definition, i);
    if (places_.count(id) != 0)
      continue;
    if (!begin)
      begin = start_of(t, known);
    places_[id] = {
        .topic = t.definition.id, .at = place_of_lane(i, t.definition.options.priorities), .start = *begin};
    ++not_started_;
    start(id);
  }
}

/// Where queues begin of which the store knows no place. One that is new in a topic the group follows already
/// begins with its first message: the start position is for what was there when the group came. After a
/// restart nobody knows whether a queue without a place is new, or a crash came before its place was durable;
/// what was stored since the group came is right for both.
start_position group_queues::start_of(const group_topic& t, bool known) const {
  if (known)
    return {};
  if (t.start.from == start_position::kind::latest && met_before(t))
    return {start_position::kind::time, t.start.at};
  return t.start;
}

/// True when the group has a place in any queue of the topic, or nobody can tell.
bool group_queues::met_before(const group_topic& t) const {
  for (std::uint32_t i = 0; i < lanes_of(t.definition.options); ++i) {
    const auto id = lane_id(t.definition, i);
    auto place = ctx_->shards[ctx_->shard_of(id)]->has_subscription(of_.id, id);
    if (!place || *place)
      return true;
  }
  return false;
}

void group_queues::start(queue_id id) {
  if (std::exchange(places_.at(id).starting, true))
    return;
  starting_.push_back(id);
}

void group_queues::start_next() {
  while (asked_ < most_starting && !starting_.empty()) {
    const auto id = starting_.front();
    starting_.pop_front();
    auto place = places_.find(id);
    if (place == places_.end())
      continue;
    ++asked_;
    const auto at = place->second.at;
    self_
        ->request(topics_.at(place->second.topic).topic, request_timeout,
                  queue_request{at.number, at.priority})
        .then([this, id](const queue_handle& h) { queue_came(id, h.queue); },
              [this, id](const caf::error& err) { start_failed(id, from_caf(err)); });
  }
}

void group_queues::queue_came(queue_id id, const queue_actor& queue) {
  --asked_;
  if (auto it = places_.find(id); it != places_.end()) {
    auto& place = it->second;
    place.starting = false;
    if (place.subscription) {
      self_->send(place.subscription, queue_found{queue});
    } else {
      const auto& t = topics_.at(place.topic);
      place.subscription = spawn_subscription(self_->system(), {.ctx = ctx_,
                                                                .group = self_,
                                                                .group_number = of_.id,
                                                                .queue = id,
                                                                .topic = t.definition.name,
                                                                .at = place.at,
                                                                .rules = rules_,
                                                                .filter = t.filter,
                                                                .start = place.start,
                                                                .source = queue});
      self_->monitor(place.subscription);
    }
  }
  start_next();
}

void group_queues::start_failed(queue_id id, const error& why) {
  --asked_;
  if (places_.count(id) != 0) {
    report(log_level::warning, "no_queue",
           "queue " + std::to_string(id.value) + " cannot be reached now: " + to_string(why));
    wait(id);
  }
  start_next();
}

void group_queues::wait(queue_id id) {
  try_again_.push_back(id);
  on_wait_();
}

void group_queues::try_again() {
  for (auto id : std::exchange(try_again_, {}))
    if (auto it = places_.find(id); it != places_.end()) {
      it->second.starting = false;
      start(id);
    }
  start_next();
}

void group_queues::drop(queue_id id) {
  auto it = places_.find(id);
  if (!it->second.started)
    --not_started_;
  if (const auto s = it->second.subscription) {
    self_->demonitor(s.address());
    self_->send_exit(s, caf::exit_reason::user_shutdown);
  }
  places_.erase(it);
}

bool group_queues::started(queue_id id) {
  if (!from_place(id) || std::exchange(places_.at(id).started, true))
    return false;
  --not_started_;
  return true;
}

void group_queues::find_again(queue_id id) {
  if (!from_place(id))
    return;
  start(id);
  start_next();
}

std::optional<queue_id> group_queues::lost(const caf::actor_addr& who) {
  for (auto& [id, place] : places_)
    if (place.subscription && place.subscription.address() == who) {
      report(log_level::error, "subscription_died",
             "the subscription of queue " + std::to_string(id.value) +
                 " ended by itself and is started again");
      if (std::exchange(place.started, false))
        ++not_started_;
      place.subscription = nullptr;
      place.starting = true;
      wait(id);
      return id;
    }
  return {};
}

bool group_queues::from_place(queue_id id) const {
  auto it = places_.find(id);
  return it != places_.end() && it->second.subscription &&
         it->second.subscription.address() == caf::actor_cast<caf::actor_addr>(self_->current_sender());
}

subscription_actor group_queues::subscription(queue_id id) const {
  auto it = places_.find(id);
  return it == places_.end() ? subscription_actor{} : it->second.subscription;
}

std::vector<subscription_actor> group_queues::subscriptions() const {
  std::vector<subscription_actor> all;
  for (const auto& [id, place] : places_)
    if (place.subscription)
      all.push_back(place.subscription);
  return all;
}

std::vector<subscription_actor> group_queues::subscriptions(topic_id topic, std::int32_t number) const {
  std::map<std::pair<std::uint32_t, std::uint8_t>, subscription_actor> found;
  for (const auto& [id, place] : places_)
    if (place.topic == topic && place.subscription &&
        (number < 0 || place.at.number == static_cast<std::uint32_t>(number)))
      found[{place.at.number, place.at.priority}] = place.subscription;
  std::vector<subscription_actor> all;
  for (const auto& [n, s] : found)
    all.push_back(s);
  return all;
}

void group_queues::place_lane(queue_id id, group_credit& credit) const {
  const auto& place = places_.at(id);
  const auto& topic = topics_.at(place.topic).definition;
  if (topic.options.priorities > 1)
    credit.place(id, lane_id(topic, {place.at.number, 0}), place.at.priority);
}

void group_queues::report(log_level level, std::string_view event, std::string text) const {
  log(ctx_->log, {level, self_->name(), event, std::move(text), {{"group", of_.name}}});
}

} // namespace troupe
