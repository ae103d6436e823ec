#include "transactions_impl.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

error gathers_no_more() {
  return {errc::invalid_argument, "the transaction is prepared, or over", "begin another one"};
}

std::string named(const transaction_id& id) { return "transaction " + to_string(id); }

} // namespace

// -- what it owns
// -------------------------------------------------------------------------------------------

void transaction::impl::messages::answer(std::size_t slot, const result<receipt>& r) {
  {
    std::lock_guard lock{mutex};
    if (r && r->placed)
      ids[slot] = r->id;
    else if (!failed)
      failed =
          r ? error{errc::internal, "a message is stored, but its id is not known", "roll back"} : r.error();
    --open;
  }
  changed.notify_all();
}

error transaction::impl::add(const std::string& topic, message m) {
  if (now != phase::gathering)
    return gathers_no_more();
  std::size_t slot = 0;
  {
    std::lock_guard lock{sent->mutex};
    slot = sent->ids.size();
    if (slot >= transactions::most_messages)
      return {errc::too_large,
              "a transaction has at most " + std::to_string(transactions::most_messages) + " messages",
              "commit more often"};
    sent->ids.emplace_back();
    ++sent->open;
  }
  completion done{.call = [all = sent, slot](const result<receipt>& r) { all->answer(slot, r); }};
  auto refused = owner->put(topic, m, std::move(done), half);
  if (refused) {
    // Nobody but this thread adds, so it is still the last one.
    std::lock_guard lock{sent->mutex};
    sent->ids.pop_back();
    --sent->open;
  }
  return refused;
}

result<std::vector<message_id>> transaction::impl::durable() {
  if (inside_callback())
    return callback_waits();
  std::unique_lock lock{sent->mutex};
  // Each message has a deadline of its own.
  sent->changed.wait(lock, [this] { return sent->open == 0; });
  if (sent->failed)
    return sent->failed;
  std::vector<message_id> ids;
  for (const auto& id : sent->ids)
    ids.push_back(*id);
  return ids;
}

result<std::vector<message_id>> transaction::impl::prepare() {
  auto ids = durable();
  if (!ids || now == phase::prepared)
    return ids;
  if (now != phase::gathering)
    return gathers_no_more();
  if (ids->empty())
    return error{errc::invalid_argument, named(id) + " has no message", "add one, or roll it back"};
  seal_transaction request;
  request.id = id;
  request.messages = *ids;
  const auto answer = owner->ask(id.home, std::move(request));
  if (!answer)
    return answer.error();
  // An operator may have been faster.
  if (answer->state != transaction_state::prepared && answer->state != transaction_state::committed)
    return check_decision(named(id), true, answer->state);
  now = phase::prepared;
  return ids;
}

decide_transaction transaction::impl::request_for(bool commit, std::vector<settle_guard> guard) const {
  decide_transaction request;
  request.id = id;
  request.commit = commit;
  request.guard = std::move(guard);
  std::lock_guard lock{sent->mutex};
  for (const auto& message : sent->ids)
    if (message)
      request.messages.push_back(*message);
  return request;
}

result<transaction_state> transaction::impl::decide(bool commit, std::vector<settle_guard> guard) {
  const auto answer = owner->ask(id.home, request_for(commit, std::move(guard)));
  if (!answer)
    return answer.error();
  now = phase::decided;
  if (auto wrong = check_decision(named(id), commit, answer->state))
    return wrong;
  return answer->state;
}

void transaction::impl::drop() {
  if (now == phase::gathering)
    owner->take(id.home, request_for(false, {}), {});
  now = phase::decided;
}

result<transaction> transactions::impl::begin_at(shard_id home, std::string group, std::string key) {
  begin_transaction request;
  request.group = group;
  request.key = std::move(key);
  const auto answer = ask(home, std::move(request));
  if (!answer)
    return answer.error();
  return transaction{std::make_shared<transaction::impl>(shared_from_this(), answer->id, std::move(group))};
}

result<transaction_state> commit_with(transaction& t, settle_guard guard) {
  auto& i = *t.internals();
  if (auto ids = i.durable(); !ids)
    return ids.error();
  auto outcome = i.decide(true, {std::move(guard)});
  if (!outcome && outcome.error().code == errc::lease_lost)
    i.now = transaction::impl::phase::decided;
  return outcome;
}

// -- what a program holds
// -----------------------------------------------------------------------------------

result<transaction> transactions::begin(std::string key) {
  if (inside_callback())
    return callback_waits();
  const auto home = impl_->next_home++ % std::max<std::size_t>(impl_->board->shards(), 1);
  return impl_->begin_at(shard_id{static_cast<std::uint16_t>(home)}, impl_->options.group, std::move(key));
}

transaction::transaction(std::shared_ptr<impl> i) : impl_(std::move(i)) {}
transaction::transaction(transaction&&) noexcept = default;
transaction& transaction::operator=(transaction&& other) noexcept {
  if (this != &other) {
    drop();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
transaction::~transaction() { drop(); }

void transaction::drop() {
  if (impl_)
    impl_->drop();
}

const transaction_id& transaction::id() const { return impl_->id; }

error transaction::add(const std::string& topic, message m) { return impl_->add(topic, std::move(m)); }

result<std::vector<message_id>> transaction::prepare() { return impl_->prepare(); }

result<transaction_state> transaction::commit() {
  if (impl_->now == impl::phase::gathering)
    if (auto ids = impl_->prepare(); !ids)
      return ids.error();
  return impl_->decide(true, {});
}

result<transaction_state> transaction::rollback() { return impl_->decide(false, {}); }

} // namespace troupe
