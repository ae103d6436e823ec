#include "applier.hpp"
#include "listed_reader.hpp"
#include "queue_index.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

void applier::pin(log_index index, std::uint32_t holders) {
  const auto value = txn_.get(tables_.pins, key_of(index));
  txn_.put(tables_.pins, key_of(index), encode_pins((value ? decode_pins(*value) : 0) + holders));
}

bool applier::unpin(queue_id queue, log_index index, std::uint32_t holders) {
  const auto value = txn_.get(tables_.pins, key_of(index));
  if (!value)
    return false;
  const auto pins = decode_pins(*value);
  if (pins > holders) {
    txn_.put(tables_.pins, key_of(index), encode_pins(pins - holders));
    return false;
  }
  txn_.erase(tables_.pins, key_of(index));
  // Runs lie in the order of their entries. What only brought delayed messages never had one.
  const auto run =
      queue_index(txn_, tables_, queue).search([&](const queue_run& r) { return r.index < index; });
  return (!run || run->index != index) && erase_entry(queue, index);
}

std::size_t applier::unpin_all(queue_id queue, std::vector<log_index>& indexes) {
  std::ranges::sort(indexes);
  std::size_t gone = 0;
  for (auto at = indexes.begin(); at != indexes.end();) {
    const auto end = std::upper_bound(at, indexes.end(), *at);
    gone += unpin(queue, *at, static_cast<std::uint32_t>(end - at)) ? 1 : 0;
    at = end;
  }
  return gone;
}

void applier::count_dead(queue_id queue, group_id group, int change) {
  const auto key = key_of(queue, group);
  const auto value = txn_.get(tables_.dead, key);
  const auto count = (value ? decode_count(*value) : 0) + static_cast<std::uint64_t>(change);
  if (count)
    txn_.put(tables_.dead, key, encode_count(count));
  else
    txn_.erase(tables_.dead, key);
}

std::vector<message_place> applier::listed(queue_id queue, const queue_run& run, group_id only_for) {
  const auto entry = txn_.get(tables_.log, key_of(run.index));
  if (!entry)
    return {};
  auto list = view_listing(queue, run, *entry);
  if (!list || (only_for.value && list->only_for.value && list->only_for != only_for))
    return {};
  const auto begin = list->messages.begin() + run.first_ordinal;
  return {begin, begin + run.count};
}

void applier::bury(const settle_section& section, message_place message, const dead_row& row) {
  const auto key = key_of(section.queue, section.group, message);
  if (!txn_.get(tables_.dead, key)) { // else it died before, and was read again after a reset
    count_dead(section.queue, section.group, 1);
    pin(message.index);
  }
  encode(row, buffer_);
  txn_.put(tables_.dead, key, buffer_);
}

void applier::bury(const settle_section& section, const settle_range& range, std::uint64_t from,
                   std::uint64_t to) {
  dead_row row{{}, state_.time, range.attempts, range.reason, range.detail};
  queue_index index(txn_, tables_, section.queue);
  for (auto run = index.at_or_after(queue_offset{from}); run && run->base.value < to; run = index.after()) {
    const auto begin = std::max(from, run->base.value);
    const auto end = std::min(to, run->next().value);
    const auto places =
        run->lists ? listed(section.queue, *run, section.group) : std::vector<message_place>();
    if (run->lists && places.empty())
      continue;
    for (auto offset = begin; offset < end; ++offset) {
      const auto nth = static_cast<std::uint32_t>(offset - run->base.value);
      row.offset = queue_offset{offset};
      bury(section, run->lists ? places[nth] : message_place{run->index, run->first_ordinal + nth}, row);
    }
  }
}

bool applier::exhume(queue_id queue, group_id group, message_place message) {
  if (!txn_.erase(tables_.dead, key_of(queue, group, message)))
    return false;
  count_dead(queue, group, -1);
  return true;
}

void applier::apply_body(const purge_entry& e, outcome& out) {
  for (const auto& message : e.messages) {
    const bool there = exhume(e.queue, e.group, message);
    if (there)
      unpin(e.queue, message.index);
    out.answer.found.push_back(there);
  }
}

void applier::apply_body(const redrive_entry& e, outcome& out) {
  // The run takes over what held the dead letters' bodies.
  for (const auto& message : e.messages)
    out.answer.found.push_back(exhume(e.queue, e.group, message));
  list_found(e.queue, listed_bytes, out);
}

visible_messages applier::list_found(queue_id queue, const std::vector<bool>& found, std::uint64_t bytes,
                                     bool shared, outcome& out) {
  auto index = tail(queue);
  visible_messages visible{queue, index.next(), {}};
  queue_run run; // of messages that follow each other in the list
  run.index = state_.applied;
  run.time = state_.time;
  run.lists = true;
  run.shared = shared;
  std::uint32_t runs = 0;
  auto flush = [&] {
    if (run.count) {
      append(queue, index, run);
      ++runs;
    }
    run.count = run.bytes = 0;
  };
  for (std::uint32_t i = 0; i < found.size(); ++i) {
    if (!found[i]) {
      flush();
      continue;
    }
    if (run.count == 0)
      run.first_ordinal = i;
    ++run.count;
    run.bytes = bytes_of_list(run.count, bytes);
  }
  flush();
  if (runs) {
    out.keep = true;
    txn_.put(tables_.tails, key_of(queue), index.value());
  }
  if (runs && shared)
    pin(state_.applied, runs);
  visible.next = index.next();
  return visible;
}

void applier::list_found(queue_id queue, std::uint64_t bytes, outcome& out) {
  const auto visible = list_found(queue, out.answer.found, bytes, false, out);
  out.answer.first = visible.first;
  out.answer.next = visible.next;
}

std::size_t applier::erase_dead(queue_id queue, group_id group, std::size_t room) {
  constexpr std::size_t entry_rows = rows_a_step / records_a_step;
  const auto prefix = key_of(queue, group);
  const std::size_t length = group.value ? prefix.size() : sizeof(queue.value);
  std::vector<std::pair<group_id, message_place>> found;
  {
    lmdb_cursor rows(txn_, tables_.dead);
    for (bool more = rows.seek(std::span(prefix).first(length)); more && found.size() < room;
         more = rows.next()) {
      if (!std::ranges::equal(rows.key().first(length), std::span(prefix).first(length)))
        break;
      if (rows.key().size() != prefix.size()) // not a count
        found.emplace_back(group_of(rows.key()), place_of(rows.key()));
    }
  }
  std::size_t taken = 0;
  for (const auto& [whose, message] : found) {
    if (taken >= room)
      break;
    exhume(queue, whose, message);
    taken += 1 + (unpin(queue, message.index) ? entry_rows : 0);
  }
  return std::min(taken, room);
}

} // namespace troupe
