#include "troupe/processor.hpp"

#include "inbox.hpp"
#include "transactions_impl.hpp"

#include "troupe/backoff.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace troupe {

namespace {

using namespace std::chrono_literals;

/// How often a thread that waits for inputs looks whether it is to stop.
constexpr milliseconds glance = 250ms;
/// Leases are renewed at most this often, between two inputs or attempts.
constexpr milliseconds renewal = 1s;

error check(const processor_options& o, std::size_t threads, const processor::handler& h) {
  const auto invalid = [](std::string why, std::string todo) {
    return error{errc::invalid_argument, std::move(why), std::move(todo)};
  };
  if (!h)
    return invalid("the processor has no handler", "give it one");
  if (threads == 0 || threads > 1024)
    return invalid("a processor has " + std::to_string(threads) + " threads", "choose 1 to 1024");
  if (o.batch == 0 || o.batch > transactions::most_messages)
    return invalid("processor option batch is " + std::to_string(o.batch),
                   "choose 1 to " + std::to_string(transactions::most_messages));
  return {};
}

/// Trying the same once more may help: it is the node or the line that failed, not the message.
bool is_passing(errc code) {
  switch (code) {
  case errc::disconnected:
  case errc::timeout:
  case errc::overloaded:
  case errc::no_space:
  case errc::shutting_down:
  case errc::storage_failed:
  case errc::gap:
  case errc::unknown_producer:
  case errc::conflict: // rolled back for its age, or by hand
  case errc::internal:
    return true;
  default:
    return false;
  }
}

/// The acknowledgement of messages of one queue and generation, as a transaction takes it along.
settle_guard guard_of(std::span<const leased_message> messages) {
  const auto& first = *messages.front().delivery;
  settle_guard guard{.group = first.group, .queue = first.queue, .gen = first.gen, .runs = {}};
  std::vector<queue_offset> offsets;
  for (const auto& m : messages)
    offsets.push_back(m.offset());
  std::ranges::sort(offsets);
  for (const auto offset : offsets) {
    if (guard.runs.empty() || guard.runs.back().first.value + guard.runs.back().count != offset.value)
      guard.runs.push_back({offset, 0});
    ++guard.runs.back().count;
  }
  return guard;
}

bool together(const leased_message& a, const leased_message& b) {
  return a.delivery->queue == b.delivery->queue && a.delivery->gen == b.delivery->gen &&
         a.delivery->group == b.delivery->group;
}

} // namespace

struct processor::impl {
  client owner;
  processor_options options;
  handler work;
  transactions publishing;
  std::vector<pull_consumer> members;
  std::vector<std::thread> threads;

  std::mutex ending;
  mutable std::mutex mutex;
  std::condition_variable changed;
  /// Of threads; each says its own before it calls a handler.
  std::vector<std::thread::id> workers;
  bool stopping = false;
  stats counts;
  error why_ended;
  error stopped_with;

  impl(const client& c, processor_options o, handler h, transactions t)
      : owner(c), options(std::move(o)), work(std::move(h)), publishing(std::move(t)) {}
  ~impl() { stop(); }

  bool stops() const {
    std::lock_guard lock{mutex};
    return stopping;
  }
  template <class F> void count(F&& change) {
    std::lock_guard lock{mutex};
    change(counts);
  }

  error stop();

  class worker;
};

/// What the thread of one member does.
class processor::impl::worker {
public:
  worker(impl& all, pull_consumer& from) : all_(all), from_(from) {}

  void run() {
    {
      std::lock_guard lock{all_.mutex};
      all_.workers.push_back(std::this_thread::get_id());
    }
    while (!all_.stops()) {
      auto some = from_.fetch(all_.options.batch, glance);
      if (!some)
        return ended(some.error());
      held_ = *some;
      for (std::span<const leased_message> rest{*some}; !rest.empty();) {
        const auto end = std::ranges::find_if_not(
            rest, [&](const leased_message& m) { return together(rest.front(), m); });
        const auto size = static_cast<std::size_t>(end - rest.begin());
        handle(rest.first(size));
        rest = rest.subspan(size);
      }
      held_ = {};
    }
  }

private:
  /// Runs of the handler that are to become durable together.
  struct batch {
    std::vector<leased_message> inputs;
    outputs::list messages;
  };

  void handle(std::span<const leased_message> messages) {
    batch done;
    for (const auto& m : messages) {
      if (all_.stops()) {
        from_.give_back(m);
        continue;
      }
      if (from_.comes_again(m))
        continue;
      renew();
      auto made = run_handler(m);
      if (!made)
        continue;
      if (done.messages.size() + made->size() > transactions::most_messages)
        finish(std::exchange(done, {}));
      if (from_.comes_again(m))
        continue; // one before it in its key failed meanwhile
      done.inputs.push_back(m);
      std::ranges::move(*made, std::back_inserter(done.messages));
    }
    finish(std::move(done));
  }

  /// The outputs; nothing when the input is not done.
  std::optional<outputs::list> run_handler(const leased_message& m) {
    outputs made;
    outcome said;
    try {
      said = all_.work(m, made);
    } catch (const std::exception& e) {
      said = outcome::retry(0ms, e.what());
    } catch (...) {
      said = outcome::retry();
    }
    if (said.what == outcome::kind::ack && made.messages().size() > outputs::most)
      said = outcome::reject("the handler made " + std::to_string(made.messages().size()) +
                             " outputs; one input may have " + std::to_string(outputs::most));
    if (said.what == outcome::kind::ack)
      return std::move(made.messages());
    fail(m, std::move(said));
    return {};
  }

  void fail(const leased_message& m, outcome said) {
    const bool again = said.what == outcome::kind::retry;
    again ? from_.retry(m, said.delay, std::move(said.why)) : from_.reject(m, std::move(said.why));
    all_.count([&](auto& s) { ++(again ? s.retried : s.rejected); });
  }

  void finish(batch done) {
    if (done.inputs.empty())
      return;
    if (done.messages.empty())
      return acknowledge(done.inputs, 0);
    backoff pauses{100ms, 5s};
    for (std::uint64_t attempt = 0;; ++attempt) {
      const auto committed = commit(done);
      if (!committed)
        return acknowledge(done.inputs, done.messages.size());
      if (committed.code == errc::lease_lost)
        return another_run_won(done);
      if (!is_passing(committed.code))
        return cannot_be_published(done, committed);
      all_.count([&](auto& s) {
        ++s.again;
        s.last_failure = committed;
      });
      // What is no longer ours comes again, to whomever.
      if (!wait(std::max(pauses.next(attempt * 0x9e3779b97f4a7c15u), committed.retry_after)) ||
          from_.comes_again(done.inputs.front()))
        return give_back(done);
      renew();
    }
  }

  /// No error when outputs and acknowledgement are durable; lease_lost when another run of an input was
  /// ahead.
  error commit(const batch& done) {
    all_.count([](auto& s) { ++s.transactions; });
    auto t = all_.publishing.internals()->begin_at(done.inputs.front().id().shard, {}, {});
    if (!t)
      return t.error();
    for (const auto& [topic, m] : done.messages)
      if (auto refused = t->add(topic, m))
        return refused;
    const auto decided = commit_with(*t, guard_of(done.inputs));
    return decided ? error{} : decided.error();
  }

  void acknowledge(const std::vector<leased_message>& inputs, std::size_t published) {
    from_.ack(inputs);
    all_.count([&](auto& s) {
      s.processed += inputs.size();
      s.outputs += published;
    });
  }

  /// Of a batch it is not known which: each alone, then.
  void another_run_won(const batch& done) {
    if (done.inputs.size() == 1) {
      all_.count([](auto& s) { ++s.repeats; });
      from_.ack(done.inputs.front());
      return;
    }
    one_by_one(done);
  }

  void cannot_be_published(const batch& done, const error& why) {
    if (done.inputs.size() == 1)
      return fail(done.inputs.front(), outcome::retry(0ms, "its outputs cannot be published: " + why.reason));
    one_by_one(done);
  }

  void one_by_one(const batch& done) {
    for (const auto& m : done.inputs)
      handle(std::span(&m, 1));
  }

  void give_back(const batch& done) {
    for (const auto& m : done.inputs)
      from_.give_back(m);
  }

  /// Of all that was fetched: what waits for its turn is held as well.
  void renew() {
    const auto now = std::chrono::steady_clock::now();
    if (now - renewed_ < renewal)
      return;
    renewed_ = now;
    const leased_message::impl* last = nullptr;
    for (const auto& m : held_)
      if (std::exchange(last, m.delivery.get()) != m.delivery.get())
        from_.renew(m);
  }

  /// False when it is to stop.
  bool wait(milliseconds pause) {
    std::unique_lock lock{all_.mutex};
    return !all_.changed.wait_for(lock, pause, [&] { return all_.stopping; });
  }

  void ended(const error& why) {
    std::lock_guard lock{all_.mutex};
    if (!all_.why_ended && !all_.stopping)
      all_.why_ended = why;
  }

  impl& all_;
  pull_consumer& from_;
  std::span<const leased_message> held_;
  std::chrono::steady_clock::time_point renewed_ = std::chrono::steady_clock::now();
};

error processor::impl::stop() {
  {
    std::lock_guard lock{mutex};
    stopping = true;
    // A handler that stops its own processor does not wait for itself; whoever owns it stops it once more.
    if (std::ranges::find(workers, std::this_thread::get_id()) != workers.end()) {
      changed.notify_all();
      return {};
    }
  }
  changed.notify_all();
  std::lock_guard once{ending};
  for (auto& t : std::exchange(threads, {}))
    t.join();
  for (auto& member : std::exchange(members, {}))
    if (auto failed = member.close(); failed && !stopped_with)
      stopped_with = failed;
  if (auto failed = publishing.close(); failed && !stopped_with)
    stopped_with = failed;
  return stopped_with;
}

processor::processor(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
processor::processor(processor&&) noexcept = default;
processor& processor::operator=(processor&&) noexcept = default;
processor::~processor() = default;

result<processor> processor::start(const client& c, processor_options options, std::size_t threads,
                                   handler h) {
  if (auto wrong = check(options, threads, h))
    return wrong;
  transaction_options publishing;
  // Nobody is asked about its transactions: what is not decided in time never happened.
  publishing.group = options.group;
  publishing.timeout = options.timeout;
  auto to = transactions::open(c, std::move(publishing));
  if (!to)
    return to.error();
  auto made = std::make_unique<impl>(c, std::move(options), std::move(h), std::move(*to));
  for (std::size_t n = 0; n < threads; ++n) {
    auto member = pull_consumer::open(c, {.group = made->options.group,
                                          .topics = made->options.topics,
                                          .start = made->options.start,
                                          .max_messages = made->options.batch});
    if (!member)
      return member.error();
    made->members.push_back(std::move(*member));
  }
  const auto group = made->owner.describe_group(made->options.group);
  if (!group)
    return group.error();
  if (group->options.mode == group_mode::broadcast)
    return error{errc::invalid_argument, "group \"" + made->options.group + "\" is a broadcast group",
                 "process with a shared or an ordered one"};
  for (auto& member : made->members)
    made->threads.emplace_back([all = made.get(), &member] { impl::worker(*all, member).run(); });
  return processor{std::move(made)};
}

error processor::stop() { return impl_->stop(); }

processor::stats processor::statistics() const {
  std::lock_guard lock{impl_->mutex};
  return impl_->counts;
}

error processor::ended() const {
  std::lock_guard lock{impl_->mutex};
  return impl_->why_ended;
}

} // namespace troupe
