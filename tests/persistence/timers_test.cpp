#include "shard_harness.hpp"
#include "timer_row.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>

namespace troupe::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t begin = 1'800'000'000'000;
constexpr std::int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

/// What every shard_log makes of delayed messages.
class delayed_messages : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};
  std::map<std::uint32_t, std::uint64_t> sequences;

  applied send(const std::vector<std::int64_t>& dues, std::int64_t now = begin, std::uint32_t queue = 1) {
    return h.apply(publish(queue, {make_delayed(queue, ++sequences[queue], dues)}, now));
  }
  /// Does all that is to be done until there is nothing left; when to come again.
  std::optional<timestamp> work(std::int64_t now, std::size_t max = 16384) {
    for (;;) {
      auto found = h.store().due_timers(from_unix_ms(now), max).value();
      if (found.empty())
        return found.next;
      for (auto& fire : found.fires)
        h.apply({from_unix_ms(now), std::move(fire)});
      for (auto& split : found.splits)
        h.apply({from_unix_ms(now), split});
    }
  }
  std::vector<message_place> visible(std::uint32_t queue = 1) {
    std::vector<message_place> found;
    for (const auto& b : read_all(h.store(), queue_id{queue}))
      for (std::uint32_t i = 0; i < b.header.count; ++i)
        found.push_back({b.index, b.first_ordinal + i});
    return found;
  }
  cancel_entry cancel(message_place message) {
    const auto place = h.store().find_delayed(message).value().value();
    return {place.queue, place.row.value_or(timer_row_place{}), message};
  }
  std::uint64_t waiting(std::uint32_t queue = 1) { return h.store().extent(queue_id{queue}).value().delayed; }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(logs, delayed_messages, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(delayed_messages, have_an_id_and_no_place_in_their_queue_until_they_are_due) {
  const auto a = send({begin + 300, begin + 100, begin + 200});
  EXPECT_EQ(a.verdicts.at(0).what, batch_verdict::outcome::accepted);
  EXPECT_EQ(a.verdicts[0].index, log_index{1});
  EXPECT_EQ(a.look_at, from_unix_ms(begin + 100));
  EXPECT_EQ(a.next, queue_offset{0});
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(waiting(), 3u);
  EXPECT_TRUE(h.store().find({shard_id{}, log_index{1}, 2}).value().waits);
  expect_sound();
  EXPECT_EQ(work(begin + 99), from_unix_ms(begin + 100));
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(work(begin + 200), from_unix_ms(begin + 300));
  EXPECT_THAT(visible(), ElementsAre(at(1, 1), at(1, 2)));
  const auto found = h.store().find({shard_id{}, log_index{1}, 2}).value();
  EXPECT_FALSE(found.waits);
  EXPECT_EQ(found.base, queue_offset{1});
  EXPECT_EQ(work(begin + 1000), std::nullopt);
  EXPECT_THAT(visible(), ElementsAre(at(1, 1), at(1, 2), at(1, 0)));
  EXPECT_EQ(waiting(), 0u);
  expect_sound();
}

TEST_P(delayed_messages, are_read_as_they_were_sent_when_they_fire_in_that_order) {
  send({begin + 1, begin + 2, begin + 3, begin + 4});
  work(begin + 10);
  const auto all = read_all(h.store(), queue_id{1});
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].header.count, 4u);
  EXPECT_EQ(all[0].header.kind, batch_kind::delayed);
  const auto some = h.store().read(queue_id{1}, queue_offset{2}, 1u << 20).value().batches.at(0);
  EXPECT_EQ(some.base, queue_offset{2});
  EXPECT_EQ(some.header.count, 2u);
  EXPECT_THAT(bodies(some), ElementsAre(HasSubstr("1/1/1/2"), HasSubstr("1/1/1/3")));
}

TEST_P(delayed_messages, of_a_repeated_batch_wait_once_and_it_gets_its_first_answer) {
  const auto b = make_delayed(1, 1, {begin + 5, begin + 6});
  h.apply(publish(1, {make_batch(9, 1, 1, 3)}));
  const auto first = h.apply(publish(1, {b, make_batch(9, 1, 2, 1)}));
  const auto again = h.apply(publish(1, {b}));
  EXPECT_EQ(first.verdicts[1].base, queue_offset{3});
  EXPECT_EQ(again.verdicts.at(0).what, batch_verdict::outcome::duplicate);
  EXPECT_EQ(again.verdicts[0].index, log_index{2});
  EXPECT_EQ(waiting(), 2u);
  expect_sound();
}

TEST_P(delayed_messages, share_an_entry_with_plain_ones_and_outlive_their_retention) {
  h.apply(
      publish(1, {make_batch(8, 1, 1, 2), make_delayed(9, 1, {begin + day}), make_batch(8, 1, 2, 2)}, begin));
  EXPECT_THAT(visible(), ElementsAre(at(1, 0), at(1, 1), at(1, 3), at(1, 4)));
  h.apply(trim(1, 4));
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(h.store().stats().entries, 1u);
  expect_sound();
  h.reopen();
  work(begin + day);
  EXPECT_THAT(visible(), ElementsAre(at(1, 2)));
  EXPECT_EQ(h.store().extent(queue_id{1}).value().next, queue_offset{5});
  expect_sound();
  h.apply(trim(1, 5));
  EXPECT_EQ(h.store().stats().entries, 0u);
  expect_sound();
}

TEST_P(delayed_messages, that_are_cancelled_never_come_and_let_their_entry_go) {
  send({begin + day, begin + 1});
  EXPECT_EQ(h.apply({{}, cancel(at(1, 0))}).found, std::vector{true});
  EXPECT_FALSE(h.store().find_delayed(at(1, 0)).value()->row);
  EXPECT_EQ(h.store().find({shard_id{}, log_index{1}, 0}).error().code, errc::not_found);
  expect_sound();
  const auto late = cancel(at(1, 1));
  work(begin + 2 * day);
  EXPECT_EQ(h.apply({{}, late}).found, std::vector{false}) << "it fired before";
  EXPECT_THAT(visible(), ElementsAre(at(1, 1)));
  send({begin + 3 * day}, begin + 2 * day);
  const auto entries = h.store().stats().entries;
  h.apply({{}, cancel(at(h.outcomes.back().index.value))});
  EXPECT_EQ(h.store().stats().entries, entries - 1);
  EXPECT_EQ(waiting(), 0u);
  EXPECT_FALSE(h.store().find_delayed(at(99)).value());
  EXPECT_FALSE(h.store().find_delayed(at(1, 7)).value());
  expect_sound();
}

TEST_P(delayed_messages, that_were_cancelled_break_the_run_of_a_fire_that_lists_them) {
  send({begin + 1, begin + 2, begin + 3});
  auto fire = h.store().due_timers(from_unix_ms(begin + 10), 100).value().fires.at(0);
  h.apply({{}, cancel(at(1, 1))});
  const auto a = h.apply({from_unix_ms(begin + 10), fire});
  EXPECT_EQ(a.found, (std::vector{true, false, true}));
  EXPECT_EQ(a.first, queue_offset{0});
  EXPECT_EQ(a.next, queue_offset{2});
  EXPECT_THAT(visible(), ElementsAre(at(1, 0), at(1, 2)));
  EXPECT_EQ(h.apply({from_unix_ms(begin + 10), fire}).found, (std::vector{false, false, false}))
      << "nothing fires twice";
  expect_sound();
}

TEST_P(delayed_messages, move_to_finer_buckets_before_their_time_and_are_found_in_each) {
  const auto due = begin + 3 * day;
  EXPECT_EQ(send({due}).look_at, look_at(bucket_at(timer_level::days, from_unix_ms(due)), {}));
  std::set<timer_level> seen;
  for (auto now = begin; now < due;) {
    const auto next = work(now);
    ASSERT_TRUE(next);
    ASSERT_GT(*next, from_unix_ms(now));
    ASSERT_LE(*next, from_unix_ms(due)) << "in time";
    seen.insert(h.store().find_delayed(at(1, 0)).value()->row->bucket.level);
    now = to_unix_ms(*next);
    expect_sound();
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_THAT(visible(), IsEmpty());
  EXPECT_EQ(h.apply({{}, cancel(at(1, 0))}).found, std::vector{true});
  EXPECT_EQ(h.store().stats().entries, 0u);
  expect_sound();
}

TEST_P(delayed_messages, that_came_due_while_nobody_looked_fire_in_order_whatever_bucket_they_are_in) {
  send({begin + 5 * day, begin + 10, begin + 2 * hour, begin + 30 * day, begin + 90 * second});
  send({begin + 11, begin + 5 * day, begin + 2 * day});
  h.reopen();
  EXPECT_EQ(work(begin + 10 * day),
            look_at(bucket_at(timer_level::days, from_unix_ms(begin + 30 * day)), {}));
  EXPECT_THAT(visible(), ElementsAre(at(1, 1), at(2, 0), at(1, 4), at(1, 2), at(2, 2), at(1, 0), at(2, 1)));
  expect_sound();
}

TEST_P(delayed_messages, fire_in_the_order_of_their_times_when_there_are_more_than_one_look_takes) {
  random_source random(5);
  std::vector<std::tuple<std::int64_t, std::uint64_t, std::uint32_t>> wanted;
  for (std::uint64_t s = 1; s <= 40; ++s) {
    std::vector<std::int64_t> dues(20);
    for (std::uint32_t i = 0; i < dues.size(); ++i) {
      dues[i] = begin + static_cast<std::int64_t>(random.below(3 * second));
      wanted.emplace_back(dues[i], s, i);
    }
    send(dues);
  }
  std::ranges::sort(wanted);
  work(begin + minute, 70);
  const auto got = visible();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], at(std::get<1>(wanted[i]), std::get<2>(wanted[i])));
  expect_sound();
}

TEST_P(delayed_messages, of_a_queue_that_is_dropped_go_and_those_of_others_stay) {
  for (int i = 0; i < 200; ++i) {
    send({begin + i, begin + i * minute, begin + i * hour}, begin, 1);
    send({begin + i, begin + i * hour}, begin, 2);
  }
  int steps = 1;
  while (!h.apply(drop(1)).done)
    ++steps;
  EXPECT_GT(steps, 1);
  EXPECT_EQ(waiting(1), 0u);
  EXPECT_EQ(waiting(2), 400u);
  EXPECT_EQ(h.store().stats().entries, 200u);
  expect_sound();
  work(begin + 20 * day);
  EXPECT_EQ(visible(2).size(), 400u);
  expect_sound();
}

TEST_P(delayed_messages, die_and_are_redriven_as_others_do) {
  send({begin + 1, begin + 2});
  work(begin + 5);
  h.apply(reset(1, 1, 0));
  h.apply(settle(1, 1, 1, {dead(1)}));
  h.apply(trim(1, 2));
  expect_sound();
  EXPECT_EQ(dead_places(h.store(), queue_id{1}, group_id{1}, 9), std::vector{at(1, 1)});
  h.apply(redrive(1, 1, {at(1, 1)}));
  EXPECT_THAT(visible(), ElementsAre(at(1, 1)));
  expect_sound();
  h.apply(trim(1, 3));
  EXPECT_EQ(h.store().stats().entries, 0u);
}

TEST_P(delayed_messages, count_their_bytes_in_the_queue_they_become_visible_in) {
  h.apply(publish(1, {make_delayed(1, 1, {begin + 1, begin + 2}, 1000)}, begin));
  EXPECT_EQ(h.store().extent(queue_id{1}).value().bytes, 0u);
  work(begin + 5);
  EXPECT_NEAR(static_cast<double>(h.store().extent(queue_id{1}).value().bytes), 2100, 100);
}

/// A random schedule under a clock that is looked at now and then, jumps both ways, and restarts.
TEST_P(delayed_messages, fire_once_each_in_order_and_never_early_whatever_the_clock_does) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    random_source random(seed);
    shard_harness other(GetParam());
    std::map<message_place, std::int64_t> pending;
    std::map<message_place, std::int64_t> all;
    std::int64_t now = begin;
    std::uint64_t next_sequence = 0, fired = 0;
    for (int step = 0; step < 150; ++step) {
      now += static_cast<std::int64_t>(random.below(random.one_in(10) ? 2 * day : 20 * minute));
      if (random.one_in(12))
        now -= static_cast<std::int64_t>(random.below(3 * day));
      std::vector<std::int64_t> dues(random.below(30));
      for (auto& due : dues)
        due = now + static_cast<std::int64_t>(random.below(random.one_in(2) ? 40 * day : 10 * minute));
      if (!dues.empty()) {
        const auto index = other.apply(publish(1, {make_delayed(1, ++next_sequence, dues)}, now)).index;
        for (std::uint32_t i = 0; i < dues.size(); ++i)
          all[{index, i}] = pending[{index, i}] = dues[i];
      }
      if (random.one_in(20))
        other.reopen();
      auto last = std::pair<std::int64_t, message_place>{0, {}};
      for (;;) {
        auto found = other.store().due_timers(from_unix_ms(now), random.between(1, 50)).value();
        if (found.empty()) {
          EXPECT_EQ(found.next.has_value(), !pending.empty());
          for (const auto& [place, due] : pending)
            EXPECT_LE(*found.next, from_unix_ms(due));
          break;
        }
        for (const auto& fire : found.fires) {
          const auto a = other.apply({from_unix_ms(now), fire});
          EXPECT_THAT(a.found, testing::Each(true));
          for (const auto& place : fire.messages) {
            const std::pair at_time{all.at(place), place};
            EXPECT_LE(at_time.first, now);
            EXPECT_LT(last, at_time);
            EXPECT_EQ(pending.erase(place), 1u);
            last = at_time;
            ++fired;
          }
        }
        for (const auto& split : found.splits)
          other.apply({from_unix_ms(now), split});
      }
      for (const auto& [place, due] : pending)
        EXPECT_GT(due, now);
      EXPECT_EQ(other.store().extent(queue_id{1}).value().next, queue_offset{fired});
      if (random.one_in(15)) {
        EXPECT_THAT(other.store().verify({}), IsEmpty());
      }
    }
  }
}

TEST(timer_rows, come_back_as_they_were_packed_and_never_need_pages_of_their_own) {
  random_source random(3);
  for (int round = 0; round < 200; ++round) {
    const auto level = timer_levels[random.below(3)];
    const timer_row_place place{bucket_at(level, from_unix_ms(begin)), log_index{random.next()}, 0};
    std::vector<timer> timers(random.between(1, 700));
    for (auto& t : timers)
      t = {place.bucket.start +
               milliseconds{random.below(static_cast<std::uint64_t>(width_of(level).count()))},
           {log_index{random.one_in(2) ? place.index.value : random.next()},
            static_cast<std::uint32_t>(random.next())}};
    std::ranges::sort(timers);
    std::vector<char> packed;
    const auto n = pack_timers(timers, place, packed);
    ASSERT_GE(n, 1u);
    EXPECT_TRUE(n == timers.size() || packed.size() + 23 > max_timer_row);
    EXPECT_LE(packed.size(), max_timer_row);
    std::vector<timer> got;
    timer_row_reader in(place, packed);
    while (const auto t = in.next())
      got.push_back(*t);
    EXPECT_EQ(got, std::vector(timers.begin(), timers.begin() + static_cast<std::ptrdiff_t>(n)));
  }
}

std::string hex(std::span<const char> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes) {
    out += digits[c >> 4];
    out += digits[c & 15];
  }
  return out;
}

TEST(timer_rows, have_exactly_these_bytes) {
  const timer_row_place place{{from_unix_ms(0x0102040000), timer_level::minutes}, log_index{300}, 5};
  EXPECT_EQ(hex(key_of(queue_id{7}, place)), "000000010204000001000000000000012c000000070005");
}

TEST(opening, makes_the_tables_of_delayed_messages_that_a_directory_of_format_version_3_lacks) {
  scratch_directory dir;
  {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    h.apply(publish(1, {make_batch(1, 1, 1, 3)}));
  }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    for (auto table : {t.timers, t.delayed})
      check(mdb_drop(txn.get(), table, 1), "removing a table");
    txn.put(t.meta, meta_format, encode(format_row{3, {}, 1}));
  });
  shard_harness h(log_kind::local, dir.path(), small_shard());
  h.apply(publish(1, {make_delayed(2, 1, {begin})}));
  EXPECT_EQ(h.store().extent(queue_id{1}).value().delayed, 1u);
  EXPECT_THAT(h.store().verify({}), IsEmpty());
  h.close();
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    EXPECT_EQ(decode_format(txn.get(t.meta, meta_format).value()).version, format_row::current);
  });
}

/// What verify() says after rows were changed behind the shard's back.
class contradictions_of_delayed_messages : public testing::Test {
protected:
  std::vector<std::string> after(const std::function<void(lmdb_txn&, const tables&)>& change) {
    scratch_directory dir;
    {
      shard_harness h(log_kind::local, dir.path(), small_shard());
      h.apply(publish(1, {make_delayed(1, 1, {begin + day, begin + day + 1})}, begin));
      h.apply(publish(1, {make_batch(2, 1, 1, 1)}, begin));
    }
    tamper(dir.path(), change);
    shard_harness h(log_kind::local, dir.path(), small_shard());
    std::vector<std::string> said;
    for (const auto& d : h.store().verify({}))
      said.push_back(to_string(d));
    return said;
  }
  timer_row_place row{bucket_at(timer_level::days, from_unix_ms(begin + day)), log_index{1}, 0};
  timer first{from_unix_ms(begin + day), {log_index{1}, 0}};
  timer other{from_unix_ms(begin + day + 1), {log_index{1}, 1}};

  auto with(std::vector<timer> timers) {
    return [=, this](lmdb_txn& txn, const tables& t) {
      std::vector<char> value;
      pack_timers(timers, row, value);
      txn.put(t.timers, key_of(queue_id{1}, row), value);
    };
  }
};

TEST_F(contradictions_of_delayed_messages, are_found_in_both_directions) {
  EXPECT_THAT(after([](auto&, auto&) {}), IsEmpty());
  EXPECT_THAT(after(with({first})),
              testing::UnorderedElementsAre(HasSubstr("pinned 2 times"), HasSubstr("the count says 2")));
  EXPECT_THAT(after(with({first, {other.due + milliseconds{1}, other.message}})),
              ElementsAre(HasSubstr("waits for another time")));
  EXPECT_THAT(after(with({first, {other.due, {log_index{1}, 7}}})),
              ElementsAre(HasSubstr("does not hold it")));
  EXPECT_THAT(after(with({first, {other.due, {log_index{2}, 0}}})),
              testing::Contains(HasSubstr("was not delayed")));
  EXPECT_THAT(after([&](auto& txn, auto& t) { txn.erase(t.timers, key_of(queue_id{1}, row)); }),
              testing::IsSupersetOf({HasSubstr("0 hold the entry"), HasSubstr("there are 0 delayed")}));
  EXPECT_THAT(after([&](auto& txn, auto& t) { txn.erase(t.delayed, key_of(queue_id{1})); }),
              ElementsAre(HasSubstr("the count says 0")));
  EXPECT_THAT(
      after([&](auto& txn, auto& t) { txn.put(t.timers, key_of(queue_id{1}, row), std::string(3, '\xff')); }),
      testing::Contains(HasSubstr("reading delayed messages")));
  EXPECT_THAT(after([&](auto& txn, auto& t) { txn.put(t.timers, std::string(5, 'k'), std::string(3, '1')); }),
              testing::Contains(HasSubstr("reading delayed messages")));
}

} // namespace
} // namespace troupe::test
