#include "troupe/producer_window.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// A pause that a broker asks for is at least this long, so that a broker that says 0 is not flooded.
constexpr milliseconds shortest_pause{5};
constexpr milliseconds after_nonsense{200};
/// The part of a batch's time that is left for the last answer.
constexpr int part_for_answer = 8;

error as_error(const batch_answer& a) { return {a.code, a.reason, a.hint, a.retry_after}; }

error late(bool may_be_stored, const error& refusal) {
  if (may_be_stored)
    return {errc::timeout, "no answer came within the producer's timeout; the message may be stored or not",
            "look whether it is there before sending it again, or allow more time"};
  if (refusal)
    return refusal;
  return {errc::timeout, "it could not be sent within the producer's timeout; it is not stored",
          "check that the node runs and answers, or allow more time"};
}

} // namespace

void producer_window::connected(const std::vector<queue_id>& queues, milliseconds now) {
  up_ = true;
  for (auto id : queues)
    lanes_.try_emplace(id).first->second.id = id;
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    if (std::find(queues.begin(), queues.end(), at->first) == queues.end()) {
      close(at->second,
            {errc::not_found, "the topic was deleted", "create it again, and open a new producer"});
      at = lanes_.erase(at);
    } else
      ++at;
  }
  for (auto id : queues)
    pump(lanes_.at(id), now);
}

void producer_window::disconnected() {
  up_ = false;
  for (auto& [id, q] : lanes_) {
    for (auto& e : q.in_flight) {
      e.doubtful = e.doubtful || e.expected > 0;
      forget_expected(q, e);
    }
    q.cursor = 0;
    q.confirmed = q.hopeless = false;
    q.paused_until = milliseconds{0};
  }
}

void producer_window::add(queue_id queue, batch_ticket batch, milliseconds deadline, milliseconds now) {
  auto found = lanes_.find(queue);
  if (found == lanes_.end()) {
    effects_.push_back(
        failed{batch, {errc::not_found, "the topic has no such queue any more", "send it again"}});
    return;
  }
  auto& q = found->second;
  if (q.closed) {
    effects_.push_back(failed{batch, q.closed});
    return;
  }
  q.waiting.push_back({batch, deadline, deadline - (deadline - now) / part_for_answer});
  wake_at(deadline);
  pump(q, now);
}

void producer_window::answer(const batch_answer& a, milliseconds now) {
  auto found = lanes_.find(a.queue);
  if (found == lanes_.end())
    return;
  auto& q = found->second;
  if (a.epoch != q.epoch || a.sequence < q.first || a.sequence.value - q.first.value >= q.in_flight.size())
    return;
  const auto at = static_cast<std::size_t>(a.sequence.value - q.first.value);
  auto& e = q.in_flight[at];
  if (e.decided || !e.sent)
    return;
  if (e.expected > 0) {
    --e.expected;
    --q.expected;
    --expected_;
  }
  switch (a.code) {
  case errc::none:
    decide(q, at);
    break;
  case errc::gap:
    on_gap(q, a.expected, now);
    break;
  case errc::unknown_producer:
    on_unknown(q, at, now);
    break;
  case errc::overloaded:
  case errc::no_space:
  case errc::shutting_down:
  case errc::storage_failed:
    on_pause(q, at, a, now);
    break;
  case errc::fenced:
  case errc::not_found:
    close(q, as_error(a));
    break;
  default:
    on_refusal(q, at, a, now);
    break;
  }
  pump(q, now);
}

void producer_window::tick(milliseconds now) {
  next_tick_.reset();
  for (auto& [id, q] : lanes_) {
    expire(q, now);
    pump(q, now);
    for (const auto& e : q.in_flight)
      if (e.batch.value != 0 && !e.decided)
        wake_at(e.deadline);
    if (!q.waiting.empty())
      wake_at(q.waiting.front().deadline);
  }
}

void producer_window::fail_all(const error& why) {
  for (auto& [id, q] : lanes_)
    close(q, why);
}

std::size_t producer_window::expected(queue_id queue) const {
  auto found = lanes_.find(queue);
  return found == lanes_.end() ? 0 : found->second.expected;
}

std::size_t producer_window::undecided(queue_id queue) const {
  auto found = lanes_.find(queue);
  return found == lanes_.end() ? 0 : found->second.in_flight.size() + found->second.waiting.size();
}

bool producer_window::is_open(queue_id queue, milliseconds now) const {
  auto found = lanes_.find(queue);
  if (!up_ || found == lanes_.end())
    return false;
  const auto& q = found->second;
  return q.closed || (q.paused_until <= now && q.waiting.empty() && q.cursor == q.in_flight.size() &&
                      q.in_flight.size() < most_);
}

void producer_window::pump(lane& q, milliseconds now) {
  if (!up_ || q.closed)
    return;
  if (q.paused_until > now) {
    wake_at(q.paused_until);
    return;
  }
  if (q.cursor < q.in_flight.size() && q.expected > 0)
    return; // a resend begins when everything sent before is answered, so that a slow broker isn't flooded
  if (q.hopeless)
    leave_epoch(q);
  if (q.refusal)
    give_up_late(q, now);
  while (q.cursor < q.in_flight.size())
    send_at(q, q.cursor++);
  while (!q.waiting.empty() && q.in_flight.size() < most_) {
    q.in_flight.push_back(std::move(q.waiting.front()));
    q.waiting.pop_front();
    send_at(q, q.cursor++);
  }
}

void producer_window::send_at(lane& q, std::size_t at) {
  auto& e = q.in_flight[at];
  if (e.decided)
    return;
  effects_.push_back(send{q.id, q.epoch, batch_sequence{q.first.value + at}, e.batch, e.sent});
  e.sent = true;
  ++e.expected;
  ++q.expected;
  ++expected_;
}

void producer_window::decide(lane& q, std::size_t at) {
  auto& e = q.in_flight[at];
  if (e.batch.value != 0)
    effects_.push_back(stored{e.batch});
  e.batch = batch_ticket{};
  e.decided = true;
  forget_expected(q, e);
  q.confirmed = true;
  q.refusal = {};
  while (!q.in_flight.empty() && q.in_flight.front().decided) {
    q.in_flight.pop_front();
    ++q.first.value;
    q.cursor -= q.cursor > 0 ? 1 : 0;
  }
}

void producer_window::on_gap(lane& q, batch_sequence expected, milliseconds now) {
  if (expected < q.first) {
    // The broker lost batches that it had only held (durability `buffered`) when it died, so it has none of
    // those in flight either. It can't have done that while it told us of stored ones: then this answer is an
    // old one.
    if (!q.confirmed)
      begin_epoch(q);
    return;
  }
  const auto at = static_cast<std::size_t>(expected.value - q.first.value);
  // If an answer to the missing one is still to come, that one decides: every batch behind it is answered
  // with the same gap, and only one of these answers may start the resend.
  if (at >= q.in_flight.size() || q.in_flight[at].expected > 0 || q.paused_until > now)
    return;
  rewind(q, at);
}

void producer_window::on_unknown(lane& q, std::size_t at, milliseconds now) {
  if (q.first.value == 1) {
    // Our first batch of this epoch has not arrived: nobody forgot us, nobody knew us.
    if (at == 0)
      close(q, {errc::internal, "the broker refused the first batch of a producer as not the first",
                "report this"});
    else
      on_gap(q, batch_sequence{1}, now);
    return;
  }
  // It knew us once. What may have been stored then must not be stored again under another number.
  const error lost{
      errc::unknown_producer,
      "the broker forgot this producer while the message was on its way; it may be stored or not",
      "look whether it is there before sending it again"};
  for (std::size_t i = 0; i < q.in_flight.size(); ++i) {
    auto& e = q.in_flight[i];
    if (e.doubtful || (i < at && e.expected > 0))
      fail(e, lost);
  }
  begin_epoch(q);
}

void producer_window::on_pause(lane& q, std::size_t at, const batch_answer& a, milliseconds now) {
  auto& e = q.in_flight[at];
  q.refusal = as_error(a);
  // A shard whose storage failed may have written the batch: we can't send it as if it were not there, nor
  // wait for it.
  if (a.code == errc::storage_failed)
    fail(e, q.refusal);
  q.paused_until = std::max(q.paused_until, now + std::max(a.retry_after, shortest_pause));
  if (e.expected == 0)
    rewind(q, at);
}

void producer_window::on_refusal(lane& q, std::size_t at, const batch_answer& a, milliseconds now) {
  auto& e = q.in_flight[at];
  if (e.batch.value == 0)
    return on_empty_refused(q, at, now);
  fail(e, as_error(a));
  if (e.expected == 0)
    rewind(q, at);
}

/// Usually a second answer to what stood there before, so it is asked once more, when all answers are here. A
/// broker that then refuses again would do so for ever.
void producer_window::on_empty_refused(lane& q, std::size_t at, milliseconds now) {
  q.paused_until = std::max(q.paused_until, now + after_nonsense);
  auto& e = q.in_flight[at];
  if (e.expected > 0)
    return;
  rewind(q, at);
  q.hopeless = std::exchange(e.refused, true);
}

/// The way on when the broker refuses an empty batch. Everything is answered, so what is in flight is not
/// stored, but for what lost its answer with a connection.
void producer_window::leave_epoch(lane& q) {
  const error unsure{
      errc::timeout,
      "its answer was lost, and the broker takes nothing after a batch that failed; it may be stored or not",
      "look whether it is there before sending it again"};
  for (auto& e : q.in_flight)
    if (e.doubtful)
      fail(e, unsure);
  begin_epoch(q);
}

/// The queue starts again at sequence 1; what was in flight, and is still wanted, comes first.
void producer_window::begin_epoch(lane& q) {
  for (auto e = q.in_flight.rbegin(); e != q.in_flight.rend(); ++e) {
    forget_expected(q, *e);
    if (e->batch.value != 0 && !e->decided)
      q.waiting.push_front({e->batch, e->deadline, e->last_call, 0, e->sent});
  }
  q.in_flight.clear();
  q.cursor = 0;
  q.first = batch_sequence{1};
  ++q.epoch.value;
  q.hopeless = false;
}

void producer_window::rewind(lane& q, std::size_t at) { q.cursor = std::min(q.cursor, at); }

/// Were these sent again, their time would end with an answer under way, and nobody could say what became of
/// them.
void producer_window::give_up_late(lane& q, milliseconds now) {
  for (auto i = q.cursor; i < q.in_flight.size(); ++i)
    if (auto& e = q.in_flight[i]; e.batch.value != 0 && !e.decided && e.last_call <= now)
      fail(e, late(e.doubtful, q.refusal));
  while (!q.waiting.empty() && q.waiting.front().last_call <= now) {
    fail(q.waiting.front(), late(false, q.refusal));
    q.waiting.pop_front();
  }
}

void producer_window::expire(lane& q, milliseconds now) {
  for (std::size_t i = 0; i < q.in_flight.size(); ++i) {
    auto& e = q.in_flight[i];
    if (e.decided || e.batch.value == 0 || e.deadline > now)
      continue;
    fail(e, late(e.doubtful || e.expected > 0, q.refusal));
    // The line is up and still no answer: send the empty batch in its place, so that the queue moves on.
    forget_expected(q, e);
    rewind(q, i);
  }
  while (!q.waiting.empty() && q.waiting.front().deadline <= now) {
    fail(q.waiting.front(), late(false, q.refusal));
    q.waiting.pop_front();
  }
}

void producer_window::close(lane& q, const error& why) {
  q.closed = why;
  for (auto& e : q.in_flight) {
    fail(e, why);
    forget_expected(q, e);
  }
  for (auto& e : q.waiting)
    fail(e, why);
  q.in_flight.clear();
  q.waiting.clear();
  q.cursor = 0;
}

void producer_window::fail(entry& e, const error& why) {
  if (e.batch.value != 0)
    effects_.push_back(failed{e.batch, why});
  e.batch = batch_ticket{};
}

void producer_window::forget_expected(lane& q, entry& e) {
  expected_ -= e.expected;
  q.expected -= e.expected;
  e.expected = 0;
}

void producer_window::wake_at(milliseconds when) {
  if (!next_tick_ || when < *next_tick_)
    next_tick_ = when;
}

} // namespace troupe
