#pragma once

#include "lmdb.hpp"
#include "tables.hpp"
#include "transaction_row.hpp"

#include "troupe/stored.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace troupe {

/// Reads what is undecided, in the order in which it is looked at, in one transaction.
class open_checks {
public:
  open_checks(const lmdb_txn& txn, const tables& t) : txn_(txn), tables_(t), rows_(txn, t.checks) {}

  /// Whole rows of `checked` ones that are due by `until`, until there are `max` messages (of which a
  /// transaction at home counts as one). Gives when the next one is due: what it stopped at, or a later one;
  /// nothing when there is none.
  std::optional<timestamp> due(bool checked, timestamp until, std::size_t max,
                               std::vector<open_transaction>& out);
  /// Whole rows behind `after`, until there are `max` messages.
  std::vector<open_transaction> behind(const std::optional<check_time>& after, std::size_t max);
  /// Transactions that have ended.
  std::vector<open_transaction> ended();

private:
  /// How many messages it has.
  std::size_t add(const check_time& at, std::vector<open_transaction>& out) const;
  std::size_t add_halves(const check_time& at, std::vector<open_transaction>& out) const;

  const lmdb_txn& txn_;
  const tables& tables_;
  lmdb_cursor rows_;
};

} // namespace troupe
