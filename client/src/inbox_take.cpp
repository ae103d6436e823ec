#include "inbox.hpp"

#include "outcomes.hpp"

#include <algorithm>

/// How the INBOX hands out what came: by priority, in the order of keys, and nothing that is late.
namespace troupe {

std::vector<leased_message> inbox::take(std::size_t most, milliseconds wait) {
  std::vector<leased_message> out;
  const auto end = std::chrono::steady_clock::now() + wait;
  std::unique_lock lock{mutex_};
  // Until something is there that may be begun.
  while (out.empty() && most > 0 &&
         changed_.wait_until(lock, end, [this] { return buffered_ > 0 || !taking_ || ended_; }) && taking_ &&
         !ended_) {
    hand_out(most, out);
    if (!out.empty())
      break;
    wake(lock); // all that was there is late or stopped: it goes back
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
    wake(lock); // all that was there is late or stopped: it goes back
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
  if (!from.returned.empty())
    return hand_out_again(from, out);
  const auto& front = from.deliveries.front();
  const bool late = is_late(*front);
  const auto* chains = chains_of(*front);
  auto end = static_cast<std::uint32_t>(front->messages.size());
  if (!late)
    end = static_cast<std::uint32_t>(std::min<std::size_t>(end, from.position + most - out.size()));
  if (chains)
    end = chains->cut(end);
  const auto n = end - static_cast<std::uint32_t>(from.position);
  for (auto i = static_cast<std::uint32_t>(from.position); i < end; ++i)
    give({front, chains ? chains->in_turn(i) : i}, late, out);
  from.position = end;
  (late ? late_messages_ : credit_messages_) += n;
  if (end < front->messages.size())
    return n;
  (late ? late_bytes_ : credit_bytes_) += front->bytes;
  if (limits_.push)
    taken_.push_back(front);
  from.deliveries.pop_front();
  from.position = 0;
  return n;
}

/// One message, and what waits of its key with it.
std::size_t inbox::hand_out_again(lane& from, std::vector<leased_message>& out) {
  const auto first = from.returned.back();
  const auto* chains = chains_of(*first.delivery);
  const bool late = is_late(*first.delivery);
  std::size_t n = 0;
  do {
    give(std::move(from.returned.back()), late, out);
    from.returned.pop_back();
    ++n;
  } while (chains && !from.returned.empty() && from.returned.back().delivery == first.delivery &&
           chains->together(from.returned.back().position, first.position));
  return n;
}

void inbox::give(leased_message m, bool late, std::vector<leased_message>& out) {
  if (late)
    hand_back(m);
  else if (m.delivery->stopped(m.position))
    --m.delivery->unhandled;
  else
    out.push_back(std::move(m));
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
  key_waits_ = true;
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

} // namespace troupe
