#include "troupe/shared_subscription.hpp"

#include "judged_view.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

/// Random operations against a model that keeps the state of every offset on its own.
namespace troupe {
namespace {

using namespace std::chrono_literals;

enum class kind { undelivered, leased, waiting, settled };

struct offset_model {
  kind state = kind::undelivered;
  std::uint64_t lease = 0;
  std::uint16_t attempts = 0;
  timestamp due{};
  bool suspect = false;
  /// Settled as a dead letter.
  bool dead = false;
  /// What the store knows: settled, or attempts and due time.
  bool stored_settled = false;
  std::uint16_t stored_attempts = 0;
  timestamp stored_due{};
};
struct lease_model {
  std::uint64_t member = 0;
  timestamp deadline{};
};

class model_run {
public:
  explicit model_run(std::uint64_t seed) : rng_(seed), aut_({}, {}) {
    limits_.lease = 10s;
    limits_.span = 400;
    limits_.retries = 150;
    limits_.max_attempts = 4;
    limits_.on_exhausted = static_cast<exhausted_action>(seed % 3);
    aut_.configure(limits_, std::make_shared<scheduled_retry>(retry_schedule::fixed(2s)));
    aut_.restore({gen_, queue_offset{0}, {}, {}});
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i)
      step();
    if (!testing::Test::HasFatalFailure())
      drain();
  }

private:
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }
  bool wanted(std::uint64_t offset) const { return !filtered_ || offset % 3 != 0; }

  void step() {
    now_ += milliseconds{static_cast<std::int64_t>(below(300))};
    expire();
    switch (below(14)) {
    case 0:
    case 1:
      append();
      break;
    case 2:
      trim();
      break;
    case 3:
    case 4:
    case 5:
      deliver(1 + below(4), 1 + below(60));
      break;
    case 6:
    case 7:
    case 8:
      settle_something();
      break;
    case 9:
      renew_something();
      break;
    case 10:
      if (below(4) == 0)
        member_gone(1 + below(4), below(2) == 0);
      break;
    case 11:
      write();
      break;
    case 12:
      if (below(40) == 0)
        restart();
      else if (below(80) == 0)
        reset();
      break;
    default:
      if (below(10) == 0)
        now_ += 12s;
      else if (below(20) == 0)
        filtered_ = !filtered_;
    }
    check();
  }

  void append() {
    const auto n = 1 + below(40);
    batches_.push_back({model_.size(), n});
    model_.resize(model_.size() + n);
    aut_.extent(queue_offset{first_}, queue_offset{model_.size()}, now_);
    settle_hole(0, first_);
  }

  void trim() {
    if (batches_.size() < 2 || below(5) != 0)
      return;
    batches_.erase(batches_.begin());
    first_ = batches_.front().first;
    // A broker learns of it by the queue's extent, or only when it reads.
    if (below(2) == 0) {
      aut_.extent(queue_offset{first_}, queue_offset{model_.size()}, now_);
      settle_hole(0, first_);
    }
  }

  void settle_hole(std::uint64_t first, std::uint64_t next) {
    for (auto i = first; i < next; ++i)
      if (auto& m = model_[i]; m.state == kind::undelivered || m.state == kind::waiting)
        m.state = kind::settled;
  }

  void deliver(std::uint64_t member, std::uint64_t most) {
    const auto plan = aut_.plan(member, now_);
    ASSERT_EQ(aut_.holds_suspect(member), suspect_lease(member) != 0);
    ASSERT_EQ(plan.has_value(), suspect_lease(member) == 0 && deliverable());
    if (!plan)
      return;
    expect_first_due(*plan);
    const auto from = std::optional{plan->from};
    alone_ = plan->alone ? from : std::nullopt;
    const auto lease = aut_.begin(member, now_);
    std::vector<leased_run> runs;
    std::vector<std::uint64_t> expected;
    auto at = from->value;
    int read = 0;
    for (const auto& [base, count] : batches_) {
      if (base + count <= at)
        continue;
      if (expected.size() == most || read++ == 3)
        break;
      if (base > at) {
        aut_.hole(queue_offset{at}, queue_offset{base}, now_);
        settle_hole(at, base);
      }
      const auto left = most - expected.size();
      judged_view judged{[&, start = base](std::uint32_t i, std::uint16_t) { return wanted(start + i); }};
      const auto taken = aut_.take(queue_offset{base}, static_cast<std::uint32_t>(count),
                                   static_cast<std::uint32_t>(left), filtered_ ? &judged : nullptr, runs);
      expect_taken(base, base + count, left, lease.value, expected);
      ASSERT_EQ(taken, left - (most - expected.size()));
      at = base + count;
    }
    std::vector<std::uint64_t> seen;
    for (const auto& run : runs)
      for (auto i = run.first.value; i < run.next.value; ++i) {
        seen.push_back(i);
        ASSERT_EQ(run.attempts, model_[i].attempts) << "offset " << i;
      }
    ASSERT_EQ(seen, expected);
    const auto bytes = 7 + rng_() % 10'000;
    ASSERT_EQ(aut_.commit(bytes), !seen.empty());
    delivered_bytes_ += seen.empty() ? 0 : bytes;
    if (!seen.empty())
      leases_[lease.value] = {member, now_ + limits_.lease};
    // One plan always makes progress, or a broker would turn in circles.
    ASSERT_TRUE(!seen.empty() || aut_.plan(member, now_) != plan);
    if (alone_) {
      ASSERT_LE(seen.size(), 1u);
    }
  }
  /// What is due first comes first, before what was never delivered; a suspect one alone.
  void expect_first_due(const delivery_plan& plan) {
    std::optional<timestamp> first;
    for (const auto& m : model_)
      if (m.state == kind::waiting && m.due <= now_ && (!first || m.due < *first))
        first = m.due;
    const auto at = plan.from.value;
    ASSERT_EQ(first.has_value(), at < model_cursor()) << "offset " << at;
    if (first) {
      ASSERT_EQ(model_[at].due, *first) << "offset " << at;
      ASSERT_EQ(model_[at].state, kind::waiting) << "offset " << at;
    }
    ASSERT_EQ(plan.alone, first && model_[at].suspect) << "offset " << at;
  }
  /// The lease by which the member holds a suspect message; 0: it holds none.
  std::uint64_t suspect_lease(std::uint64_t member) const {
    for (const auto& m : model_)
      if (m.state == kind::leased && m.suspect && leases_.at(m.lease).member == member)
        return m.lease;
    return 0;
  }
  /// What one batch must give: due ones in order, then from the first undelivered one on; no more than
  /// `left`.
  void expect_taken(std::uint64_t base, std::uint64_t next, std::uint64_t left, std::uint64_t lease,
                    std::vector<std::uint64_t>& out) {
    const auto judge = [&](std::uint64_t i) {
      if (!wanted(i)) {
        model_[i].state = kind::settled;
        return;
      }
      model_[i].state = kind::leased;
      model_[i].lease = lease;
      out.push_back(i);
      --left;
    };
    if (alone_) {
      if (base <= alone_->value && alone_->value < next && left > 0)
        judge(alone_->value);
      return;
    }
    for (auto i = base; i < next && left > 0; ++i)
      if (model_[i].state == kind::waiting && model_[i].due <= now_ && !model_[i].suspect)
        judge(i);
    const auto cursor = model_cursor();
    if (cursor < base || bounded())
      return;
    for (auto i = cursor; i < next && left > 0; ++i)
      judge(i);
  }
  std::uint64_t model_cursor() const {
    std::uint64_t i = model_.size();
    while (i > 0 && model_[i - 1].state == kind::undelivered)
      --i;
    return i;
  }
  std::uint64_t model_floor() const {
    std::uint64_t i = 0;
    while (i < model_.size() && model_[i].state == kind::settled)
      ++i;
    return i;
  }

  void settle_something() {
    if (model_.empty())
      return;
    const auto first = below(model_.size());
    const auto count = below(4) == 0 ? 1 + below(50) : 1 + below(5);
    // Mostly the lease that holds it; sometimes one that ended long ago or never was.
    auto lease = below(8) == 0 ? 1 + below(last_lease() + 1) : model_[first].lease;
    const auto gen = below(20) == 0 ? generation{gen_.value + 1} : gen_;
    const auto wish = static_cast<settle_wish>(below(4));
    const auto delay = below(3) == 0 ? milliseconds{static_cast<std::int64_t>(500 + below(3000))} : 0ms;
    const auto end = wish == settle_wish::ack ? model_.size() : model_cursor();
    if (wish == settle_wish::ack && gen == gen_ && first + count > model_cursor())
      for (auto i = model_cursor(); i < first; ++i)
        model_[i].state = kind::waiting;
    std::uint64_t refused = 0;
    for (auto i = first; i < first + count; ++i) {
      if (gen != gen_ || i >= end) {
        ++refused;
        continue;
      }
      auto& m = model_[i];
      if (wish == settle_wish::ack) {
        settle(m, progress::outcome::done);
      } else if (m.state != kind::leased || m.lease != lease) {
        ++refused;
      } else if (wish == settle_wish::retry) {
        fail(m, delay, false);
      } else if (wish == settle_wish::reject) {
        ++m.attempts;
        settle(m, limits_.on_exhausted == exhausted_action::drop ? progress::outcome::done
                                                                 : progress::outcome::dead);
      } else {
        m.state = kind::waiting;
        m.due = {};
      }
    }
    ASSERT_EQ(aut_.settle({wish, gen, lease_id{lease}, queue_offset{first}, static_cast<std::uint32_t>(count),
                           delay, "why"},
                          now_)
                  .refused,
              refused);
  }

  void settle(offset_model& m, progress::outcome how) {
    if (m.state == kind::settled)
      return;
    m.state = kind::settled;
    m.dead = how == progress::outcome::dead;
  }

  void fail(offset_model& m, milliseconds delay, bool suspect) {
    ++m.attempts;
    if (m.attempts >= limits_.max_attempts && limits_.on_exhausted != exhausted_action::block)
      return settle(m, limits_.on_exhausted == exhausted_action::drop ? progress::outcome::done
                                                                      : progress::outcome::dead);
    m.state = kind::waiting;
    m.suspect = suspect;
    m.due = now_ + (delay > 0ms ? delay : 2s);
  }
  std::uint64_t last_lease() const { return leases_.empty() ? 0 : leases_.rbegin()->first; }

  void renew_something() {
    if (leases_.empty())
      return;
    auto it = std::next(leases_.begin(), static_cast<long>(below(leases_.size())));
    bool held = false;
    for (const auto& m : model_)
      held = held || (m.state == kind::leased && m.lease == it->first);
    ASSERT_EQ(aut_.renew(lease_id{it->first}, it->second.member, now_), held);
    if (held)
      it->second.deadline = now_ + limits_.lease;
  }

  void end(std::uint64_t lease, bool failed, bool innocent = false) {
    for (auto& m : model_)
      if (m.state == kind::leased && m.lease == lease) {
        if (failed) {
          fail(m, 0ms, true);
        } else {
          m.suspect = m.suspect || innocent;
          m.state = kind::waiting;
          m.due = {};
        }
      }
  }
  void expire() {
    aut_.expire(now_);
    for (auto& [id, lease] : leases_)
      if (lease.deadline <= now_)
        end(id, true);
  }
  void member_gone(std::uint64_t member, bool failed) {
    const auto cause = suspect_lease(member);
    aut_.member_gone(member, failed, now_);
    for (auto& [id, lease] : leases_)
      if (lease.member == member)
        end(id, failed && (cause == 0 || id == cause), failed && cause != 0 && id != cause);
  }

  void write() {
    const auto runs = aut_.take_progress(1 + below(30));
    if (below(5) == 0) { // the store refused
      aut_.put_back(runs, now_);
      return;
    }
    queue_offset before{0};
    for (const auto& run : runs) {
      ASSERT_GE(run.first, before);
      ASSERT_LT(run.first, run.next);
      before = run.next;
      for (auto i = run.first.value; i < run.next.value; ++i) {
        auto& m = model_[i];
        ASSERT_FALSE(m.stored_settled && run.what == progress::outcome::retry) << "settled is for ever";
        m.stored_settled = run.what != progress::outcome::retry;
        m.stored_attempts = run.attempts;
        m.stored_due = run.due;
        ASSERT_EQ(m.stored_settled, m.state == kind::settled) << "offset " << i;
        ASSERT_EQ(run.what == progress::outcome::dead, m.dead) << "offset " << i;
        if (!m.stored_settled || m.dead) {
          ASSERT_EQ(m.stored_attempts, m.attempts) << "offset " << i;
        }
      }
    }
  }

  void restart() {
    subscription::stored_state state{gen_, queue_offset{0}, {}, {}};
    std::uint64_t at = 0;
    while (at < model_.size() && model_[at].stored_settled)
      ++at;
    state.floor = queue_offset{at};
    for (; at < model_.size(); ++at) {
      auto& m = model_[at];
      if (m.stored_settled) {
        if (!state.settled.empty() && state.settled.back().second.value == at)
          state.settled.back().second = queue_offset{at + 1};
        else
          state.settled.push_back({queue_offset{at}, queue_offset{at + 1}});
      } else if (m.stored_attempts > 0) {
        state.retries.push_back({queue_offset{at}, m.stored_attempts, m.stored_due});
      }
    }
    for (auto& m : model_) {
      m.attempts = m.stored_settled ? 0 : m.stored_attempts;
      m.dead = false;
      m.due = m.stored_attempts > 0 ? m.stored_due : timestamp{};
      m.state = m.stored_settled ? kind::settled : m.stored_attempts > 0 ? kind::waiting : kind::undelivered;
    }
    for (auto& m : model_)
      m.suspect = false;
    leases_.clear();
    aut_.restore(state);
    aut_.extent(queue_offset{first_}, queue_offset{model_.size()}, now_);
    settle_hole(0, first_);
    // Undelivered ones below the cursor wait in fact; for a consumer it is the same.
    for (std::uint64_t i = 0; i < aut_.cursor().value; ++i)
      if (model_[i].state == kind::undelivered)
        model_[i].state = kind::waiting;
  }

  /// A new generation begins anywhere.
  void reset() {
    gen_ = generation{gen_.value + 1};
    const auto to = first_ + below(model_.size() - first_ + 1);
    for (std::uint64_t i = 0; i < model_.size(); ++i) {
      model_[i] = {};
      if (i < to) {
        model_[i].state = kind::settled;
        model_[i].stored_settled = true;
      }
    }
    leases_.clear();
    aut_.restore({gen_, queue_offset{to}, {}, {}});
    aut_.extent(queue_offset{first_}, queue_offset{model_.size()}, now_);
  }

  bool bounded() const {
    std::uint64_t retrying = 0;
    for (const auto& m : model_)
      retrying += m.state == kind::waiting && m.attempts > 0;
    return retrying >= limits_.retries ||
           model_cursor() - std::min(model_floor(), model_cursor()) >= limits_.span;
  }
  bool deliverable() const {
    for (const auto& m : model_)
      if (m.state == kind::waiting && m.due <= now_)
        return true;
    return !bounded() && model_cursor() < model_.size();
  }

  void check() {
    std::uint64_t leased = 0;
    std::uint64_t retrying = 0;
    bool due = false;
    for (const auto& m : model_) {
      leased += m.state == kind::leased;
      retrying += m.state == kind::waiting && m.attempts > 0;
      due = due || (m.state == kind::waiting && m.due <= now_);
    }
    ASSERT_EQ(aut_.cursor().value, model_cursor());
    ASSERT_EQ(aut_.leased(), leased);
    ASSERT_EQ(aut_.retrying(), retrying);
    ASSERT_EQ(aut_.floor().value, std::min(model_floor(), model_cursor()));
    ASSERT_EQ(aut_.bounded(), bounded());
    for (const auto& r : aut_.take_releases()) {
      ASSERT_GT(r.messages, 0u);
      released_bytes_ += r.bytes;
    }
    ASSERT_LE(released_bytes_, delivered_bytes_);
    if (leased == 0) {
      ASSERT_EQ(released_bytes_, delivered_bytes_) << "nothing is held any more";
    }
    auto deadline = aut_.next_deadline(now_);
    for (const auto& m : model_) {
      if (m.state == kind::waiting && m.due > now_ && !due) {
        ASSERT_TRUE(deadline && *deadline <= m.due);
      }
      if (m.state == kind::leased) {
        ASSERT_TRUE(deadline && *deadline <= leases_.at(m.lease).deadline);
      }
    }
  }

  /// In the end one patient member gets everything that is left.
  void drain() {
    for (int round = 0; round < 20000 && aut_.floor().value < model_.size(); ++round) {
      now_ += 1s;
      expire();
      deliver(1, 100);
      if (testing::Test::HasFatalFailure())
        return;
      for (std::uint64_t i = 0; i < model_.size(); ++i)
        if (auto& m = model_[i]; m.state == kind::leased) {
          aut_.settle({settle_wish::ack, gen_, lease_id{m.lease}, queue_offset{i}, 1, 0ms, {}}, now_);
          m.state = kind::settled;
        }
      check();
    }
    ASSERT_EQ(aut_.floor().value, model_.size()) << "something was lost";
  }

  std::mt19937_64 rng_;
  std::uint64_t delivered_bytes_ = 0;
  std::uint64_t released_bytes_ = 0;
  subscription_limits limits_;
  shared_subscription aut_;
  generation gen_{1};
  timestamp now_ = from_unix_ms(1'700'000'000'000);
  std::vector<offset_model> model_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> batches_;
  std::uint64_t first_ = 0;
  std::map<std::uint64_t, lease_model> leases_;
  bool filtered_ = false;
  /// The suspect message that the delivery under way is for.
  std::optional<queue_offset> alone_;
};

TEST(subscription_model, nothing_is_lost_and_nothing_settled_comes_again_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    model_run{seed}.run(600);
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace troupe
