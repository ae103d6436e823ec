#include "complaint.hpp"
#include "firsts_row.hpp"
#include "verifier.hpp"

#include "troupe/block.hpp"

#include <algorithm>
#include <vector>

namespace troupe {

namespace {

/// The messages of an entry that have a key, each as if it were the first one; nothing when the entry cannot
/// be read, which is said elsewhere.
std::optional<std::vector<first_of_key>> keyed_messages(std::span<const char> bytes) {
  const auto header = decode_header(bytes);
  if (!header)
    return std::nullopt;
  const auto places = decode_directory(*header, bytes);
  if (!places)
    return std::nullopt;
  std::vector<first_of_key> found;
  for (const auto& place : *places) {
    if (place.header.count == 0)
      continue;
    const auto reader =
        batch_reader::open(place.header, block::copy_of(bytes.subspan(place.at, place.header.size)));
    if (!reader)
      return std::nullopt;
    for (std::uint32_t i = 0; i < reader->count(); ++i) {
      std::uint32_t cursor = 0;
      if (const auto key = reader->next_key(i, cursor))
        found.push_back({hash_key(*key), place.first_ordinal + i, std::nullopt});
    }
  }
  std::ranges::sort(found);
  return found;
}

} // namespace

void verifier::check_firsts(std::span<const char> key, std::span<const char> value) {
  const auto queue = queue_of(key);
  const auto at = first_place_of(key);
  const firsts_row row(value);
  const auto next = next_of(queue);
  bool sane = at.time <= state_.time && at.index <= state_.applied;
  for (std::size_t i = 0; i < row.size(); ++i)
    sane = sane && (!row[i].offset || *row[i].offset < next) && (i == 0 || row[i - 1].key < row[i].key);
  if (!sane)
    report(at.index, queue, "the keys of messages contradict the queue");
  const auto entry = txn_.get(env_.db().log, key_of(at.index));
  if (!entry) // trimmed: keys stay for their window
    return;
  if (const auto header = decode_header(*entry);
      header && (header->queue != queue || header->time != at.time || header->window.count() == 0))
    return report(at.index, queue, "keys stand under an entry that has none");
  const auto messages = keyed_messages(*entry);
  for (std::size_t i = 0; messages && i < row.size(); ++i)
    if (!std::ranges::binary_search(*messages, first_of_key{row[i].key, row[i].ordinal, std::nullopt}))
      return report(at.index, queue, "a key is not that of its message");
}

void verifier::check_firsts() {
  lmdb_cursor rows(txn_, env_.db().firsts);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] { check_firsts(rows.key(), rows.value()); });
    if (!why.empty())
      report({}, queue_id{}, why);
  }
}

} // namespace troupe
