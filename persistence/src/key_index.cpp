#include "key_index.hpp"

#include "firsts_row.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace troupe {

namespace {

/// A segment is closed when it has so many keys and this part of all: so few are asked, and none is large.
constexpr std::size_t least_segment = 1u << 16;
constexpr std::size_t segments_wanted = 4;
constexpr std::size_t least_slots = 1024;

} // namespace

void key_index::segment::put(std::uint64_t slot) {
  auto at = home(slot & ~most_rows);
  while (slots_[at] != 0)
    at = at + 1 == slots_.size() ? 0 : at + 1;
  slots_[at] = slot;
}

/// By half; a table is at most two thirds full: a miss, which is what most keys are, takes some four slots.
void key_index::segment::grow() {
  auto old = std::exchange(slots_, {});
  slots_.resize(std::max(least_slots, old.size() + old.size() / 2));
  for (auto slot : old)
    if (slot != 0)
      put(slot);
}

void key_index::segment::add(const key_hash& key, std::uint64_t row) {
  if ((size_ + 1) * 3 > slots_.size() * 2)
    grow();
  put(part_of(key) | (row - first_row_ + 1));
  ++size_;
}

void key_index::segment::prefetch(const key_hash& key) const {
  if (!slots_.empty())
    __builtin_prefetch(slots_.data() + home(part_of(key)));
}

void key_index::segment::find(const key_hash& key, std::vector<std::uint64_t>& rows) const {
  if (slots_.empty())
    return;
  const auto part = part_of(key);
  for (auto at = home(part); slots_[at] != 0; at = at + 1 == slots_.size() ? 0 : at + 1)
    if ((slots_[at] & ~most_rows) == part)
      rows.push_back(first_row_ + (slots_[at] & most_rows) - 1);
}

void key_index::prepare(const lmdb_txn& txn, MDB_dbi firsts, queue_id queue) {
  lmdb_cursor rows(txn, firsts);
  bool more = rows.seek(key_of(queue, first_place{})) && queue_of(rows.key()) == queue;
  if (const auto known = queues_.find(queue); known != queues_.end()) {
    auto& q = known->second;
    const auto oldest = more ? first_place_of(rows.key()) : first_place{from_unix_ms(-1), {}};
    while (!q.rows.empty() && (!more || q.rows.front() < oldest)) {
      q.rows.pop_front();
      ++q.first_row;
    }
    while (!q.segments.empty() &&
           (q.segments.size() > 1 ? q.segments[1].first_row() <= q.first_row : q.rows.empty())) {
      q.keys -= q.segments.front().size();
      q.segments.pop_front();
    }
    return;
  }
  auto& q = queues_[queue];
  std::vector<key_hash> keys;
  for (; more && queue_of(rows.key()) == queue; more = rows.next()) {
    const firsts_row row(rows.value());
    keys.clear();
    for (std::size_t i = 0; i < row.size(); ++i)
      keys.push_back(row[i].key);
    add(q, first_place_of(rows.key()), keys);
  }
}

void key_index::add(queue_id queue, const first_place& row, const std::vector<key_hash>& keys) {
  add(queues_[queue], row, keys);
}

void key_index::add(of_queue& q, const first_place& row, const std::vector<key_hash>& keys) {
  const auto number = q.first_row + q.rows.size();
  q.rows.push_back(row);
  if (q.segments.empty() || !q.segments.back().takes(number) ||
      q.segments.back().size() >= std::max(least_segment, q.keys / segments_wanted))
    q.segments.emplace_back(number);
  for (const auto& key : keys)
    q.segments.back().add(key, number);
  q.keys += keys.size();
}

void key_index::prefetch(queue_id queue, const key_hash& key) const {
  if (const auto known = queues_.find(queue); known != queues_.end())
    for (const auto& s : known->second.segments)
      s.prefetch(key);
}

void key_index::find(queue_id queue, const key_hash& key, std::vector<first_place>& out) const {
  out.clear();
  const auto known = queues_.find(queue);
  if (known == queues_.end())
    return;
  const auto& q = known->second;
  found_.clear();
  for (const auto& s : q.segments)
    s.find(key, found_);
  std::ranges::sort(found_, std::greater{});
  for (auto row : found_)
    if (row >= q.first_row)
      out.push_back(q.rows[row - q.first_row]);
}

std::uint64_t key_index::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [id, q] : queues_) {
    sum += sizeof q + q.rows.size() * sizeof(first_place);
    for (const auto& s : q.segments)
      sum += s.bytes();
  }
  return sum;
}

} // namespace troupe
