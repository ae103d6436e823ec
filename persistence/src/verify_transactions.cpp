#include "complaint.hpp"
#include "verifier.hpp"

#include <optional>
#include <string>

namespace troupe {

void verifier::check_halves(const check_place& place, const half_row& row) {
  if (row.first() != place.first || row.since > state_.time || place.index > state_.applied)
    report(place.index, place.queue, "half messages lie under another's key, or behind the log");
  if (row.undecided())
    held_[place.index] += row.undecided();
  for (const auto& span : row.spans())
    for (auto ordinal = span.first; ordinal < span.end(); ++ordinal)
      if (auto err = messages_.check_half(place.queue, {place.index, ordinal}, span.whose))
        return report(place.index, place.queue, "a half message: " + err.reason);
  if (row.undecided() && !txn_.get(env_.db().checks, key_of(check_of(place, row))))
    report(place.index, place.queue, "nobody will look at undecided half messages");
}

void verifier::check_transactions() {
  lmdb_cursor halves(txn_, env_.db().halves);
  for (bool more = halves.first(); more; more = halves.next()) {
    const auto why =
        complaint([&] { check_halves(half_place(halves.key()), half_row::decode(halves.value())); });
    if (!why.empty())
      report({}, {}, why);
  }
  lmdb_cursor rows(txn_, env_.db().transactions);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto begin = transaction_of(rows.key());
      const auto row = decode_transaction(rows.value());
      if (begin > state_.applied || row.begun > state_.time || row.ended > state_.time)
        report(begin, {}, "a transaction lies behind the log");
      if (is_checked(row) &&
          !txn_.get(env_.db().checks, key_of(check_time{true, row.next_check, {{}, begin, 0}})))
        report(begin, {}, "nobody will look at an open transaction");
    });
    if (!why.empty())
      report({}, {}, why);
  }
  check_checks();
}

void verifier::check_checks() {
  lmdb_cursor rows(txn_, env_.db().checks);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto at = check_of(rows.key());
      std::optional<check_time> wanted;
      if (at.place.queue == queue_id{}) {
        const auto value = txn_.get(env_.db().transactions, transaction_key_of(at.place.index));
        const auto row = value ? std::optional(decode_transaction(*value)) : std::nullopt;
        if (row && is_checked(*row))
          wanted = check_time{true, row->next_check, {{}, at.place.index, 0}};
      } else if (const auto value = txn_.get(env_.db().halves, key_of(at.place))) {
        const auto row = half_row::decode(*value);
        if (row.undecided())
          wanted = check_of(at.place, row);
      }
      if (wanted != at)
        report(at.place.index, at.place.queue,
               "something is to be looked at that is not undecided, or at another time");
    });
    if (!why.empty())
      report({}, {}, why);
  }
}

} // namespace troupe
