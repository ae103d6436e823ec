#include "troupe/ordered_subscription.hpp"

#include "judged_view.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

/// Random operations on an ordered subscription against a model that keeps the state of every offset on its
/// own: order per key, nothing lost, nothing twice but after failures, attempts exact.
namespace troupe {
namespace {

using namespace std::chrono_literals;

struct offset_model {
  std::uint32_t key = 0;
  bool settled = false;
  bool dead = false;
  /// 0: not out.
  std::uint64_t lease = 0;
  std::uint16_t attempts = 0;
  timestamp due{};
  bool suspect = false;
  bool stored_settled = false;
  std::uint16_t stored_attempts = 0;
  timestamp stored_due{};
};

class ordered_model {
public:
  explicit ordered_model(std::uint64_t seed)
      : rng_(seed), by_(seed % 4 == 0 ? group_order::queue : group_order::key), aut_({}, {}, by_) {
    limits_.lease = 10s;
    limits_.span = 400;
    if (seed % 7 == 0)
      limits_.retries = 1 + seed % 5;
    limits_.max_attempts = 3;
    limits_.on_exhausted = static_cast<exhausted_action>(seed % 3);
    limits_.order_batch = 1 + static_cast<std::uint32_t>(seed % 5);
    aut_.configure(limits_, policy_);
    aut_.restore({gen_, queue_offset{0}, {}, {}});
  }

  void run(int steps) {
    for (int i = 0; i < steps && !failed(); ++i)
      step();
    for (int round = 0; round < 20'000 && !failed() && aut_.floor().value < model_.size(); ++round) {
      now_ += 500ms;
      expire();
      deliver(1, 100);
      for (std::uint64_t at = 0; at < model_.size(); ++at)
        if (model_[at].lease != 0)
          ack(at, 1);
      check();
    }
    if (!failed()) {
      ASSERT_EQ(aut_.floor().value, model_.size()) << "something was lost";
      ASSERT_EQ(aut_.keys(), 0u);
    }
  }

private:
  static bool failed() { return testing::Test::HasFatalFailure(); }
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }
  bool wanted(std::uint64_t at) const { return !filtered_ || at % 5 != 0; }
  /// What is in order with each other; its own for a message without a key.
  std::uint64_t order_of(std::uint64_t at) const {
    if (by_ == group_order::queue)
      return 1;
    return model_[at].key != 0 ? model_[at].key : 1000 + at;
  }

  void step() {
    now_ += milliseconds{static_cast<std::int64_t>(below(300))};
    expire();
    const auto what = below(16);
    if (what < 2)
      append();
    else if (what == 2)
      trim();
    else if (what < 7)
      deliver(1 + below(4), 1 + below(40));
    else if (what < 12)
      settle_something();
    else if (what == 12 && below(3) == 0)
      member_gone(1 + below(4), below(2) == 0);
    else if (what == 13)
      write();
    else if (what == 14 && below(30) == 0)
      restart();
    else if (what == 14 && below(60) == 0)
      reset();
    else if (what == 15 && below(10) == 0)
      now_ += 12s;
    else if (what == 15 && below(20) == 0)
      filtered_ = !filtered_;
    else if (what == 15 && below(10) == 0)
      change_batch();
    if (below(20) == 0)
      serve_all();
    check();
  }

  void change_batch() {
    limits_.order_batch = 1 + static_cast<std::uint32_t>(below(40));
    aut_.configure(limits_, policy_);
  }
  void append() {
    const auto n = 1 + below(30);
    batches_.emplace_back(model_.size(), n);
    for (std::uint64_t i = 0; i < n; ++i)
      model_.push_back({.key = static_cast<std::uint32_t>(below(3) == 0 ? 0 : 1 + below(6))});
    told_extent();
  }
  void told_extent() {
    aut_.extent(queue_offset{first_}, queue_offset{model_.size()}, now_);
    hole(0, first_);
  }
  void hole(std::uint64_t first, std::uint64_t next) {
    for (auto at = first; at < next; ++at)
      if (model_[at].lease == 0)
        model_[at].settled = true;
  }
  void trim() {
    if (batches_.size() < 3 || below(4) != 0)
      return;
    batches_.erase(batches_.begin());
    first_ = batches_.front().first;
    if (below(2) == 0)
      told_extent();
  }

  void deliver(std::uint64_t member, std::uint64_t most) {
    const auto plan = aut_.plan(member, now_);
    ASSERT_EQ(aut_.holds_suspect(member), holds_suspect(member));
    if (!plan)
      return;
    ASSERT_FALSE(holds_suspect(member));
    const auto lease = aut_.begin(member, now_);
    lease_member_[lease.value] = {member, now_ + limits_.lease};
    most_of_key_[lease.value] = limits_.order_batch;
    std::vector<leased_run> runs;
    std::uint64_t taken = 0;
    auto at = plan->from.value;
    int read = 0;
    for (const auto& [base, count] : batches_) {
      if (base + count <= at)
        continue;
      if (taken == most || read++ == 4)
        break;
      if (base > at) {
        aut_.hole(queue_offset{at}, queue_offset{base}, now_);
        hole(at, base);
      }
      judged_view view{[&, from = base](auto i, auto attempts) {
                         EXPECT_EQ(attempts, model_[from + i].attempts);
                         if (!wanted(from + i))
                           model_[from + i].settled = true;
                         return wanted(from + i);
                       },
                       [&, from = base](auto i) { return model_[from + i].key; }};
      const auto n = aut_.take(queue_offset{base}, static_cast<std::uint32_t>(count),
                               static_cast<std::uint32_t>(most - taken), &view, runs);
      taken += n;
      at = base + count;
    }
    std::uint64_t seen = 0;
    for (const auto& run : runs)
      for (auto i = run.first.value; i < run.next.value; ++i, ++seen) {
        auto& m = model_[i];
        ASSERT_FALSE(m.settled) << "offset " << i;
        ASSERT_EQ(m.lease, 0u) << "offset " << i;
        ASSERT_EQ(run.attempts, m.attempts) << "offset " << i;
        ASSERT_LE(m.due, now_) << "offset " << i;
        ASSERT_EQ(m.suspect, plan->alone) << "offset " << i;
        m.lease = lease.value;
      }
    ASSERT_EQ(seen, taken);
    ASSERT_LE(taken, plan->alone ? 1u : most);
    const auto bytes = 7 + rng_() % 10'000;
    ASSERT_EQ(aut_.commit(bytes), taken > 0);
    delivered_bytes_ += taken > 0 ? bytes : 0;
    expect_order();
  }
  /// What is out of a key is its first messages, with one member, and not too many.
  void expect_order() {
    std::map<std::uint64_t, std::pair<std::uint64_t, std::uint32_t>> out;
    std::set<std::uint64_t> stopped;
    for (std::uint64_t at = 0; at < model_.size(); ++at) {
      const auto& m = model_[at];
      if (m.settled)
        continue;
      const auto key = order_of(at);
      if (m.lease == 0) {
        stopped.insert(key);
        continue;
      }
      ASSERT_EQ(stopped.count(key), 0u) << "offset " << at << " overtook an earlier one";
      auto& [lease, n] = out[key];
      ASSERT_TRUE(n == 0 || lease == m.lease) << "offset " << at;
      lease = m.lease;
      ASSERT_LE(++n, most_of_key_.at(lease)) << "offset " << at;
    }
  }
  bool holds_suspect(std::uint64_t member) const { return suspect_lease(member) != 0; }
  std::uint64_t suspect_lease(std::uint64_t member) const {
    for (const auto& m : model_)
      if (m.lease != 0 && m.suspect && lease_member_.at(m.lease).first == member)
        return m.lease;
    return 0;
  }
  /// Members ask until there is nothing for them: then nothing may be left that could go out.
  void serve_all() {
    for (int i = 0; i < 3000 && aut_.plan(9, now_); ++i) {
      deliver(9, 20);
      if (failed())
        return;
    }
    if (holds_suspect(9))
      return;
    ASSERT_FALSE(aut_.plan(9, now_)) << "it turns in circles";
    std::set<std::uint64_t> seen;
    for (std::uint64_t at = 0; at < model_.size(); ++at) {
      const auto& m = model_[at];
      if (m.settled || !seen.insert(order_of(at)).second)
        continue;
      ASSERT_TRUE(m.lease != 0 || m.due > now_ || (aut_.bounded() && at >= aut_.cursor().value))
          << "offset " << at << " is not delivered, key " << order_of(at) << " suspect " << m.suspect
          << " attempts " << m.attempts << " cursor " << aut_.cursor().value << " first " << first_;
    }
  }

  void ack(std::uint64_t first, std::uint64_t count) {
    for (auto at = first; at < std::min<std::uint64_t>(first + count, model_.size()); ++at) {
      model_[at].settled = true;
      model_[at].lease = 0;
    }
    aut_.settle({settle_wish::ack, gen_, {}, queue_offset{first}, static_cast<std::uint32_t>(count), 0ms, {}},
                now_);
  }
  void settle_something() {
    if (model_.empty())
      return;
    std::vector<std::uint64_t> out;
    for (std::uint64_t at = 0; at < model_.size(); ++at)
      if (model_[at].lease != 0)
        out.push_back(at);
    if (out.empty() || below(30) == 0)
      return ack(below(model_.size()), 1); // late, or never had
    const auto first = out[below(out.size())];
    const auto lease = model_[first].lease;
    const auto wish = static_cast<settle_wish>(below(4));
    if (wish == settle_wish::ack)
      return ack(first, 1);
    const auto count = 1 + below(3);
    std::uint64_t refused = 0;
    for (auto at = first; at < first + count; ++at) {
      if (at >= model_.size() || model_[at].lease != lease)
        ++refused;
      else if (wish == settle_wish::retry)
        fail(at, false);
      else if (wish == settle_wish::give_back)
        take_back(at, model_[at].suspect);
      else
        die(at, true);
    }
    ASSERT_EQ(aut_.settle({wish, gen_, lease_id{lease}, queue_offset{first},
                           static_cast<std::uint32_t>(count), 0ms, "why"},
                          now_)
                  .refused,
              refused);
  }
  void die(std::uint64_t at, bool rejected) {
    auto& m = model_[at];
    if (rejected)
      ++m.attempts;
    m.settled = true;
    m.lease = 0;
    m.dead = limits_.on_exhausted != exhausted_action::drop;
  }
  /// It and what is behind it of its key in its lease.
  void take_back(std::uint64_t at, bool suspect) {
    const auto lease = model_[at].lease;
    for (auto i = at; i < model_.size(); ++i)
      if (model_[i].lease == lease && order_of(i) == order_of(at)) {
        model_[i].lease = 0;
        model_[i].due = {};
        model_[i].suspect = suspect || (i != at && model_[i].suspect);
      }
  }
  void fail(std::uint64_t at, bool suspect) {
    take_back(at, suspect);
    auto& m = model_[at];
    ++m.attempts;
    m.due = now_ + 2s;
    if (m.attempts >= limits_.max_attempts && limits_.on_exhausted != exhausted_action::block)
      die(at, false);
  }
  void end(std::uint64_t lease, bool failed, bool innocent) {
    for (std::uint64_t at = 0; at < model_.size(); ++at)
      if (model_[at].lease == lease) {
        if (failed)
          fail(at, true);
        else
          take_back(at, model_[at].suspect || innocent);
      }
  }
  void expire() {
    aut_.expire(now_);
    for (const auto& [id, lease] : lease_member_)
      if (lease.second <= now_)
        end(id, true, false);
  }
  void member_gone(std::uint64_t member, bool failed) {
    const auto cause = suspect_lease(member);
    aut_.member_gone(member, failed, now_);
    for (const auto& [id, lease] : lease_member_)
      if (lease.first == member)
        end(id, failed && (cause == 0 || id == cause), failed && cause != 0 && id != cause);
  }

  void write() {
    const auto runs = aut_.take_progress(1 + below(30));
    if (below(5) == 0)
      return aut_.put_back(runs, now_);
    for (const auto& run : runs)
      for (auto at = run.first.value; at < run.next.value; ++at) {
        auto& m = model_[at];
        m.stored_settled = run.what != progress::outcome::retry;
        m.stored_attempts = run.attempts;
        m.stored_due = run.due;
        ASSERT_EQ(m.stored_settled, m.settled) << "offset " << at;
        ASSERT_EQ(run.what == progress::outcome::dead, m.dead) << "offset " << at;
        if (!m.stored_settled || m.dead) {
          ASSERT_EQ(m.stored_attempts, m.attempts) << "offset " << at;
        }
      }
  }
  void restart() {
    subscription::stored_state state{gen_, queue_offset{0}, {}, {}};
    std::uint64_t at = 0;
    while (at < model_.size() && model_[at].stored_settled)
      ++at;
    state.floor = queue_offset{at};
    for (std::uint64_t i = 0; i < model_.size(); ++i) {
      auto& m = model_[i];
      m.settled = m.stored_settled;
      m.dead = m.suspect = false;
      m.lease = 0;
      m.attempts = m.stored_settled ? 0 : m.stored_attempts;
      m.due = m.attempts > 0 ? m.stored_due : timestamp{};
      if (i < at)
        continue;
      if (m.settled)
        state.settled.emplace_back(queue_offset{i}, queue_offset{i + 1});
      else if (m.attempts > 0)
        state.retries.push_back({queue_offset{i}, m.attempts, m.due});
    }
    lease_member_.clear();
    aut_.restore(state);
    told_extent();
  }
  void reset() {
    gen_ = generation{gen_.value + 1};
    const auto to = first_ + below(model_.size() - first_ + 1);
    for (std::uint64_t i = 0; i < model_.size(); ++i) {
      model_[i] = {.key = model_[i].key};
      model_[i].settled = model_[i].stored_settled = i < to;
    }
    lease_member_.clear();
    aut_.restore({gen_, queue_offset{to}, {}, {}});
    told_extent();
  }

  void check() {
    if (failed())
      return;
    std::uint64_t leased = 0, retrying = 0, open = 0, floor = model_.size();
    for (std::uint64_t at = model_.size(); at-- > 0;) {
      const auto& m = model_[at];
      leased += m.lease != 0;
      retrying += !m.settled && m.lease == 0 && m.attempts > 0;
      open += !m.settled;
      if (!m.settled)
        floor = at;
    }
    ASSERT_EQ(aut_.leased(), leased);
    ASSERT_EQ(aut_.retrying(), retrying);
    ASSERT_EQ(aut_.unsettled(), open);
    ASSERT_EQ(aut_.floor().value, floor);
    for (const auto& r : aut_.take_releases()) {
      ASSERT_GT(r.messages, 0u);
      released_bytes_ += r.bytes;
    }
    ASSERT_LE(released_bytes_, delivered_bytes_);
    if (leased == 0) {
      ASSERT_EQ(released_bytes_, delivered_bytes_) << "nothing is held any more";
    }
    expect_order();
  }

  std::mt19937_64 rng_;
  std::uint64_t delivered_bytes_ = 0;
  std::uint64_t released_bytes_ = 0;
  subscription_limits limits_;
  const std::shared_ptr<const retry_policy> policy_ =
      std::make_shared<scheduled_retry>(retry_schedule::fixed(2s));
  group_order by_;
  ordered_subscription aut_;
  generation gen_{1};
  timestamp now_ = from_unix_ms(1'700'000'000'000);
  std::vector<offset_model> model_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> batches_;
  std::uint64_t first_ = 0;
  /// Whose it is, and until when. A lease that has ended has no messages.
  std::map<std::uint64_t, std::pair<std::uint64_t, timestamp>> lease_member_;
  /// What the group allowed when a lease began.
  std::map<std::uint64_t, std::uint32_t> most_of_key_;
  bool filtered_ = false;
};

TEST(ordered_subscription_model, keys_keep_their_order_and_nothing_is_lost_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ordered_model{seed}.run(600);
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace troupe
