#include "client_impl.hpp"
#include "decision_board.hpp"

#include "troupe/client.hpp"
#include "troupe/wire_transactions.hpp"

#include <utility>

namespace troupe {

namespace {

transaction_info to_info(const transaction_status& s) {
  transaction_info t;
  if (s.transaction.known())
    t.transaction = s.transaction;
  else
    t.message = s.message;
  t.group = s.group;
  t.key = s.key;
  t.topic = s.topic;
  t.state = s.state;
  t.parked = s.parked;
  t.since = from_unix_ms(s.since);
  t.checks = s.checks;
  t.messages = s.messages;
  return t;
}

/// What became of a decision by hand.
result<transaction_state> outcome(const std::string& what, bool commit,
                                  const result<decided_by_hand>& answer) {
  if (!answer)
    return answer.error();
  if (answer->belongs_to.known())
    return error{errc::invalid_argument,
                 what + " belongs to transaction " + to_string(answer->belongs_to) +
                     ", which is decided as a whole",
                 "decide about that one"};
  if (answer->state == transaction_state::unknown)
    return error{errc::not_found,
                 what + " is not known: it never was prepared, was rolled back, or went long ago",
                 "troupe transaction list shows what is undecided"};
  if (auto wrong = check_decision(what, commit, answer->state))
    return wrong;
  return answer->state;
}

} // namespace

result<transactions_list_page> client::list_transactions(const transaction_query& query) {
  troupe::list_transactions ask;
  ask.group = query.group;
  ask.max = query.max;
  if (const auto& at = query.after)
    ask.after = {{at->shard, at->inside, at->checked, at->due, at->queue, at->index, at->first}};
  const auto found = impl_->ask<transactions_page>(std::move(ask));
  if (!found)
    return found.error();
  transactions_list_page page;
  for (const auto& s : found->transactions)
    page.transactions.push_back(to_info(s));
  if (!found->next.empty()) {
    const auto& at = found->next.front();
    page.next = {at.shard, at.inside, at.checked, at.due, at.queue, at.index, at.first};
  }
  return page;
}

result<transaction_state> client::decide_transaction(const message_id& half, bool commit) {
  decide_by_hand ask;
  ask.message = half;
  ask.commit = commit;
  return outcome("half message " + to_string(half), commit, impl_->ask<decided_by_hand>(ask));
}

result<transaction_state> client::decide_transaction(const transaction_id& id, bool commit) {
  decide_by_hand ask;
  ask.transaction = id;
  ask.commit = commit;
  return outcome("transaction " + to_string(id), commit, impl_->ask<decided_by_hand>(ask));
}

} // namespace troupe
