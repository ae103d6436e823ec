#include "inbox.hpp"

#include "membership.hpp"
#include "outbox.hpp"

#include <algorithm>

namespace troupe {

inbox::inbox(limits l, std::function<milliseconds()> now)
    : limits_(l), now_(now ? std::move(now) : steady_now) {}

std::vector<leased_message> inbox::take(std::size_t most, milliseconds wait) {
  std::vector<leased_message> out;
  const auto end = std::chrono::steady_clock::now() + wait;
  std::unique_lock lock{mutex_};
  // Until something is there that is not late.
  while (out.empty() && most > 0 &&
         changed_.wait_until(lock, end, [this] { return buffered_ > 0 || !taking_ || ended_; }) && taking_ &&
         !ended_) {
    hand_out(most, out);
    if (!out.empty())
      break;
    wake(lock); // all that was there is late: it goes back
    if (!lock.owns_lock())
      lock.lock();
  }
  wake(lock);
  return out;
}

std::vector<leased_message> inbox::take_share(std::size_t most, std::size_t sharers) {
  std::vector<leased_message> out;
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return buffered_ > 0 || !taking_ || ended_; });
    if (!taking_ || ended_)
      break;
    hand_out(std::min(most, (buffered_ + sharers - 1) / sharers), out);
    if (!out.empty())
      break;
    wake(lock); // all that was there is late: it goes back
    if (!lock.owns_lock())
      lock.lock();
  }
  wake(lock);
  return out;
}

std::uint64_t inbox::lane::came_at() const {
  return returned.empty() ? deliveries.front()->came_at : returned.back().delivery->came_at;
}

/// The highest, or the one that has waited too long.
inbox::lanes::iterator inbox::next_lane() {
  const auto oldest =
      std::ranges::min_element(waiting_, {}, [](const auto& entry) { return entry.second.came_at(); });
  const bool too_long = handed_out_ - oldest->second.came_at() >= limits_.messages;
  return too_long ? oldest : waiting_.begin();
}

void inbox::hand_out(std::size_t most, std::vector<leased_message>& out) {
  out.reserve(std::min(most, buffered_));
  while (out.size() < most && buffered_ > 0) {
    const auto from = next_lane();
    const auto before = out.size();
    buffered_ -= hand_out(from->second, most, out);
    handed_out_ += out.size() - before;
    if (from->second.empty())
      waiting_.erase(from);
  }
}

/// Up to the end of one delivery, and all the rest of one that is late. Says how many wait no longer.
std::size_t inbox::hand_out(lane& from, std::size_t most, std::vector<leased_message>& out) {
  if (!from.returned.empty()) {
    if (is_late(*from.returned.back().delivery))
      hand_back(from.returned.back());
    else
      out.push_back(std::move(from.returned.back()));
    from.returned.pop_back();
    return 1;
  }
  const auto& front = from.deliveries.front();
  const bool late = is_late(*front);
  const auto rest = front->messages.size() - from.position;
  const auto n = late ? rest : std::min(most - out.size(), rest);
  for (auto i = static_cast<std::uint32_t>(from.position); i < from.position + n; ++i)
    if (late)
      hand_back({front, i});
    else
      out.push_back({front, i});
  from.position += n;
  (late ? late_messages_ : credit_messages_) += static_cast<std::uint32_t>(n);
  if (from.position < front->messages.size())
    return n;
  (late ? late_bytes_ : credit_bytes_) += front->bytes;
  if (limits_.renew_taken)
    taken_.push_back(front);
  from.deliveries.pop_front();
  from.position = 0;
  return n;
}

/// For good, once it is so: what is behind in its key must not be begun either.
bool inbox::is_late(const leased_message::impl& d) const {
  if (now_().count() < d.until.load(std::memory_order_relaxed))
    return false;
  d.until = 0;
  return true;
}

/// False when it is late: a renewal would come too late as well.
bool inbox::prolong(const leased_message::impl& d, milliseconds now) const {
  auto until = d.until.load();
  return now.count() < until && d.until.compare_exchange_strong(until, (now + terms_.lease).count());
}

void inbox::hand_back(const leased_message& m) {
  settles_.add(give_back_of(m));
  --m.delivery->unhandled;
  ++stats_.late;
  ++late_untold_;
}

bool inbox::late(const leased_message& m) {
  if (!is_late(*m.delivery))
    return false;
  std::lock_guard lock{mutex_};
  ++stats_.late;
  ++late_untold_;
  return true;
}

std::uint64_t inbox::take_late() {
  std::lock_guard lock{mutex_};
  return std::exchange(late_untold_, 0);
}

/// Credit and settles that are worth a message of their own; less waits a little for company. In an ordered
/// group the next message of a key waits for the settle of the one before.
bool inbox::urgent() const {
  const auto window = std::min(limits_.messages, terms_.max_unsettled);
  return (terms_.order && !settles_.empty()) || flush_asked_ > flush_sent_ ||
         std::uint64_t{credit_messages_} * 4 >= limits_.messages ||
         std::uint64_t{credit_bytes_} * 4 >= limits_.bytes || settles_.messages() * 4 >= window;
}

void inbox::wake(std::unique_lock<std::mutex>& lock) {
  if (woken_ || ended_ || !open_ ||
      (credit_messages_ == 0 && settles_.empty() && flush_asked_ == flush_sent_))
    return;
  const auto how = urgent() ? urgency::now : urgency::soon;
  if (how == urgency::soon && std::exchange(woken_for_soon_, true))
    return;
  woken_ = how == urgency::now;
  lock.unlock();
  wake_(how);
}

void inbox::settle(const std::vector<settle_item>& items, std::uint64_t skipped) {
  std::unique_lock lock{mutex_};
  stats_.skipped += skipped;
  for (const auto& item : items) {
    settles_.add(item);
    if (item.action == settle_action::ack)
      stats_.acked += item.count;
    else if (item.action == settle_action::dead)
      stats_.rejected += item.count;
    else if (!item.give_back)
      stats_.retried += item.count;
  }
  wake(lock);
}

error inbox::flush(milliseconds limit) {
  std::unique_lock lock{mutex_};
  if (ended_)
    return end_reason();
  if (!member_ && settles_.empty()) // what was sent is confirmed or lost: there is nothing to wait for
    return take_untold();
  flusher mine{++flush_asked_, {}};
  flushers_.push_back(&mine);
  wake(lock);
  if (!lock.owns_lock())
    lock.lock();
  changed_.wait_for(lock, limit, [&] { return mine.outcome || ended_; });
  std::erase(flushers_, &mine);
  if (mine.outcome)
    return *mine.outcome;
  if (ended_)
    return end_reason();
  return {errc::timeout, "the node did not confirm the settles in " + std::to_string(limit.count()) + " ms",
          "they may be durable or not; messages may come again"};
}

void inbox::forget_lost() {
  std::lock_guard lock{mutex_};
  untold_lost_ = {};
}

error inbox::end_reason() const {
  return why_ ? why_ : error{errc::shutting_down, "the consumer has ended", "start another one"};
}

error inbox::take_untold() {
  const auto refused = std::exchange(untold_refused_, 0);
  if (auto lost = std::exchange(untold_lost_, {}))
    return lost;
  if (refused > 0)
    return {errc::lease_lost, std::to_string(refused) + " runs of messages were settled too late",
            "they come again; renew leases in time, or give the group a longer one"};
  return {};
}

/// Tells all that wait for this number or an earlier one; with nobody there the next flush hears it.
void inbox::finish(std::uint64_t number, const error& why) {
  std::vector<flusher*> told;
  for (auto* f : flushers_)
    if (!f->outcome && f->number <= number)
      told.push_back(f);
  if (told.empty())
    return;
  const auto outcome = why ? why : take_untold();
  for (auto* f : told)
    f->outcome = outcome;
}

void inbox::put_back(std::vector<leased_message>::const_iterator from,
                     std::vector<leased_message>::const_iterator to) {
  {
    std::lock_guard lock{mutex_};
    for (auto m = to; m != from;) // taken from the back again, so that order is kept
      if (wanted(*--m)) {
        waiting_[m->delivery->priority].returned.push_back(*m);
        ++buffered_;
      }
  }
  changed_.notify_all();
}

void inbox::stop_taking() {
  {
    std::lock_guard lock{mutex_};
    taking_ = false;
  }
  changed_.notify_all();
}

bool inbox::is_member() const {
  std::lock_guard lock{mutex_};
  return member_;
}

error inbox::wait_open(milliseconds limit) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, limit, [this] { return open_ || ended_; }))
    return {errc::timeout, "the group did not answer in " + std::to_string(limit.count()) + " ms",
            "check that the node answers, or allow more time"};
  return open_ ? error{} : why_;
}

bool inbox::wait_ended(milliseconds limit) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, limit, [this] { return ended_; });
}

error inbox::ended() const {
  std::lock_guard lock{mutex_};
  return why_;
}

consumer::stats inbox::statistics() const {
  std::lock_guard lock{mutex_};
  return stats_;
}

void inbox::wake_with(std::function<void(urgency)> wake) {
  std::lock_guard lock{mutex_};
  wake_ = std::move(wake);
}

void inbox::joined(const membership_terms& terms) {
  {
    std::lock_guard lock{mutex_};
    drop_all();
    credit_messages_ = limits_.messages;
    credit_bytes_ = limits_.bytes;
    late_messages_ = late_bytes_ = 0;
    terms_ = terms;
    terms_.max_unsettled = std::max(terms.max_unsettled, 1u);
    beat_ = beat_before_ = now_();
    stats_.rejoins += open_ ? 1 : 0;
    open_ = member_ = true;
  }
  changed_.notify_all();
}

void inbox::lost(const error& unconfirmed) {
  {
    std::lock_guard lock{mutex_};
    drop_all();
    member_ = false;
    if (unconfirmed)
      untold_lost_ = unconfirmed;
    if (untold_lost_ || settles_.empty())
      finish(flush_asked_, {});
  }
  changed_.notify_all();
}

void inbox::drop_all() {
  ++session_;
  waiting_.clear();
  taken_.clear();
  buffered_ = 0;
}

void inbox::deliver(delivery_ptr d) {
  {
    std::lock_guard lock{mutex_};
    d->session = session_;
    d->until = (beat_before_ + terms_.lease).count();
    d->unhandled = static_cast<std::uint32_t>(d->messages.size());
    d->came_at = handed_out_;
    stats_.received += d->messages.size();
    if (d->messages.size() > 0) {
      buffered_ += d->messages.size();
      waiting_[d->priority].deliveries.push_back(std::move(d));
    } else {
      credit_bytes_ += d->bytes;
    }
  }
  changed_.notify_all();
}

void inbox::damaged(std::uint32_t messages, std::uint32_t bytes) {
  std::unique_lock lock{mutex_};
  credit_messages_ += messages;
  credit_bytes_ += bytes;
  wake(lock);
}

consumer_news inbox::collect() {
  std::lock_guard lock{mutex_};
  woken_ = woken_for_soon_ = false;
  consumer_news news;
  news.messages = std::exchange(credit_messages_, 0);
  news.bytes = std::exchange(credit_bytes_, 0);
  news.settles = settles_.take();
  if (flush_asked_ > flush_sent_)
    news.confirm = flush_sent_ = flush_asked_;
  return news;
}

void inbox::confirmed(std::uint64_t number, std::uint64_t refused, const error& why) {
  {
    std::lock_guard lock{mutex_};
    untold_refused_ += refused;
    stats_.refused_settles += refused;
    finish(number, why);
  }
  changed_.notify_all();
}

void inbox::count_refused(std::uint64_t runs) {
  std::lock_guard lock{mutex_};
  untold_refused_ += runs;
  stats_.refused_settles += runs;
}

std::vector<held_lease> inbox::held() {
  std::lock_guard lock{mutex_};
  std::vector<held_lease> out;
  const auto now = now_();
  beat_before_ = std::exchange(beat_, now);
  credit_messages_ += std::exchange(late_messages_, 0);
  credit_bytes_ += std::exchange(late_bytes_, 0);
  for (const auto& [priority, lane] : waiting_)
    for (const auto& d : lane.deliveries)
      if (prolong(*d, now))
        out.push_back({d->queue, d->lease});
  std::erase_if(taken_, [&](const auto& weak) {
    auto d = weak.lock();
    if (!d || d->unhandled == 0)
      return true;
    if (prolong(*d, now))
      out.push_back({d->queue, d->lease});
    return false;
  });
  return out;
}

void inbox::end(const error& why) {
  {
    std::lock_guard lock{mutex_};
    ended_ = true;
    member_ = false;
    why_ = why;
    drop_all();
  }
  changed_.notify_all();
}

} // namespace troupe
