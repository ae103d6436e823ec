#include "applier.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace troupe {

namespace {

/// The chunks of one subscription while a section is applied: read on first use, written back once.
class chunk_cache {
public:
  chunk_cache(lmdb_txn& txn, MDB_dbi table, const settle_section& s)
      : txn_(txn), table_(table), section_(s) {}

  settled_row& at(std::uint64_t chunk) {
    auto [place, added] = rows_.try_emplace(chunk);
    if (added)
      if (const auto value = txn_.get(table_, key(chunk)))
        place->second = decode_settled(*value);
    return place->second;
  }

  /// What is not settled of [from, to): sorted ranges. Nothing below the floor may be asked for.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> open(std::uint64_t from, std::uint64_t to) {
    constexpr auto size = settled_row::chunk;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    for (; from < to; ++from) {
      if (at(from / size).settled(static_cast<std::uint32_t>(from % size)))
        continue;
      if (found.empty() || found.back().second != from)
        found.emplace_back(from, from);
      ++found.back().second;
    }
    return found;
  }

  /// Moves the floor over everything that is settled there.
  queue_offset advance(queue_offset floor) {
    constexpr auto size = settled_row::chunk;
    for (;;) {
      const std::uint64_t chunk = floor.value / size;
      if (!rows_.contains(chunk) && !txn_.get(table_, key(chunk)))
        return floor;
      const auto open = at(chunk).first_open(static_cast<std::uint32_t>(floor.value % size));
      floor = queue_offset{chunk * size + open};
      if (open < size)
        return floor;
    }
  }

  /// Writes what changed; removes what lies below the floor, or holds nothing above it.
  void store(queue_offset before, queue_offset floor, std::vector<char>& buffer) {
    constexpr auto size = settled_row::chunk;
    const std::uint64_t current = floor.value / size;
    if (before.value / size != current)
      erase_below(current);
    for (auto place = rows_.lower_bound(current); place != rows_.end(); ++place) {
      const auto from = place->first == current ? static_cast<std::uint32_t>(floor.value % size) : 0;
      if (place->second.empty_from(from)) {
        txn_.erase(table_, key(place->first));
        continue;
      }
      std::erase_if(place->second.retries, [&](const retry_row& r) { return r.at < from; });
      encode(place->second, buffer);
      txn_.put(table_, key(place->first), buffer);
    }
  }

private:
  settled_key key(std::uint64_t chunk) const {
    return key_of(section_.queue, section_.group, section_.lane, chunk);
  }

  void erase_below(std::uint64_t chunk) {
    const auto end = key(chunk);
    lmdb_cursor rows(txn_, table_);
    for (bool more = rows.seek(key(0)); more; more = rows.next()) {
      const auto at = rows.key();
      if (std::lexicographical_compare(at.begin(), at.end(), end.begin(), end.end(), unsigned_less))
        rows.erase();
      else
        break;
    }
  }
  static bool unsigned_less(char a, char b) {
    return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
  }

  lmdb_txn& txn_;
  MDB_dbi table_;
  const settle_section& section_;
  std::map<std::uint64_t, settled_row> rows_;
};

/// Settles or records failures in [from, to), above the floor.
void note(chunk_cache& chunks, const settle_range& range, std::uint64_t from, std::uint64_t to) {
  constexpr auto size = settled_row::chunk;
  while (from < to) {
    const std::uint64_t chunk = from / size;
    const std::uint64_t upto = std::min(to, (chunk + 1) * size);
    auto& row = chunks.at(chunk);
    const auto low = static_cast<std::uint32_t>(from % size);
    const auto high = static_cast<std::uint32_t>(upto - chunk * size);
    if (range.action == settle_action::retry) {
      for (auto at = low; at < high; ++at)
        row.retry({static_cast<std::uint16_t>(at), range.attempts, range.retry_at});
    } else {
      row.settle(low, high);
    }
    from = upto;
  }
}

} // namespace

void applier::put(const subscription_key& key, const subscription_row& row) {
  if (row.expired == 0)
    txn_.put(tables_.subscriptions, key, encode(row.gen, row.floor));
  else
    txn_.put(tables_.subscriptions, key, encode(row.gen, row.floor, row.expired));
}

subscription_row applier::settle(const settle_section& section) {
  const auto key = key_of(section.queue, section.group, section.lane);
  const auto value = txn_.get(tables_.subscriptions, key);
  if (!value)
    return {};
  const auto [gen, before] = decode_subscription(*value);
  const auto expired_before = decode_expired(*value);
  auto expired = expired_before;
  if (gen != section.gen)
    return {};
  const std::uint64_t next = next_offset(section.queue).value;
  chunk_cache chunks(txn_, tables_.settled, section);
  auto floor = before;
  for (const auto& range : section.ranges) {
    if (range.first.value >= next)
      continue;
    const std::uint64_t to = std::min(range.first.value + range.count, next);
    const std::uint64_t from = std::max(range.first, floor).value;
    if (from >= to)
      continue;
    const bool dead = range.action == settle_action::dead;
    const bool over =
        range.action == settle_action::expired || (dead && range.reason == dead_reason::expired);
    if (dead || over)
      for (const auto& [first, end] : chunks.open(from, to)) {
        expired += over ? end - first : 0;
        if (dead)
          bury(section, range, first, end);
      }
    if (range.action != settle_action::retry && from == floor.value)
      floor = queue_offset{to};
    else
      note(chunks, range, from, to);
  }
  floor = chunks.advance(floor);
  chunks.store(before, floor, buffer_);
  const subscription_row row{gen, floor, expired};
  if (floor != before || expired != expired_before)
    put(key, row);
  return row;
}

bool applier::holds(const settle_section& guard) {
  const auto value = txn_.get(tables_.subscriptions, key_of(guard.queue, guard.group, guard.lane));
  if (!value)
    return false;
  const auto [gen, floor] = decode_subscription(*value);
  if (gen != guard.gen)
    return false;
  const auto next = next_offset(guard.queue);
  chunk_cache chunks(txn_, tables_.settled, guard);
  // What is listed twice was worked on twice, and must not be settled by both at once.
  auto end = floor.value;
  return std::ranges::all_of(guard.ranges, [&](const settle_range& range) {
    const auto from = range.first.value, to = from + range.count;
    if (from < end || to > next.value)
      return false;
    end = to;
    const auto open = chunks.open(from, to);
    return open.size() == 1 && open.front() == std::pair(from, to);
  });
}

void applier::apply_body(const settle_entry& e, outcome& out) {
  out.answer.subscriptions.reserve(e.sections.size());
  for (const auto& section : e.sections)
    out.answer.subscriptions.push_back(settle(section));
}

} // namespace troupe
