#include "producer_actor.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// With fewer answers than this to come, the line counts as free and a batch goes however small it is. More
/// would make batches smaller under load, fewer would leave the broker without work while an answer travels.
constexpr std::size_t free_line = 4;
constexpr std::size_t most_in_flight = 64;
constexpr milliseconds route_retry{200};

durability on_the_wire(durability_level level) {
  return level == durability_level::buffered ? durability::buffered : durability::durable;
}

} // namespace

producer_state::~producer_state() {
  if (!cfg_.messages)
    return;
  window_.fail_all(ended_);
  carry_out(nullptr);
  // Nothing is left, unless a handler threw between taking a batch and giving it to the window.
  for (auto& [ticket, kept] : batches_)
    cfg_.messages->settle(kept.gathered, ended_);
  cfg_.messages->end(ended_);
}

void producer_state::start(producer_config c) {
  cfg_ = std::move(c);
  window_ = producer_window(most_in_flight);
  self->send(cfg_.connection, attach_line{caf::actor_cast<caf::actor>(self)});
}

milliseconds producer_state::now() const {
  return std::chrono::duration_cast<milliseconds>(self->clock().now().time_since_epoch());
}

void producer_state::line_came(line_up& up) {
  directory_ = std::move(up.directory);
  if (session_ != 0)
    cfg_.messages->count_reconnect();
  session_ = up.session;
  ask_route();
}

void producer_state::line_went() {
  up_ = false;
  directory_ = nullptr;
  watch({});
  window_.disconnected();
  send_gathered();
}

void producer_state::ask_route() {
  if (!directory_)
    return;
  self->request(directory_, std::chrono::seconds{10}, route_request{cfg_.options.topic})
      .then([this](const route& r) { routed(r); },
            [this, session = session_](caf::error& why) { no_route(session, from_caf(why)); });
}

void producer_state::no_route(std::uint64_t session, const error& why) {
  if (session != session_ || !directory_)
    return;
  if (!opened_ || why.code == errc::not_found)
    return end(why);
  self->delayed_send(self, route_retry, route_atom::value);
}

void producer_state::routed(const route& r) {
  // Of an earlier connection, or overtaken by a later one.
  if (!directory_ || (up_ && r.topic == route_.topic && r.version < route_.version))
    return;
  if (r.queues.empty())
    return end({errc::not_found, "topic " + cfg_.options.topic + " was deleted",
                "create it again, and open a new producer"});
  if (r.priorities == 0 || r.ids.size() != r.queues.size() || r.ids.size() % r.priorities != 0)
    return end({errc::corrupt, "the node's answer where topic " + cfg_.options.topic + " is makes no sense",
                "use the same version of troupe on both sides"});
  route_ = r;
  queue_handles queues;
  for (std::size_t i = 0; i < r.ids.size(); ++i)
    queues[r.ids[i]] = r.queues[i];
  watch(std::move(queues));
  opened_ = up_ = true;
  cfg_.messages->route(r.ids, r.priorities, {r.max_message, r.max_delay, r.by_key});
  window_.connected(r.ids, now());
  carry_out(nullptr);
  send_gathered();
}

void producer_state::watch(queue_handles queues) {
  const auto has = [](const queue_handles& all, const auto& entry) {
    const auto at = all.find(entry.first);
    return at != all.end() && at->second == entry.second;
  };
  for (const auto& entry : queues)
    if (!has(handles_, entry))
      self->monitor(entry.second);
  for (const auto& entry : handles_)
    if (!has(queues, entry))
      self->demonitor(entry.second);
  handles_ = std::move(queues);
}

void producer_state::queue_lost(const caf::down_msg& down) {
  if (std::none_of(handles_.begin(), handles_.end(),
                   [&](const auto& h) { return h.second.address() == down.source; }))
    return;
  // The line may be about to break as a whole; else the topic has news.
  up_ = false;
  watch({});
  window_.disconnected();
  self->delayed_send(self, route_retry, route_atom::value);
}

void producer_state::send_gathered() {
  const bool busy = !up_ || window_.expected() >= free_line;
  take(cfg_.messages->collect([this](queue_id q, bool keyed) { return takes(q, keyed); }, busy));
  if ((!up_ || cfg_.messages->gathers()) && !std::exchange(sweeping_, true))
    self->delayed_send(self, std::max(cfg_.options.timeout / 16, milliseconds{1}), sweep_atom::value);
}

bool producer_state::takes(queue_id queue, bool keyed) const {
  return up_ && window_.is_open(queue, now()) &&
         (window_.expected() < free_line || (keyed && window_.expected(queue) == 0));
}

void producer_state::sweep() {
  sweeping_ = false;
  if (!up_)
    take(cfg_.messages->collect([](queue_id, bool) { return true; }, true));
  send_gathered();
}

void producer_state::take(std::vector<sealed_batch> batches) {
  const auto at = now();
  for (auto& b : batches) {
    const auto ticket = b.ticket;
    const auto queue = b.queue;
    const auto deadline = b.deadline;
    auto encoded = b.kind == batch_kind::transactional
                       ? b.builder.finish(half_view{b.half.group, b.half.transaction})
                       : b.builder.finish();
    encoded.header.producer = cfg_.id;
    encoded.header.kind = b.kind;
    cfg_.messages->recycle(std::move(b.builder));
    batches_.emplace(ticket, kept_batch{std::move(b), std::move(encoded)});
    window_.add(queue, ticket, deadline, at);
  }
  carry_out(nullptr);
}

void producer_state::answered(published& answers) {
  const auto at = now();
  for (auto& r : answers.results) {
    window_.answer(
        {r.queue, r.epoch, r.sequence, r.code, r.expected, milliseconds{r.retry_after}, r.reason, r.hint},
        at);
    carry_out(&r);
  }
  send_gathered();
}

void producer_state::tick(std::uint64_t epoch) {
  if (epoch != tick_epoch_)
    return;
  tick_armed_.reset();
  window_.tick(now());
  carry_out(nullptr);
  send_gathered();
}

/// `answer` is what the window was told last: the place of the batch it calls stored.
void producer_state::carry_out(const publish_result* answer) {
  while (window_.has_effects())
    for (auto& effect : window_.take()) {
      if (const auto* s = std::get_if<producer_window::send>(&effect))
        send(*s);
      else if (const auto* done = std::get_if<producer_window::stored>(&effect)) {
        if (auto at = batches_.find(done->batch); at != batches_.end() && answer)
          settle(done->batch, receipt_for(at->second.gathered, *answer), answer->repeats);
      } else {
        auto& f = std::get<producer_window::failed>(effect);
        settle(f.batch, std::move(f.why));
      }
    }
  arm_tick();
}

void producer_state::send(const producer_window::send& s) {
  auto handle = handles_.find(s.queue);
  if (handle == handles_.end())
    return;
  publish p;
  p.queue = s.queue;
  p.wanted = on_the_wire(cfg_.options.durability);
  if (auto kept = batches_.find(s.batch); kept != batches_.end()) {
    p.header = kept->second.encoded.header;
    p.data = kept->second.encoded.data;
  } else
    p.header.producer = cfg_.id;
  p.header.epoch = s.epoch;
  p.header.sequence = s.sequence;
  cfg_.messages->count_batch(s.again);
  self->send(handle->second, std::move(p));
}

receipt producer_state::receipt_for(const sealed_batch& b, const publish_result& answer) const {
  receipt r;
  r.topic = cfg_.options.topic;
  r.queue = b.at.number;
  r.priority = b.at.priority;
  r.placed = answer.placed;
  r.visible = answer.visible;
  r.offset = answer.base;
  r.id = {answer.shard, answer.index, answer.first_ordinal};
  r.duplicate = answer.duplicate;
  return r;
}

void producer_state::settle(batch_ticket ticket, result<receipt> outcome,
                            std::span<const repeated_message> repeats) {
  auto node = batches_.extract(ticket);
  if (node)
    cfg_.messages->settle(node.mapped().gathered, std::move(outcome), repeats);
}

void producer_state::arm_tick() {
  const auto at = window_.next_tick();
  if (!at || (tick_armed_ && *tick_armed_ <= *at))
    return;
  tick_armed_ = at;
  self->delayed_send(self, std::max(*at - now(), milliseconds{0}), tick_atom::value, ++tick_epoch_);
}

void producer_state::end(const error& why) {
  ended_ = why;
  self->quit();
}

caf::behavior producer_actor(caf::stateful_actor<producer_state>* self, producer_config cfg) {
  self->set_down_handler([self](caf::down_msg& m) { self->state.queue_lost(m); });
  self->set_default_handler(caf::drop);
  self->state.start(std::move(cfg));
  return {
      [self](published& p) { self->state.answered(p); },
      [self](flush_atom) { self->state.send_gathered(); },
      [self](tick_atom, std::uint64_t epoch) { self->state.tick(epoch); },
      [self](sweep_atom) { self->state.sweep(); },
      [self](const route& r) { self->state.routed(r); },
      [self](route_atom) { self->state.ask_route(); },
      [self](line_up& up) { self->state.line_came(up); },
      [self](const line_down&) { self->state.line_went(); },
      [self](line_closed& closed) { self->state.end(closed.why); },
      [self](stop_atom) {
        self->state.end({errc::shutting_down, "the producer was closed", "open another one"});
      },
  };
}

} // namespace troupe
