#include "inbox.hpp"

#include "outbox.hpp"
#include "outcomes.hpp"

#include <algorithm>

namespace troupe {

inbox::inbox(limits l, std::function<milliseconds()> now)
    : limits_(l), now_(now ? std::move(now) : steady_now) {}

/// Credit and settles that are worth a message of their own; less waits a little for company. In an ordered
/// group the next messages of a key wait for the settle of the last one before.
bool inbox::urgent() const {
  const auto window = std::min(limits_.messages, terms_.max_unsettled);
  return (terms_.order && key_waits_) || flush_asked_ > flush_sent_ ||
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

void inbox::settle(const std::vector<settle_item>& items, std::uint64_t skipped, bool key_waits) {
  std::unique_lock lock{mutex_};
  stats_.skipped += skipped;
  key_waits_ = key_waits_ || (key_waits && !items.empty());
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
  if (terms_.order) // the CONSUMER's own: nobody else changes it
    d->chains = key_chains::of(d->messages, *terms_.order);
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
  key_waits_ = false;
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
