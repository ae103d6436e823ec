#include "applier.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// One producer while an entry is applied.
struct producer_state {
  producer_row row;
  bool known = false;
  bool changed = false;
};

/// Decides about a batch by its sequence (design.md section 5). Accepting is the caller's work.
batch_verdict judge(const producer_state& p, const batch_header& h) {
  using outcome = batch_verdict::outcome;
  batch_verdict v;
  if (!p.known) {
    if (h.sequence.value != 1)
      v.what = outcome::unknown_producer;
    return v;
  }
  if (h.epoch < p.row.epoch) {
    v.what = outcome::fenced;
    return v;
  }
  const std::uint64_t last = h.epoch > p.row.epoch ? 0 : p.row.last.value;
  if (h.sequence.value == last + 1)
    return v;
  if (h.sequence.value > last || last == 0) {
    v.what = outcome::gap;
    v.expected = batch_sequence{last + 1};
    return v;
  }
  v.what = outcome::duplicate;
  const std::uint64_t age = last - h.sequence.value;
  v.known = age < p.row.verdicts.size();
  if (v.known) {
    const auto& first = p.row.verdicts[age];
    v.base = first.base;
    v.index = first.index;
    v.first_ordinal = first.ordinal;
  }
  return v;
}

void accept(producer_state& p, const batch_header& h, const stored_verdict& verdict, timestamp time) {
  if (h.epoch != p.row.epoch)
    p.row.verdicts.clear();
  p.known = p.changed = true;
  p.row.epoch = h.epoch;
  p.row.last = h.sequence;
  p.row.last_time = time;
  if (p.row.verdicts.size() == producer_row::window)
    p.row.verdicts.pop_back();
  p.row.verdicts.insert(p.row.verdicts.begin(), verdict);
}

/// The producers of one entry, each read once and written once.
class producer_cache {
public:
  producer_cache(lmdb_txn& txn, MDB_dbi table, queue_id queue) : txn_(txn), table_(table), queue_(queue) {}

  producer_state& find(producer_id id) {
    if (last_ && last_id_ == id)
      return *last_;
    auto [place, added] = states_.try_emplace(id);
    if (added) {
      if (const auto value = txn_.get(table_, key_of(queue_, id))) {
        place->second.row = decode_producer(*value);
        place->second.known = true;
      }
      order_.push_back(id);
    }
    last_id_ = id;
    last_ = &place->second;
    return *last_;
  }

  void store(std::vector<char>& buffer) {
    for (auto id : order_) {
      const auto& state = states_.at(id);
      if (!state.changed)
        continue;
      encode(state.row, buffer);
      txn_.put(table_, key_of(queue_, id), buffer);
    }
  }

private:
  lmdb_txn& txn_;
  MDB_dbi table_;
  queue_id queue_;
  std::unordered_map<producer_id, producer_state> states_;
  std::vector<producer_id> order_;
  producer_id last_id_;
  producer_state* last_ = nullptr;
};

} // namespace

void applier::apply_body(const append_entry& e, outcome& out) {
  const auto before = tail(e.queue);
  queue_row row;
  row.queue = e.queue;
  row.index = state_.applied;
  row.first_time = row.last_time = state_.time;
  queue_offset next = before ? before->next() : queue_offset{};
  std::uint64_t end_bytes = before ? before->end_bytes : 0;

  producer_cache producers(txn_, tables_.producers, e.queue);
  out.answer.verdicts.reserve(e.batches.size());
  std::uint32_t ordinal = 0;
  auto flush = [&] {
    if (row.count)
      put(row);
    row.count = row.bytes = 0;
  };
  for (const auto& b : e.batches) {
    const auto& h = b.header;
    auto& producer = producers.find(h.producer);
    auto verdict = judge(producer, h);
    if (verdict.what == batch_verdict::outcome::accepted && crc32c(b.data.bytes()) != h.crc)
      verdict.what = batch_verdict::outcome::corrupt;
    if (verdict.what == batch_verdict::outcome::accepted) {
      verdict.base = next;
      verdict.index = state_.applied;
      verdict.first_ordinal = ordinal;
      accept(producer, h, {state_.applied, ordinal, next, h.count}, state_.time);
      if (h.count) {
        const bool goes_on = row.count && row.lane == h.lane && row.first_ordinal + row.count == ordinal;
        if (!goes_on) {
          flush();
          row.base = next;
          row.first_ordinal = ordinal;
          row.lane = h.lane;
        }
        row.count += h.count;
        row.bytes += h.size;
        row.end_bytes = end_bytes += h.size;
        next = queue_offset{next.value + h.count};
        out.keep = true;
      }
    }
    ordinal += h.count;
    out.answer.verdicts.push_back(verdict);
  }
  flush();
  producers.store(buffer_);
  out.answer.next = next;
}

} // namespace troupe
