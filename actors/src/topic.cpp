#include "topic.hpp"

#include "messaging.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <memory>
#include <numeric>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto reader_timeout = 10s;
constexpr auto store_timeout = 30s;
/// Between restarts of QUEUEs, after the first.
constexpr caf::actor_clock::duration_type restart_pause = 1s;

} // namespace

/// The extents of a topic's queues, gathered from one READER per shard.
struct topic_state::gathering {
  topic_status answer;
  /// Lanes asked of each shard.
  std::vector<std::vector<std::uint32_t>> asked;
  std::size_t missing = 0;
  caf::typed_response_promise<topic_status> promise;

  void arrived(std::size_t shard, const queue_extents& e) {
    for (std::size_t i = 0; i < asked[shard].size(); ++i) {
      const auto& x = e.extents[i];
      auto& q = answer.queues[asked[shard][i]];
      q.first = x.first;
      q.next = x.next;
      q.bytes = x.bytes;
      q.delayed = x.delayed;
    }
    if (--missing == 0)
      promise.deliver(std::move(answer));
  }
};

void topic_state::init(context_ptr ctx, topic_definition definition, bool replaces) {
  ctx_ = std::move(ctx);
  definition_ = std::move(definition);
  queues_.resize(lanes_of(definition_.options));
  if (!replaces)
    return;
  std::vector<std::uint32_t> all(queues_.size());
  std::iota(all.begin(), all.end(), 0u);
  std::ranges::for_each(all, [this](auto lane) { start(lane); });
  catch_up(all);
}

error topic_state::not_found() const {
  return {errc::not_found, "topic " + definition_.name + " was deleted",
          "create it again, or publish elsewhere"};
}

lane_place topic_state::place_of(std::uint32_t lane) const {
  return place_of_lane(lane, definition_.options.priorities);
}

const queue_actor& topic_state::start(std::uint32_t lane) {
  auto& q = queues_[lane];
  if (!q) {
    q = spawn_queue(self_->system(), ctx_, definition_, place_of(lane));
    self_->link_to(q);
  }
  return q;
}

route topic_state::current_route() {
  route r{.topic = definition_.id,
          .version = route_version_,
          .max_message = definition_.options.max_message,
          .max_delay = ctx_->max_delay,
          .priorities = definition_.options.priorities,
          .by_key = definition_.options.dedupe_window.count() > 0};
  if (deleted())
    return r;
  for (std::uint32_t i = 0; i < queues_.size(); ++i) {
    r.ids.push_back(lane_id(definition_, i));
    r.queues.push_back(caf::actor_cast<caf::actor>(start(i)));
  }
  return r;
}

caf::result<route> topic_state::ask_route(const route_request&) {
  if (deleted())
    return to_caf(not_found());
  auto asker = caf::actor_cast<caf::actor>(self_->current_sender());
  if (asker && std::find(askers_.begin(), askers_.end(), asker) == askers_.end()) {
    askers_.push_back(asker);
    self_->monitor(asker);
  }
  return current_route();
}

caf::result<queue_handle> topic_state::ask_queue(const queue_request& r) {
  if (!from_here(self_))
    return to_caf(
        {errc::invalid_argument, "a queue's handle is for its own node", "ask for the topic's route"});
  if (deleted())
    return to_caf(not_found());
  const auto& o = definition_.options;
  if (r.number >= o.queues || r.priority >= o.priorities)
    return to_caf({errc::not_found,
                   "topic " + definition_.name + " has no queue " + std::to_string(r.number) +
                       " of priority " + std::to_string(r.priority),
                   "it has queues 0 to " + std::to_string(o.queues - 1) + " of priorities 0 to " +
                       std::to_string(o.priorities - 1)});
  const auto lane = lane_at({r.number, r.priority}, o.priorities);
  return queue_handle{lane_id(definition_, lane), start(lane)};
}

caf::result<topic_status> topic_state::status() {
  if (deleted())
    return to_caf(not_found());
  auto g = std::make_shared<gathering>();
  g->answer = {definition_.name, definition_.options, std::vector<queue_status>(queues_.size())};
  g->asked.resize(ctx_->shards.size());
  std::vector<extents_request> requests(ctx_->shards.size());
  for (std::uint32_t i = 0; i < queues_.size(); ++i) {
    const auto id = lane_id(definition_, i);
    const auto shard = ctx_->shard_of(id);
    g->answer.queues[i].number = place_of(i).number;
    g->answer.queues[i].priority = place_of(i).priority;
    g->answer.queues[i].id = id;
    g->asked[shard].push_back(i);
    requests[shard].queues.push_back(id);
  }
  g->promise = self_->make_response_promise<topic_status>();
  g->missing = static_cast<std::size_t>(
      std::count_if(requests.begin(), requests.end(), [](const auto& r) { return !r.queues.empty(); }));
  for (std::size_t shard = 0; shard < requests.size(); ++shard)
    if (!requests[shard].queues.empty())
      self_->request(ctx_->readers[shard], reader_timeout, std::move(requests[shard]))
          .then([g, shard](const queue_extents& e) { g->arrived(shard, e); },
                [g](const caf::error& err) { g->promise.deliver(err); });
  return g->promise;
}

void topic_state::change(const topic_changed& c) {
  if (!from_here(self_))
    return;
  const auto name = std::move(definition_.name);
  definition_ = c.definition;
  if (deleted())
    definition_.name = name;
  else
    queues_.resize(std::max<std::size_t>(queues_.size(), lanes_of(definition_.options)));
  for (const auto& q : queues_)
    if (q)
      self_->send(q, c);
  tell_askers();
}

void topic_state::tell_askers() {
  ++route_version_;
  for (const auto& a : askers_)
    tell(self_, a, current_route());
}

void topic_state::asker_lost(const caf::actor_addr& who) {
  std::erase_if(askers_, [&](const caf::actor& a) { return a.address() == who; });
}

void topic_state::ended(const caf::exit_msg& e) {
  auto it = std::find_if(queues_.begin(), queues_.end(),
                         [&](const queue_actor& q) { return q && q.address() == e.source; });
  if (it == queues_.end()) {
    if (exit_from_here(self_, e))
      self_->quit(e.reason);
    return;
  }
  *it = nullptr;
  const auto lane = static_cast<std::uint32_t>(it - queues_.begin());
  log(ctx_->log,
      {.level = log_level::error,
       .component = name,
       .event = "queue_restarted",
       .text = "a queue's actor ended unexpectedly and is started again: " + to_string(from_caf(e.reason)),
       .fields = {{"topic", definition_.name},
                  {"number", std::to_string(place_of(lane).number)},
                  {"priority", std::to_string(place_of(lane).priority)}}});
  const auto since = last_restart_ ? self_->clock().now() - *last_restart_ : restart_pause;
  if (since >= restart_pause)
    restart(lane);
  else
    self_->delayed_send(self_, restart_pause - since, restart_atom::value, lane);
}

void topic_state::restart_due(std::uint32_t lane) {
  if (from_here(self_) && lane < queues_.size())
    restart(lane);
}

void topic_state::restart(std::uint32_t lane) {
  if (deleted())
    return;
  last_restart_ = self_->clock().now();
  start(lane); // somebody may have asked for it meanwhile; what follows is due all the same
  catch_up({lane});
  tell_askers();
}

/// Batches of the QUEUEs' predecessors may still wait for their commit, and nobody will tell the new ones.
/// What the STORE applies after all of them tells where the queues then end.
void topic_state::catch_up(const std::vector<std::uint32_t>& lanes) {
  std::vector<std::vector<std::uint32_t>> by_shard(ctx_->shards.size());
  for (auto n : lanes)
    by_shard[ctx_->shard_of(lane_id(definition_, n))].push_back(n);
  const auto failed = [this](const caf::error& err) { not_caught_up(from_caf(err)); };
  for (std::size_t shard = 0; shard < by_shard.size(); ++shard) {
    if (by_shard[shard].empty())
      continue;
    extents_request ask;
    for (auto n : by_shard[shard])
      ask.queues.push_back(lane_id(definition_, n));
    self_->request(ctx_->stores[shard], store_timeout, propose_request{})
        .then(
            [=, this, asked = std::move(by_shard[shard]), ask = std::move(ask)](const applied&) {
              self_->request(ctx_->readers[shard], reader_timeout, ask)
                  .then([=, this](const queue_extents& e) { tell_ends(asked, e); }, failed);
            },
            failed);
  }
}

void topic_state::tell_ends(const std::vector<std::uint32_t>& lanes, const queue_extents& e) {
  for (std::size_t i = 0; i < lanes.size() && !deleted(); ++i)
    if (const auto& q = queues_[lanes[i]])
      self_->send(q, visible{.queue = lane_id(definition_, lanes[i]), .next = e.extents[i].next});
}

/// Not fatal: a queue's next commit tells as well.
void topic_state::not_caught_up(const error& why) {
  log(ctx_->log,
      {.level = log_level::warning,
       .component = name,
       .event = "not_caught_up",
       .text = "where restarted queues end is not known until their next commits: " + to_string(why),
       .fields = {{"topic", definition_.name}}});
}

topic_impl::behavior_type topic(topic_impl::stateful_pointer<topic_state> self, context_ptr ctx,
                                topic_definition definition, bool replaces) {
  ignore_strangers(self);
  self->state.init(std::move(ctx), std::move(definition), replaces);
  self->set_down_handler([self](const caf::down_msg& d) { self->state.asker_lost(d.source); });
  self->set_exit_handler([self](const caf::exit_msg& e) { self->state.ended(e); });
  return {
      [self](const route_request& r) { return self->state.ask_route(r); },
      [self](const queue_request& r) { return self->state.ask_queue(r); },
      [self](status_atom) { return self->state.status(); },
      [self](const topic_changed& c) { self->state.change(c); },
      [self](restart_atom, std::uint32_t lane) { self->state.restart_due(lane); },
  };
}

topic_actor spawn_topic(caf::actor_system& sys, context_ptr ctx, topic_definition definition, bool replaces) {
  return sys.spawn(topic, std::move(ctx), std::move(definition), replaces);
}

} // namespace troupe
