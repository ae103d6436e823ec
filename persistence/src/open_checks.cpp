#include "open_checks.hpp"

#include <utility>

namespace troupe {

std::size_t open_checks::add(const check_time& at, std::vector<open_transaction>& out) const {
  if (at.place.queue != queue_id{})
    return add_halves(at, out);
  const auto value = txn_.get(tables_.transactions, transaction_key_of(at.place.index));
  require(value.has_value(), "looking for a transaction");
  auto row = decode_transaction(*value);
  open_transaction item;
  item.row = at.place;
  item.checked = at.checked;
  item.due = at.due;
  item.since = row.begun;
  item.checks = row.checks;
  item.group = std::move(row.group);
  item.key = std::move(row.key);
  item.transaction.index = at.place.index;
  item.state = row.state;
  out.push_back(std::move(item));
  return 1;
}

std::size_t open_checks::add_halves(const check_time& at, std::vector<open_transaction>& out) const {
  const auto value = txn_.get(tables_.halves, key_of(at.place));
  require(value.has_value(), "looking for half messages");
  const auto row = half_row::decode(*value);
  std::size_t n = 0;
  for (const auto& span : row.spans()) {
    auto messages = row.undecided(span, at.place.index);
    if (messages.empty())
      continue;
    open_transaction item;
    item.row = at.place;
    item.checked = at.checked;
    item.due = at.due;
    item.since = row.since;
    item.checks = row.checks;
    item.group = span.whose.group;
    item.transaction = span.whose.transaction;
    n += messages.size();
    item.messages = std::move(messages);
    out.push_back(std::move(item));
  }
  return n;
}

std::optional<timestamp> open_checks::due(bool checked, timestamp until, std::size_t max,
                                          std::vector<open_transaction>& out) {
  std::size_t n = 0;
  for (bool more = rows_.seek(key_of(check_time{checked, {}, {}})); more; more = rows_.next()) {
    const auto at = check_of(rows_.key());
    if (at.checked != checked)
      break;
    if (at.due > until || n >= max)
      return at.due;
    n += add(at, out);
  }
  return std::nullopt;
}

std::vector<open_transaction> open_checks::behind(const std::optional<check_time>& after, std::size_t max) {
  std::vector<open_transaction> found;
  bool more = after ? rows_.seek(key_of(*after)) : rows_.first();
  for (std::size_t n = 0; more && n < max; more = rows_.next()) {
    const auto at = check_of(rows_.key());
    if (after && at == *after)
      continue;
    n += add(at, found);
  }
  return found;
}

std::vector<open_transaction> open_checks::ended() {
  std::vector<open_transaction> found;
  for (bool more = rows_.seek(key_of(check_time{true, {}, {}})); more; more = rows_.next()) {
    const auto at = check_of(rows_.key());
    if (at.place.queue != queue_id{})
      continue;
    add(at, found);
    if (!has_ended(found.back().state))
      found.pop_back();
  }
  return found;
}

} // namespace troupe
