#include "consumer_actor.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// How long small news wait for company. The STORE lets settles wait for 20 ms anyway.
constexpr milliseconds soon{10};

/// Joining again would not help.
bool is_final(errc code) {
  switch (code) {
  case errc::not_found:
  case errc::invalid_argument:
  case errc::too_large:
  case errc::inconsistent_subscription:
  case errc::not_supported:
  case errc::unknown_version:
  case errc::fenced: // another consumer has our name: joining again would only throw it out
    return true;
  default:
    return false;
  }
}

join to_join(const consumer_config& cfg, std::uint64_t version, caf::actor consumer) {
  const auto& o = cfg.options;
  join j;
  j.mode = o.mode.value_or(any_mode);
  j.made_up = cfg.made_up;
  j.version = version;
  j.group = o.group;
  j.member = o.member;
  for (const auto& t : o.topics)
    j.topics.push_back({t.topic, t.filter});
  j.start = static_cast<std::uint8_t>(o.start.from);
  j.start_time = to_unix_ms(o.start.at);
  j.consumer = std::move(consumer);
  return j;
}

membership_terms terms_of(const joined& j) {
  membership_terms terms{j.max_unsettled, milliseconds{j.lease_ms}, {}};
  if (j.mode == group_mode::ordered)
    terms.order = j.order_by;
  return terms;
}

} // namespace

consumer_state::~consumer_state() {
  if (cfg_.messages)
    cfg_.messages->end(ended_);
}

void consumer_state::start(consumer_config c) {
  cfg_ = std::move(c);
  pause_ = backoff(cfg_.min_backoff, cfg_.max_backoff);
  random_.seed(static_cast<std::minstd_rand::result_type>(cfg_.seed));
  self->send(cfg_.connection, attach_line{caf::actor_cast<caf::actor>(self)});
}

void consumer_state::line_came(line_up& up) {
  directory_ = std::move(up.directory);
  join_group();
}

void consumer_state::line_went() {
  directory_ = nullptr;
  ++attempt_;
  lose_membership({errc::disconnected, "the connection was lost before the node confirmed the settles",
                   "they may be durable or not; messages may come again"});
}

void consumer_state::join_group() {
  if (!directory_ || group_ || leaving_)
    return;
  const auto attempt = ++attempt_;
  self->request(directory_, cfg_.timeout, to_join(cfg_, version_, caf::actor_cast<caf::actor>(self)))
      .then([this, attempt](const joined& j) { joined_group(attempt, j); },
            [this, attempt](caf::error& why) { not_joined(attempt, from_caf(why)); });
}

void consumer_state::joined_group(std::uint64_t attempt, const joined& j) {
  if (attempt != attempt_ || leaving_) {
    // Too late: we have joined again, or want to go. Nobody else would end this membership.
    self->request(j.group, cfg_.timeout, leave{j.member}).then([](bool) {}, [](caf::error&) {});
    return;
  }
  group_ = j.group;
  member_ = j.member;
  group_id_ = j.id;
  lease_ = milliseconds{j.lease_ms};
  opened_ = true;
  learn(j.version, j.topics);
  pause_.reset();
  self->monitor(group_);
  cfg_.messages->joined(terms_of(j));
  tell_broker();
  arm_renewal();
}

void consumer_state::learn(std::uint64_t version, const std::vector<topic_filter>& topics) {
  if (topics.empty())
    return;
  version_ = version;
  cfg_.options.topics.clear();
  for (const auto& t : topics)
    cfg_.options.topics.push_back({t.topic, t.filter});
}

void consumer_state::learn(const group_news& n) {
  if (group_ && n.member == member_)
    learn(n.version, n.topics);
}

void consumer_state::not_joined(std::uint64_t attempt, error why) {
  if (attempt != attempt_ || !directory_)
    return;
  if (!opened_ || is_final(why.code))
    return end(why);
  join_later();
}

void consumer_state::join_later() {
  self->delayed_send(self, pause_.next(random_()), rejoin_atom::value, ++attempt_);
}

void consumer_state::rejoin(std::uint64_t attempt) {
  if (attempt == attempt_)
    join_group();
}

void consumer_state::lose_membership(const error& why) {
  if (group_)
    self->demonitor(group_);
  group_ = nullptr;
  member_ = 0;
  cfg_.messages->lost(unconfirmed_.empty() ? error{} : why);
  unconfirmed_.clear();
  confirmations_.clear();
  if (leaving_)
    end({});
}

void consumer_state::delivered(delivery& d) {
  if (!group_)
    return;
  auto messages = frame_reader::open(d.frame, d.shard);
  if (!messages) {
    cfg_.messages->damaged(d.messages, d.frame.size);
    log(cfg_.log, {log_level::error,
                   "consumer",
                   "damaged-delivery",
                   "a delivery cannot be read; its messages come again when their lease ends: " +
                       messages.error().reason,
                   {{"topic", d.topic}, {"queue", std::to_string(d.number)}}});
    return;
  }
  auto opened = std::make_shared<leased_message::impl>(std::move(*messages));
  opened->group = group_id_;
  opened->queue = d.queue;
  opened->topic = std::move(d.topic);
  opened->number = d.number;
  opened->priority = d.priority;
  opened->gen = d.gen;
  opened->lease = d.lease;
  opened->bytes = d.frame.size;
  cfg_.messages->deliver(std::move(opened));
}

void consumer_state::tell_broker() {
  if (!group_)
    return; // the next membership begins with it
  auto news = cfg_.messages->collect();
  consume c;
  c.member = member_;
  c.messages = news.messages;
  c.bytes = news.bytes;
  c.settles = std::move(news.settles);
  c.confirm = news.confirm;
  for (const auto& item : c.settles)
    unconfirmed_[item.queue] = 0;
  if (c.confirm != 0)
    expect_confirmation(c);
  if (c.messages != 0 || c.bytes != 0 || !c.settles.empty())
    self->send(group_, std::move(c));
}

/// Names, if only by an empty run, every queue with settles that are not known to be durable: also those of
/// earlier confirmations that failed or did not come.
void consumer_state::expect_confirmation(consume& c) {
  if (unconfirmed_.empty())
    return cfg_.messages->confirmed(std::exchange(c.confirm, 0), 0, {});
  std::set<queue_id> named;
  for (const auto& item : c.settles)
    named.insert(item.queue);
  confirmation asked{c.confirm, {}, 0, {}};
  for (auto& [queue, first] : unconfirmed_) {
    if (first == 0)
      first = c.confirm;
    asked.open.insert(queue);
    if (!named.contains(queue))
      c.settles.push_back({.queue = queue});
  }
  confirmations_.push_back(std::move(asked));
}

void consumer_state::confirmed(const settled& s) {
  if (s.tag == 0) // nobody asked, but it was refused
    return cfg_.messages->count_refused(s.refused);
  auto at = std::find_if(confirmations_.begin(), confirmations_.end(),
                         [&](const auto& c) { return c.number == s.tag; });
  if (at == confirmations_.end() || at->open.erase(s.queue) == 0)
    return;
  at->refused += s.refused;
  if (s.code != errc::none && s.code != errc::lease_lost)
    at->failed = {s.code, "the node could not make the settles durable", "messages may come again"};
  else if (auto queue = unconfirmed_.find(s.queue);
           queue != unconfirmed_.end() && queue->second != 0 && queue->second <= s.tag)
    unconfirmed_.erase(queue);
  if (!at->open.empty())
    return;
  cfg_.messages->confirmed(at->number, at->refused, at->failed);
  confirmations_.erase(at);
}

void consumer_state::tell_soon() { self->delayed_send(self, soon, news_atom::value); }

void consumer_state::arm_renewal() {
  self->delayed_send(self, std::max(lease_ / 3, milliseconds{1}), renew_atom::value, member_);
}

void consumer_state::renew_leases(std::uint64_t membership) {
  if (!group_ || membership != member_)
    return;
  renew r;
  r.member = member_;
  for (const auto& held : cfg_.messages->held()) {
    r.queues.push_back(held.queue);
    r.leases.push_back(held.lease);
  }
  if (!r.leases.empty())
    self->send(group_, std::move(r));
  tell_late();
  tell_broker(); // what was late is credit again
  arm_renewal();
}

void consumer_state::tell_late() {
  if (const auto n = cfg_.messages->take_late(); n > 0)
    log(cfg_.log, {log_level::warning,
                   "consumer",
                   "late-messages",
                   std::to_string(n) + " messages were not begun, because their lease may have ended while "
                                       "this process was stopped or starved; they come again",
                   {{"group", cfg_.options.group}}});
}

void consumer_state::renew_one(const held_lease& held) {
  if (!group_)
    return;
  renew r;
  r.member = member_;
  r.queues.push_back(held.queue);
  r.leases.push_back(held.lease);
  self->send(group_, std::move(r));
}

void consumer_state::was_dismissed(const dismissed& d) {
  if (!group_ || d.member != member_)
    return;
  error why{d.code == errc::none ? errc::disconnected : d.code, d.reason};
  if (why.code == errc::fenced)
    why.hint = "give each consumer a name of its own (--member NAME, or consumer_options::member), or none";
  lose_membership(why);
  if (is_final(why.code))
    end(why);
  else
    join_later();
}

void consumer_state::group_lost(const caf::down_msg& down) {
  if (!group_ || down.source != group_.address())
    return;
  lose_membership(
      {errc::disconnected, "the group went away before it confirmed the settles", "messages may come again"});
  join_later();
}

void consumer_state::leave_group() {
  if (std::exchange(leaving_, true))
    return;
  if (!group_)
    return end({});
  tell_broker();
  self->request(group_, cfg_.timeout, leave{member_})
      .then([this](bool) { end({}); }, [this](caf::error&) { end({}); });
}

void consumer_state::end(const error& why) {
  ended_ = why;
  self->quit();
}

caf::behavior consumer_actor(caf::stateful_actor<consumer_state>* self, consumer_config cfg) {
  self->set_down_handler([self](caf::down_msg& m) { self->state.group_lost(m); });
  self->set_default_handler(caf::drop);
  self->state.start(std::move(cfg));
  return {
      [self](delivery& d) { self->state.delivered(d); },
      [self](const settled& s) { self->state.confirmed(s); },
      [self](news_atom) { self->state.tell_broker(); },
      [self](soon_atom) { self->state.tell_soon(); },
      [self](renew_atom, std::uint64_t membership) { self->state.renew_leases(membership); },
      [self](const held_lease& held) { self->state.renew_one(held); },
      [self](const group_news& n) { self->state.learn(n); },
      [self](const dismissed& d) { self->state.was_dismissed(d); },
      [self](rejoin_atom, std::uint64_t attempt) { self->state.rejoin(attempt); },
      [self](leave_atom) { self->state.leave_group(); },
      [self](line_up& up) { self->state.line_came(up); },
      [self](const line_down&) { self->state.line_went(); },
      [self](line_closed& closed) { self->state.end(closed.why); },
  };
}

} // namespace troupe
