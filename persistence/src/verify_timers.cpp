#include "complaint.hpp"
#include "verifier.hpp"

#include <optional>

namespace troupe {

void verifier::check_timers(queue_id queue, const timer_row_place& row, std::span<const char> value) {
  if (row.index > state_.applied)
    report(row.index, queue, "delayed messages lie behind the log");
  timer_row_reader in(row, value);
  while (const auto t = in.next()) {
    ++held_[t->message.index];
    ++delayed_[queue];
    const auto due = messages_.due(queue, t->message);
    if (!due)
      report(t->message.index, queue, "a delayed message: " + due.error().reason);
    else if (*due != t->due)
      report(t->message.index, queue,
             "message " + std::to_string(t->message.ordinal) + " waits for another time than its own");
  }
}

void verifier::check_timers() {
  lmdb_cursor rows(txn_, env_.db().timers);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto [queue, row] = to_timer_row(rows.key());
      check_timers(queue, row, rows.value());
    });
    if (!why.empty())
      report({}, {}, why);
  }
  check_delayed_counts();
}

void verifier::check_delayed_counts() {
  lmdb_cursor rows(txn_, env_.db().delayed);
  auto check = [&](queue_id queue, std::uint64_t said) {
    if (delayed_[queue] != said)
      report({}, queue,
             "there are " + std::to_string(delayed_[queue]) + " delayed messages, the count says " +
                 std::to_string(said));
    delayed_.erase(queue);
  };
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] { check(queue_of(rows.key()), decode_delayed(rows.value()).count); });
    if (!why.empty())
      report({}, {}, why);
  }
  while (!delayed_.empty())
    check(delayed_.begin()->first, 0);
}

} // namespace troupe
