#include "applier.hpp"
#include "entry_thinner.hpp"
#include "producer_record.hpp"
#include "repeat_finder.hpp"

#include <optional>
#include <unordered_map>

namespace troupe {

namespace {

struct judgement {
  batch_verdict verdict;
  /// duplicate: some of the batch's messages were repeats.
  bool had_repeats = false;
};

/// Decides about a batch by its sequence (design.md section 5). Accepting is the caller's work.
judgement judge(const producer_record& p, const batch_header& h) {
  using outcome = batch_verdict::outcome;
  judgement j;
  auto& v = j.verdict;
  if (!p.known()) {
    if (h.sequence.value != 1)
      v.what = outcome::unknown_producer;
    return j;
  }
  if (h.epoch < p.epoch()) {
    v.what = outcome::fenced;
    return j;
  }
  const std::uint64_t last = h.epoch > p.epoch() ? 0 : p.last().value;
  if (h.sequence.value == last + 1)
    return j;
  if (h.sequence.value > last || last == 0) {
    v.what = outcome::gap;
    v.expected = batch_sequence{last + 1};
    return j;
  }
  v.what = outcome::duplicate;
  const auto first = p.find(h.sequence);
  v.known = first.has_value();
  if (first) {
    v.base = first->base;
    v.index = first->index;
    v.first_ordinal = first->ordinal;
    j.had_repeats = first->had_repeats || (h.kind == batch_kind::plain && first->count != h.count);
  }
  return j;
}

/// The messages of a delayed batch, the first of which is at `first`, without its repeats; false when its
/// bytes are not what they should be.
bool add_timers(const batch& b, message_place first, std::span<const repeated_message> repeats,
                std::vector<timer>& to) {
  const auto opened = batch_reader::open(b.header, b.data);
  if (!opened)
    return false;
  for (std::uint32_t i = 0; i < opened->count(); ++i, ++first.ordinal) {
    if (!repeats.empty() && repeats.front().position == i)
      repeats = repeats.subspan(1);
    else
      to.push_back({opened->due(i), first});
  }
  return true;
}

/// Whose decision the messages of a batch wait for, if they are half messages; false when it does not say.
bool says_whose(const batch& b, half_of& whose) {
  if (b.header.kind != batch_kind::transactional || b.header.count == 0)
    return true;
  auto found = half_of_batch(b.header, b.data.bytes());
  if (!found)
    return false;
  whose = *std::move(found);
  return true;
}

/// The producers of one entry, each read once and written once.
class producer_cache {
public:
  producer_cache(lmdb_txn& txn, const tables& t, queue_id queue) : txn_(txn), tables_(t), queue_(queue) {}

  struct state {
    producer_record record;
    /// Under which it stands in `ages`.
    std::optional<std::uint64_t> hour;
    bool changed = false;
  };

  state& find(producer_id id) {
    if (last_ && last_id_ == id)
      return *last_;
    auto [place, added] = states_.try_emplace(id);
    if (added) {
      if (const auto value = txn_.get(tables_.producers, key_of(queue_, id))) {
        place->second.record = producer_record(*value);
        place->second.hour = hour_of(place->second.record.last_time());
      }
      order_.push_back(id);
    }
    last_id_ = id;
    last_ = &place->second;
    return *last_;
  }

  void store() {
    for (auto id : order_)
      if (const auto& state = states_.at(id); state.changed)
        store(id, state);
  }

private:
  /// A producer that goes on moves in `ages` once an hour.
  void store(producer_id id, const state& s) {
    txn_.put(tables_.producers, key_of(queue_, id), s.record.value());
    const auto hour = hour_of(s.record.last_time());
    if (s.hour == hour)
      return;
    if (s.hour)
      txn_.erase(tables_.ages, key_of(producer_age{*s.hour, queue_, id}));
    txn_.put(tables_.ages, key_of(producer_age{hour, queue_, id}), {});
  }

  lmdb_txn& txn_;
  const tables& tables_;
  queue_id queue_;
  std::unordered_map<producer_id, state> states_;
  std::vector<producer_id> order_;
  producer_id last_id_;
  state* last_ = nullptr;
};

} // namespace

void applier::apply_body(const append_entry& e, outcome& out) {
  auto index = tail(e.queue);
  queue_run run; // of batches that follow each other in the entry
  run.index = state_.applied;
  run.time = state_.time;
  auto flush = [&] {
    if (run.count)
      append(e.queue, index, run);
    out.keep = out.keep || run.count;
    run.count = run.bytes = 0;
  };
  auto show = [&](const batch_header& h, std::uint32_t ordinal) {
    if (h.count == 0)
      return;
    if (run.lane != h.lane || run.first_ordinal + run.count != ordinal)
      flush();
    if (run.count == 0) {
      run.first_ordinal = ordinal;
      run.lane = h.lane;
    }
    run.count += h.count;
    run.bytes += h.size;
  };
  producer_cache producers(txn_, tables_, e.queue);
  entry_thinner thinner(e);
  repeat_finder finder(txn_, tables_, keys_, {e.queue, state_.applied, state_.time, e.window});
  out.answer.verdicts.reserve(e.batches.size());
  std::vector<timer> delayed;
  std::vector<half_span> halves;
  std::uint32_t ordinal = 0;
  for (const auto& b : e.batches) {
    const auto& h = b.header;
    auto& producer = producers.find(h.producer);
    auto [verdict, had_repeats] = judge(producer.record, h);
    half_of whose;
    if (verdict.what == batch_verdict::outcome::accepted &&
        (crc32c(b.data.bytes()) != h.crc || !says_whose(b, whose)))
      verdict.what = batch_verdict::outcome::corrupt;
    if (verdict.what == batch_verdict::outcome::accepted) {
      verdict.base = queue_offset{index.next().value + run.count};
      verdict.index = state_.applied;
      verdict.first_ordinal = ordinal;
    }
    finder.complete(verdict, b, had_repeats);
    const bool waits = h.kind != batch_kind::plain;
    if (h.kind == batch_kind::delayed && verdict.what == batch_verdict::outcome::accepted &&
        !add_timers(b, {state_.applied, ordinal}, verdict.repeats, delayed))
      verdict = {.what = batch_verdict::outcome::corrupt};
    if (verdict.what == batch_verdict::outcome::accepted) {
      if (h.kind == batch_kind::transactional && h.count > 0)
        add_half(halves, ordinal, h.count, whose);
      const auto repeats = static_cast<std::uint32_t>(verdict.repeats.size());
      producer.record.accept(
          h.epoch, h.sequence,
          {state_.applied, ordinal, verdict.base, waits ? 0 : h.count - repeats, waits && repeats > 0},
          state_.time);
      producer.changed = true;
      for (const auto& part : thinner.add(b, ordinal, verdict.repeats))
        if (!waits)
          show(part.messages.header, part.first);
    } else {
      thinner.add(b, ordinal);
    }
    ordinal += h.count;
    out.answer.verdicts.push_back(std::move(verdict));
  }
  flush();
  producers.store();
  finder.store();
  if (out.keep)
    txn_.put(tables_.tails, key_of(e.queue), index.value());
  delay(e.queue, delayed, out);
  hold(e.queue, halves, out);
  if (out.keep)
    out.rewritten = thinner.take();
  out.answer.next = index.next();
}

} // namespace troupe
