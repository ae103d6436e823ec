#include "troupe/group_credit.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

namespace troupe {
namespace {

constexpr std::uint32_t plenty = 64u << 20;
constexpr queue_id q1{1}, q2{2}, q3{3};

/// "member:queue:messages ..." of every grant that can be made now.
std::string grants(group_credit& c) {
  std::string out;
  while (auto g = c.next())
    out += std::to_string(g->member) + ":" + std::to_string(g->queue.value) + ":" +
           std::to_string(g->messages) + " ";
  return out;
}

struct group_credit_test : testing::Test {
  group_credit aut{{.messages = 100, .bytes = 1000, .share = 10}};
  void SetUp() override {
    aut.add_member(1, 1000);
    aut.add_member(2, 1000);
  }
};

TEST_F(group_credit_test, grants_nothing_without_credit_or_without_messages) {
  EXPECT_EQ(grants(aut), "");
  aut.ready(q1, 5000);
  EXPECT_EQ(grants(aut), "");
  aut.add_credit(1, 50, plenty);
  EXPECT_EQ(grants(aut), "1:1:50 ");
  aut.add_credit(1, 50, plenty);
  EXPECT_EQ(grants(aut), "") << "one outstanding grant per queue";
}

TEST_F(group_credit_test, believes_no_member_more_than_64_mib_of_credit) {
  group_credit one{{.messages = 1000, .bytes = 512u << 20, .share = 10}};
  one.add_member(1, 1000);
  for (int i = 0; i < 100; ++i)
    one.add_credit(1, 1000, 4'000'000'000u);
  one.ready(q1, 10);
  auto g = one.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->bytes, 64u << 20);
}

TEST_F(group_credit_test, serves_queues_and_members_in_turn) {
  aut.add_credit(1, 1000, plenty);
  aut.add_credit(2, 1000, plenty);
  for (auto q : {q1, q2, q3})
    aut.ready(q, 5000);
  EXPECT_EQ(grants(aut), "1:1:100 2:2:100 1:3:100 ");
  aut.used(q1, 100, 500, 4900);
  EXPECT_EQ(grants(aut), "2:1:100 ");
}

TEST_F(group_credit_test, splits_no_batch_of_an_ordered_group_between_the_members_that_wait) {
  aut.add_credit(1, 1000, plenty);
  aut.add_credit(2, 1000, plenty);
  aut.ready(q1, 32);
  EXPECT_EQ(grants(aut), "1:1:16 ") << "half of it";
  aut.set_least_share(32);
  aut.ready(q2, 32);
  EXPECT_EQ(grants(aut), "2:2:32 ");
}

TEST_F(group_credit_test,
       passes_over_a_member_that_is_barred_from_a_queue_until_it_releases_something_of_it) {
  aut.add_credit(1, 1000, plenty);
  aut.ready(q1, 5000);
  EXPECT_EQ(grants(aut), "1:1:100 ");
  aut.bar(q1, 1);
  aut.used(q1, 1, 10, 4999);
  EXPECT_EQ(grants(aut), "") << "nobody else has credit";
  aut.ready(q2, 50);
  EXPECT_EQ(grants(aut), "1:2:50 ") << "other queues go on";
  aut.add_credit(2, 1000, plenty);
  EXPECT_EQ(grants(aut), "2:1:100 ") << "the queue has waited for somebody else";
  aut.used(q1, 100, 1000, 4899);
  EXPECT_EQ(grants(aut), "2:1:100 ");
  aut.released(q1, 1, 1);
  aut.used(q1, 100, 1000, 4799);
  EXPECT_EQ(grants(aut), "1:1:100 ");
}

TEST_F(group_credit_test, serves_a_queue_again_when_the_only_member_is_barred_no_longer) {
  aut.add_credit(1, 1000, plenty);
  aut.ready(q1, 5000);
  grants(aut);
  aut.bar(q1, 1);
  aut.used(q1, 1, 10, 4999);
  EXPECT_EQ(grants(aut), "");
  aut.ready(q1, 4998);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 1, 1);
  EXPECT_EQ(grants(aut), "1:1:100 ");
  aut.bar(q1, 1);
  aut.used(q1, 1, 10, 4999);
  EXPECT_EQ(grants(aut), "");
  aut.remove_queue(q1);
  aut.add_credit(1, 10, plenty);
  EXPECT_EQ(grants(aut), "") << "a queue that is gone waits no longer";
}

TEST_F(group_credit_test, splits_a_small_backlog_between_the_members_that_wait) {
  aut.add_credit(1, 1000, plenty);
  aut.add_credit(2, 1000, plenty);
  aut.ready(q1, 60);
  EXPECT_EQ(grants(aut), "1:1:30 ");
  aut.used(q1, 30, 300, 30);
  EXPECT_EQ(grants(aut), "2:1:15 ");
  aut.used(q1, 15, 150, 15);
  EXPECT_EQ(grants(aut), "1:1:10 ") << "but not into crumbs";
}

TEST_F(group_credit_test, gives_back_what_a_queue_did_not_use) {
  aut.add_credit(1, 100, plenty);
  aut.ready(q1, 5000);
  EXPECT_EQ(grants(aut), "1:1:100 ");
  aut.used(q1, 40, 400, 0);
  aut.ready(q2, 5000);
  EXPECT_EQ(grants(aut), "1:2:60 ");
}

TEST_F(group_credit_test, a_member_never_holds_more_than_it_may) {
  aut.add_member(3, 25);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  aut.ready(q2, 5000);
  EXPECT_EQ(grants(aut), "3:1:25 ");
  aut.used(q1, 25, 100, 4975);
  EXPECT_EQ(aut.unsettled(3), 25u);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 3, 5);
  EXPECT_EQ(grants(aut), "3:2:5 ");
}

TEST_F(group_credit_test, bytes_are_credit_too_and_a_larger_message_passes_when_nothing_is_held) {
  aut.add_credit(1, 1000, 300);
  aut.ready(q1, 5000);
  auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->bytes, 300u);
  aut.used(q1, 1, 4000, 4999);
  EXPECT_EQ(grants(aut), "") << "3,700 bytes over";
  aut.released(q1, 1, 1);
  g = aut.next();
  ASSERT_TRUE(g) << "it holds nothing: a member must not wait for ever";
  EXPECT_EQ(g->bytes, 1u);
}

TEST_F(group_credit_test, a_member_that_holds_all_the_bytes_it_may_waits_until_it_settles) {
  aut.add_member(3, 1000, 3000);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->most_bytes, 3000u);
  EXPECT_FALSE(g->any_size) << "nothing was too large";
  aut.used(q1, 2, 2000, 4998);
  g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->most_bytes, 1000u);
  EXPECT_FALSE(g->any_size);
  aut.used(q1, 1, 1000, 4997);
  EXPECT_EQ(aut.unsettled_bytes(3), 3000u);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 3, 1, 10);
  g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->bytes, 10u);
  EXPECT_EQ(g->most_bytes, 10u);
}

TEST_F(group_credit_test, what_is_granted_of_one_queue_is_not_granted_of_another_one) {
  aut.add_member(3, 1000, 3000);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  aut.ready(q2, 5000);
  EXPECT_EQ(grants(aut), "3:1:100 ") << "the first delivery may need all of it";
  aut.used(q1, 1, 500, 4999);
  const auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->queue, q2);
  EXPECT_EQ(g->most_bytes, 2500u);
}

TEST_F(group_credit_test,
       a_delivery_that_is_too_large_waits_for_its_room_and_smaller_settles_do_not_ask_again) {
  aut.add_member(3, 1000, 3000);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  ASSERT_TRUE(aut.next());
  aut.used(q1, 10, 2000, 4990);
  ASSERT_TRUE(aut.next());
  aut.too_large(q1, 2500);
  aut.used(q1, 0, 0, 4990);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 3, 5, 1000);
  EXPECT_EQ(grants(aut), "") << "2,000 bytes of room";
  aut.released(q1, 3, 4, 600);
  const auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->most_bytes, 2600u);
}

TEST_F(group_credit_test, a_delivery_larger_than_all_a_member_may_hold_comes_when_it_holds_nothing) {
  aut.add_member(3, 1000, 3000);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  ASSERT_TRUE(aut.next());
  aut.used(q1, 10, 2000, 4990);
  ASSERT_TRUE(aut.next());
  aut.too_large(q1, 9000);
  aut.used(q1, 0, 0, 4990);
  aut.released(q1, 3, 9, 1999);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 3, 1, 1);
  const auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_TRUE(g->any_size);
  aut.used(q1, 1, 9000, 4989);
  EXPECT_EQ(grants(aut), "");
  aut.released(q1, 3, 1, 9000);
  EXPECT_EQ(aut.unsettled_bytes(3), 0u);
  EXPECT_EQ(grants(aut), "3:1:100 ");
}

TEST_F(group_credit_test, a_delivery_that_was_too_large_gets_its_room_before_others_take_it) {
  group_credit one{{.messages = 100, .bytes = 1000, .share = 10, .overshoot = 0}};
  one.add_member(1, 1000, 3000);
  one.add_credit(1, 1000, plenty);
  // Of q1 there is one message of 5000 bytes, which only a member may have that holds nothing.
  one.ready(q2, 100'000);
  one.ready(q1, 1);
  for (int turn = 0; turn < 10; ++turn) {
    while (const auto g = one.next())
      if (g->queue == q2) {
        one.used(q2, 10, 1000, 99'000);
      } else if (g->any_size) {
        return;
      } else {
        one.too_large(q1, 5000);
        one.used(q1, 0, 0, 1);
      }
    one.released(q2, 1, 1000, 1'000'000);
    one.add_credit(1, 1000, plenty);
  }
  FAIL() << "it never came";
}

TEST_F(group_credit_test, a_member_waits_for_no_room_for_what_somebody_else_got) {
  for (const auto gone : {false, true}) {
    SCOPED_TRACE(gone);
    group_credit two{{.messages = 100, .bytes = 1000, .share = 10}};
    two.add_member(1, 1000, 3000);
    two.add_credit(1, 1000, plenty);
    two.ready(q1, 100);
    ASSERT_TRUE(two.next());
    two.used(q1, 1, 2000, 99);
    ASSERT_TRUE(two.next());
    two.too_large(q1, 9000);
    two.used(q1, 0, 0, 99);
    EXPECT_FALSE(two.next());
    if (gone) {
      two.remove_queue(q1);
    } else {
      two.add_member(2, 1, 100'000);
      two.add_credit(2, 1, plenty);
      ASSERT_TRUE(two.next());
      two.used(q1, 1, 9000, 0);
    }
    two.ready(q2, 100);
    const auto g = two.next();
    ASSERT_TRUE(g);
    EXPECT_EQ(g->member, 1u);
    EXPECT_EQ(g->queue, q2);
  }
}

TEST_F(group_credit_test, another_limit_of_bytes_holds_at_once) {
  aut.add_member(3, 1000, 3000);
  aut.add_credit(3, 1000, plenty);
  aut.ready(q1, 5000);
  ASSERT_TRUE(aut.next());
  aut.used(q1, 10, 3000, 4990);
  EXPECT_EQ(grants(aut), "");
  aut.set_max_unsettled(1000, 4000);
  const auto g = aut.next();
  ASSERT_TRUE(g);
  EXPECT_EQ(g->most_bytes, 1000u);
  aut.set_max_unsettled(1000, 1);
  aut.used(q1, 1, 1000, 4989);
  EXPECT_EQ(grants(aut), "");
}

TEST_F(group_credit_test, a_member_that_left_gets_nothing_and_its_grant_ends_quietly) {
  aut.add_credit(1, 1000, plenty);
  aut.ready(q1, 5000);
  EXPECT_EQ(grants(aut), "1:1:100 ");
  aut.remove_member(1);
  EXPECT_FALSE(aut.add_credit(1, 5, plenty));
  aut.add_credit(2, 30, plenty);
  EXPECT_EQ(grants(aut), "");
  aut.used(q1, 0, 0, 5000);
  EXPECT_EQ(grants(aut), "2:1:30 ");
}

TEST_F(group_credit_test, a_queue_that_is_gone_gives_everything_back) {
  aut.add_member(3, 100);
  aut.add_credit(3, 500, plenty);
  aut.ready(q1, 5000);
  EXPECT_EQ(grants(aut), "3:1:100 ");
  aut.used(q1, 60, 100, 4940);
  aut.ready(q1, 4940);
  EXPECT_EQ(grants(aut), "3:1:40 ");
  aut.remove_queue(q1);
  EXPECT_EQ(aut.unsettled(3), 0u);
  aut.used(q1, 40, 100, 0); // too late to mean anything
  EXPECT_EQ(aut.unsettled(3), 0u);
  aut.ready(q2, 5000);
  EXPECT_EQ(grants(aut), "3:2:100 ");
}

TEST_F(group_credit_test, endless_credit_does_not_overflow) {
  for (int i = 0; i < 1000; ++i)
    aut.add_credit(1, 0xffffffffu, 0xffffffffu);
  aut.ready(q1, ~std::uint64_t{0});
  EXPECT_EQ(grants(aut), "1:1:100 ");
}

TEST(group_credit_model, credit_and_unsettled_always_add_up_and_nobody_starves) {
  constexpr std::uint64_t seed = 11;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 rng{seed};
  group_credit aut{{.messages = 50, .bytes = 1000, .share = 4, .overshoot = 2500}};
  struct member_model {
    std::uint64_t credit = 0, unsettled = 0, granted = 0, bytes = 0;
    /// Something larger than all it may hold came when it held nothing.
    bool large = false;
  };
  constexpr std::uint32_t bound = 120;
  constexpr std::uint64_t most_bytes = 7000;
  std::map<std::uint64_t, member_model> members;
  std::map<std::uint32_t, credit_grant> out;
  struct part {
    std::uint64_t messages = 0, bytes = 0;
  };
  std::map<std::uint32_t, std::map<std::uint64_t, part>> held;
  std::uint64_t refused = 0, oversized = 0;
  std::uint64_t last = 0;
  for (int step = 0; step < 300000; ++step) {
    const auto queue = static_cast<std::uint32_t>(1 + rng() % 5);
    switch (rng() % 8) {
    case 0:
      if (members.size() < 5) {
        aut.add_member(++last, bound, most_bytes);
        members[last] = {};
      }
      break;
    case 1:
      if (!members.empty() && rng() % 10 == 0) {
        const auto id = std::next(members.begin(), static_cast<long>(rng() % members.size()))->first;
        aut.remove_member(id);
        members.erase(id);
        for (auto& [q, h] : held)
          h.erase(id);
      }
      break;
    case 2:
    case 3:
      for (auto& [id, m] : members)
        if (rng() % 2) {
          const auto n = static_cast<std::uint32_t>(rng() % 40);
          ASSERT_TRUE(aut.add_credit(id, n, 1'000'000));
          m.credit += n;
        }
      break;
    case 4:
      aut.ready(queue_id{queue}, rng() % 300);
      break;
    case 5:
    case 6:
      if (auto it = out.find(queue); it != out.end()) {
        const auto g = it->second;
        out.erase(it);
        auto n = static_cast<std::uint32_t>(rng() % (g.messages + 1));
        // One message of any size, or several that fit what was granted; a subscription delivers no more.
        auto bytes = n == 1 ? static_cast<std::uint32_t>(rng() % 9000) : std::min(n * 100, g.bytes);
        if (bytes > g.most_bytes && !(g.any_size && n == 1)) {
          aut.too_large(g.queue, bytes);
          n = bytes = 0;
          ++refused;
        } else if (bytes > most_bytes) {
          ++oversized;
        }
        aut.used(g.queue, n, bytes, rng() % 300);
        if (auto m = members.find(g.member); m != members.end()) {
          if (bytes > most_bytes) {
            ASSERT_EQ(m->second.unsettled, 0u) << "larger than all, and something is held";
          }
          m->second.large = m->second.large || bytes > most_bytes;
          m->second.bytes += bytes;
          m->second.granted -= g.messages;
          m->second.credit += g.messages - n;
          m->second.unsettled += n;
          held[queue][g.member].messages += n;
          held[queue][g.member].bytes += bytes;
        }
      }
      break;
    default:
      for (auto& [id, h] : held[queue])
        if (h.messages > 0) {
          const auto k = 1 + rng() % h.messages;
          const auto bytes = h.bytes * k / h.messages;
          aut.released(queue_id{queue}, id, k, bytes);
          auto& m = members.at(id);
          m.unsettled -= k;
          m.bytes -= bytes;
          h.messages -= k;
          h.bytes -= bytes;
          m.large = m.large && m.bytes > 0;
        }
    }
    while (auto g = aut.next()) {
      ASSERT_EQ(out.count(g->queue.value), 0u) << "two grants for one queue";
      ASSERT_TRUE(members.count(g->member));
      ASSERT_GT(g->messages, 0u);
      out[g->queue.value] = *g;
      auto& m = members[g->member];
      ASSERT_GE(m.credit, g->messages);
      m.credit -= g->messages;
      m.granted += g->messages;
    }
    for (const auto& [id, m] : members) {
      ASSERT_EQ(aut.unsettled(id), m.unsettled);
      ASSERT_LE(m.unsettled + m.granted, bound);
      ASSERT_EQ(aut.unsettled_bytes(id), m.bytes);
      if (!m.large) {
        ASSERT_LE(m.bytes, most_bytes);
      }
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(oversized, 5u);
  // Who settles everything is served, whatever happened before.
  for (auto& [q, g] : out)
    aut.used(g.queue, 0, 0, 0);
  for (auto& [q, all] : held)
    for (auto& [id, h] : all)
      aut.released(queue_id{q}, id, h.messages, h.bytes);
  std::set<std::uint64_t> served;
  for (const auto& [id, m] : members)
    aut.add_credit(id, 10, 1'000'000);
  for (int round = 0; round < 1000 && served.size() < members.size(); ++round) {
    aut.ready(q1, 10);
    if (auto g = aut.next()) {
      served.insert(g->member);
      aut.used(q1, 1, 100, 10);
      aut.released(q1, g->member, 1, 100);
    }
  }
  EXPECT_EQ(served.size(), members.size());
}

} // namespace
} // namespace troupe
