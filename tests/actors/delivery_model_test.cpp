#include "group_fixture.hpp"

#include "random_source.hpp"

#include "troupe/wire_dead.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

/// Random operations on a group with everything it has - members that come, go and crash, retries, rejects,
/// late settles, leases that end, messages that expire, changing filters, resets, dead letters redriven and
/// purged, ends of the GROUP before and after its settles are durable - on a real store, against a model that
/// keeps the state of every message at every place on its own. After each step: nothing lost, nothing twice,
/// nothing against its order, nothing that its filter does not want or that has expired, attempts exact, and
/// every message is settled, waiting or dead, as the store has it too.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t queues = 2;
constexpr auto lease_time = 5s;
constexpr std::uint16_t most_attempts = 3;
/// After so many steps of time a settle is durable.
constexpr std::uint64_t until_durable = 3;

struct sample {
  std::uint32_t key = 0;
  int n = 0;
  std::string tag;
  /// The epoch: never.
  timestamp expires{};
};

struct known_filter {
  const char* text;
  bool (*wants)(const sample&, std::uint16_t attempts);
};
constexpr known_filter filters[] = {
    {"*", [](const sample&, std::uint16_t) { return true; }},
    {"red || green", [](const sample& m, std::uint16_t) { return m.tag != "blue"; }},
    {"n < 7", [](const sample& m, std::uint16_t) { return m.n < 7; }},
    {"n BETWEEN 2 AND 8 AND tag <> 'red'",
     [](const sample& m, std::uint16_t) { return m.n >= 2 && m.n <= 8 && m.tag != "red"; }},
    {"attempt <= 2 OR tag IN ('red', 'blue')",
     [](const sample& m, std::uint16_t attempts) { return attempts < 2 || m.tag != "green"; }},
};

/// What the store says of one place.
struct stored_place {
  bool settled = false;
  std::uint16_t attempts = 0;
  bool operator==(const stored_place&) const = default;
};

/// One message at one offset: a redriven message has several.
struct place {
  std::size_t message = 0;
  bool open = true;
  std::uint16_t attempts = 0;
  timestamp due{};
  /// 0: nobody holds it.
  std::uint64_t lease = 0;
  std::uint64_t member = 0;
  timestamp lease_end{};
  bool suspect = false;
  /// It does not expire here.
  bool redriven = false;
  /// A filter did not want it, or it expired, while it waited: it may have been passed over.
  bool may_be_skipped = false;
  /// What it was before, and until which step of time.
  std::vector<std::pair<std::uint64_t, stored_place>> past;

  stored_place stored() const { return {!open, open ? attempts : std::uint16_t{0}}; }
};

struct held {
  queue_id queue;
  generation gen;
  lease_id lease;
  std::uint32_t number = 0;
  std::uint64_t offset = 0;
};

struct consumer_in_model {
  probe<delivery, settled, dismissed, group_news> inbox;
  std::uint64_t id = 0;
};

class delivery_model : public group_fixture, public testing::WithParamInterface<std::uint64_t> {
protected:
  void begin();
  void step();
  void drain();
  void redrive_all();
  void check();

  random_source random_{GetParam()};
  std::uint64_t deliveries_ = 0;

private:
  // -- what can happen
  void publish_some();
  void join_one();
  void lend(consumer_in_model& to, std::uint32_t messages);
  void leave_one(bool crash);
  void settle_one();
  void settle_late();
  void renew_one();
  void change_filter(std::size_t to);
  void reset_some();
  void end_group();
  void redrive_or_purge();
  void pass(milliseconds t);
  void settle_pass() {
    for (std::uint64_t i = 0; i <= until_durable; ++i)
      pass(20ms);
  }

  // -- what follows
  void observe();
  void delivered_one(consumer_in_model& to, const delivery& d, const delivered& m);
  void expect_order(const std::vector<place>& queue, std::size_t at, std::uint64_t lease);
  void expect_in_order(const delivery& d);
  void tell(consumer_in_model& by, const held& h, settle_action action, std::uint32_t delay, bool give_back);
  void done(place& p);
  void failed(place& p, milliseconds delay, bool suspect);
  void died(place& p);
  void released(place& p) { p.lease = p.member = 0; }
  /// It and what lies behind it of its key, in its lease.
  void taken_back(place& p, bool suspect);
  void expire();
  void note_unwanted();
  void remember(place& p) { p.past.emplace_back(time_steps_, p.stored()); }
  bool is_durable(const place& p) const {
    return p.past.empty() || p.past.back().first + until_durable < time_steps_;
  }
  /// What became a dead letter, or ceased to be one, is durable.
  bool is_listed(std::size_t m) const {
    const auto changed = dead_changed_.find(m);
    return changed == dead_changed_.end() || changed->second + until_durable < time_steps_;
  }
  bool wanted(const place& p) const {
    const auto& m = messages_[p.message];
    const bool expired = !p.redriven && m.expires != timestamp{} && m.expires <= now_;
    return !expired && filters[filter_].wants(m, p.attempts);
  }
  std::uint32_t order_of(const place& p) const {
    return group_definition_.options.order_by == group_order::queue ? 1 : messages_[p.message].key;
  }
  std::vector<stored_place> in_store(std::uint32_t number) const;
  std::set<message_id> listed();
  void believe_list();
  template <class Visit> void each(Visit visit) {
    for (auto& queue : places_)
      for (auto& p : queue)
        visit(p);
  }

  std::size_t filter_ = 0;
  std::vector<sample> messages_;
  std::map<message_id, std::size_t> number_of_;
  std::map<std::size_t, message_id> id_of_;
  std::vector<std::vector<place>> places_ = std::vector<std::vector<place>>(queues);
  std::vector<generation> generations_ = std::vector<generation>(queues);
  std::vector<consumer_in_model> members_;
  std::vector<held> once_held_;
  /// Dead letters, and those that were or were not some steps ago.
  std::set<std::size_t> dead_;
  std::map<std::size_t, std::uint64_t> dead_changed_;
  std::uint64_t time_steps_ = 0;
};

// -- the start, and each step
// ---------------------------------------------------------------------------------------------------

void delivery_model::begin() {
  auto& o = group_definition_.options;
  if (GetParam() % 3 != 0)
    o = default_options(group_mode::ordered);
  o.order_by = GetParam() % 3 == 1 ? group_order::queue : group_order::key;
  if (o.mode == group_mode::ordered && !random_.one_in(3))
    o.order_batch = static_cast<std::uint32_t>(random_.between(2, 8));
  o.lease = lease_time;
  o.max_attempts = most_attempts;
  o.on_exhausted = static_cast<exhausted_action>(random_.below(3));
  start(queues);
  for (std::uint32_t n = 0; n < queues; ++n)
    generations_[n] = progress_of(n).row.gen;
}

void delivery_model::step() {
  switch (random_.below(20)) {
  case 0:
  case 1:
  case 2:
    publish_some();
    break;
  case 3:
    join_one();
    break;
  case 4:
    leave_one(random_.one_in(2));
    break;
  case 5:
    settle_late();
    break;
  case 6:
    renew_one();
    break;
  case 7:
    if (random_.one_in(3))
      change_filter(random_.one_in(2) ? 0 : random_.below(std::size(filters)));
    break;
  case 8:
    if (random_.one_in(6))
      reset_some();
    break;
  case 9:
    if (random_.one_in(3))
      end_group();
    break;
  case 10:
    redrive_or_purge();
    break;
  case 11:
  case 12:
    pass(milliseconds{random_.between(20, 6000)});
    break;
  case 13:
    settle_pass();
    break;
  default:
    settle_one();
  }
  note_unwanted();
}

void delivery_model::drain() {
  change_filter(0);
  while (!members_.empty())
    leave_one(false);
  join_one();
  const auto waits = [this] {
    bool any = false;
    each([&](const place& p) { any = any || (p.open && !p.may_be_skipped) || p.lease != 0; });
    return any;
  };
  for (int round = 0; round < 2000 && waits() && !HasFailure(); ++round) {
    for (const auto& h : std::exchange(once_held_, {}))
      tell(members_[0], h, settle_action::ack, 0, false);
    lend(members_[0], 100);
    pass(500ms);
  }
  EXPECT_FALSE(waits()) << "a message was lost";
  pass(2s);
  settle_pass();
  check();
  std::uint64_t unsettled = 0;
  for (const auto& q : status().queues)
    unsettled += q.unsettled;
  EXPECT_EQ(unsettled, 0u);
}

void delivery_model::redrive_all() {
  while (!dead_.empty() && !HasFailure())
    redrive_or_purge();
  drain();
  EXPECT_TRUE(listed().empty());
}

// -- what can happen
// ---------------------------------------------------------------------------------------------------

void delivery_model::publish_some() {
  const auto number = static_cast<std::uint32_t>(random_.below(queues));
  std::vector<message> all;
  for (auto n = random_.between(1, 6); n > 0; --n) {
    sample s{static_cast<std::uint32_t>(random_.below(4)), static_cast<int>(random_.below(10)), {}};
    s.tag = std::vector<const char*>{"red", "green", "blue"}[random_.below(3)];
    message m{.body = std::to_string(messages_.size()), .tag = s.tag};
    if (s.key != 0)
      m.order_key = "key-" + std::to_string(s.key);
    m.properties = {{"n", std::to_string(s.n)}};
    if (random_.one_in(4)) {
      m.born = now_;
      m.ttl = milliseconds{random_.between(1, 12'000)};
      s.expires = m.born + *m.ttl;
    }
    all.push_back(std::move(m));
    places_[number].push_back({.message = messages_.size()});
    messages_.push_back(std::move(s));
  }
  publish_messages(number, all);
  observe();
}

void delivery_model::join_one() {
  if (members_.size() == 4)
    return;
  members_.push_back({world_.make_probe<delivery, settled, dismissed, group_news>()});
  auto& m = members_.back();
  const auto answer = world_.ask<joined>(aut, join{.group = "billing", .consumer = m.inbox.handle()});
  ASSERT_TRUE(answer) << to_string(answer.error());
  m.id = answer->member;
  lend(m, static_cast<std::uint32_t>(random_.between(1, 20)));
}

void delivery_model::lend(consumer_in_model& to, std::uint32_t messages) {
  to.inbox.send(aut, consume{.member = to.id, .messages = messages, .bytes = 1u << 20});
  run();
  observe();
}

/// Of one that crashes everything it holds has failed; but where it holds a suspect, that one was the cause.
void delivery_model::leave_one(bool crash) {
  if (members_.empty())
    return;
  auto gone = members_.begin() + static_cast<std::ptrdiff_t>(random_.below(members_.size()));
  for (auto& queue : places_) {
    bool held_suspect = false;
    for (const auto& p : queue)
      held_suspect = held_suspect || (p.member == gone->id && p.suspect);
    for (auto& p : queue) {
      if (p.member != gone->id)
        continue;
      if (crash && (p.suspect || !held_suspect))
        failed(p, 0ms, true);
      else
        taken_back(p, p.suspect || crash);
    }
  }
  auto m = *gone;
  members_.erase(gone);
  if (crash) {
    m.inbox.kill();
    run();
  } else {
    EXPECT_TRUE(world_.ask<bool>(aut, leave{m.id}));
  }
  observe();
}

void delivery_model::settle_one() {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
  for (std::uint32_t n = 0; n < queues; ++n)
    for (std::uint64_t at = 0; at < places_[n].size(); ++at)
      if (places_[n][at].lease != 0)
        out.emplace_back(n, at);
  if (out.empty() || members_.empty())
    return publish_some();
  const auto [n, at] = out[random_.below(out.size())];
  const auto& p = places_[n][at];
  const auto by = std::ranges::find(members_, p.member, &consumer_in_model::id);
  ASSERT_NE(by, members_.end());
  const held h{topic_definition_.queue(n), generations_[n], lease_id{p.lease}, n, at};
  switch (random_.below(8)) {
  case 0:
    tell(*by, h, settle_action::retry, 0, false);
    break;
  case 1:
    tell(*by, h, settle_action::retry, static_cast<std::uint32_t>(random_.between(1, 3000)), false);
    break;
  case 2:
    tell(*by, h, settle_action::retry, 0, true);
    break;
  case 3:
    tell(*by, h, settle_action::dead, 0, false);
    break;
  default:
    tell(*by, h, settle_action::ack, 0, false);
  }
  if (random_.one_in(2))
    lend(*by, static_cast<std::uint32_t>(random_.between(1, 5)));
}

/// What somebody held once, whatever became of it since.
void delivery_model::settle_late() {
  if (once_held_.empty() || members_.empty())
    return;
  const auto h = once_held_[random_.below(once_held_.size())];
  const auto action = random_.one_in(2)   ? settle_action::ack
                      : random_.one_in(2) ? settle_action::retry
                                          : settle_action::dead;
  tell(members_[random_.below(members_.size())], h, action, 0, false);
}

void delivery_model::renew_one() {
  if (members_.empty())
    return;
  auto& m = members_[random_.below(members_.size())];
  renew r{m.id, {}, {}};
  for (std::uint32_t n = 0; n < queues; ++n)
    for (auto& p : places_[n])
      if (p.member == m.id) {
        r.queues.push_back(topic_definition_.queue(n));
        r.leases.emplace_back(p.lease);
        p.lease_end = now_ + lease_time;
      }
  m.inbox.send(aut, r);
  run();
}

void delivery_model::change_filter(std::size_t to) {
  filter_ = to;
  group_definition_.subscriptions.front().filter = filters[filter_].text;
  ++group_definition_.version;
  redefine();
  note_unwanted();
  observe();
}

void delivery_model::reset_some() {
  const auto n = static_cast<std::uint32_t>(random_.below(queues));
  const auto to = random_.below(places_[n].size() + 1);
  const auto done = world_.ask<group_reset>(aut, reset_group{.name = "billing",
                                                             .topic = "orders",
                                                             .to = reset_target::offset,
                                                             .offset = queue_offset{to},
                                                             .queue = static_cast<std::int32_t>(n)});
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_EQ(done->queues.size(), 1u);
  EXPECT_EQ(done->queues[0].to.value, to);
  std::uint64_t leased = 0;
  for (std::size_t at = 0; at < places_[n].size(); ++at) {
    auto& p = places_[n][at];
    leased += p.lease != 0 ? 1 : 0;
    p = {.message = p.message, .open = at >= to, .redriven = p.redriven};
  }
  EXPECT_EQ(done->queues[0].leased, leased);
  generations_[n] = generation{generations_[n].value + 1};
  EXPECT_EQ(progress_of(n).row.gen, generations_[n]);
  observe();
  // What was said before and is not durable is void with its generation.
  std::set<std::size_t> unsure;
  for (const auto& [m, since] : dead_changed_)
    if (!is_listed(m))
      unsure.insert(m);
  settle_pass();
  for (const auto m : unsure)
    dead_changed_[m] = time_steps_;
  believe_list();
}

/// What was not durable may be as it was before; the store knows.
void delivery_model::end_group() {
  if (random_.one_in(2))
    settle_pass();
  caf::anon_send_exit(aut, caf::exit_reason::kill);
  run();
  for (auto i = until_durable; i > 0; --i)
    advance(20ms); // what the STORE has got is committed
  aut = spawn_group(world_.system(), ctx_, definitions());
  run();
  members_.clear();
  for (std::uint32_t n = 0; n < queues; ++n) {
    const auto truth = in_store(n);
    for (std::size_t at = 0; at < places_[n].size(); ++at) {
      auto& p = places_[n][at];
      bool possible = truth[at] == p.stored() || (truth[at].settled && p.may_be_skipped);
      for (const auto& [until, was] : p.past)
        possible = possible || (truth[at] == was && until + until_durable >= time_steps_);
      EXPECT_TRUE(possible) << "queue " << n << " offset " << at << ": in the store "
                            << (truth[at].settled ? "settled" : "open") << " after " << truth[at].attempts
                            << " attempts, here " << (p.open ? "open" : "settled") << " after " << p.attempts;
      const bool same = truth[at] == p.stored();
      p = {.message = p.message,
           .open = !truth[at].settled,
           .attempts = truth[at].attempts,
           .due = same ? p.due : timestamp{},
           .redriven = p.redriven};
    }
  }
  believe_list();
}

/// What became of letters that were not durable yet the store knows, too.
void delivery_model::believe_list() {
  std::set<std::size_t> truth;
  for (const auto& id : listed())
    truth.insert(number_of_.at(id));
  for (std::size_t m = 0; m < messages_.size(); ++m)
    if (is_listed(m)) {
      EXPECT_EQ(truth.contains(m), dead_.contains(m)) << "message " << m;
    }
  dead_ = std::move(truth);
  dead_changed_.clear();
}

void delivery_model::redrive_or_purge() {
  if (dead_.empty())
    return;
  settle_pass();
  std::vector<std::size_t> sure;
  std::ranges::copy_if(dead_, std::back_inserter(sure), [this](auto m) { return is_listed(m); });
  if (sure.empty())
    return;
  const auto m = sure[random_.below(sure.size())];
  const bool redrive = !random_.one_in(4);
  const auto done = world_.ask<dead_settled>(aut, settle_dead{"billing", {id_of_.at(m)}, redrive});
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_EQ(done->results.at(0).code, errc::none);
  dead_.erase(m);
  if (redrive)
    for (auto& queue : places_)
      if (std::ranges::find(queue, m, &place::message) != queue.end()) {
        queue.push_back({.message = m, .redriven = true});
        break;
      }
  run();
  observe();
}

void delivery_model::pass(milliseconds t) {
  ++time_steps_;
  now_ += t; // the wall clock; the fixture's advance() passes both
  expire();
  now_ -= t;
  advance(t);
  observe();
  note_unwanted();
}

// -- what follows
// ---------------------------------------------------------------------------------------------------

void delivery_model::observe() {
  for (std::size_t i = 0; i < members_.size(); ++i)
    for (const auto& d : members_[i].inbox.take<delivery>()) {
      auto all = unpack_frame(d.frame, d.shard);
      ASSERT_TRUE(all) << troupe::to_string(all.error());
      if (group_definition_.options.mode == group_mode::ordered)
        expect_in_order(d);
      bool suspect = false;
      for (const auto& m : *all) {
        suspect = suspect || places_[d.number].at(m.offset.value).suspect;
        delivered_one(members_[i], d, m);
      }
      EXPECT_TRUE(!suspect || all->size() == 1) << "a suspect was not leased alone";
    }
}

void delivery_model::delivered_one(consumer_in_model& to, const delivery& d, const delivered& m) {
  ++deliveries_;
  auto& p = places_[d.number].at(m.offset.value);
  SCOPED_TRACE("queue " + std::to_string(d.number) + " offset " + std::to_string(m.offset.value));
  EXPECT_EQ(m.message.body, std::to_string(p.message));
  EXPECT_EQ(d.gen, generations_[d.number]);
  EXPECT_TRUE(p.open) << "delivered after it was settled";
  EXPECT_EQ(p.lease, 0u) << "somebody else has it";
  EXPECT_EQ(m.attempts, p.attempts);
  EXPECT_LE(p.due, now_) << "too early";
  EXPECT_TRUE(wanted(p)) << "expired, or not wanted by " << filters[filter_].text;
  if (group_definition_.options.mode == group_mode::ordered)
    expect_order(places_[d.number], m.offset.value, d.lease.value);
  p.lease = d.lease.value;
  p.member = to.id;
  p.lease_end = now_ + lease_time;
  p.may_be_skipped = false;
  number_of_[m.id] = p.message;
  id_of_[p.message] = m.id;
  once_held_.push_back({d.queue, d.gen, d.lease, d.number, m.offset.value});
  if (once_held_.size() > 200)
    once_held_.erase(once_held_.begin());
}

/// What lies before it in its key is settled, or goes out with it; and not too many do.
void delivery_model::expect_order(const std::vector<place>& queue, std::size_t at, std::uint64_t lease) {
  const auto key = order_of(queue[at]);
  if (key == 0)
    return;
  std::uint32_t together = 1;
  for (std::size_t i = 0; i < at; ++i) {
    if (!queue[i].open || order_of(queue[i]) != key)
      continue;
    if (queue[i].lease == lease) {
      ++together;
      continue;
    }
    EXPECT_EQ(queue[i].lease, 0u) << "offset " << i << " of its key is out";
    EXPECT_TRUE(queue[i].may_be_skipped || !wanted(queue[i])) << "offset " << i << " of its key comes first";
  }
  EXPECT_LE(together, group_definition_.options.order_batch);
  for (std::size_t i = at + 1; i < queue.size(); ++i)
    EXPECT_TRUE(queue[i].lease == 0 || order_of(queue[i]) != key) << "offset " << i << " of its key is out";
}

/// As it was packed: what unpack_frame gives is sorted.
void delivery_model::expect_in_order(const delivery& d) {
  auto frame = frame_reader::open(d.frame, d.shard);
  ASSERT_TRUE(frame);
  std::map<std::uint32_t, std::uint64_t> last;
  while (frame->next()) {
    const auto at = frame->offset().value;
    const auto key = order_of(places_[d.number].at(at));
    if (key == 0)
      continue;
    EXPECT_TRUE(!last.contains(key) || last[key] < at) << "offset " << at << " came too late";
    last[key] = at;
  }
}

void delivery_model::taken_back(place& p, bool suspect) {
  const auto lease = p.lease;
  const auto key = order_of(p);
  p.suspect = suspect;
  p.due = {};
  released(p);
  if (group_definition_.options.mode != group_mode::ordered || key == 0)
    return;
  for (auto& queue : places_)
    if (&p >= queue.data() && &p < queue.data() + queue.size())
      for (auto behind = static_cast<std::size_t>(&p - queue.data()) + 1; behind < queue.size(); ++behind)
        if (queue[behind].lease == lease && order_of(queue[behind]) == key) {
          queue[behind].suspect = suspect || queue[behind].suspect;
          queue[behind].due = {};
          released(queue[behind]);
        }
}

void delivery_model::tell(consumer_in_model& by, const held& h, settle_action action, std::uint32_t delay,
                          bool give_back) {
  auto& p = places_[h.number][h.offset];
  if (h.gen == generations_[h.number] && p.open) {
    if (action == settle_action::ack) {
      done(p);
    } else if (p.lease == h.lease.value) {
      if (give_back)
        taken_back(p, p.suspect);
      else if (action == settle_action::retry)
        failed(p, milliseconds{delay}, false);
      else if (group_definition_.options.on_exhausted == exhausted_action::drop)
        done(p);
      else
        died(p);
    }
  }
  consume c{.member = by.id};
  c.settles.push_back({h.queue, h.gen, h.lease, queue_offset{h.offset}, 1, action, delay, give_back});
  by.inbox.send(aut, std::move(c));
  run();
  observe();
}

void delivery_model::done(place& p) {
  remember(p);
  p.open = false;
  released(p);
}

void delivery_model::died(place& p) {
  done(p);
  if (dead_.insert(p.message).second)
    dead_changed_[p.message] = time_steps_;
}

void delivery_model::failed(place& p, milliseconds delay, bool suspect) {
  remember(p);
  taken_back(p, suspect);
  ++p.attempts;
  const auto& o = group_definition_.options;
  if (p.attempts >= most_attempts && o.on_exhausted != exhausted_action::block) {
    p.past.pop_back();
    --p.attempts;
    return o.on_exhausted == exhausted_action::drop ? done(p) : died(p);
  }
  p.due = now_ + (delay > 0ms ? delay : milliseconds{1s});
}

void delivery_model::expire() {
  each([this](place& p) {
    if (p.lease != 0 && p.lease_end <= now_)
      failed(p, 0ms, true);
  });
}

void delivery_model::note_unwanted() {
  each([this](place& p) { p.may_be_skipped = p.may_be_skipped || (p.open && p.lease == 0 && !wanted(p)); });
}

std::vector<stored_place> delivery_model::in_store(std::uint32_t number) const {
  const auto state = progress_of(number);
  EXPECT_EQ(state.row.gen, generations_[number]);
  std::vector<stored_place> all(places_[number].size());
  for (std::size_t at = 0; at < all.size(); ++at)
    all[at].settled = at < state.row.floor.value;
  for (const auto& [first, next] : state.settled)
    for (auto at = first.value; at < next.value; ++at)
      all.at(at).settled = true;
  for (const auto& r : state.retries)
    all.at(r.offset.value).attempts = r.attempts;
  return all;
}

std::set<message_id> delivery_model::listed() {
  list_dead ask;
  ask.group = "billing";
  const auto page = world_.ask<dead_page>(aut, ask);
  EXPECT_TRUE(page) << to_string(page.error());
  std::set<message_id> all;
  if (page)
    for (const auto& letter : page->letters)
      all.insert(letter.id);
  return all;
}

void delivery_model::check() {
  std::uint64_t leased = 0;
  for (const auto& q : status().queues)
    leased += q.leased;
  each([&](const place& p) { leased -= p.lease != 0 ? 1 : 0; });
  EXPECT_EQ(leased, 0u) << "held by members";
  for (std::uint32_t n = 0; n < queues; ++n) {
    const auto truth = in_store(n);
    for (std::size_t at = 0; at < places_[n].size(); ++at) {
      const auto& p = places_[n][at];
      if (is_durable(p) && !p.may_be_skipped) {
        EXPECT_EQ(truth[at].settled, !p.open) << "queue " << n << " offset " << at;
        if (p.open) {
          EXPECT_EQ(truth[at].attempts, p.attempts) << "queue " << n << " offset " << at;
        }
      }
    }
  }
}

TEST_P(delivery_model, holds_whatever_happens) {
  SCOPED_TRACE(random_.describe());
  begin();
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    step();
    check();
  }
  if (!HasFailure())
    drain();
  if (!HasFailure())
    redrive_all();
  EXPECT_GT(deliveries_, 20u) << "hardly anything happened";
}

INSTANTIATE_TEST_SUITE_P(of, delivery_model, testing::Range(std::uint64_t{1}, std::uint64_t{41}));

} // namespace
} // namespace troupe::test
