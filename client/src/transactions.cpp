#include "troupe/transactions.hpp"

#include "transactions_impl.hpp"

#include <random>
#include <utility>

namespace troupe {

namespace {

producer_options options_for(const transaction_options& o, const std::string& topic) {
  producer_options p;
  p.topic = topic;
  p.window = o.window;
  p.batch_bytes = o.batch_bytes;
  p.batch_messages = o.batch_messages;
  p.timeout = o.timeout;
  return p;
}

error check(const transaction_options& o) {
  if (auto wrong = validate_group_name(o.group))
    return wrong;
  return check(options_for(o, "any"));
}

error closed_error() { return {errc::shutting_down, "the transactions were closed", "open others"}; }

template <class Done, class Answer> void tell(const Done& done, const Answer& answer) {
  if (!done)
    return;
  const callback_mark mark;
  done(answer);
}

} // namespace

// -- what it owns
// -------------------------------------------------------------------------------------------

error transactions::impl::start() {
  auto& internals = *owner.internals();
  if (internals.closed)
    return client_closed();
  next_home = std::random_device{}();
  if (options.checker)
    checks = std::make_shared<check_runner>(options.checker, board, options.timeout);
  const visit here;
  actor = internals.system->spawn(
      transaction_client,
      transaction_client_config{options.group, options.timeout, internals.connection, board, checks});
  board->wake_with([handle = actor] { caf::anon_send(handle, decide_atom::value); });
  if (checks)
    checks->start([handle = actor](const check_runner::job& j) {
      const visit asked;
      caf::anon_send(handle, check_handled{j.from, check_cost(j.item)});
    });
  return board->wait_open(internals.options.timeout + milliseconds{200});
}

error transactions::impl::flush(milliseconds limit) {
  const auto until = steady_now() + limit;
  std::map<std::string, std::shared_ptr<producer::impl>> all;
  {
    std::lock_guard lock{mutex};
    all = producers;
  }
  error first;
  for (const auto& [topic, to] : all)
    if (auto failed = to->messages->flush(std::max(until - steady_now(), milliseconds{1})); failed && !first)
      first = failed;
  auto failed = board->flush(std::max(until - steady_now(), milliseconds{1}));
  return first ? first : failed;
}

error transactions::impl::close() {
  if (closed.exchange(true))
    return {};
  // In a callback nothing may wait: what is in flight then fails.
  auto outcome = inside_callback() || !actor ? error{} : flush(options.timeout);
  std::map<std::string, std::shared_ptr<producer::impl>> all;
  {
    std::lock_guard lock{mutex};
    all.swap(producers);
  }
  for (const auto& [topic, to] : all)
    to->close();
  // First, so that a checker that decides does not wait.
  board->refuse(closed_error());
  if (checks)
    checks->stop(!inside_callback());
  if (actor)
    caf::anon_send(actor, decide_stop_atom::value);
  if (actor && !inside_callback())
    board->wait_ended(std::chrono::seconds{5});
  return outcome;
}

result<std::shared_ptr<producer::impl>> transactions::impl::to(const std::string& topic) {
  {
    std::lock_guard lock{mutex};
    if (const auto known = producers.find(topic); known != producers.end())
      return known->second;
    if (producers.size() >= transactions::most_topics)
      return error{errc::too_large,
                   "one object publishes to " + std::to_string(transactions::most_topics) + " topics",
                   "open another one"};
  }
  if (closed)
    return closed_error();
  if (inside_callback())
    return callback_waits();
  auto wanted = options_for(options, topic);
  if (auto wrong = troupe::check(wanted))
    return wrong;
  auto opened = producer::impl::open(owner, std::move(wanted));
  if (!opened)
    return opened.error();
  // Of two that opened it at once one is too many, and its end takes time.
  const std::shared_ptr<producer::impl> fresh = std::move(*opened);
  std::lock_guard lock{mutex};
  return producers.try_emplace(topic, fresh).first->second;
}

void transactions::impl::forget(const std::string& topic, const std::shared_ptr<producer::impl>& gone) {
  std::lock_guard lock{mutex};
  if (const auto at = producers.find(topic); at != producers.end() && at->second == gone)
    producers.erase(at);
}

error transactions::impl::put(const std::string& topic, message& m, completion&& done, const half_of& half) {
  for (int attempt = 0;; ++attempt) {
    auto producer = to(topic);
    if (!producer)
      return producer.error();
    auto given = done;
    auto refused = (*producer)->put(m, std::move(given), true, &half);
    // The topic was deleted, and may be there again.
    if (refused.code != errc::not_found || attempt > 0)
      return refused;
    forget(topic, *producer);
  }
}

error transactions::impl::decide(const message_id& id, bool commit, transactions::decided done,
                                 bool may_block) {
  half_decision d{id, commit, std::move(done), steady_now() + options.timeout};
  return board->put(std::move(d), may_block);
}

error transactions::impl::take(shard_id home, decltype(transaction_step::request) request, answered done) {
  return board->put(
      transaction_step{home, std::move(request), std::move(done), steady_now() + options.timeout});
}

result<transaction_answer> transactions::impl::ask(shard_id home,
                                                   decltype(transaction_step::request) request) {
  if (inside_callback())
    return callback_waits();
  const auto slot = std::make_shared<answer_of_one<transaction_answer>>();
  if (auto refused =
          take(home, std::move(request), [slot](const result<transaction_answer>& a) { slot->put(a); }))
    return refused;
  return slot->wait();
}

// -- what a program holds
// -----------------------------------------------------------------------------------

transactions::transactions(std::shared_ptr<impl> i) : impl_(std::move(i)) {}
transactions::transactions(transactions&&) noexcept = default;
transactions& transactions::operator=(transactions&& other) noexcept {
  if (impl_ && impl_ != other.impl_)
    impl_->close();
  impl_ = std::move(other.impl_);
  return *this;
}
transactions::~transactions() {
  if (impl_)
    impl_->close();
}

result<transactions> transactions::open(const client& c, transaction_options options) {
  if (auto wrong = check(options))
    return wrong;
  auto i = std::make_shared<impl>(c, std::move(options));
  if (auto failed = i->start())
    return failed;
  return transactions{std::move(i)};
}

result<transaction_receipt> transactions::send(const std::string& topic, message m, const local_work& work) {
  auto half = prepare(topic, m);
  if (!half)
    return half.error();
  transaction_receipt r;
  r.half = std::move(*half);
  try {
    r.local = work(m, r.half.id);
  } catch (...) {
    r.local = decision::unknown;
  }
  if (r.local == decision::unknown)
    return r;
  auto state = r.local == decision::commit ? commit(r.half.id) : rollback(r.half.id);
  if (!state)
    r.undecided = state.error();
  else
    r.state = r.local == decision::commit ? *state : transaction_state::rolled_back;
  return r;
}

result<receipt> transactions::prepare(const std::string& topic, message m) {
  if (inside_callback())
    return callback_waits();
  const auto board = std::make_shared<answer_board>(1);
  if (auto refused = impl_->put(topic, m, {.slot = 0, .board = board}, {impl_->options.group, {}}))
    return refused;
  return std::move(board->wait().front());
}

void transactions::prepare_async(const std::string& topic, message m, producer::callback done) {
  completion c{.call = std::move(done)};
  if (auto refused = impl_->put(topic, m, std::move(c), {impl_->options.group, {}})) {
    const callback_mark mark;
    c(refused); // NOLINT(bugprone-use-after-move): put() moves from it only when it took the message
  }
}

namespace {

result<transaction_state> decide(transactions::impl& i, const message_id& id, bool commit) {
  if (inside_callback())
    return callback_waits();
  const auto slot = std::make_shared<answer_of_one<transaction_state>>();
  if (auto refused = i.decide(
          id, commit, [slot](const auto& a) { slot->put(a); }, true))
    return refused;
  return slot->wait();
}

void decide_async(transactions::impl& i, const message_id& id, bool commit, transactions::decided done) {
  if (auto refused = i.decide(id, commit, done, true))
    tell(done, result<transaction_state>{refused});
}

} // namespace

result<transaction_state> transactions::commit(const message_id& id) { return decide(*impl_, id, true); }
result<transaction_state> transactions::rollback(const message_id& id) { return decide(*impl_, id, false); }
void transactions::commit_async(const message_id& id, decided done) {
  decide_async(*impl_, id, true, std::move(done));
}
void transactions::rollback_async(const message_id& id, decided done) {
  decide_async(*impl_, id, false, std::move(done));
}

result<std::vector<message_id>> transactions::publish(std::vector<std::pair<std::string, message>> messages) {
  auto t = begin();
  if (!t)
    return t.error();
  for (auto& [topic, m] : messages)
    if (auto refused = t->add(topic, std::move(m)))
      return refused;
  auto ids = t->prepare();
  if (!ids) {
    t->rollback();
    return ids;
  }
  if (auto state = t->commit(); !state)
    return state.error();
  return ids;
}

error transactions::flush(milliseconds limit) { return impl_->flush(limit); }

error transactions::close() { return impl_->close(); }

} // namespace troupe
