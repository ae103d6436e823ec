#pragma once

#include "troupe/wire.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// Transactions, as they travel. The rules of wire.hpp hold.
namespace troupe {

// -- deciding: TRANSACTION CLIENT and TRANSACTIONS, plain sends with a tag that comes back
// ---------------------------------------------------------------------------------------------------

/// CLIENT -> DIRECTORY, request: who decides about transactions.
struct transactions_request {};
/// By shard.
struct transactions_route {
  std::vector<caf::actor> shards;
};

/// Half messages of one shard, each a transaction of its own, whose fate is known: 1 to `most` together.
/// The answer is `decided_halves`, when it is durable.
struct decide_halves {
  static constexpr std::size_t most = 1024;
  std::uint64_t tag = 0;
  std::vector<message_id> commits;
  std::vector<message_id> rollbacks;
};
/// Per message, commits first, what it is now: committed or rolled back, whoever decided that, unknown when
/// there is no such half message, prepared when it belongs to a transaction, which is decided as a whole.
struct decided_halves {
  std::uint64_t tag = 0;
  /// Not none: nothing is known of any.
  errc code = errc::none;
  std::uint32_t retry_after = 0;
  std::string reason;
  std::string hint;
  /// transaction_state, as bytes.
  std::vector<std::uint8_t> states;
};

/// Begins a transaction of several messages in the shard that is asked, its home. The answer, as that of the
/// next two, is `transaction_answer`, when it is durable.
struct begin_transaction {
  std::uint64_t tag = 0;
  /// Who is asked about it; empty: nobody, it is rolled back when it is not decided in time.
  std::string group;
  /// The application's name for it; at most 255 bytes.
  std::string key;
};
/// These are all its messages: from now on it can be committed, and its producers are asked about it.
struct seal_transaction {
  std::uint64_t tag = 0;
  transaction_id id;
  std::vector<message_id> messages;
};
/// Acknowledgements that are made with a commit, or not at all.
struct offset_run {
  queue_offset first;
  std::uint32_t count = 0;
};
struct settle_guard {
  group_id group;
  queue_id queue;
  generation gen;
  std::vector<offset_run> runs;
};
/// Commits or rolls back. With a guard (one, of a queue of the home shard) a commit settles what the guard
/// lists, when its generation is current and nothing of it is settled; else the transaction is rolled back,
/// and the answer's code is lease_lost.
struct decide_transaction {
  std::uint64_t tag = 0;
  transaction_id id;
  bool commit = false;
  /// Those it has, when it was not sealed.
  std::vector<message_id> messages;
  std::vector<settle_guard> guard;
};
struct transaction_answer {
  std::uint64_t tag = 0;
  transaction_id id;
  /// What it is now; begun when it cannot be committed, because it was not sealed.
  transaction_state state = transaction_state::unknown;
  /// Not none: nothing is known of what became of the request.
  errc code = errc::none;
  std::uint32_t retry_after = 0;
  std::string reason;
  std::string hint;
};

// -- checks
// -------------------------------------------------------------------------------------------------------

/// CHECKER -> TRANSACTIONS, request: it answers for this producer group until it ends. The answer is true;
/// invalid_argument (the group's name), overloaded.
struct expect_checks {
  std::string group;
  caf::actor checker;
};
/// A transaction that nobody decided.
struct checked_item {
  /// Of a half message that is a transaction of its own; else of the transaction.
  message_id message;
  transaction_id transaction;
  std::string key;
  /// Of this many checks it is the last so far.
  std::uint32_t checks = 0;
  std::int64_t since = 0;
  /// The message, alone in a batch; empty for a transaction of several.
  std::string topic;
  batch_header header;
  block data;
};
/// How much of what a checker may have open an item takes.
inline std::uint32_t check_cost(const checked_item& item) { return 1 + item.data.size / (64u << 10); }
/// TRANSACTIONS -> CHECKER: decide about these, or let it be. What was dealt with is told in `checks_done`,
/// by its cost, whatever was decided; the decisions go the ordinary way.
struct check_transactions {
  std::string group;
  std::vector<checked_item> items;
};
struct checks_done {
  std::uint32_t cost = 0;
};

// -- administration: CLIENT -> DIRECTORY, requests
// ----------------------------------------------------------------------------------------------

/// An open transaction: `message` when it is one half message, else `transaction`.
struct transaction_status {
  message_id message;
  transaction_id transaction;
  std::string group;
  std::string key;
  /// Of a half message.
  std::string topic;
  transaction_state state = transaction_state::unknown;
  /// It is asked about no more.
  bool parked = false;
  std::int64_t since = 0;
  std::uint32_t checks = 0;
  std::uint32_t messages = 0;
};
/// Where a page of open transactions ended: in which shard, and behind what there (open_transaction).
struct transaction_cursor {
  shard_id shard;
  /// False: at its beginning.
  bool inside = false;
  bool checked = false;
  std::int64_t due = 0;
  queue_id queue;
  log_index index;
  std::uint32_t first = 0;
};
/// Open transactions of one group, or all. The answer is `transactions_page`.
struct list_transactions {
  static constexpr std::uint32_t most = 1000;
  std::string group;
  /// None: from the first on.
  std::vector<transaction_cursor> after;
  /// About so many, 1 to `most`: what lies together comes together.
  std::uint32_t max = most;
};
struct transactions_page {
  std::vector<transaction_status> transactions;
  /// None: these were the last.
  std::vector<transaction_cursor> next;
};

/// An operator decides: about a half message (`message`) or a transaction. The answer is `decided_by_hand`,
/// when it is durable; not_found when there is no such transaction.
struct decide_by_hand {
  message_id message;
  transaction_id transaction;
  bool commit = false;
};
struct decided_by_hand {
  /// What it is now, whoever decided that; begun when it cannot be committed.
  transaction_state state = transaction_state::unknown;
  /// The half message belongs to this transaction, which is decided as a whole.
  transaction_id belongs_to;
};

template <class Inspector> auto inspect(Inspector& f, transaction_id& x) {
  return f(caf::meta::type_name("transaction_id"), x.home, x.index);
}
template <class Inspector> auto inspect(Inspector& f, transactions_request&) {
  return f(caf::meta::type_name("transactions_request"));
}
template <class Inspector> auto inspect(Inspector& f, transactions_route& x) {
  return f(caf::meta::type_name("transactions_route"), x.shards);
}
template <class Inspector> auto inspect(Inspector& f, decide_halves& x) {
  return f(caf::meta::type_name("decide_halves"), x.tag, x.commits, x.rollbacks);
}
template <class Inspector> auto inspect(Inspector& f, decided_halves& x) {
  return f(caf::meta::type_name("decided_halves"), x.tag, x.code, x.retry_after, x.reason, x.hint, x.states);
}
template <class Inspector> auto inspect(Inspector& f, begin_transaction& x) {
  return f(caf::meta::type_name("begin_transaction"), x.tag, x.group, x.key);
}
template <class Inspector> auto inspect(Inspector& f, seal_transaction& x) {
  return f(caf::meta::type_name("seal_transaction"), x.tag, x.id, x.messages);
}
template <class Inspector> auto inspect(Inspector& f, offset_run& x) {
  return f(caf::meta::type_name("offset_run"), x.first, x.count);
}
template <class Inspector> auto inspect(Inspector& f, settle_guard& x) {
  return f(caf::meta::type_name("settle_guard"), x.group, x.queue, x.gen, x.runs);
}
template <class Inspector> auto inspect(Inspector& f, decide_transaction& x) {
  return f(caf::meta::type_name("decide_transaction"), x.tag, x.id, x.commit, x.messages, x.guard);
}
template <class Inspector> auto inspect(Inspector& f, transaction_answer& x) {
  return f(caf::meta::type_name("transaction_answer"), x.tag, x.id, x.state, x.code, x.retry_after, x.reason,
           x.hint);
}
template <class Inspector> auto inspect(Inspector& f, expect_checks& x) {
  return f(caf::meta::type_name("expect_checks"), x.group, x.checker);
}
template <class Inspector> auto inspect(Inspector& f, checked_item& x) {
  return f(caf::meta::type_name("checked_item"), x.message, x.transaction, x.key, x.checks, x.since, x.topic,
           x.header, x.data);
}
template <class Inspector> auto inspect(Inspector& f, check_transactions& x) {
  return f(caf::meta::type_name("check_transactions"), x.group, x.items);
}
template <class Inspector> auto inspect(Inspector& f, checks_done& x) {
  return f(caf::meta::type_name("checks_done"), x.cost);
}
template <class Inspector> auto inspect(Inspector& f, transaction_status& x) {
  return f(caf::meta::type_name("transaction_status"), x.message, x.transaction, x.group, x.key, x.topic,
           x.state, x.parked, x.since, x.checks, x.messages);
}
template <class Inspector> auto inspect(Inspector& f, transaction_cursor& x) {
  return f(caf::meta::type_name("transaction_cursor"), x.shard, x.inside, x.checked, x.due, x.queue, x.index,
           x.first);
}
template <class Inspector> auto inspect(Inspector& f, list_transactions& x) {
  return f(caf::meta::type_name("list_transactions"), x.group, x.after, x.max);
}
template <class Inspector> auto inspect(Inspector& f, transactions_page& x) {
  return f(caf::meta::type_name("transactions_page"), x.transactions, x.next);
}
template <class Inspector> auto inspect(Inspector& f, decide_by_hand& x) {
  return f(caf::meta::type_name("decide_by_hand"), x.message, x.transaction, x.commit);
}
template <class Inspector> auto inspect(Inspector& f, decided_by_hand& x) {
  return f(caf::meta::type_name("decided_by_hand"), x.state, x.belongs_to);
}

} // namespace troupe
