#include "membership.hpp"
#include "outbox.hpp"
#include "outcomes.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <span>
#include <utility>

namespace troupe {

namespace {

/// Keeps sums with the clock far from overflow.
constexpr milliseconds longest_wait = std::chrono::years{1};

} // namespace

struct pull_consumer::impl {
  std::unique_ptr<membership> member;
  message_predicate wanted;
  std::once_flag closed;
  error outcome;

  impl(std::unique_ptr<membership> m, message_predicate w) : member(std::move(m)), wanted(std::move(w)) {}
  ~impl() { close(); }

  inbox& messages() { return *member->messages(); }

  error state() {
    auto why = messages().ended();
    if (!why && !messages().taking())
      why = {errc::shutting_down, "the consumer was closed", "open another one"};
    return why;
  }

  error settle(std::span<const leased_message> all, const troupe::outcome& said) {
    if (!std::ranges::all_of(all, [](const auto& m) { return m.delivery != nullptr; }))
      return {errc::invalid_argument, "this is no delivered message", "settle messages that fetch() gave"};
    if (said.delay < milliseconds{0})
      return {errc::invalid_argument, "the delay is negative", "choose 0 or more"};
    outcomes became;
    std::uint64_t refused = 0;
    for (const auto& m : all)
      refused += became.add(m, said) ? 0 : 1;
    became.tell(messages());
    if (refused > 0)
      messages().count_refused(refused);
    return state();
  }

  /// Settles what the predicate refuses, and leaves the rest.
  void keep_wanted(std::vector<leased_message>& fetched) {
    outcomes became;
    std::erase_if(fetched, [&](const leased_message& m) {
      if (m.delivery->stopped(m.position))
        return true;
      try {
        if (wanted(m))
          return false;
        became.add_or_skip(m, {});
      } catch (const std::exception& e) {
        became.add(m, troupe::outcome::retry(milliseconds{0}, e.what()));
      } catch (...) {
        became.add(m, troupe::outcome::retry());
      }
      return true;
    });
    became.tell(messages());
  }

  error close() {
    std::call_once(closed, [this] { outcome = member->leave(milliseconds{10'000}); });
    return outcome;
  }
};

pull_consumer::pull_consumer(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
pull_consumer::pull_consumer(pull_consumer&&) noexcept = default;
pull_consumer& pull_consumer::operator=(pull_consumer&&) noexcept = default;
pull_consumer::~pull_consumer() = default;

result<pull_consumer> pull_consumer::open(const client& c, consumer_options options) {
  auto wanted = std::exchange(options.wanted, nullptr);
  auto member = membership::begin(c, std::move(options), false);
  if (!member)
    return member.error();
  return pull_consumer{std::make_unique<impl>(std::move(*member), std::move(wanted))};
}

result<std::vector<leased_message>> pull_consumer::fetch(std::size_t max, milliseconds wait) {
  wait = std::clamp(wait, milliseconds{0}, longest_wait);
  const auto end = steady_now() + wait;
  auto fetched = impl_->messages().take(max, wait);
  while (impl_->wanted && !fetched.empty()) {
    impl_->keep_wanted(fetched);
    if (!fetched.empty() || steady_now() >= end)
      return fetched;
    fetched = impl_->messages().take(max, end - steady_now());
  }
  if (fetched.empty())
    if (auto why = impl_->state())
      return why;
  return fetched;
}

error pull_consumer::ack(const leased_message& m) { return impl_->settle({&m, 1}, outcome::ack()); }

error pull_consumer::ack(const std::vector<leased_message>& messages) {
  return impl_->settle(messages, outcome::ack());
}

error pull_consumer::retry(const leased_message& m, milliseconds delay, std::string why) {
  return impl_->settle({&m, 1}, outcome::retry(delay, std::move(why)));
}

error pull_consumer::reject(const leased_message& m, std::string why) {
  return impl_->settle({&m, 1}, outcome::reject(std::move(why)));
}

error pull_consumer::give_back(const leased_message& m) {
  if (!m.delivery)
    return {errc::invalid_argument, "this is no delivered message", "give back messages that fetch() gave"};
  outcomes became;
  became.give_back(m);
  became.tell(impl_->messages());
  return impl_->state();
}

bool pull_consumer::comes_again(const leased_message& m) const {
  return m.delivery && (!impl_->messages().wanted(m) || m.delivery->stopped(m.position));
}

error pull_consumer::renew(const leased_message& m) {
  if (!m.delivery)
    return {errc::invalid_argument, "this is no delivered message", "renew messages that fetch() gave"};
  impl_->member->renew({m.delivery->queue, m.delivery->lease});
  return impl_->state();
}

error pull_consumer::flush(milliseconds limit) { return impl_->messages().flush(limit); }

error pull_consumer::close() { return impl_->close(); }

consumer::stats pull_consumer::statistics() const { return impl_->member->messages()->statistics(); }

} // namespace troupe
