#include "troupe/group_credit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace troupe {
namespace {

constexpr std::uint32_t plenty = 64u << 20;

/// One line of lanes with queue ids 1, 2, ... for priorities 0, 1, ..., and a member that settles at once
/// what it gets. Grants are used up, as far as there are messages.
struct line_of_lanes {
  explicit line_of_lanes(std::uint8_t lanes, std::uint16_t low_share, std::uint32_t largest_grant = 90)
      : credit({.messages = largest_grant, .bytes = plenty, .share = 10}), waiting(lanes), got(lanes) {
    credit.set_low_share(low_share);
    for (std::uint8_t p = 0; p < lanes; ++p)
      credit.place(lane(p), lane(0), p);
    credit.add_member(1, 1'000'000);
    credit.add_credit(1, 1'000'000'000, plenty);
  }

  static queue_id lane(std::size_t priority) { return queue_id{static_cast<std::uint32_t>(1 + priority)}; }
  static std::size_t priority(queue_id q) { return q.value - 1; }

  void publish(std::size_t priority, std::uint64_t messages) {
    waiting[priority] += messages;
    credit.ready(lane(priority), waiting[priority]);
  }
  /// The lane that the next messages come from; none: nothing waits.
  std::optional<std::size_t> serve() {
    const auto g = credit.next();
    if (!g)
      return {};
    EXPECT_FALSE(credit.next()) << "a second grant for one line";
    const auto p = priority(g->queue);
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(g->messages, waiting[p]));
    waiting[p] -= n;
    got[p] += n;
    credit.used(g->queue, n, 0, waiting[p]);
    credit.released(g->queue, 1, n);
    credit.add_credit(1, n, 0);
    return p;
  }
  /// "priority:messages ..." until so many messages came.
  std::string serve(std::uint64_t messages) {
    std::string out;
    for (auto before = served(); served() - before < messages;) {
      const auto at = served();
      const auto p = serve();
      if (!p)
        break;
      out += std::to_string(*p) + ":" + std::to_string(served() - at) + " ";
    }
    return out;
  }
  std::uint64_t served() const { return std::accumulate(got.begin(), got.end(), std::uint64_t{0}); }

  group_credit credit;
  std::vector<std::uint64_t> waiting;
  std::vector<std::uint64_t> got;
};

TEST(lanes, the_highest_with_messages_goes_first_when_the_group_is_strict) {
  line_of_lanes aut{3, 0};
  aut.publish(0, 100);
  aut.publish(2, 100);
  aut.publish(1, 100);
  EXPECT_EQ(aut.serve(150), "2:90 2:10 1:90 ");
  aut.publish(2, 5);
  EXPECT_EQ(aut.serve(200), "2:5 1:10 0:90 0:10 ") << "also one that comes later";
}

TEST(lanes, are_served_one_at_a_time_and_lines_in_turn) {
  group_credit aut{{.messages = 10, .bytes = 1000, .share = 10}};
  for (std::uint32_t n = 0; n < 2; ++n)
    for (std::uint8_t p = 0; p < 2; ++p)
      aut.place(queue_id{1 + 2 * n + p}, queue_id{1 + 2 * n}, p);
  aut.add_member(1, 1000);
  aut.add_credit(1, 1000, plenty);
  for (std::uint32_t q = 1; q <= 4; ++q)
    aut.ready(queue_id{q}, 100);
  auto a = aut.next();
  auto b = aut.next();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->queue, queue_id{2});
  EXPECT_EQ(b->queue, queue_id{4});
  EXPECT_FALSE(aut.next()) << "each line has its grant";
  aut.used(queue_id{4}, 10, 0, 0);
  b = aut.next();
  ASSERT_TRUE(b);
  EXPECT_EQ(b->queue, queue_id{3}) << "nothing higher waits";
}

TEST(lanes, one_message_in_ten_is_the_lower_ones) {
  line_of_lanes aut{2, 10};
  aut.publish(0, 20'000);
  aut.publish(1, 20'000);
  EXPECT_EQ(aut.serve(200), "1:90 0:10 1:90 0:10 ");
  aut.serve(9'800);
  EXPECT_EQ(aut.got, (std::vector<std::uint64_t>{1'000, 9'000}));
}

TEST(lanes, messages_count_and_not_grants) {
  line_of_lanes aut{2, 4, 1}; // grants of one message
  aut.publish(0, 20'000);
  aut.publish(1, 20'000);
  EXPECT_EQ(aut.serve(8), "1:1 1:1 1:1 0:1 1:1 1:1 1:1 0:1 ");
  aut.serve(9'992);
  EXPECT_EQ(aut.got, (std::vector<std::uint64_t>{2'500, 7'500}));
}

TEST(lanes, the_nine_lower_ones_of_ten_share_what_the_highest_leaves_and_none_starves) {
  line_of_lanes aut{10, 10};
  for (std::size_t p = 0; p < 10; ++p)
    aut.publish(p, 20'000);
  aut.serve(9'000);
  EXPECT_EQ(aut.got, (std::vector<std::uint64_t>{100, 100, 100, 100, 100, 100, 100, 100, 100, 8'100}));
  aut.serve(1'000);
  EXPECT_EQ(aut.got[9], 9'000u);
}

TEST(lanes, a_share_that_is_not_used_up_by_few_large_messages_goes_on) {
  line_of_lanes aut{2, 10};
  aut.publish(0, 1'000);
  aut.publish(1, 1'000);
  EXPECT_EQ(aut.serve(90), "1:90 ");
  auto g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(0));
  EXPECT_EQ(g->messages, 10u);
  aut.credit.used(g->queue, 4, 5'000'000, 996); // as many as the bytes allowed
  g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(0));
  EXPECT_EQ(g->messages, 6u);
}

TEST(lanes, nothing_is_earned_while_nothing_lower_waits_and_what_nobody_wants_is_forgotten) {
  line_of_lanes aut{2, 10};
  aut.publish(1, 5'000);
  aut.serve(1'000);
  aut.publish(0, 500);
  EXPECT_EQ(aut.serve(100), "1:90 0:10 ") << "no part of the thousand before";
  aut.waiting[0] = 1; // the others were trimmed
  aut.credit.ready(aut.lane(0), 1);
  EXPECT_EQ(aut.serve(91), "1:90 0:1 ");
  EXPECT_EQ(aut.serve(90), "1:90 ");
  aut.publish(0, 500);
  EXPECT_EQ(aut.serve(100), "1:90 0:10 ") << "the nine that it could not use are gone";
}

TEST(lanes, a_lower_one_that_gives_nothing_of_what_it_earned_leaves_the_highest_its_turn) {
  line_of_lanes aut{3, 10};
  for (std::size_t p = 0; p < 3; ++p)
    aut.publish(p, 20'000);
  // A filter wants nothing of the lower ones, as far as they were looked at.
  std::uint64_t empty = 0;
  for (int i = 0; i < 200; ++i) {
    const auto g = aut.credit.next();
    ASSERT_TRUE(g);
    const bool high = aut.priority(g->queue) == 2;
    empty = high ? 0 : empty + 1;
    ASSERT_LE(empty, 1u) << "grant " << i;
    aut.credit.used(g->queue, high ? g->messages : 0, 0, 20'000);
    aut.credit.released(g->queue, 1, high ? g->messages : 0);
  }
}

TEST(lanes, debts_to_lanes_that_cannot_be_paid_are_bounded) {
  line_of_lanes aut{2, 10};
  aut.publish(0, 50'000);
  aut.publish(1, 50'000);
  aut.credit.bar(aut.lane(0), 1);
  aut.serve(40'000);
  EXPECT_EQ(aut.got[0], 0u) << "nobody may have a lower one";
  aut.credit.add_member(2, 1'000'000);
  aut.credit.add_credit(2, 1'000'000, plenty);
  std::uint64_t lower_first = 0;
  while (auto g = aut.credit.next()) {
    if (aut.priority(g->queue) == 1)
      break;
    lower_first += g->messages;
    aut.credit.used(g->queue, g->messages, 0, 10'000);
    aut.credit.released(g->queue, g->member, g->messages);
  }
  EXPECT_EQ(lower_first, 90u) << "one grant's worth";
}

TEST(lanes, a_member_that_is_barred_from_the_highest_gets_the_next) {
  line_of_lanes aut{2, 0};
  aut.publish(0, 50);
  aut.publish(1, 50);
  aut.credit.bar(aut.lane(1), 1);
  const auto g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(0));
}

TEST(lanes, a_lane_whose_grant_gave_nothing_lets_the_lower_ones_go_once) {
  line_of_lanes aut{3, 0};
  for (std::size_t p = 0; p < 3; ++p)
    aut.publish(p, 1'000);
  const auto next_gives = [&](std::uint32_t messages) {
    const auto g = aut.credit.next();
    if (!g)
      return std::size_t{99};
    aut.credit.used(g->queue, messages, 0, 1'000);
    aut.credit.released(g->queue, 1, messages);
    return aut.priority(g->queue);
  };
  EXPECT_EQ(next_gives(0), 2u);
  EXPECT_EQ(next_gives(0), 1u);
  EXPECT_EQ(next_gives(0), 0u);
  EXPECT_EQ(next_gives(0), 2u) << "round again";
  EXPECT_EQ(next_gives(7), 1u);
  EXPECT_EQ(next_gives(7), 2u) << "something was given: the highest is first again";
}

TEST(lanes, one_whose_grant_found_nothing_left_is_first_again_when_something_comes) {
  line_of_lanes aut{2, 0};
  aut.publish(0, 1'000);
  aut.publish(1, 10);
  auto g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(1));
  aut.credit.used(g->queue, 0, 0, 0);
  aut.credit.ready(aut.lane(1), 10);
  g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(1));
}

TEST(lanes, one_that_is_gone_leaves_its_line_to_the_others) {
  line_of_lanes aut{3, 10};
  for (std::size_t p = 0; p < 3; ++p)
    aut.publish(p, 100);
  const auto g = aut.credit.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, aut.lane(2));
  aut.credit.remove_queue(aut.lane(2)); // with its grant
  EXPECT_EQ(aut.serve(90), "1:90 ");
  aut.credit.remove_queue(aut.lane(0)); // that the line is named by
  EXPECT_EQ(aut.serve(10), "1:10 ");
  aut.credit.place(aut.lane(2), aut.lane(0), 2);
  aut.waiting[2] = 0;
  aut.publish(2, 5);
  aut.publish(1, 5);
  EXPECT_EQ(aut.serve(10), "2:5 1:5 ") << "it is the highest of the line again";
  for (std::size_t p = 1; p < 3; ++p)
    aut.credit.remove_queue(aut.lane(p));
  EXPECT_FALSE(aut.credit.next());
}

/// Lines of lanes with members that come, go and settle at random; every grant is judged against what waits.
class random_lines {
public:
  explicit random_lines(std::uint64_t seed)
      : rng_{seed}, lanes_(static_cast<std::uint8_t>(2 + pick(9))),
        share_(static_cast<std::uint16_t>(pick(3) == 0 ? 0 : 2 + pick(20))), waiting_(lines * lanes_),
        out_(lines), was_low_(lines), earned_(lines), passing_(lines), passed_over_(lines) {
    aut_.set_low_share(share_);
    for (std::size_t i = 0; i < waiting_.size(); ++i)
      aut_.place(id(i), id(i - i % lanes_), static_cast<std::uint8_t>(i % lanes_));
  }

  void step() {
    switch (pick(6)) {
    case 0:
      if (held_.size() < 3)
        join();
      break;
    case 1:
      if (pick(20) == 0 && !held_.empty()) {
        aut_.remove_member(held_.begin()->first);
        held_.erase(held_.begin());
      }
      break;
    case 2:
    case 3:
      publish(pick(waiting_.size()), 1 + pick(200));
      break;
    case 4:
      settle();
      break;
    default:
      use(pick(lines));
    }
    take_grants();
  }

  /// Serves all that waits.
  void drain() {
    draining_ = true;
    if (held_.empty())
      join();
    for (int round = 0; round < 10'000; ++round) {
      settle();
      take_grants();
      for (std::size_t l = 0; l < lines; ++l)
        use(l);
    }
    EXPECT_EQ(std::accumulate(waiting_.begin(), waiting_.end(), std::uint64_t{0}), 0u);
  }

private:
  static constexpr std::size_t lines = 3;

  static queue_id id(std::size_t lane) { return queue_id{static_cast<std::uint32_t>(1 + lane)}; }
  std::uint64_t pick(std::uint64_t n) { return rng_() % n; }

  void join() {
    aut_.add_member(++members_, 200);
    aut_.add_credit(members_, 1'000'000'000, plenty);
    held_[members_] = {};
  }
  void publish(std::size_t lane, std::uint64_t n) {
    waiting_[lane] += n;
    aut_.ready(id(lane), waiting_[lane]);
  }
  void settle() {
    for (auto& [member, of] : held_)
      for (auto& [queue, n] : of)
        aut_.released(queue_id{queue}, member, std::exchange(n, 0));
  }
  void use(std::size_t line) {
    if (!out_[line])
      return;
    const auto g = *std::exchange(out_[line], {});
    const auto lane = g.queue.value - 1;
    const auto held = held_.find(g.member);
    // At times a filter wants nothing of what it looked at, and looks on with its next grant.
    const bool unwanted = !draining_ && held != held_.end() && pick(5) == 0;
    const auto n = held == held_.end() || unwanted ? 0 : std::min<std::uint64_t>(g.messages, waiting_[lane]);
    waiting_[lane] -= n;
    if (n > 0)
      held->second[g.queue.value] += n;
    const auto whole = share_ > 0 ? share_ - 1u : 0u;
    if (was_low_[line] == kind::low)
      earned_[line] -= static_cast<std::int64_t>(n * whole);
    else if (was_low_[line] == kind::high)
      earned_[line] += static_cast<std::int64_t>(n);
    EXPECT_GE(earned_[line], 0) << "lower ones got more than their share";
    if (n > 0)
      passing_[line] = false;
    else if (unwanted && waiting_[lane] > 0 && was_low_[line] != kind::low)
      passing_[line] = true;
    aut_.used(g.queue, static_cast<std::uint32_t>(n), 0, waiting_[lane]);
  }
  void take_grants() {
    while (auto g = aut_.next()) {
      const auto lane = g->queue.value - 1;
      const auto line = lane / lanes_;
      ASSERT_FALSE(out_[line]) << "two grants for one line";
      ASSERT_GT(waiting_[lane], 0u);
      out_[line] = *g;
      const auto waits = [&](std::size_t from, std::size_t to) {
        return std::any_of(waiting_.begin() + static_cast<std::ptrdiff_t>(from),
                           waiting_.begin() + static_cast<std::ptrdiff_t>(to), [](auto n) { return n > 0; });
      };
      const bool higher = waits(lane + 1, (line + 1) * lanes_);
      const bool lower = waits(line * lanes_, lane);
      // The highest one that waits, once more, when all below it had their chance.
      passing_[line] = passing_[line] && higher;
      ASSERT_FALSE(higher && share_ == 0 && !passing_[line]) << "strict";
      passed_over_[line] = higher ? passed_over_[line] + 1 : 0;
      ASSERT_LE(passed_over_[line], starving) << "the highest waits for ever";
      was_low_[line] = higher && !passing_[line] ? kind::low : lower ? kind::high : kind::alone;
    }
  }

  /// Lanes that are passed over may each be asked in vain, and the lower ones are then paid what they earned:
  /// at most one grant of 50 messages, in pieces of one at least.
  static constexpr std::uint64_t starving = 10 + 50 + 10;
  enum class kind { alone, high, low };
  std::mt19937_64 rng_;
  std::uint8_t lanes_;
  std::uint16_t share_;
  group_credit aut_{{.messages = 50, .bytes = plenty, .share = 5}};
  std::vector<std::uint64_t> waiting_;
  std::map<std::uint64_t, std::map<std::uint32_t, std::uint64_t>> held_;
  std::uint64_t members_ = 0;
  /// By line: its grant, what kind it is, and what its lower lanes have earned and not got.
  std::vector<std::optional<credit_grant>> out_;
  std::vector<kind> was_low_;
  std::vector<std::int64_t> earned_;
  /// By line: its last grant gave nothing, so the lower ones go first; grants since the highest had one.
  std::vector<bool> passing_;
  std::vector<std::uint64_t> passed_over_;
  bool draining_ = false;
};

TEST(lanes, whatever_happens_nobody_gets_more_than_its_share_and_everything_is_served) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_lines all{seed};
    for (int i = 0; i < 5'000 && !testing::Test::HasFailure(); ++i)
      all.step();
    all.drain();
  }
}

} // namespace
} // namespace troupe
