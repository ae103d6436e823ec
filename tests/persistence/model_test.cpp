#include "shard_harness.hpp"
#include "shard_model.hpp"
#include "transaction_history.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <set>

namespace troupe::test {
namespace {

constexpr std::uint32_t queues = 4;
constexpr std::uint32_t groups = 3;
constexpr std::uint64_t producers = 4;
constexpr std::int64_t hour = 3'600'000;

/// Random proposals that fit the state the model is in: mostly sensible ones, with every kind of mistake
/// among them.
class history {
public:
  history(random_source& random, const shard_model& model)
      : random_(random), model_(model), transactions_(random, model, queues, groups) {}

  proposal next() {
    time_ += random_.one_in(10) ? -500 : static_cast<std::int64_t>(random_.below(20));
    if (random_.one_in(40))
      time_ += hour;
    proposal p{from_unix_ms(time_), {}};
    const auto dice = random_.below(128);
    if (dice < 42)
      p.body = append();
    else if (dice < 66)
      p.body = settles();
    else if (dice < 75)
      p.body = trims();
    else if (dice < 82)
      p.body = listing<redrive_entry>();
    else if (dice < 85)
      p.body = listing<purge_entry>();
    else if (dice < 90)
      p.body = timers();
    else if (dice < 94)
      p.body = reset_entry{group(), queue(), 0, near(queue())};
    else if (dice < 96)
      p.body = drop_queue_entry{queue(), group_id{random_.one_in(2) ? 0 : group().value}};
    else if (dice < 99)
      p.body = define();
    else if (dice < 102)
      p.body = evict();
    else if (dice < 105)
      p.body = forget_keys_entry{queue(),
                                 from_unix_ms(time_ - static_cast<std::int64_t>(random_.below(4)) * hour)};
    else if (dice < 127)
      p.body = transactions_.step(time_);
    return p;
  }

private:
  queue_id queue() { return queue_id{static_cast<std::uint32_t>(random_.between(1, queues))}; }
  group_id group() { return group_id{static_cast<std::uint32_t>(random_.between(1, groups))}; }

  const shard_model::queue& known(queue_id q) {
    static const shard_model::queue none;
    const auto found = model_.queues.find(q.value);
    return found == model_.queues.end() ? none : found->second;
  }
  /// An offset within the queue, or a little behind its end.
  queue_offset near(queue_id q) { return queue_offset{random_.below(known(q).next + 5)}; }

  /// Keys for so many messages, for half of the batches; an empty one is none.
  std::vector<std::string> keys(std::size_t count) {
    std::vector<std::string> some(count);
    if (random_.one_in(2))
      for (auto& key : some)
        if (!random_.one_in(8))
          key = "k" + std::to_string(random_.below(count > 100 ? 3000 : 30));
    return some;
  }

  append_entry append() {
    static constexpr std::int64_t windows[] = {0, 0, 30, hour, 3 * hour};
    append_entry e{queue(), {}, milliseconds{windows[random_.below(std::size(windows))]}};
    std::map<std::uint64_t, std::pair<std::uint32_t, std::uint64_t>>
        expected; // producer: epoch, last sequence
    for (auto n = random_.between(1, 5); n > 0; --n) {
      const auto producer = random_.between(1, producers);
      const auto row = model_.producers.find({e.queue.value, producer});
      auto& [epoch, last] = expected
                                .try_emplace(producer, row == model_.producers.end() ? 1 : row->second.epoch,
                                             row == model_.producers.end() ? 0 : row->second.last)
                                .first->second;
      auto sent_epoch = epoch;
      auto sequence = last + 1;
      switch (random_.below(14)) {
      case 0:
        sequence = random_.between(last > 70 ? last - 70 : 1, last + 1); // a repeat
        break;
      case 1:
        sequence = last + random_.between(2, 4); // a gap
        break;
      case 2:
        sent_epoch = epoch + 1; // a new incarnation, perhaps with a batch missing
        sequence = random_.one_in(3) ? 2 : 1;
        break;
      case 3:
        sent_epoch = epoch - 1;
        break;
      default:
        break;
      }
      const bool many = random_.one_in(20);
      const auto count = random_.one_in(10) ? 0 : random_.between(1, many ? 1500 : 6);
      const auto size = random_.below(many || !random_.one_in(20) ? 50 : 20000);
      auto b = make_keyed_batch(producer, sent_epoch, sequence, keys(count), size);
      if (random_.one_in(3) && !many)
        b = delayed(producer, sequence, count, size, sent_epoch);
      else if (random_.one_in(2))
        // Not so many repeats that an entry needs two rows, which the model knows nothing of.
        b = make_keyed_half(producer, sent_epoch, sequence,
                            many ? std::vector<std::string>(count) : keys(count), transactions_.whose(),
                            size);
      if (random_.one_in(40))
        b.header.crc ^= 0x10;
      else if (sequence == last + 1 && sent_epoch == epoch)
        last = sequence;
      e.batches.push_back(std::move(b));
    }
    return e;
  }

  batch delayed(std::uint64_t producer, std::uint64_t sequence, std::uint64_t count, std::size_t size,
                std::uint32_t epoch) {
    static constexpr std::uint64_t spans[] = {2'000, 600'000, 200'000'000};
    std::vector<keyed_message> messages;
    for (auto& key : keys(count))
      messages.push_back(
          {std::move(key), random_.one_in(20)
                               ? 0
                               : time_ + static_cast<std::int64_t>(random_.below(spans[random_.below(3)]))});
    return make_keyed_delayed(producer, epoch, sequence, messages, size);
  }

  /// Fires, splits or cancels some of what waits, and what does not.
  entry_body timers() {
    if (model_.timers.empty() || random_.one_in(20))
      return cancel_entry{
          queue(), {bucket_at(timer_level::days, from_unix_ms(time_)), log_index{1}, 0}, {log_index{1}, 0}};
    auto at = model_.timers.begin();
    std::advance(at, random_.below(std::min<std::size_t>(model_.timers.size(), 8)));
    auto place = [](const shard_model::timer_row& row) {
      return timer_row_place{
          {from_unix_ms(std::get<0>(row)), timer_levels[static_cast<std::size_t>(std::get<1>(row))]},
          log_index{std::get<2>(row)},
          0};
    };
    const auto row = place(at->first);
    const queue_id owner{std::get<3>(at->first)};
    if (row.bucket.level != timer_level::seconds && random_.one_in(2))
      return split_entry{row.bucket, static_cast<std::uint32_t>(random_.between(1, 30))};
    const auto& first = *at->second.begin();
    if (random_.one_in(4))
      return cancel_entry{owner, row, {log_index{std::get<1>(first)}, std::get<2>(first)}};
    fire_entry e{owner, static_cast<std::uint32_t>(random_.below(200)), {row}, {}};
    std::vector<shard_model::timer> due;
    for (auto n = random_.below(3); at != model_.timers.end(); ++at) {
      if (std::get<3>(at->first) != owner.value)
        continue;
      if (place(at->first) != row)
        e.rows.push_back(place(at->first));
      for (const auto& t : at->second)
        if (!random_.one_in(5))
          due.push_back(t);
      if (n-- == 0)
        break;
    }
    std::ranges::sort(due);
    for (const auto& t : due)
      e.messages.push_back({log_index{std::get<1>(t)}, std::get<2>(t)});
    e.messages.push_back(random_.one_in(3) && !due.empty() ? e.messages.front()
                                                           : message_place{log_index{1}, 99});
    return e;
  }

  settle_range range(queue_id q, const shard_model::subscription* s) {
    static constexpr settle_action actions[] = {
        settle_action::ack,   settle_action::ack,   settle_action::ack,     settle_action::skip,
        settle_action::retry, settle_action::retry, settle_action::expired, settle_action::dead};
    settle_range r;
    r.action = actions[random_.below(std::size(actions))];
    r.first = s && random_.one_in(2) ? queue_offset{s->floor + random_.below(4)} : near(q);
    r.count =
        static_cast<std::uint32_t>(random_.one_in(8) ? random_.between(1, 3000) : random_.between(1, 5));
    if (r.action == settle_action::retry) {
      r.attempts = static_cast<std::uint16_t>(random_.between(1, 16));
      r.retry_at = from_unix_ms(time_ + 1000);
    }
    if (r.action == settle_action::dead) {
      r.attempts = static_cast<std::uint16_t>(random_.between(1, 16));
      r.reason = static_cast<dead_reason>(random_.between(1, 4));
      r.detail = random_.letters(random_.one_in(3) ? random_.below(1025) : 0);
    }
    return r;
  }

  settle_entry settles() {
    settle_entry e;
    for (auto n = random_.between(1, 4); n > 0; --n) {
      settle_section section{group(), queue(), 0, generation{1}, {}};
      const auto found = model_.subscriptions.find({section.queue.value, section.group.value});
      const auto* s = found == model_.subscriptions.end() ? nullptr : &found->second;
      if (s)
        section.gen = generation{random_.one_in(10) ? s->gen - 1 : s->gen};
      for (auto ranges = random_.between(1, 4); ranges > 0; --ranges)
        section.ranges.push_back(range(section.queue, s));
      e.sections.push_back(std::move(section));
    }
    return e;
  }

  /// Dead letters of one group and queue, most of those that there are or a few, and some that are not there.
  template <class Listing> Listing listing() {
    const auto some = model_.dead_letters.lower_bound({queue().value, group().value, 0, 0});
    auto key = some == model_.dead_letters.end() ? shard_model::dead_key{1, 1, 1, 0} : some->first;
    Listing e{group_id{std::get<1>(key)}, queue_id{std::get<0>(key)}, {}};
    std::set<message_place> places{{log_index{random_.between(1, model_.index + 1)}, 0}};
    const auto one_in = random_.between(1, 6);
    for (const auto& [k, d] : model_.dead_letters)
      if (std::get<0>(k) == e.queue.value && std::get<1>(k) == e.group.value && random_.one_in(one_in) &&
          places.size() < max_listed_messages)
        places.insert({log_index{std::get<2>(k)}, std::get<3>(k)});
    e.messages.assign(places.begin(), places.end());
    return e;
  }

  trim_entry trims() {
    const auto q = queue();
    const auto& runs = known(q).runs;
    if (runs.empty() || random_.one_in(12))
      return {q, near(q)};
    return {q, queue_offset{runs[random_.below(std::min<std::size_t>(runs.size(), 3))].next()}};
  }

  evict_entry evict() {
    return {from_unix_ms(time_ - static_cast<std::int64_t>(random_.below(3)) * hour),
            random_.one_in(2) ? 1'000'000 : random_.between(0, producers * queues)};
  }

  define_entry define() {
    define_entry e;
    topic_definition topic;
    topic.id = topic_id{static_cast<std::uint32_t>(random_.between(1, 6))};
    topic.name = "t" + random_.letters(3);
    topic.options.queues = static_cast<std::uint32_t>(random_.between(1, 4));
    topic.queues = {{queue_id{static_cast<std::uint32_t>(random_.between(1, 50))}, topic.options.queues}};
    e.topics.push_back(topic);
    group_definition g;
    g.id = group_id{static_cast<std::uint32_t>(random_.between(1, 6))};
    g.name = "g" + random_.letters(3);
    g.subscriptions.push_back({topic.id, "a || b", {}});
    e.groups.push_back(g);
    if (random_.one_in(2)) {
      e.removed_topics.push_back(topic_id{static_cast<std::uint32_t>(random_.between(1, 6))});
      e.removed_groups.push_back(group_id{static_cast<std::uint32_t>(random_.between(1, 6))});
    }
    return e;
  }

  random_source& random_;
  const shard_model& model_;
  transaction_history transactions_;
  std::int64_t time_ = 5 * hour;
};

void expect_equal(const applied& got, const applied& wanted) {
  EXPECT_EQ(got.index, wanted.index);
  EXPECT_EQ(got.time, wanted.time);
  EXPECT_EQ(got.verdicts, wanted.verdicts);
  EXPECT_EQ(got.next, wanted.next);
  EXPECT_EQ(got.subscriptions, wanted.subscriptions);
  EXPECT_EQ(got.first, wanted.first);
  EXPECT_EQ(got.done, wanted.done);
  EXPECT_EQ(got.found, wanted.found);
  EXPECT_EQ(got.look_at, wanted.look_at);
  EXPECT_EQ(got.evicted, wanted.evicted);
  EXPECT_EQ(got.states, wanted.states);
  EXPECT_EQ(got.state, wanted.state);
  EXPECT_EQ(got.visible, wanted.visible);
  EXPECT_EQ(got.halves, wanted.halves);
}

void expect_equal(const stored_batch& got, const shard_model::stored& wanted) {
  EXPECT_EQ(got.header, wanted.header);
  EXPECT_EQ(got.base.value, wanted.base);
  EXPECT_EQ(got.index.value, wanted.index);
  EXPECT_EQ(got.first_ordinal, wanted.ordinal);
  EXPECT_EQ(to_unix_ms(got.stored), wanted.time);
  EXPECT_EQ(got.data.view(), wanted.data.view());
  EXPECT_EQ(got.only_for.value, wanted.only_for);
}

/// Fired and committed messages one by one, however they were put together for reading.
std::vector<stored_batch> apart(const std::vector<stored_batch>& batches) {
  std::vector<stored_batch> found;
  for (const auto& b : batches) {
    if (b.header.kind == batch_kind::plain) {
      found.push_back(b);
      continue;
    }
    const auto reader = batch_reader::open(b.header, b.data).value();
    for (std::uint32_t i = 0; i < reader.count(); ++i) {
      batch_builder builder;
      builder.add(reader.at(i));
      auto alone =
          b.header.kind == batch_kind::transactional ? builder.finish(reader.half()) : builder.finish();
      found.push_back(b);
      found.back().base.value += i;
      found.back().first_ordinal += i;
      found.back().data = alone.data;
      found.back().header.count = 1;
      found.back().header.size = alone.header.size;
      found.back().header.crc = alone.header.crc;
    }
  }
  return found;
}

/// What waits is what the model says, in its order, in one piece and in pages, and by its ids.
void expect_timers(const shard& s, const shard_model& m, random_source& random) {
  std::vector<delayed_message> wanted;
  std::map<std::uint32_t, std::uint64_t> counts;
  for (const auto& [row, waiting] : m.timers)
    for (const auto& [due, index, ordinal] : waiting) {
      wanted.push_back({from_unix_ms(due), {s.id(), log_index{index}, ordinal}, queue_id{std::get<3>(row)}});
      ++counts[std::get<3>(row)];
    }
  std::ranges::sort(wanted);
  const auto step = random.between(1, 50);
  std::vector<delayed_message> got;
  for (std::optional<delayed_message> after;; after = got.back()) {
    const auto some = s.delayed({}, after, step).value();
    ASSERT_LE(some.size(), step);
    got.insert(got.end(), some.begin(), some.end());
    if (some.empty())
      break;
  }
  ASSERT_EQ(got, wanted);
  for (std::uint32_t queue = 1; queue <= queues; ++queue) {
    EXPECT_EQ(s.extent(queue_id{queue}).value().delayed, counts[queue]);
    EXPECT_EQ(s.delayed({queue_id{queue}}, {}, 10'000).value().size(), counts[queue]);
  }
  if (wanted.empty())
    return;
  const auto& one = wanted[random.below(wanted.size())];
  const auto found = s.find_delayed({one.id.index, one.id.ordinal}).value();
  ASSERT_TRUE(found && found->row);
  EXPECT_EQ(found->due, one.due);
  EXPECT_EQ(found->queue, one.queue);
  EXPECT_TRUE(s.find(one.id).value().waits);
}

void expect_queue(const shard& s, std::uint32_t id, const shard_model::queue& q, random_source& random) {
  const auto e = s.extent(queue_id{id}).value();
  EXPECT_EQ(e.next.value, q.next);
  EXPECT_EQ(e.first.value, q.runs.empty() ? q.next : q.runs.front().base());
  std::vector<const shard_model::stored*> wanted;
  std::uint64_t bytes = 0;
  for (const auto& r : q.runs) {
    bytes += r.bytes();
    for (const auto& b : r.batches)
      wanted.push_back(&b);
  }
  EXPECT_EQ(e.bytes, bytes);
  EXPECT_EQ(to_unix_ms(e.oldest), wanted.empty() ? 0 : wanted.front()->visible);
  const auto got = apart(read_all(s, queue_id{id}, static_cast<std::uint32_t>(random.between(1, 30000))));
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    expect_equal(got[i], *wanted[i]);

  const std::uint64_t from = random.below(q.next + 3);
  const auto one = s.read(queue_id{id}, queue_offset{from}, 1).value();
  const auto first = std::ranges::find_if(wanted, [&](auto* b) { return b->base + b->header.count > from; });
  ASSERT_EQ(one.batches.size(), first == wanted.end() ? 0u : 1u);
  if (first != wanted.end())
    expect_equal(one.batches[0], **first);

  const auto time = wanted.empty() ? 0
                                   : wanted[random.below(wanted.size())]->visible +
                                         static_cast<std::int64_t>(random.below(3)) - 1;
  const auto since = std::ranges::find_if(wanted, [&](auto* b) { return b->visible >= time; });
  EXPECT_EQ(s.offset_at(queue_id{id}, from_unix_ms(time)).value().value,
            since == wanted.end() ? q.next : (*since)->base);

  const auto rows = s.oldest_rows(queue_id{id}, 5).value();
  ASSERT_EQ(rows.size(), std::min<std::size_t>(5, q.runs.size()));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    sum += q.runs[i].bytes();
    EXPECT_EQ(rows[i].next.value, q.runs[i].next());
    EXPECT_EQ(rows[i].bytes, sum);
    EXPECT_EQ(to_unix_ms(rows[i].last_time), q.runs[i].batches.back().visible);
  }
}

void expect_subscriptions(const shard& s, std::uint32_t queue, const shard_model& m) {
  std::vector<std::pair<group_id, subscription_row>> listed;
  for (std::uint32_t group = 1; group <= groups; ++group) {
    const auto got = s.subscription(group_id{group}, queue_id{queue}).value();
    const auto wanted = m.subscriptions.find({queue, group});
    ASSERT_EQ(got.has_value(), wanted != m.subscriptions.end());
    if (!got)
      continue;
    const auto& w = wanted->second;
    EXPECT_EQ(got->row, (subscription_row{generation{w.gen}, queue_offset{w.floor}, w.expired}));
    listed.emplace_back(group_id{group}, got->row);
    std::set<std::uint64_t> settled;
    std::uint64_t before = 0;
    for (const auto& [from, to] : got->settled) {
      EXPECT_LT(before, from.value); // sorted, disjoint, and no two that touch
      EXPECT_LT(from, to);
      before = to.value;
      for (auto at = from.value; at < to.value; ++at)
        settled.insert(at);
    }
    EXPECT_EQ(settled, w.settled);
    std::map<std::uint64_t, std::pair<std::uint16_t, std::int64_t>> retries;
    for (const auto& r : got->retries)
      retries[r.offset.value] = {r.attempts, to_unix_ms(r.due)};
    EXPECT_EQ(retries, w.retries);
  }
  EXPECT_EQ(s.subscriptions(queue_id{queue}).value(), listed);
}

void expect_dead_letters(const shard& s, std::uint32_t queue, const shard_model& m, random_source& random) {
  for (std::uint32_t group = 1; group <= groups; ++group) {
    std::vector<dead_letter> wanted;
    for (const auto& [key, d] : m.dead_letters)
      if (std::get<0>(key) == queue && std::get<1>(key) == group)
        wanted.push_back({{s.id(), log_index{std::get<2>(key)}, std::get<3>(key)},
                          queue_id{queue},
                          queue_offset{d.offset},
                          d.reason,
                          d.attempts,
                          from_unix_ms(d.died),
                          d.detail});
    EXPECT_EQ(s.dead_count(queue_id{queue}, group_id{group}).value(), wanted.size());
    std::vector<dead_letter> got;
    const auto step = random.between(1, 50);
    std::optional<message_place> after;
    for (;;) {
      const auto some = s.dead_letters(queue_id{queue}, group_id{group}, after, step).value();
      if (some.empty())
        break;
      ASSERT_LE(some.size(), step);
      got.insert(got.end(), some.begin(), some.end());
      after = message_place{some.back().id.index, some.back().id.ordinal};
    }
    EXPECT_EQ(got, wanted);
    if (wanted.empty())
      continue;
    const auto& one = wanted[random.below(wanted.size())];
    message_place place{one.id.index, one.id.ordinal};
    EXPECT_EQ(s.find_dead_letter(queue_id{queue}, group_id{group}, place).value(), one);
    place.ordinal += 100'000;
    EXPECT_FALSE(s.find_dead_letter(queue_id{queue}, group_id{group}, place).value());
    std::uint32_t there = 0;
    const auto found = m.find(one.id.index.value, one.id.ordinal, &there);
    ASSERT_TRUE(found);
    expect_equal(s.find(one.id).value(), *found);
  }
}

/// Everything that can be read of the shard is what the model says.
void expect_equal(const shard& s, const shard_model& m, random_source& random) {
  for (std::uint32_t queue = 1; queue <= queues; ++queue) {
    SCOPED_TRACE("queue " + std::to_string(queue));
    const auto found = m.queues.find(queue);
    expect_queue(s, queue, found == m.queues.end() ? shard_model::queue{} : found->second, random);
    expect_subscriptions(s, queue, m);
    expect_dead_letters(s, queue, m, random);
  }
  expect_timers(s, m, random);
  expect_transactions(s, m, random);
  for (int i = 0; i < 10 && m.index; ++i) {
    const auto index = random.between(1, m.index + 1);
    const auto ordinal = static_cast<std::uint32_t>(random.below(random.one_in(2) ? 4 : 20));
    std::uint32_t queue = 0;
    const auto wanted = m.find(index, ordinal, &queue);
    queue_id found_queue;
    const auto got = s.find({s.id(), log_index{index}, ordinal}, &found_queue);
    ASSERT_EQ(got.has_value(), wanted.has_value());
    if (wanted) {
      expect_equal(*got, *wanted);
      EXPECT_EQ(found_queue.value, queue);
    } else {
      EXPECT_EQ(got.error().code, errc::not_found);
    }
  }
  const auto d = s.load_definitions().value();
  EXPECT_EQ(d.topics.size(), m.topics.size());
  for (const auto& topic : d.topics)
    EXPECT_EQ(topic, m.topics.at(topic.id.value));
  EXPECT_EQ(d.groups.size(), m.groups.size());
  for (const auto& group : d.groups)
    EXPECT_EQ(group, m.groups.at(group.id.value));
  EXPECT_EQ(d.last_topic.value, m.last_topic);
  EXPECT_EQ(d.last_queue.value, m.last_queue);
  EXPECT_EQ(d.last_group.value, m.last_group);
  EXPECT_EQ(to_unix_ms(s.last_time()), m.time);
  EXPECT_EQ(s.stats().last.value, m.index);
  EXPECT_EQ(s.stats().entries, m.entries().size());
  producer_census census{m.producers.size(), {}};
  for (const auto& [key, p] : m.producers) {
    const auto end = from_unix_ms((p.time / hour + 1) * hour);
    census.oldest = std::min(census.oldest.value_or(end), end);
  }
  EXPECT_EQ(s.producers().value(), census);
}

/// Runs one history; the hash of all tables at its end.
std::uint64_t run(log_kind kind, std::uint64_t seed, int steps) {
  random_source random(seed);
  random_source reads(seed + 1); // what is read must not change what is written
  shard_model model;
  history next(random, model);
  shard_harness h(kind, small_shard(), seed);
  std::deque<applied> wanted;
  std::size_t compared = 0;
  auto compare_outcomes = [&] {
    for (; compared < h.outcomes.size() && !wanted.empty(); ++compared) {
      expect_equal(h.outcomes[compared], wanted.front());
      wanted.pop_front();
    }
    EXPECT_EQ(compared, h.outcomes.size());
  };
  for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    std::vector<proposal> proposals;
    for (auto n = random.between(1, 3); n > 0; --n) {
      proposals.push_back(next.next());
      wanted.push_back(model.apply(proposals.back()));
    }
    const bool reopen = random.one_in(25);
    EXPECT_EQ(h.append(std::move(proposals)), error{});
    if (reopen) {
      h.resend();
      h.reopen();
    }
    if (kind == log_kind::delayed && !reads.one_in(8)) {
      compare_outcomes();
      continue;
    }
    h.settle_down();
    compare_outcomes();
    EXPECT_TRUE(wanted.empty());
    expect_equal(h.store(), model, reads);
    if (reads.one_in(10)) {
      EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
    }
  }
  h.settle_down();
  compare_outcomes();
  expect_equal(h.store(), model, reads);
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
  return h.store().table_hash().value();
}

class random_histories : public testing::TestWithParam<std::uint64_t> {};

INSTANTIATE_TEST_SUITE_P(seeds, random_histories, testing::Range<std::uint64_t>(1, 13));

TEST_P(random_histories, leave_both_logs_with_what_the_model_says_and_with_equal_tables) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  const auto local = run(log_kind::local, GetParam(), 150);
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(run(log_kind::delayed, GetParam(), 150), local);
}

TEST(table_hash, differs_when_anything_in_the_tables_does) {
  shard_harness a(log_kind::local);
  shard_harness b(log_kind::local);
  EXPECT_EQ(a.store().table_hash().value(), b.store().table_hash().value());
  a.apply(publish(1, {make_batch(1, 1, 1, 1)}));
  EXPECT_NE(a.store().table_hash().value(), b.store().table_hash().value());
  b.apply(publish(1, {make_batch(1, 1, 1, 1)}));
  EXPECT_EQ(a.store().table_hash().value(), b.store().table_hash().value());
  b.apply({});
  EXPECT_NE(a.store().table_hash().value(), b.store().table_hash().value());
}

} // namespace
} // namespace troupe::test
