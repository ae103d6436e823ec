#include "subscription.hpp"

#include "delivery_builder.hpp"
#include "messaging.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto store_timeout = 30s;
/// A rest of a batch that is less than this part of the grant is not worth a delivery of its own.
constexpr std::uint64_t small_rest = 2;

queue_offset end_of(const stored_batch& b) { return queue_offset{b.base.value + b.header.count}; }

} // namespace

subscription_shell::subscription_shell(subscription_impl::pointer self) : self_(self), core_({}, nullptr) {}

void subscription_shell::init(subscription_config cfg) {
  cfg_ = std::move(cfg);
  const auto shard = cfg_.ctx->shard_of(cfg_.queue);
  data_ = cfg_.ctx->shards[shard];
  store_ = cfg_.ctx->stores[shard];
  wall_origin_ = cfg_.ctx->now();
  origin_ = self_->clock().now();
  settles_ = settle_window{cfg_.queue};
  self_->monitor(cfg_.group);
  configure(cfg_.options, cfg_.filter);
  restore();
}

timestamp subscription_shell::now() const {
  return wall_origin_ + std::chrono::duration_cast<milliseconds>(self_->clock().now() - origin_);
}

void subscription_shell::configure(const group_options& options, const std::string& filter) {
  core_.configure({.lease = options.lease}, std::make_shared<fixed_delay>(options.retry_delay));
  auto parsed = parse_filter(filter);
  if (parsed) {
    filter_ = std::move(*parsed);
    return;
  }
  // The CATALOG checked it. Keep what there is; without any, deliver everything rather than skip what may be
  // wanted.
  report(log_level::error, "bad_filter", "the group's filter cannot be read: " + to_string(parsed.error()));
  if (!filter_)
    filter_ = *parse_filter("*");
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
  core_.restore(state);
  running_ = true;
  restarting_ = false;
  self_->send(cfg_.group, subscription_started{cfg_.queue});
  watch_queue();
  react(now());
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
  if (fetch_)
    gave_nothing({errc::internal, "the QUEUE died"}, now());
  self_->send(cfg_.group, queue_lost{cfg_.queue});
}

void subscription_shell::tail(const tail_moved& t) {
  const auto at = now();
  core_.extent(t.first, t.next, at);
  react(at);
}

void subscription_shell::change(const subscription_changed& c) {
  configure(c.options, c.filter);
  react(now());
}

// -- delivering
// -----------------------------------------------------------------------------------------------------

bool subscription_shell::can_read(timestamp at) const {
  return running_ && settles_.closed() == errc::none && cfg_.source && !grant_ &&
         (!read_after_ || *read_after_ <= at);
}

void subscription_shell::serve(const grant& g) {
  const auto at = now();
  core_.expire(at);
  const bool ready = can_read(at);
  announced_ = 0;
  if (grant_) { // cannot happen: a grant is answered before there is another
    report(log_level::error, "two_grants", "a grant came while another one was being served");
    self_->send(cfg_.group, grant_used{.queue = cfg_.queue, .member = g.member});
    return;
  }
  grant_ = g;
  const auto from = ready ? core_.plan(at) : std::nullopt;
  if (from)
    read(*from, at);
  else
    finish_grant(0, 0);
  react(at);
}

/// From what was kept of the last batch when that is enough, else (also) from the QUEUE.
void subscription_shell::read(queue_offset from, timestamp at) {
  fetch_state asked{0, at + fetch_timeout, from, std::exchange(rest_, {})};
  if (asked.rest) {
    const auto end = end_of(*asked.rest);
    if (from < asked.rest->base || from >= end)
      asked.rest.reset();
    else if (end.value - from.value >= grant_->messages / small_rest || end >= core_.next())
      return deliver(asked, {.queue = cfg_.queue}, at);
    else
      asked.from = end;
  }
  asked.tag = ++last_tag_;
  self_->send(cfg_.source,
              fetch{cfg_.queue, asked.from, bytes_to_read(), asked.tag, caf::actor_cast<caf::actor>(self_)});
  fetch_ = std::move(asked);
}

/// No more than the grant can use, by the size of the messages seen last; a filter may need all of it.
std::uint32_t subscription_shell::bytes_to_read() const {
  if (!filter_->everything())
    return grant_->bytes;
  const auto useful = std::uint64_t{grant_->messages} * bytes_each_;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(grant_->bytes, std::max<std::uint64_t>(useful, 1)));
}

void subscription_shell::arrived(fetched& f) {
  if (!fetch_ || f.tag != fetch_->tag)
    return; // given up before
  const auto at = now();
  const auto asked = *std::exchange(fetch_, {});
  for (const auto& d : f.damaged)
    report(log_level::error, "damaged", "messages are damaged and passed over: " + to_string(d));
  core_.expire(at);
  if (f.failed)
    gave_nothing(f.failed, at);
  else
    deliver(asked, f, at);
  react(at);
}

void subscription_shell::deliver(const fetch_state& asked, const fetched& f, timestamp at) {
  const auto lease = core_.begin(grant_->member, at);
  delivery_builder built{core_, *filter_, grant_->messages, grant_->bytes};
  if (asked.rest)
    take(built, *asked.rest, at);
  auto reached = asked.from;
  bool all = true;
  for (const auto& b : f.batches) {
    all = all && !built.full() && pass_over(reached, b.base, f, at);
    if (!all)
      break;
    take(built, b, at);
    reached = std::max(reached, end_of(b));
  }
  if (all && !built.full())
    pass_over(reached, f.next, f, at);
  const auto n = built.messages();
  if (!core_.commit()) {
    // The QUEUE has nothing where there should be something: ask again when it says so, and not at once.
    if (!asked.rest && reached == asked.from && f.next <= reached) {
      core_.exhausted(reached);
      read_after_ = at + pause;
    }
    return finish_grant(0, 0);
  }
  auto frame = built.pack();
  const auto size = frame.size;
  tell(self_, grant_->consumer,
       delivery{cfg_.queue, cfg_.topic, cfg_.number, data_->id(), core_.current(), lease, n,
                std::move(frame)});
  finish_grant(n, size);
}

/// Takes what is deliverable of a batch and keeps the batch when something is left.
void subscription_shell::take(delivery_builder& built, const stored_batch& b, timestamp at) {
  const auto end = end_of(b);
  if (b.header.count == 0)
    return;
  bytes_each_ = std::max(1u, b.header.size / b.header.count);
  if (auto bad = built.add(b)) {
    report(log_level::error, "damaged", "a batch is damaged and passed over: " + to_string(bad));
    core_.hole(b.base, end, at);
  }
  if (b.base <= core_.cursor() && core_.cursor() < end) {
    rest_ = b;
    rest_until_ = at + keep_batch;
  }
}

/// [first, next) is missing in what was read: settled, where it was trimmed or is damaged. False when a part
/// of it should be there; that is no reason to give it up.
bool subscription_shell::pass_over(queue_offset first, queue_offset next, const fetched& f, timestamp at) {
  if (first >= next)
    return true;
  offset_set gone;
  for (const auto& d : f.damaged)
    gone.add(d.first.value, d.next.value);
  if (auto extent = data_->extent(cfg_.queue))
    gone.add(0, extent->first.value);
  bool all = true;
  gone.visit_gaps(first.value, next.value, [&](auto, auto) { all = false; });
  gone.visit(first.value, next.value,
             [&](auto a, auto b) { core_.hole(queue_offset{a}, queue_offset{b}, at); });
  report(all ? log_level::info : log_level::error, all ? "passed_over" : "missing",
         "messages " + std::to_string(first.value) + " to " + std::to_string(next.value - 1) +
             (all ? " are no longer there" : " should be there and were not read"));
  if (!all)
    read_after_ = at + pause;
  return all;
}

void subscription_shell::gave_nothing(const error& why, timestamp at) {
  report(log_level::warning, "read_failed", "messages could not be read: " + to_string(why));
  fetch_.reset();
  read_after_ = at + pause;
  finish_grant(0, 0);
  arm(at);
}

void subscription_shell::finish_grant(std::uint32_t messages, std::uint32_t bytes) {
  const auto member = grant_->member;
  grant_.reset();
  const auto at = now();
  announced_ = can_read(at) ? core_.available(at) : 0;
  self_->send(cfg_.group, grant_used{cfg_.queue, member, messages, bytes, announced_});
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
  settle_window::settler who{p.consumer, p.confirm};
  bool changed = p.confirm != 0;
  for (const auto& item : p.items)
    changed = settle_one(item, who, at) || changed;
  if (changed && !settles_.add(who))
    tell(self_, who.consumer, settled{cfg_.queue, who.tag, who.refused, errc::overloaded});
  react(at);
}

/// False when there is nothing to be told about it later.
bool subscription_shell::settle_one(const settle_item& item, settle_window::settler& who, timestamp at) {
  if (item.count == 0)
    return false;
  if (!item.give_back && item.action != settle_action::ack && item.action != settle_action::retry) {
    ++who.refused;
    who.code = item.action == settle_action::dead ? errc::not_supported : errc::invalid_argument;
    if (who.tag == 0)
      tell(self_, who.consumer, settled{cfg_.queue, 0, 1, who.code});
    return false;
  }
  const auto wish = item.give_back                      ? settle_wish::give_back
                    : item.action == settle_action::ack ? settle_wish::ack
                                                        : settle_wish::retry;
  const auto outcome =
      core_.settle(wish, item.gen, item.lease, item.first, item.count, milliseconds{item.delay_ms}, at);
  if (outcome.refused > 0)
    ++who.refused;
  return outcome.refused < item.count;
}

void subscription_shell::write(timestamp at) {
  std::vector<settle_window::news> news;
  const auto w = running_ ? settles_.begin(core_, at, news) : std::nullopt;
  tell_settlers(news);
  if (w)
    self_->send(store_, settle_request{.section = {.group = cfg_.group_number,
                                                   .queue = cfg_.queue,
                                                   .gen = core_.current(),
                                                   .ranges = w->ranges},
                                       .now = w->now,
                                       .tag = w->tag,
                                       .reply_to = caf::actor_cast<caf::actor>(self_)});
}

void subscription_shell::committed(const settle_committed& c) {
  const auto at = now();
  // The generation before the rest: a store that knows of another one has ignored the settles.
  const bool other = !c.failed && c.row.gen != core_.current();
  const auto code = c.failed ? c.failed.code : other ? errc::lease_lost : errc::none;
  std::vector<settle_window::news> news;
  if (!settles_.end(c.tag, code, core_, at, news))
    return;
  if (c.failed)
    report(log_level::warning, "settle_failed", "settles are not durable yet: " + to_string(c.failed));
  if (other) {
    settles_.abandon(errc::lease_lost, news);
    running_ = false;
    restarting_ = true;
    restore();
  }
  tell_settlers(news);
  react(at);
}

void subscription_shell::tell_settlers(std::vector<settle_window::news>& all) {
  for (auto& n : all)
    tell(self_, n.consumer, n.what);
}

void subscription_shell::renew(const renew_part& p) {
  const auto at = now();
  for (auto lease : p.leases)
    core_.renew(lease, p.member, at);
}

void subscription_shell::gone(const member_gone& g) {
  const auto at = now();
  core_.member_gone(g.member, g.failed, at);
  if (grant_ && grant_->member == g.member && fetch_) {
    fetch_.reset(); // nobody to deliver to
    finish_grant(0, 0);
  }
  react(at);
}

// -- what follows
// ---------------------------------------------------------------------------------------------------

void subscription_shell::react(timestamp at) {
  if (auto releases = core_.take_releases(); !releases.empty())
    self_->send(cfg_.group, messages_released{cfg_.queue, std::move(releases)});
  write(at);
  announce(at);
  arm(at);
}

void subscription_shell::announce(timestamp at) {
  if (!can_read(at))
    return;
  // Twice as much is news: a small backlog is dealt out in small pieces.
  if (const auto available = core_.available(at); available > 0 && available / 2 >= announced_) {
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
    consider(core_.next_deadline(at));
    consider(settles_.next_deadline(core_));
  }
  if (fetch_)
    consider(fetch_->deadline);
  if (rest_)
    consider(rest_until_);
  consider(read_after_);
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
  core_.expire(at);
  if (read_after_ && *read_after_ <= at)
    read_after_.reset();
  if (rest_ && rest_until_ <= at)
    rest_.reset();
  if (fetch_ && fetch_->deadline <= at)
    gave_nothing({errc::timeout, "the read did not end in time"}, at);
  std::vector<settle_window::news> news;
  settles_.expire(core_, at, news);
  tell_settlers(news);
  if (restore_at_ && *restore_at_ <= at)
    restore();
  react(at);
}

caf::result<subscription_status> subscription_shell::status() const {
  if (!from_here(self_))
    return to_caf({errc::invalid_argument, "a subscription's status is for its own node", "ask the GROUP"});
  subscription_status s{cfg_.topic, cfg_.number,    core_.floor(),    core_.next(),
                        0,          core_.leased(), core_.retrying(), core_.unsettled()};
  // The store knows the end also while the QUEUE has not told us yet: "no lag" would be a lie.
  if (auto extent = data_->extent(cfg_.queue); extent && extent->next > s.next) {
    s.unsettled += extent->next.value - s.next.value;
    s.next = extent->next;
  }
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
      [self](status_atom) { return self->state.status(); },
      [=](subscription_tick_atom, std::uint64_t timer) { inside([&](auto& s) { s.tick(timer); }); },
  };
}

subscription_actor spawn_subscription(caf::actor_system& sys, subscription_config cfg) {
  return sys.spawn(subscription_behavior, std::move(cfg));
}

} // namespace troupe
