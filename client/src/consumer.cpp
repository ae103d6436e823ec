#include "membership.hpp"
#include "outbox.hpp"
#include "outcomes.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace troupe {

namespace {

/// A thread takes so many messages at a time that they take about this long: few locks when the handler is
/// quick, one message at a time when it is slow, so that no message waits behind a slow one while another
/// thread is idle.
constexpr auto short_turn = std::chrono::microseconds{100};
constexpr auto long_turn = std::chrono::milliseconds{1};
constexpr auto too_long_turn = std::chrono::milliseconds{5};
constexpr std::size_t longest_share = 1024;

/// What the handler threads share. Outlives the consumer when a handler does not come back in time.
struct handler_pool {
  handler_pool(consumer::handler h, message_predicate w, std::shared_ptr<inbox> m, std::size_t n)
      : handle(std::move(h)), wanted(std::move(w)), messages(std::move(m)), threads(n) {}

  const consumer::handler handle;
  const message_predicate wanted;
  const std::shared_ptr<inbox> messages;
  const std::size_t threads;

  std::mutex mutex;
  std::condition_variable done;
  std::size_t running = 0;

  void work();
  std::chrono::steady_clock::duration turn(const std::vector<leased_message>& batch);
  std::optional<outcome> judge(const leased_message& m) const;
  bool wait_done(milliseconds limit, std::size_t but);
};

thread_local const handler_pool* my_pool = nullptr;

/// Nothing when this program does not want it.
std::optional<outcome> handler_pool::judge(const leased_message& m) const {
  try {
    if (!wanted || wanted(m))
      return handle(m);
    return {};
  } catch (const std::exception& e) {
    return outcome::retry(milliseconds{0}, e.what());
  } catch (...) {
    return outcome::retry(milliseconds{0}, "the handler threw something that is no std::exception");
  }
}

void handler_pool::work() {
  my_pool = this;
  std::size_t share = 1;
  for (;;) {
    const auto batch = messages->take_share(share, threads);
    if (batch.empty())
      break;
    const auto took = turn(batch);
    if (took < short_turn)
      share = std::min(share * 2, longest_share);
    else if (took > long_turn)
      share = std::max<std::size_t>(share / 2, 1);
  }
  {
    std::lock_guard lock{mutex};
    --running;
  }
  done.notify_all();
}

/// Handles what was taken; when that takes too long, the rest is for the next thread that is free.
std::chrono::steady_clock::duration handler_pool::turn(const std::vector<leased_message>& batch) {
  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  clock::duration took{0};
  outcomes became;
  auto m = batch.begin();
  for (; m != batch.end() && took < too_long_turn; ++m, took = clock::now() - began) {
    if (!messages->wanted(*m))
      continue;
    if (messages->late(*m))
      became.give_back(*m);
    else if (!m->delivery->stopped(m->position))
      became.add_or_skip(*m, judge(*m));
    --m->delivery->unhandled;
  }
  became.tell(*messages);
  if (m != batch.end())
    messages->put_back(m, batch.end());
  return took;
}

bool handler_pool::wait_done(milliseconds limit, std::size_t but) {
  std::unique_lock lock{mutex};
  return done.wait_for(lock, limit, [&] { return running <= but; });
}

} // namespace

struct consumer::impl {
  std::unique_ptr<membership> member;
  std::shared_ptr<handler_pool> pool;
  std::vector<std::jthread> threads;
  std::mutex stopping;
  bool stopped = false;
  error outcome;

  ~impl() {
    stop(milliseconds{10'000});
    for (auto& t : threads) {
      // A handler that does not come back, or one that destroys its own consumer: it keeps what it needs
      // alive.
      if (t.get_id() == std::this_thread::get_id() || !pool->wait_done(milliseconds{0}, 0))
        t.detach();
    }
  }

  void start(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      {
        std::lock_guard lock{pool->mutex};
        ++pool->running;
      }
      try {
        threads.emplace_back([p = pool] { p->work(); });
      } catch (...) {
        std::lock_guard lock{pool->mutex};
        --pool->running;
        throw;
      }
    }
  }

  error stop(milliseconds limit) {
    std::lock_guard lock{stopping};
    if (std::exchange(stopped, true))
      return outcome;
    member->messages()->stop_taking();
    // A handler that stops its own consumer does not wait for itself.
    const std::size_t myself = my_pool == pool.get() ? 1 : 0;
    const auto end = steady_now() + limit;
    const bool done = pool->wait_done(limit, myself);
    member->messages()->forget_lost();
    outcome = member->leave(std::max(end - steady_now(), milliseconds{1000}));
    if (!done)
      outcome = {errc::timeout, "a handler still runs after " + std::to_string(limit.count()) + " ms",
                 "its message comes again; give stop() more time"};
    return outcome;
  }
};

consumer::consumer(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
consumer::consumer(consumer&&) noexcept = default;
consumer& consumer::operator=(consumer&&) noexcept = default;
consumer::~consumer() = default;

result<consumer> consumer::start(const client& c, consumer_options options, std::size_t threads, handler h) {
  if (threads == 0 || threads > 1024)
    return error{errc::invalid_argument, "a consumer with " + std::to_string(threads) + " threads",
                 "choose 1 to 1024"};
  if (!h)
    return error{errc::invalid_argument, "the consumer has no handler", "give it a function"};
  auto wanted = std::exchange(options.wanted, nullptr);
  auto member = membership::begin(c, std::move(options), true);
  if (!member)
    return member.error();
  auto i = std::make_unique<impl>();
  i->member = std::move(*member);
  i->pool = std::make_shared<handler_pool>(std::move(h), std::move(wanted), i->member->messages(), threads);
  try {
    i->start(threads);
  } catch (const std::system_error& e) {
    return error{errc::overloaded, std::string{"the consumer cannot start its threads: "} + e.what(),
                 "use fewer"};
  }
  return consumer{std::move(i)};
}

error consumer::stop(milliseconds limit) { return impl_->stop(limit); }

consumer::stats consumer::statistics() const { return impl_->member->messages()->statistics(); }

error consumer::ended() const { return impl_->member->messages()->ended(); }

} // namespace troupe
