#include "troupe/producer_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace troupe {
namespace {

/// What can go wrong in a run, each in per mille of the steps.
struct troubles {
  int overload = 0;
  int refuse = 0;
  int disconnect = 0;
  int crash = 0;
  int forget = 0;
  int repeat_answer = 0;
  /// After a disconnect, what was on its way to the broker still arrives, amidst what the new connection
  /// brings.
  int late_arrival = 0;
  bool buffered = false;
};

constexpr milliseconds longest_timeout{500};

/// A broker as apply() judges: per queue one log, and what it knows of one producer.
class model_broker {
public:
  struct arrival {
    queue_id queue;
    producer_epoch epoch;
    batch_sequence sequence;
    batch_ticket batch;
  };
  struct queue {
    std::vector<batch_ticket> log;
    bool known = false;
    milliseconds touched{0};
    producer_epoch epoch;
    std::uint64_t last = 0;
  };

  /// QUEUE and STORE: holds the batch for the next commit.
  void hold(const arrival& a) { held_.push_back(a); }
  batch_answer judge(std::map<queue_id, queue>& state, const arrival& a, milliseconds now) {
    batch_answer out{a.queue, a.epoch, a.sequence};
    auto& q = state[a.queue];
    if (!q.known) {
      if (a.sequence.value != 1)
        out.code = errc::unknown_producer;
    } else if (a.epoch < q.epoch)
      out.code = errc::fenced;
    else {
      const auto last = a.epoch > q.epoch ? 0 : q.last;
      if (a.sequence.value <= last)
        return out; // a duplicate
      if (a.sequence.value != last + 1) {
        out.code = errc::gap;
        out.expected = batch_sequence{last + 1};
      }
    }
    if (out.code == errc::none) {
      q.known = true;
      q.touched = now;
      q.epoch = a.epoch;
      q.last = a.sequence.value;
      if (a.batch.value != 0)
        q.log.push_back(a.batch);
    }
    return out;
  }
  std::vector<batch_answer> commit(milliseconds now) {
    std::vector<batch_answer> out;
    for (const auto& a : held_)
      out.push_back(judge(durable, a, now));
    held_.clear();
    ahead_ = durable;
    return out;
  }
  /// buffered: the answer before the commit.
  batch_answer promise(const arrival& a, milliseconds now) { return judge(ahead_, a, now); }
  void crash() {
    held_.clear();
    ahead_ = durable;
  }
  /// Forgets producers that have been idle for longer than any of their messages can be on its way.
  void forget(milliseconds now) {
    for (auto* state : {&durable, &ahead_})
      for (auto& [id, q] : *state)
        q.known = q.known && now - q.touched < longest_timeout;
  }

  std::map<queue_id, queue> durable;

private:
  std::vector<arrival> held_;
  std::map<queue_id, queue> ahead_;
};

class simulation {
public:
  simulation(std::uint64_t seed, troubles t) : random_(seed), trouble_(t) { connect(); }

  void run(int steps) {
    for (int i = 0; i < steps; ++i)
      step();
    trouble_ = troubles{.buffered = trouble_.buffered};
    for (int i = 0; i < 20'000 && open() > 0; ++i)
      step();
  }

  void check() {
    EXPECT_EQ(open(), 0u) << "batches that were never decided";
    std::map<batch_ticket, int> times;
    for (const auto& [id, q] : broker_.durable) {
      EXPECT_TRUE(std::is_sorted(q.log.begin(), q.log.end())) << "queue " << id.value << " is out of order";
      for (auto b : q.log)
        ++times[b];
    }
    for (const auto& [b, n] : times) {
      EXPECT_EQ(n, 1) << "batch " << b.value << " is stored twice";
      EXPECT_FALSE(surely_not_stored_.contains(b))
          << "batch " << b.value << " is stored, but was reported as not";
    }
    if (trouble_.buffered)
      return;
    for (auto b : stored_)
      EXPECT_TRUE(times.contains(b)) << "batch " << b.value << " is lost";
  }
  std::size_t stored() const { return stored_.size(); }
  std::size_t added() const { return last_; }

private:
  bool chance(int per_mille) { return std::uniform_int_distribution<int>(0, 999)(random_) < per_mille; }
  std::size_t open() const { return last_ - stored_.size() - failed_; }

  void connect() { window_.connected({queue_id{1}, queue_id{2}, queue_id{3}}, now_); }

  void step() {
    now_ += milliseconds{1};
    const bool more =
        trouble_.overload + trouble_.disconnect + trouble_.crash + trouble_.forget > 0 || last_ < 50;
    if (more && now_ >= rests_until_ && chance(250) && open() < 60)
      window_.add(queue_id{static_cast<std::uint32_t>(random_() % 3 + 1)}, batch_ticket{++last_},
                  now_ +
                      milliseconds{std::uniform_int_distribution<int>(20, longest_timeout.count())(random_)},
                  now_);
    if (const auto at = window_.next_tick(); at && *at <= now_)
      window_.tick(now_);
    carry_out();
    if (chance(500) && !to_broker_.empty())
      arrive(to_broker_);
    if (chance(500) && !strays_.empty())
      arrive(strays_);
    if (chance(300))
      for (auto& a : broker_.commit(now_))
        if (!trouble_.buffered || a.code != errc::none)
          to_producer_.push_back(a);
    if (chance(500))
      deliver();
    carry_out();
    if (window_.is_up() && chance(trouble_.disconnect))
      disconnect(chance(trouble_.late_arrival));
    else if (window_.is_up() && chance(trouble_.crash)) {
      broker_.crash();
      disconnect(false);
      strays_.clear();
    } else if (!window_.is_up() && chance(100))
      connect();
    if (chance(trouble_.forget))
      broker_.forget(now_);
    if (trouble_.forget > 0 && chance(1))
      rests_until_ = now_ + 2 * longest_timeout;
    carry_out();
  }

  void carry_out() {
    for (auto& e : window_.take()) {
      if (const auto* s = std::get_if<producer_window::send>(&e))
        to_broker_.push_back({s->queue, s->epoch, s->sequence, s->batch});
      else if (const auto* d = std::get_if<producer_window::stored>(&e))
        EXPECT_TRUE(stored_.insert(d->batch).second);
      else {
        const auto& f = std::get<producer_window::failed>(e);
        ++failed_;
        if (f.why.code != errc::unknown_producer && f.why.reason.find("may be stored") == std::string::npos)
          surely_not_stored_.insert(f.batch);
      }
    }
  }

  void arrive(std::deque<model_broker::arrival>& from) {
    const auto a = from.front();
    from.pop_front();
    if (chance(trouble_.overload)) {
      batch_answer no{a.queue, a.epoch, a.sequence, errc::overloaded};
      no.retry_after = milliseconds{10};
      // The QUEUE's refusal may overtake answers of the STORE.
      to_producer_.push_front(no);
      return;
    }
    // The same batch is refused however often it comes.
    if (a.batch.value != 0 && trouble_.refuse > 0 &&
        a.batch.value % 1000 < static_cast<unsigned>(trouble_.refuse)) {
      to_producer_.push_back({a.queue, a.epoch, a.sequence, errc::invalid_argument});
      return;
    }
    broker_.hold(a);
    if (trouble_.buffered)
      if (auto promise = broker_.promise(a, now_); promise.code == errc::none)
        to_producer_.push_back(promise);
  }

  void deliver() {
    if (to_producer_.empty() || !window_.is_up())
      return;
    const auto a = to_producer_.front();
    to_producer_.pop_front();
    window_.answer(a, now_);
    if (a.code == errc::none && chance(trouble_.repeat_answer))
      window_.answer(a, now_);
  }

  void disconnect(bool leaves_strays) {
    window_.disconnected();
    if (leaves_strays)
      strays_.insert(strays_.end(), to_broker_.begin(), to_broker_.end());
    else {
      // Some arrived, the rest is lost.
      for (auto n = random_() % (to_broker_.size() + 1); n > 0; --n)
        arrive(to_broker_);
      to_producer_.clear();
    }
    to_broker_.clear();
  }

  std::mt19937_64 random_;
  troubles trouble_;
  milliseconds now_{0};
  milliseconds rests_until_{0};
  producer_window window_{8};
  model_broker broker_;
  std::deque<model_broker::arrival> to_broker_;
  std::deque<model_broker::arrival> strays_;
  std::deque<batch_answer> to_producer_;
  std::uint64_t last_ = 0;
  std::set<batch_ticket> stored_;
  std::set<batch_ticket> surely_not_stored_;
  std::size_t failed_ = 0;
};

void prove(const troubles& t, std::uint64_t first_seed, double least_stored) {
  std::size_t stored = 0;
  std::size_t added = 0;
  for (auto seed = first_seed; seed < first_seed + 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    simulation s(seed, t);
    s.run(3000);
    s.check();
    stored += s.stored();
    added += s.added();
    if (testing::Test::HasFailure())
      return;
  }
  EXPECT_GT(static_cast<double>(stored), least_stored * static_cast<double>(added))
      << stored << " of " << added;
}

TEST(ProducerWindowModel, WritesEverythingOnceInOrderOverLostConnections) {
  prove({.disconnect = 10, .repeat_answer = 100}, 1, 0.5);
}
TEST(ProducerWindowModel, WritesEverythingOnceInOrderOverOverloadsAndRefusals) {
  prove({.overload = 100, .refuse = 50, .repeat_answer = 100}, 1000, 0.5);
}
TEST(ProducerWindowModel, WritesEverythingOnceInOrderOverCrashesOfTheBroker) {
  prove({.overload = 30, .disconnect = 5, .crash = 10, .repeat_answer = 100}, 2000, 0.5);
}
TEST(ProducerWindowModel, WritesNothingTwiceWhenOldBatchesArriveAmidstTheNewConnection) {
  prove({.overload = 50, .disconnect = 15, .repeat_answer = 100, .late_arrival = 700}, 3000, 0.4);
}
TEST(ProducerWindowModel, WritesNothingTwiceWhenTheBrokerForgetsTheProducer) {
  prove({.disconnect = 10, .crash = 5, .forget = 20}, 4000, 0.2);
}
TEST(ProducerWindowModel, WritesNothingTwiceWhenTheBrokerLosesWhatItHeld) {
  prove({.overload = 20, .disconnect = 5, .crash = 10, .buffered = true}, 5000, 0.5);
}

} // namespace
} // namespace troupe
