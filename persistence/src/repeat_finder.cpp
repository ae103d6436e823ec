#include "repeat_finder.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

constexpr std::size_t least_slots = 64;

repeated_message repeat_of(log_index index, const first_of_key& m) {
  return {0, index, m.ordinal, m.offset.value_or(queue_offset{}), !m.offset};
}

} // namespace

const first_of_key* repeat_finder::taken_messages::find(const key_hash& key) const {
  if (slots_.empty())
    return nullptr;
  for (auto at = home(key); slots_[at] != 0; at = (at + 1) & (slots_.size() - 1))
    if (const auto& m = messages_[slots_[at] - 1]; m.key == key)
      return &m;
  return nullptr;
}

void repeat_finder::taken_messages::add(const first_of_key& m) {
  messages_.push_back(m);
  if (messages_.size() * 2 > slots_.size())
    return grow();
  auto at = home(m.key);
  while (slots_[at] != 0)
    at = (at + 1) & (slots_.size() - 1);
  slots_[at] = static_cast<std::uint32_t>(messages_.size());
}

void repeat_finder::taken_messages::grow() {
  slots_.assign(std::max(least_slots, slots_.size() * 4), 0);
  for (std::uint32_t i = 0; i < messages_.size(); ++i) {
    auto at = home(messages_[i].key);
    while (slots_[at] != 0)
      at = (at + 1) & (slots_.size() - 1);
    slots_[at] = i + 1;
  }
}

repeat_finder::repeat_finder(lmdb_txn& txn, const tables& t, key_index& index, const place& here)
    : txn_(txn), tables_(t), index_(index), here_(here) {}

void repeat_finder::complete(batch_verdict& verdict, const batch& b, bool had_repeats) {
  using outcome = batch_verdict::outcome;
  // A half message may yet be rolled back, and its sender free to send it again.
  const bool takes_keys =
      b.header.count > 0 && b.header.kind != batch_kind::transactional && here_.window.count() > 0;
  if (verdict.what == outcome::accepted && takes_keys) {
    auto found = take(b, verdict);
    if (found)
      verdict.repeats = *std::move(found);
    else
      verdict = {.what = outcome::corrupt};
  } else if (verdict.what == outcome::duplicate && verdict.known && had_repeats) {
    auto found = recall(b, verdict);
    verdict.known = found.has_value();
    if (found)
      verdict.repeats = *std::move(found);
  }
}

std::optional<std::vector<repeat_finder::keyed>> repeat_finder::keys_of(const batch& b) {
  if (!std::exchange(prepared_, true))
    index_.prepare(txn_, tables_.firsts, here_.queue);
  const auto reader = batch_reader::open(b.header, b.data);
  if (!reader)
    return std::nullopt;
  std::vector<keyed> found;
  found.reserve(reader->count());
  for (std::uint32_t i = 0; i < reader->count(); ++i) {
    std::uint32_t cursor = 0;
    if (const auto key = reader->next_key(i, cursor)) {
      found.push_back({i, hash_key(*key)});
      index_.prefetch(here_.queue, found.back().key);
    }
  }
  return found;
}

template <class Predicate>
std::optional<repeated_message> repeat_finder::find(const key_hash& key, Predicate is_it) const {
  if (const auto* t = taken_.find(key))
    if (const repeated_message m = repeat_of(here_.index, *t); is_it(m, here_.time))
      return m;
  index_.find(here_.queue, key, rows_);
  for (const auto& at : rows_) {
    const auto value = txn_.get(tables_.firsts, key_of(here_.queue, at));
    const auto m = value ? firsts_row(*value).find(key) : std::nullopt;
    if (!m)
      continue;
    if (const repeated_message found = repeat_of(at.index, *m); is_it(found, at.time))
      return found;
  }
  return std::nullopt;
}

std::optional<std::vector<repeated_message>> repeat_finder::take(const batch& b,
                                                                 const batch_verdict& verdict) {
  const auto keys = keys_of(b);
  if (!keys)
    return std::nullopt;
  const auto in_window = [&](const repeated_message&, timestamp time) {
    return time > here_.time - here_.window;
  };
  std::vector<repeated_message> repeats;
  for (const auto& [position, key] : *keys) {
    if (auto first = find(key, in_window)) {
      first->position = position;
      repeats.push_back(*first);
      continue;
    }
    std::optional<queue_offset> offset;
    if (b.header.kind == batch_kind::plain)
      offset = queue_offset{verdict.base.value + position - repeats.size()};
    taken_.add({key, verdict.first_ordinal + position, offset});
  }
  return repeats;
}

std::optional<std::vector<repeated_message>> repeat_finder::recall(const batch& b,
                                                                   const batch_verdict& first) {
  const auto keys = keys_of(b);
  if (!keys)
    return std::nullopt;
  std::vector<repeated_message> repeats;
  for (const auto& [position, key] : *keys) {
    const auto own = first.first_ordinal + position;
    // What came later with this key, once the window was over, says nothing of that time.
    auto m = find(key, [&](const repeated_message& m, timestamp) {
      return m.index < first.index || (m.index == first.index && m.ordinal <= own);
    });
    if (!m)
      return std::nullopt;
    if (m->index == first.index && m->ordinal == own)
      continue;
    m->position = position;
    repeats.push_back(*m);
  }
  return repeats;
}

void repeat_finder::store() {
  auto& messages = taken_.messages();
  if (messages.empty())
    return;
  std::vector<char> value;
  encode(messages, value);
  std::vector<key_hash> keys;
  keys.reserve(messages.size());
  for (const auto& m : messages)
    keys.push_back(m.key);
  const first_place at{here_.time, here_.index};
  txn_.put(tables_.firsts, key_of(here_.queue, at), value);
  index_.add(here_.queue, at, keys);
}

} // namespace troupe
