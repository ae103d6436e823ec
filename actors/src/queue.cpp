#include "queue.hpp"

#include "messaging.hpp"
#include "publish_check.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>

namespace troupe {

namespace {

using namespace std::chrono_literals;

/// When a batch that found the queue full shall come again: about the time of some commits.
constexpr milliseconds retry_queue_full = 10ms;
/// And the node: others must make progress first.
constexpr milliseconds retry_node_full = 50ms;
constexpr auto reader_timeout = 10s;

} // namespace

void queue_state::init(context_ptr ctx, const topic_definition& definition, lane_place at) {
  ctx_ = std::move(ctx);
  id_ = lane_id(definition, at);
  place_ = at;
  topic_ = definition.name;
  options_ = definition.options;
  const auto shard = ctx_->shard_of(id_);
  store_ = ctx_->stores[shard];
  reader_ = ctx_->readers[shard];
  tail_ = std::make_unique<hot_tail>(ctx_->tails);
  // A read of one index row. When it fails, the first commit tells where the queue ends.
  if (auto extent = ctx_->shards[shard]->extent(id_)) {
    first_ = extent->first;
    next_ = extent->next;
  } else {
    log(ctx_->log, {.level = log_level::error,
                    .component = name,
                    .event = "extent_unknown",
                    .text = "the queue's extent could not be read: " + extent.error().reason,
                    .fields = {{"queue", std::to_string(id_.value)}, {"topic", topic_}}});
  }
  if (!ctx_->timers.empty())
    self_->send(ctx_->timers[shard], timed_queue{id_, queue_actor{self_}});
  if (!ctx_->transactions.empty())
    self_->send(ctx_->transactions[shard], timed_queue{id_, queue_actor{self_}});
}

/// What the header alone decides, then what there is room for, then the bytes: the cheapest refusal first.
void queue_state::take(publish& p) {
  if (self_->current_sender() == nullptr)
    return; // nobody to answer, nobody who could be slowed down
  if (p.queue != id_ || deleted_)
    return refuse(p, {errc::not_found,
                      deleted_ ? "topic " + topic_ + " was deleted"
                               : "queue " + std::to_string(p.queue.value) + " is not here",
                      "ask for the topic's route again"});
  if (auto err = check_header(p)) {
    window_.refused(p.header);
    return refuse(p, err);
  }
  const auto cost = in_flight_cost(p.header);
  if (auto v = window_.judge(p.header, cost); v.code != errc::none) {
    if (v.code != errc::gap)
      window_.refused(p.header);
    return refuse(p, {v.code, std::move(v.reason), {}, retry_queue_full}, v.expected);
  }
  if (!ctx_->in_flight->try_take(cost)) {
    window_.refused(p.header);
    return refuse(p,
                  {errc::overloaded,
                   std::to_string(ctx_->in_flight->used()) + " bytes wait for the disk on this node (limit " +
                       std::to_string(ctx_->in_flight->limit()) + ")",
                   {},
                   retry_node_full});
  }
  const auto timer_rows = check_content(p, {options_.max_message, ctx_->max_delay, ctx_->now()});
  if (!timer_rows) {
    ctx_->in_flight->give(cost);
    window_.refused(p.header);
    return refuse(p, timer_rows.error());
  }
  window_.entered(p.header, cost);
  self_->send(store_, append_request{.queue = id_,
                                     .wanted = p.wanted,
                                     .data = {p.header, std::move(p.data)},
                                     .timer_rows = *timer_rows,
                                     .producer = caf::actor_cast<caf::actor>(self_->current_sender()),
                                     .queue_handle = caf::actor_cast<caf::actor>(self_),
                                     .window = options_.dedupe_window});
}

void queue_state::refuse(const publish& p, const error& why, batch_sequence expected) {
  publish_result r{
      .queue = p.queue, .epoch = p.header.epoch, .sequence = p.header.sequence, .code = why.code};
  r.expected = expected;
  r.retry_after = static_cast<std::uint32_t>(why.retry_after.count());
  r.reason = why.reason;
  r.hint = why.hint;
  tell(self_, caf::actor_cast<caf::actor>(self_->current_sender()), published{{std::move(r)}});
}

void queue_state::serve(const fetch& f) {
  if (!internal("fetch"))
    return;
  fetched answer{.queue = id_, .tag = f.tag, .next = f.from};
  if (f.from < next_) {
    auto batches = tail_->read(f.from, f.max_bytes);
    if (!batches) {
      self_->send(reader_, f);
      return;
    }
    tail_used_ = true;
    answer.batches = std::move(*batches);
    answer.next = queue_offset{answer.batches.back().base.value + answer.batches.back().header.count};
  }
  tell(self_, f.reply_to, std::move(answer));
}

void queue_state::add_watcher(const watch& w) {
  if (!internal("watch") || !w.reply_to)
    return;
  if (std::find(watchers_.begin(), watchers_.end(), w.reply_to) == watchers_.end()) {
    watchers_.push_back(w.reply_to);
    self_->monitor(w.reply_to);
  }
  tell(self_, w.reply_to, tail_moved{id_, first_, next_});
}

void queue_state::lost(const caf::actor_addr& who) {
  std::erase_if(watchers_, [&](const caf::actor& w) { return w.address() == who; });
}

void queue_state::made_visible(const visible& v) {
  if (!internal("visible"))
    return;
  window_.answered_bytes(v.answered_bytes);
  for (auto p : v.producers)
    window_.answered(p);
  if (v.next <= next_)
    return;
  move_tail(v);
  next_ = v.next;
  for (const auto& w : watchers_)
    tell(self_, w, tail_moved{id_, first_, next_});
}

void queue_state::move_tail(const visible& v) {
  for (const auto& b : v.batches)
    tail_->push(b);
  tail_used_ = true;
  if (!tail_->empty() && !tail_timer_) {
    tail_timer_ = true;
    self_->delayed_send(self_, tail_idle_time, tail_idle_atom::value);
  }
}

/// Runs only while there is a tail: an idle queue has no timer.
void queue_state::tail_idle() {
  if (!from_here(self_))
    return;
  tail_timer_ = false;
  if (!std::exchange(tail_used_, false))
    tail_->clear();
  if (tail_->empty())
    return;
  tail_timer_ = true;
  self_->delayed_send(self_, tail_idle_time, tail_idle_atom::value);
}

void queue_state::change(const topic_changed& c) {
  if (!internal("topic_changed"))
    return;
  deleted_ = c.definition.queues.empty();
  if (!deleted_)
    options_ = c.definition.options;
}

caf::result<queue_status> queue_state::status() {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "a queue's status is for its own node", {}});
  auto promise = self_->make_response_promise<queue_status>();
  self_->request(reader_, reader_timeout, extents_request{{id_}})
      .then(
          [this, promise](const queue_extents& e) mutable {
            const auto& x = e.extents.front();
            first_ = std::max(first_, x.first);
            promise.deliver(queue_status{place_.number, id_, x.first, std::max(x.next, next_), x.bytes,
                                         place_.priority, x.delayed});
          },
          [promise](const caf::error& err) mutable { promise.deliver(err); });
  return promise;
}

bool queue_state::internal(const char* what) {
  if (from_here(self_))
    return true;
  log(ctx_->log, {.level = log_level::warning,
                  .component = name,
                  .event = "not_internal",
                  .text = std::string{"a message that only this node may send came from elsewhere: "} + what,
                  .fields = {{"queue", std::to_string(id_.value)}}});
  return false;
}

queue_impl::behavior_type queue(queue_impl::stateful_pointer<queue_state> self, context_ptr ctx,
                                const topic_definition& definition, lane_place at) {
  ignore_strangers(self);
  self->state.init(std::move(ctx), definition, at);
  self->set_down_handler([self](const caf::down_msg& d) { self->state.lost(d.source); });
  return {
      [self](publish& p) { self->state.take(p); },
      [self](const fetch& f) { self->state.serve(f); },
      [self](const watch& w) { self->state.add_watcher(w); },
      [self](const visible& v) { self->state.made_visible(v); },
      [self](status_atom) { return self->state.status(); },
      [self](const topic_changed& c) { self->state.change(c); },
      [self](tail_idle_atom) { self->state.tail_idle(); },
  };
}

queue_actor spawn_queue(caf::actor_system& sys, context_ptr ctx, const topic_definition& definition,
                        lane_place at) {
  return sys.spawn(queue, std::move(ctx), definition, at);
}

} // namespace troupe
