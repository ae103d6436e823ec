#include "transaction_requests.hpp"

#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto list_timeout = 10s;
/// The STORE's own limit, and some more.
constexpr auto decide_timeout = 65s;

error overloaded() {
  return {errc::overloaded,
          std::to_string(transaction_requests::most_requests) + " requests about transactions are under way",
          "ask again", 100ms};
}

} // namespace

transactions_route transaction_requests::route() const {
  transactions_route r;
  for (const auto& handle : ctx_->transactions)
    r.shards.push_back(caf::actor_cast<caf::actor>(handle));
  return r;
}

caf::result<transactions_page> transaction_requests::list(const list_transactions& r) {
  if (r.max == 0 || r.max > list_transactions::most || r.after.size() > 1)
    return to_caf({errc::invalid_argument,
                   std::to_string(r.max) + " transactions are asked for; one request takes 1 to " +
                       std::to_string(list_transactions::most),
                   "ask several times"});
  const auto after = r.after.empty() ? transaction_cursor{} : r.after.front();
  if (after.shard.value >= ctx_->transactions.size())
    return to_caf({errc::invalid_argument,
                   "this node has no shard " + std::to_string(after.shard.value) + " to go on in",
                   "begin the list again"});
  if (under_way_ >= most_requests)
    return to_caf(overloaded());
  auto promise = self_->make_response_promise<transactions_page>();
  ++under_way_;
  self_->request(ctx_->transactions[after.shard.value], list_timeout, open_request{r.group, after, r.max})
      .then(
          [this, promise, shard = after.shard](const open_found& found) mutable {
            --under_way_;
            auto page = page_of(found);
            if (found.next.inside)
              page.next = {found.next};
            else if (shard.value + 1u < ctx_->transactions.size())
              page.next = {transaction_cursor{shard_id{static_cast<std::uint16_t>(shard.value + 1)}}};
            promise.deliver(std::move(page));
          },
          [this, promise](caf::error& err) mutable {
            --under_way_;
            promise.deliver(std::move(err));
          });
  return promise;
}

transactions_page transaction_requests::page_of(const open_found& found) const {
  transactions_page page;
  page.transactions = found.transactions;
  for (std::size_t i = 0; i < page.transactions.size() && i < found.queues.size(); ++i)
    page.transactions[i].topic = topic_of(found.queues[i]);
  return page;
}

caf::result<decided_by_hand> transaction_requests::decide(const decide_by_hand& d) {
  const auto shard = d.transaction.known() ? d.transaction.home : d.message.shard;
  if (shard.value >= ctx_->transactions.size())
    return to_caf({errc::not_found,
                   "there is no transaction " +
                       (d.transaction.known() ? to_string(d.transaction) : to_string(d.message)) +
                       ": this node has no shard " + std::to_string(shard.value),
                   "check the id; it ends where it was made"});
  if (under_way_ >= most_requests)
    return to_caf(overloaded());
  auto promise = self_->make_response_promise<decided_by_hand>();
  ++under_way_;
  self_->request(ctx_->transactions[shard.value], decide_timeout, d)
      .then(
          [this, promise](decided_by_hand& done) mutable {
            --under_way_;
            promise.deliver(std::move(done));
          },
          [this, promise](caf::error& err) mutable {
            --under_way_;
            promise.deliver(std::move(err));
          });
  return promise;
}

topics_found transaction_requests::topics_of(const topics_request& r) const {
  topics_found found;
  found.topics.reserve(r.queues.size());
  for (const auto queue : r.queues)
    found.topics.push_back(topic_of(queue));
  return found;
}

std::string transaction_requests::topic_of(queue_id queue) const {
  const auto place = definitions_.find(queue);
  return place ? place->topic->name : std::string{};
}

} // namespace troupe
