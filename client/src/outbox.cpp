#include "outbox.hpp"

#include "client_impl.hpp"

#include "troupe/router.hpp"
#include "troupe/units.hpp"

#include <algorithm>
#include <ctime>

namespace troupe {

namespace {

/// Builders and lists of completions kept for reuse: enough for the batches on their way from one wake-up to
/// the next.
constexpr std::size_t most_spares = 16;
/// A batch that is this part of the timeout old is closed, so that its youngest message still has most of its
/// time.
constexpr int parts_of_timeout = 16;

std::uint64_t cost_of(const message& m) {
  std::uint64_t bytes = 64 + m.body.size() + m.tag.size() + m.order_key.size();
  for (const auto& key : m.keys)
    bytes += 2 + key.size();
  for (const auto& [name, value] : m.properties)
    bytes += 4 + name.size() + value.size();
  return bytes;
}

} // namespace

milliseconds steady_now() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch());
}

milliseconds next_tick_now() {
  const auto read = [](auto call) {
    timespec t{};
    call(CLOCK_MONOTONIC_COARSE, &t);
    return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
  };
  static const auto tick = read(clock_getres);
  return std::chrono::ceil<milliseconds>(read(clock_gettime) + tick);
}

timestamp wall_now() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

void answer_board::put(std::uint32_t slot, const result<receipt>& answer) {
  std::lock_guard lock{mutex_};
  answers_[slot].emplace(answer);
  // Under the lock: the waiting thread may destroy the board as soon as it gets it.
  if (--open_ == 0)
    complete_.notify_all();
}

std::vector<result<receipt>> answer_board::wait() {
  std::unique_lock lock{mutex_};
  complete_.wait(lock, [this] { return open_ == 0; });
  std::vector<result<receipt>> out;
  out.reserve(answers_.size());
  for (auto& a : answers_)
    out.push_back(std::move(*a));
  return out;
}

void completion::operator()(const result<receipt>& answer) const {
  if (board)
    return board->put(slot, answer);
  // A callback must not throw; if it does, the other messages' callbacks must not suffer.
  try {
    call(answer);
  } catch (...) {
  }
}

error outbox::check(const message& m) const {
  limits l;
  l.body = max_message_.load(std::memory_order_relaxed);
  if (auto wrong = validate(m, l))
    return wrong;
  if (auto wrong = check_priority(m))
    return wrong;
  return m.deliver_at ? check_delay(m) : error{};
}

error outbox::check_delay(const message& m) const {
  const auto ahead = *m.deliver_at - cfg_.wall();
  const auto most = max_delay_.load(std::memory_order_relaxed);
  if (ahead > most)
    return {errc::invalid_argument,
            "the message is due in " + format_duration(std::chrono::ceil<std::chrono::seconds>(ahead)) +
                "; the limit of the node is " + format_duration(most) + " (trouped --max-delay)",
            "choose an earlier time, or raise the limit"};
  if (m.ttl && ahead > milliseconds{0} && m.born + *m.ttl <= *m.deliver_at)
    return {errc::invalid_argument,
            "the message would expire before it is delivered: its time to live of " +
                format_duration(*m.ttl) + " begins when it is made, and it is due " +
                format_duration(std::chrono::ceil<std::chrono::seconds>(*m.deliver_at - m.born)) + " later",
            "choose a longer time to live"};
  return {};
}

/// Without lanes the priority is a field like others, for filters.
error outbox::check_priority(const message& m) const {
  const auto has = priorities_.load(std::memory_order_relaxed);
  if (has == 1 || m.priority < has)
    return {};
  return {errc::invalid_argument,
          "the priority is " + std::to_string(m.priority) + "; topic " + cfg_.options.topic + " has " +
              std::to_string(has) + " priorities, 0 to " + std::to_string(has - 1),
          "choose one of these; the highest goes first"};
}

error outbox::put(const message& m, completion&& done, bool may_block, const half_of* half) {
  if (half && m.deliver_at)
    return {errc::invalid_argument, "a message is delayed or part of a transaction, not both",
            "leave out when it is due, or publish it without a transaction"};
  const auto cost = cost_of(m);
  const auto now = cfg_.now();
  std::unique_lock lock{mutex_};
  if (!make_room(lock, cost, may_block)) {
    const auto full = "the window of " + std::to_string(cfg_.options.window) + " bytes is full";
    if (refused_)
      return refused_;
    if (may_block)
      return {errc::timeout, full + " for " + std::to_string(cfg_.options.timeout.count()) + " ms",
              "check that the node runs and answers, or allow more time"};
    return {errc::overloaded, full, "wait for answers, or open the producer with a larger window",
            milliseconds{1}};
  }
  // Again: the topic may have been replaced by another one of this name since check().
  if (auto wrong = check_priority(m))
    return wrong;
  const auto lane = pick(m, half);
  if (auto& g = gathering_[lane]; !g.builder.empty() && (g.cost + cost > cfg_.options.batch_bytes ||
                                                         is_old(g, now) || (half && g.half != *half)))
    seal(lane);
  auto& g = gathering_[lane];
  if (g.builder.empty()) {
    open(lane, now);
    if (half)
      g.half = *half;
  }
  if (done.wanted()) {
    done.position = g.builder.count();
    g.completions.push_back(std::move(done));
  }
  g.builder.add(m);
  g.cost += cost;
  g.keyed = g.keyed || !leading_key(m).empty();
  used_ += cost;
  ++stats_.sent;
  if (is_full(g))
    seal(lane);
  const bool wake = !woken_ && (!busy_ || !sealed_.empty());
  woken_ = woken_ || wake;
  lock.unlock();
  if (wake)
    wake_();
  return {};
}

/// The first message of a batch is about to come.
void outbox::open(std::uint32_t lane, milliseconds now) {
  auto& g = gathering_[lane];
  if (!spare_.empty()) {
    g.builder = std::move(spare_.back());
    spare_.pop_back();
  }
  if (!spare_completions_.empty()) {
    g.completions = std::move(spare_completions_.back());
    spare_completions_.pop_back();
  }
  g.deadline = now + cfg_.options.timeout;
  dirty_.push_back(lane);
}

bool outbox::is_full(const gathering& g) const {
  return g.cost >= cfg_.options.batch_bytes || g.builder.count() >= cfg_.options.batch_messages;
}

bool outbox::is_old(const gathering& g, milliseconds now) const {
  const auto opened = g.deadline - cfg_.options.timeout;
  return now - opened > cfg_.options.timeout / parts_of_timeout;
}

/// The key that leads to the message's queue; empty for none.
std::string_view outbox::leading_key(const message& m) const {
  if (m.order_key.empty() && by_key_ && !m.keys.empty())
    return m.keys.front();
  return m.order_key;
}

/// An order key has its queue; the others stay with one queue for a whole batch, so that batches grow large.
/// The priority has its lane.
std::uint32_t outbox::pick(const message& m, bool half) const {
  const bool delayed = m.deliver_at && *m.deliver_at > cfg_.wall();
  const auto priorities = priorities_.load(std::memory_order_relaxed);
  const auto n = static_cast<std::uint32_t>(lanes_.size()) / priorities;
  const auto key = leading_key(m);
  const auto number = key.empty() ? sticky_ % n : queue_of_hash(short_hash(key), n);
  const auto lane = lane_at({number, priorities == 1 ? std::uint8_t{0} : m.priority}, priorities);
  return lane + (half ? 2u : delayed ? 1u : 0u) * static_cast<std::uint32_t>(lanes_.size());
}

bool outbox::make_room(std::unique_lock<std::mutex>& lock, std::uint64_t cost, bool may_block) {
  // One message larger than the whole window passes when nothing else is there.
  const auto fits = [&] { return refused_ || used_ == 0 || used_ + cost <= cfg_.options.window; };
  if (fits())
    return !refused_;
  // A callback that waits for the window would wait for itself.
  if (!may_block || inside_callback())
    return false;
  ++waiters_;
  const bool free = changed_.wait_for(lock, cfg_.options.timeout, fits);
  --waiters_;
  return free && !refused_;
}

void outbox::seal(std::uint32_t lane) {
  const auto priorities = priorities_.load(std::memory_order_relaxed);
  const auto queues = static_cast<std::uint32_t>(lanes_.size()) / priorities;
  const auto lanes = static_cast<std::uint32_t>(lanes_.size());
  auto& g = gathering_[lane];
  sealed_batch b;
  b.ticket = batch_ticket{++last_ticket_};
  b.queue = lanes_[lane % lanes];
  b.at = place_of_lane(lane % lanes, priorities);
  b.kind = lane < lanes       ? batch_kind::plain
           : lane < 2 * lanes ? batch_kind::delayed
                              : batch_kind::transactional;
  b.half = std::exchange(g.half, {});
  b.count = g.builder.count();
  b.cost = std::exchange(g.cost, 0);
  b.deadline = g.deadline;
  b.builder = std::move(g.builder);
  b.completions = std::exchange(g.completions, {});
  // Its memory comes with its next batch: a queue that idles must not keep any.
  g.builder = batch_builder{};
  g.keyed = false;
  open_.insert(open_.end(), b.ticket);
  std::erase(dirty_, lane);
  if (b.at.number == sticky_ % queues)
    sticky_ = (b.at.number + 1) % queues;
  sealed_.push_back(std::move(b));
}

error outbox::flush(milliseconds limit) {
  if (inside_callback())
    return {errc::invalid_argument, "flush() in a callback would wait for itself",
            "call it from another thread"};
  std::unique_lock lock{mutex_};
  while (!dirty_.empty())
    seal(dirty_.back());
  const auto mark = last_ticket_;
  const bool wake = !sealed_.empty() && !std::exchange(woken_, true);
  if (wake) {
    lock.unlock();
    wake_();
    lock.lock();
  }
  const auto answered = [&] { return open_.empty() || open_.begin()->value > mark; };
  ++flushers_;
  const bool done = changed_.wait_for(lock, limit, answered);
  --flushers_;
  if (done)
    return {};
  return {errc::timeout,
          std::to_string(open_.size()) + " batches are not answered after " + std::to_string(limit.count()) +
              " ms",
          "check that the node runs and answers, or allow more time"};
}

void outbox::refuse(const error& why) {
  {
    std::lock_guard lock{mutex_};
    if (!refused_)
      refused_ = why;
  }
  changed_.notify_all();
}

error outbox::wait_open(milliseconds limit) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, limit, [this] { return routed_ || refused_; }))
    return {errc::timeout,
            "the node did not say where topic " + cfg_.options.topic + " is in " +
                std::to_string(limit.count()) + " ms",
            "check that the node answers, or allow more time"};
  return refused_;
}

bool outbox::wait_ended(milliseconds limit) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, limit, [this] { return ended_; });
}

producer::stats outbox::statistics() const {
  std::lock_guard lock{mutex_};
  return stats_;
}

void outbox::wake_with(std::function<void()> wake) {
  std::lock_guard lock{mutex_};
  wake_ = std::move(wake);
}

void outbox::route(const std::vector<queue_id>& queues, std::uint8_t priorities, const message_limits& most) {
  {
    std::lock_guard lock{mutex_};
    max_message_.store(most.body, std::memory_order_relaxed);
    max_delay_.store(most.delay, std::memory_order_relaxed);
    if (queues != lanes_ || priorities != priorities_) {
      while (!dirty_.empty())
        seal(dirty_.back());
      lanes_ = queues;
      priorities_.store(priorities, std::memory_order_relaxed);
      gathering_.resize(3 * queues.size());
    }
    by_key_ = most.by_key;
    routed_ = true;
  }
  changed_.notify_all();
}

std::vector<sealed_batch> outbox::collect(const std::function<bool(queue_id, bool keyed)>& takes, bool busy) {
  std::lock_guard lock{mutex_};
  woken_ = false;
  const auto now = cfg_.now();
  const auto dirty = dirty_;
  for (auto lane : dirty)
    if (const auto& g = gathering_[lane]; takes(lanes_[lane % lanes_.size()], g.keyed) || is_old(g, now))
      seal(lane);
  busy_ = busy || !dirty_.empty();
  return std::exchange(sealed_, {});
}

bool outbox::gathers() const {
  std::lock_guard lock{mutex_};
  return !dirty_.empty();
}

void outbox::recycle(batch_builder b) {
  std::lock_guard lock{mutex_};
  if (spare_.size() < most_spares)
    spare_.push_back(std::move(b));
}

void outbox::settle(sealed_batch& batch, result<receipt> outcome, std::span<const repeated_message> repeats) {
  const bool again = outcome && outcome->duplicate;
  if (!batch.completions.empty()) {
    const callback_mark mark;
    const auto first = outcome ? *outcome : receipt{};
    std::size_t before = 0; // repeats
    for (const auto& done : batch.completions) {
      while (before < repeats.size() && repeats[before].position < done.position)
        ++before;
      if (outcome && outcome->placed) {
        const bool repeat = before < repeats.size() && repeats[before].position == done.position;
        outcome->duplicate = first.duplicate || repeat;
        outcome->visible = repeat ? !repeats[before].delayed : first.visible;
        outcome->offset =
            repeat ? repeats[before].offset : queue_offset{first.offset.value + done.position - before};
        outcome->id.index = repeat ? repeats[before].index : first.id.index;
        outcome->id.ordinal = repeat ? repeats[before].ordinal : first.id.ordinal + done.position;
      }
      done(outcome);
    }
    batch.completions.clear();
  }
  bool notify = false;
  {
    std::lock_guard lock{mutex_};
    used_ -= batch.cost;
    open_.erase(batch.ticket);
    if (batch.completions.capacity() > 0 && spare_completions_.size() < most_spares)
      spare_completions_.push_back(std::move(batch.completions));
    if (!outcome) {
      stats_.failed += batch.count;
      stats_.last_failure = outcome.error();
    } else {
      stats_.accepted += batch.count;
      stats_.duplicates += again ? batch.count : repeats.size();
    }
    // A quarter of the window at a time: waking a thread for each batch costs more than it brings.
    notify = flushers_ > 0 || (waiters_ > 0 && (used_ <= cfg_.options.window / 4 * 3 || used_ == 0));
  }
  if (notify)
    changed_.notify_all();
}

void outbox::count_batch(bool again) {
  std::lock_guard lock{mutex_};
  again ? ++stats_.resent_batches : ++stats_.batches;
}

void outbox::count_reconnect() {
  std::lock_guard lock{mutex_};
  ++stats_.reconnects;
}

void outbox::end(const error& why) {
  refuse(why);
  for (auto& b : collect([](queue_id, bool) { return true; }, true))
    settle(b, why);
  {
    std::lock_guard lock{mutex_};
    ended_ = true;
  }
  changed_.notify_all();
}

} // namespace troupe
