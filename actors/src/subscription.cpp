#include "subscription.hpp"

#include "delivery_builder.hpp"
#include "messaging.hpp"

#include "troupe/ordered_subscription.hpp"
#include "troupe/shared_subscription.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto store_timeout = 30s;

std::unique_ptr<subscription> new_core(const subscription_config& cfg) {
  if (cfg.rules.mode == group_mode::ordered)
    return std::make_unique<ordered_subscription>(subscription_limits{}, nullptr, cfg.rules.order_by,
                                                  cfg.queue);
  return std::make_unique<shared_subscription>(subscription_limits{}, nullptr, cfg.queue);
}

} // namespace

subscription_shell::subscription_shell(subscription_impl::pointer self) : self_(self) {}

void subscription_shell::init(subscription_config cfg) {
  cfg_ = std::move(cfg);
  const auto shard = cfg_.ctx->shard_of(cfg_.queue);
  data_ = cfg_.ctx->shards[shard];
  store_ = cfg_.ctx->stores[shard];
  origin_ = self_->clock().now();
  wall_origin_ = cfg_.ctx->clock->right(origin_);
  core_ = new_core(cfg_);
  settles_ = settle_window{cfg_.queue};
  reads_ = read_window{data_, cfg_.queue, cfg_.group_number,
                       [this](auto level, auto event, auto text) { report(level, event, std::move(text)); }};
  self_->monitor(cfg_.group);
  configure(cfg_.rules, cfg_.filter);
  restore();
}

timestamp subscription_shell::now() const {
  return wall_origin_ + std::chrono::duration_cast<milliseconds>(self_->clock().now() - origin_);
}

void subscription_shell::configure(const subscription_rules& rules, const std::string& filter) {
  core_->configure(rules.limits, rules.retry);
  auto parsed = parse_filter(filter);
  if (parsed) {
    filter_ = std::move(*parsed);
    return;
  }
  // The CATALOG checked it. With the filter from before, or with none, messages would be lost to the group or
  // come though nobody wants them: it gets nothing until it has a filter that can be read.
  filter_.reset();
  report(log_level::error, "bad_filter",
         "the group's filter cannot be read, and it gets nothing of queue " + std::to_string(cfg_.at.number) +
             " of topic " + cfg_.topic +
             " until another one is set with group subscribe: " + to_string(parsed.error()));
}

// -- the place in the queue
// -----------------------------------------------------------------------------------------

void subscription_shell::restore() {
  restore_at_.reset();
  auto stored = data_->subscription(cfg_.group_number, cfg_.queue);
  if (!stored)
    restart_later(stored.error());
  else if (*stored)
    begin(**stored);
  else if (restarting_)
    self_->quit(
        caf::exit_reason::user_shutdown); // removed under us: the GROUP knows whether it is still wanted
  else
    find_place();
}

/// The place is durable before anything is delivered: after a crash "latest" must not mean another one.
void subscription_shell::find_place() {
  auto to = start_offset();
  if (!to)
    return restart_later(to.error());
  self_->request(store_, store_timeout, propose_request{reset_entry{cfg_.group_number, cfg_.queue, 0, *to}})
      .then([this](const applied&) { restore(); },
            [this](const caf::error& err) { restart_later(from_caf(err)); });
}

result<queue_offset> subscription_shell::start_offset() const {
  if (cfg_.start.from == start_position::kind::time)
    return data_->offset_at(cfg_.queue, cfg_.start.at);
  auto extent = data_->extent(cfg_.queue);
  if (!extent)
    return extent.error();
  return cfg_.start.from == start_position::kind::latest ? extent->next : extent->first;
}

void subscription_shell::begin(const subscription_state& stored) {
  subscription::stored_state state{stored.row.gen, stored.row.floor, stored.settled, {}};
  state.retries.reserve(stored.retries.size());
  for (const auto& r : stored.retries)
    state.retries.push_back({r.offset, r.attempts, r.due});
  // Two to the 20th leases a millisecond: more than any subscription before this one has given.
  core_->restore(state, lease_id{static_cast<std::uint64_t>(to_unix_ms(now())) << 20});
  running_ = true;
  restarting_ = false;
  tail_known_ = false;
  const auto at = now();
  // What waits is announced before the start: when members come, the GROUP knows which lanes have something.
  learn_extent(at);
  watch_queue();
  react(at);
  self_->send(cfg_.group, subscription_started{cfg_.queue});
}

void subscription_shell::restart_later(const error& why) {
  report(log_level::warning, "start_failed", "progress could not be read or begun: " + to_string(why));
  restore_at_ = now() + pause;
  arm(now());
}

void subscription_shell::watch_queue() {
  if (!cfg_.source || !running_)
    return;
  self_->monitor(cfg_.source);
  self_->send(cfg_.source, watch{caf::actor_cast<caf::actor>(self_)});
}

void subscription_shell::found(const queue_found& q) {
  cfg_.source = q.queue;
  watch_queue();
}

void subscription_shell::lost(const caf::down_msg& down) {
  if (down.source == cfg_.group.address())
    return self_->quit(caf::exit_reason::user_shutdown);
  if (!cfg_.source || down.source != cfg_.source.address())
    return;
  cfg_.source = nullptr;
  if (reads_.under_way())
    gave_nothing({errc::internal, "the QUEUE died"}, now());
  self_->send(cfg_.group, queue_lost{cfg_.queue});
}

void subscription_shell::tail(const tail_moved& t) {
  const auto at = now();
  tail_known_ = true;
  core_->extent(t.first, t.next, at);
  react(at);
}

void subscription_shell::change(const subscription_changed& c) {
  configure(c.rules, c.filter);
  react(now());
}

// -- delivering
// -----------------------------------------------------------------------------------------------------

bool subscription_shell::can_read(timestamp at) const {
  return running_ && filter_ && settles_.closed() == errc::none && cfg_.source && !grant_ &&
         !reads_.paused(at);
}

void subscription_shell::serve(const grant& g) {
  const auto at = now();
  core_->expire(at);
  const bool ready = can_read(at);
  announced_ = 0;
  if (grant_) { // cannot happen: a grant is answered before there is another
    report(log_level::error, "two_grants", "a grant came while another one was being served");
    self_->send(cfg_.group, grant_used{.queue = cfg_.queue, .member = g.member});
    return;
  }
  grant_ = g;
  const auto next = ready ? core_->plan(g.member, at) : std::nullopt;
  if (next && next->alone)
    grant_->messages = 1;
  if (next)
    read(next->from, at);
  else
    finish_grant(0, 0);
  react(at);
}

void subscription_shell::read(queue_offset from, timestamp at) {
  const auto ask = reads_.begin(*grant_, *core_, !filter_->everything() || core_->needs_keys(), from, at);
  if (!ask)
    return deliver({.queue = cfg_.queue}, at);
  self_->send(cfg_.source,
              fetch{cfg_.queue, ask->from, ask->bytes, ask->tag, caf::actor_cast<caf::actor>(self_)});
}

void subscription_shell::arrived(fetched& f) {
  if (!reads_.awaits(f.tag))
    return; // given up before
  const auto at = now();
  for (const auto& d : f.damaged)
    report(log_level::error, "damaged", "messages are damaged and passed over: " + to_string(d));
  core_->expire(at);
  if (f.failed)
    gave_nothing(f.failed, at);
  else if (!filter_) // it was changed meanwhile
    finish_grant(0, 0);
  else
    deliver(f, at);
  react(at);
}

void subscription_shell::deliver(const fetched& f, timestamp at) {
  auto parcel =
      reads_.deliver(*core_, {*filter_, cfg_.ctx->clock->trusted(self_->clock().now())}, *grant_, f, at);
  if (!parcel)
    return finish_grant(0, 0, reads_.too_large());
  const auto size = parcel->frame.size;
  tell(self_, grant_->consumer,
       delivery{cfg_.queue, cfg_.topic, cfg_.at.number, data_->id(), core_->current(), parcel->lease,
                parcel->messages, std::move(parcel->frame), cfg_.at.priority});
  finish_grant(parcel->messages, size);
}

void subscription_shell::gave_nothing(const error& why, timestamp at) {
  report(log_level::warning, "read_failed", "messages could not be read: " + to_string(why));
  reads_.failed(at);
  finish_grant(0, 0);
  arm(at);
}

void subscription_shell::finish_grant(std::uint32_t messages, std::uint32_t bytes, std::uint64_t too_large) {
  const auto member = grant_->member;
  grant_.reset();
  const auto at = now();
  announced_ = can_read(at) ? core_->available(at) : 0;
  self_->send(cfg_.group, grant_used{cfg_.queue, member, messages, bytes, announced_,
                                     core_->holds_suspect(member), too_large});
}

// -- settling
// -------------------------------------------------------------------------------------------------------

void subscription_shell::settle(const settle_part& p) {
  // Without a place there are no leases; what came in now would be wiped when there is one, and yet
  // confirmed.
  if (!running_)
    return tell(self_, p.consumer,
                settled{cfg_.queue, p.confirm, static_cast<std::uint32_t>(p.items.size()), errc::lease_lost});
  const auto at = now();
  learn_extent(at);
  std::vector<settle_window::news> news;
  settles_.settle(p, *core_, at, news);
  tell_settlers(news);
  react(at);
}

/// A late acknowledgement counts as far as the queue goes, also before the QUEUE has said how far that is.
void subscription_shell::learn_extent(timestamp at) {
  if (tail_known_)
    return;
  if (const auto extent = data_->extent(cfg_.queue))
    core_->extent(extent->first, extent->next, at);
}

void subscription_shell::write(timestamp at) {
  std::vector<settle_window::news> news;
  const auto w = running_ ? settles_.begin(*core_, at, news) : std::nullopt;
  tell_settlers(news);
  if (w)
    self_->send(store_, settle_request{.section = {.group = cfg_.group_number,
                                                   .queue = cfg_.queue,
                                                   .gen = core_->current(),
                                                   .ranges = w->ranges},
                                       .now = w->now,
                                       .tag = w->tag,
                                       .reply_to = caf::actor_cast<caf::actor>(self_)});
}

void subscription_shell::committed(const settle_committed& c) {
  const auto at = now();
  // The generation before the rest: a store that knows of another one has ignored the settles.
  const bool other = !c.failed && c.row.gen != core_->current();
  const auto code = c.failed ? c.failed.code : other ? errc::lease_lost : errc::none;
  std::vector<settle_window::news> news;
  if (!settles_.end(c.tag, code, *core_, at, news))
    return;
  if (c.failed)
    report(log_level::warning, "settle_failed", "settles are not durable yet: " + to_string(c.failed));
  tell_settlers(news);
  if (other) {
    stop();
    restore();
  }
  react(at);
}

/// Until restore() has found the place again, nothing is delivered or settled.
void subscription_shell::stop() {
  std::vector<settle_window::news> news;
  settles_.abandon(errc::lease_lost, news);
  tell_settlers(news);
  running_ = false;
  restarting_ = true;
  if (grant_) {
    reads_.give_up();
    finish_grant(0, 0);
  }
}

// -- reset
// ----------------------------------------------------------------------------------------------------------

result<queue_reset> subscription_shell::plan_reset(const reset_group& r) const {
  auto extent = data_->extent(cfg_.queue);
  if (!extent)
    return extent.error();
  auto to = r.to == reset_target::earliest ? extent->first : extent->next;
  if (r.to == reset_target::offset)
    to = std::clamp(r.offset, extent->first, extent->next);
  if (r.to == reset_target::time) {
    auto at = data_->offset_at(cfg_.queue, from_unix_ms(r.time));
    if (!at)
      return at.error();
    to = *at;
  }
  return queue_reset{cfg_.at.number,
                     core_->floor(),
                     to,
                     core_->leased(),
                     r.to == reset_target::offset && to != r.offset,
                     cfg_.at.priority,
                     {}};
}

/// The new generation is durable before anything is delivered from it. What comes of the old one meanwhile is
/// too late.
caf::result<queue_reset> subscription_shell::reset(const reset_group& r) {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "a subscription is reset by its own node", "ask the GROUP"});
  if (!running_)
    return to_caf(
        {errc::overloaded,
         "queue " + std::to_string(cfg_.at.number) + " of topic " + cfg_.topic + " has no place yet",
         "try again", std::chrono::seconds{1}});
  auto planned = plan_reset(r);
  if (!planned)
    return to_caf(planned.error());
  if (r.dry_run)
    return *planned;
  stop();
  auto promise = self_->make_response_promise<queue_reset>();
  self_
      ->request(store_, store_timeout,
                propose_request{reset_entry{cfg_.group_number, cfg_.queue, 0, planned->to}})
      .then(
          [this, promise, done = *planned](const applied&) mutable {
            restore();
            promise.deliver(done);
          },
          [this, promise](caf::error& err) mutable {
            restore();
            promise.deliver(std::move(err));
          });
  return promise;
}

void subscription_shell::tell_settlers(std::vector<settle_window::news>& all) {
  for (auto& n : all)
    tell(self_, n.consumer, n.what);
}

void subscription_shell::renew(const renew_part& p) {
  const auto at = now();
  for (auto lease : p.leases)
    core_->renew(lease, p.member, at);
}

void subscription_shell::gone(const member_gone& g) {
  const auto at = now();
  core_->member_gone(g.member, g.failed, at);
  if (grant_ && grant_->member == g.member && reads_.under_way()) {
    reads_.give_up(); // nobody to deliver to
    finish_grant(0, 0);
  }
  react(at);
}

// -- what follows
// ---------------------------------------------------------------------------------------------------

void subscription_shell::react(timestamp at) {
  if (auto releases = core_->take_releases(); !releases.empty())
    self_->send(cfg_.group, messages_released{cfg_.queue, std::move(releases)});
  write(at);
  announce(at);
  arm(at);
}

void subscription_shell::announce(timestamp at) {
  if (!can_read(at))
    return;
  // Twice as much is news: a small backlog is dealt out in small pieces.
  if (const auto available = core_->available(at); available > 0 && available / 2 >= announced_) {
    announced_ = available;
    self_->send(cfg_.group, subscription_ready{cfg_.queue, available});
  }
}

void subscription_shell::arm(timestamp at) {
  std::optional<timestamp> next;
  const auto consider = [&](const std::optional<timestamp>& deadline) {
    if (deadline && (!next || *deadline < *next))
      next = deadline;
  };
  if (running_) {
    consider(core_->next_deadline(at));
    consider(settles_.next_deadline(*core_));
  }
  consider(reads_.next_deadline());
  consider(restore_at_);
  if (!next || (timer_at_ && *timer_at_ <= *next))
    return;
  timer_at_ = next;
  self_->delayed_send(self_, std::max(*next - at, milliseconds{1}), subscription_tick_atom::value, ++timer_);
}

void subscription_shell::tick(std::uint64_t timer) {
  if (timer != timer_)
    return;
  timer_at_.reset();
  const auto at = now();
  core_->expire(at);
  if (reads_.expire(at))
    gave_nothing({errc::timeout, "the read did not end in time"}, at);
  std::vector<settle_window::news> news;
  settles_.expire(*core_, at, news);
  tell_settlers(news);
  if (restore_at_ && *restore_at_ <= at)
    restore();
  react(at);
}

caf::result<subscription_status> subscription_shell::status() const {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "a subscription's status is for its own node", "ask the GROUP"});
  subscription_status s{.topic = cfg_.topic,
                        .number = cfg_.at.number,
                        .floor = core_->floor(),
                        .next = core_->next(),
                        .leased = core_->leased(),
                        .retrying = core_->retrying(),
                        .unsettled = core_->unsettled(),
                        .priority = cfg_.at.priority};
  // The store knows the end also while the QUEUE has not told us yet: "no lag" would be a lie.
  if (auto extent = data_->extent(cfg_.queue); extent && extent->next > s.next) {
    s.unsettled += extent->next.value - s.next.value;
    s.next = extent->next;
  }
  s.estimated = !(filter_ && filter_->everything()) && core_->cursor() < s.next;
  if (auto dead = data_->dead_count(cfg_.queue, cfg_.group_number))
    s.dead = *dead;
  if (auto expired = data_->expired_count(cfg_.queue, cfg_.group_number))
    s.expired = *expired;
  if (s.floor >= s.next)
    return s;
  if (auto oldest = data_->stored_at(cfg_.queue, s.floor); oldest && *oldest)
    s.lag_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, (cfg_.ctx->now() - **oldest).count()));
  return s;
}

void subscription_shell::report(log_level level, std::string_view event, std::string text) const {
  log(cfg_.ctx->log, {level,
                      name,
                      event,
                      std::move(text),
                      {{"group", std::to_string(cfg_.group_number.value)},
                       {"topic", cfg_.topic},
                       {"queue", std::to_string(cfg_.queue.value)}}});
}

subscription_impl::behavior_type
subscription_behavior(subscription_impl::stateful_pointer<subscription_shell> self, subscription_config cfg) {
  ignore_strangers(self);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.lost(down); });
  self->state.init(std::move(cfg));
  const auto inside = [self](auto handle) {
    if (from_here(self))
      handle(self->state);
  };
  return {
      [=](const grant& g) { inside([&](auto& s) { s.serve(g); }); },
      [=](const settle_part& p) { inside([&](auto& s) { s.settle(p); }); },
      [=](const renew_part& p) { inside([&](auto& s) { s.renew(p); }); },
      [=](const member_gone& g) { inside([&](auto& s) { s.gone(g); }); },
      [=](const subscription_changed& c) { inside([&](auto& s) { s.change(c); }); },
      [=](const queue_found& q) { inside([&](auto& s) { s.found(q); }); },
      [=](const tail_moved& t) { inside([&](auto& s) { s.tail(t); }); },
      [=](fetched& f) { inside([&](auto& s) { s.arrived(f); }); },
      [=](const settle_committed& c) { inside([&](auto& s) { s.committed(c); }); },
      [self](const reset_group& r) { return self->state.reset(r); },
      [self](status_atom) { return self->state.status(); },
      [=](subscription_tick_atom, std::uint64_t timer) { inside([&](auto& s) { s.tick(timer); }); },
  };
}

subscription_actor spawn_subscription(caf::actor_system& sys, subscription_config cfg) {
  return sys.spawn(subscription_behavior, std::move(cfg));
}

} // namespace troupe
