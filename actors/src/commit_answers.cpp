#include "commit_answers.hpp"

#include <algorithm>

namespace troupe {

namespace {

publish_result answer_to(queue_id queue, const batch_header& header) {
  return {.queue = queue, .epoch = header.epoch, .sequence = header.sequence};
}

publish_result refusal_of(queue_id queue, const batch_header& header, const error& why) {
  auto result = answer_to(queue, header);
  result.code = why.code;
  result.reason = why.reason;
  result.hint = why.hint;
  result.retry_after = static_cast<std::uint32_t>(why.retry_after.count());
  return result;
}

std::string number(const auto& x) { return std::to_string(x.value); }

/// What apply() decided, in the words of the wire.
void explain(publish_result& to, const batch_header& header, const batch_verdict& verdict) {
  using outcome = batch_verdict::outcome;
  switch (verdict.what) {
  case outcome::accepted:
    to.placed = true;
    break;
  case outcome::duplicate:
    to.duplicate = true;
    to.placed = verdict.known;
    break;
  case outcome::gap:
    to.code = errc::gap;
    to.expected = verdict.expected;
    to.reason = "batch " + number(header.sequence) + " came before batch " + number(verdict.expected);
    to.hint = "send again from there";
    break;
  case outcome::unknown_producer:
    to.code = errc::unknown_producer;
    to.reason =
        "the queue does not know this producer, but batch " + number(header.sequence) + " is not its first";
    to.hint = "start a new epoch";
    break;
  case outcome::fenced:
    to.code = errc::fenced;
    to.reason = "a newer incarnation of this producer than epoch " + number(header.epoch) + " exists";
    to.hint = "leave publishing to it, or open another producer, which is one of its own";
    break;
  case outcome::corrupt:
    to.code = errc::corrupt;
    to.reason = "the bytes of the batch contradict its header";
    to.hint = "send it again";
    break;
  }
}

} // namespace

visible& commit_answers::queue_of(const caf::actor& handle, queue_id id) {
  auto& list = all_.queues;
  if (!list.empty() && list.back().queue == handle)
    return list.back().message;
  auto [it, is_new] = queue_index_.try_emplace(handle, list.size());
  if (is_new) {
    list.push_back({handle, {}});
    list.back().message.queue = id;
  }
  return list[it->second].message;
}

void commit_answers::tell(const caf::actor& producer, publish_result result) {
  auto& list = all_.producers;
  if (!list.empty() && list.back().producer == producer) {
    list.back().message.results.push_back(std::move(result));
    return;
  }
  auto [it, is_new] = producer_index_.try_emplace(producer, list.size());
  if (is_new)
    list.push_back({producer, {}});
  list[it->second].message.results.push_back(std::move(result));
}

void commit_answers::settle_account(const caf::actor& handle, queue_id id, const batch_header& header) {
  const auto cost = in_flight_cost(header);
  auto& v = queue_of(handle, id);
  v.answered += 1;
  v.answered_bytes += cost;
  v.producers.push_back(header.producer);
  all_.in_flight += cost;
}

void commit_answers::held(const append_request& r) { tell(r.producer, answer_to(r.queue, r.data.header)); }

void commit_answers::refused(const append_request& r, const error& why) {
  settle_account(r.queue_handle, r.queue, r.data.header);
  tell(r.producer, refusal_of(r.queue, r.data.header, why));
}

void commit_answers::applied(append_entry& entry, const std::vector<append_origin>& origins,
                             const struct applied& outcome) {
  if (outcome.verdicts.size() != origins.size())
    return refused(entry, origins, {errc::internal, "the log answered other batches than it was given", {}});
  bool accepted = false;
  for (std::size_t i = 0; i < origins.size(); ++i) {
    auto& b = entry.batches[i];
    const auto& verdict = outcome.verdicts[i];
    settle_account(origins[i].queue_handle, entry.queue, b.header);
    auto& v = queue_of(origins[i].queue_handle, entry.queue);
    v.next = std::max(v.next, outcome.next);
    auto result = answer_to(entry.queue, b.header);
    explain(result, b.header, verdict);
    if (result.placed) {
      result.shard = shard_;
      result.base = verdict.base;
      result.index = verdict.index;
      result.first_ordinal = verdict.first_ordinal;
      result.repeats = verdict.repeats;
    }
    // What is delayed, or waits for a decision, has an id, but no place yet.
    result.visible = b.header.kind == batch_kind::plain;
    if (verdict.what == batch_verdict::outcome::accepted && b.header.count > 0) {
      // Keys want to be forgotten though their messages wait.
      accepted = accepted || (verdict.repeats.size() < b.header.count &&
                              (result.visible || entry.window > milliseconds{0}));
      if (result.visible)
        show(v, std::move(b), verdict, outcome.time);
    }
    if (!origins[i].held || result.code != errc::none)
      tell(origins[i].producer, std::move(result));
  }
  if (const auto at = outcome.look_at)
    all_.look_at = std::min(all_.look_at.value_or(*at), *at);
  if (outcome.halves)
    all_.halves = std::min(all_.halves.value_or(outcome.time), outcome.time);
  if (accepted)
    got_messages(entry.queue);
}

void commit_answers::got_messages(queue_id queue) {
  // A queue may have several records in a commit; they follow each other.
  if (all_.appended.empty() || all_.appended.back() != queue)
    all_.appended.push_back(queue);
}

/// As apply() made it visible: without repeats.
void commit_answers::show(visible& to, batch&& b, const batch_verdict& verdict, timestamp time) {
  if (verdict.repeats.empty()) {
    to.batches.push_back(
        {b.header, verdict.base, verdict.index, verdict.first_ordinal, time, std::move(b.data)});
    return;
  }
  std::vector<std::uint32_t> positions;
  for (const auto& r : verdict.repeats)
    positions.push_back(r.position);
  auto base = verdict.base;
  for (auto& part : without(b, positions)) {
    const auto count = part.messages.header.count;
    to.batches.push_back({part.messages.header, base, verdict.index, verdict.first_ordinal + part.first, time,
                          std::move(part.messages.data)});
    base.value += count;
  }
}

void commit_answers::refused(const append_entry& entry, const std::vector<append_origin>& origins,
                             const error& why) {
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const auto& header = entry.batches[i].header;
    settle_account(origins[i].queue_handle, entry.queue, header);
    tell(origins[i].producer, refusal_of(entry.queue, header, why));
  }
}

commit_answers::all commit_answers::take() {
  producer_index_.clear();
  queue_index_.clear();
  auto& queues = all_.appended;
  std::sort(queues.begin(), queues.end());
  queues.erase(std::unique(queues.begin(), queues.end()), queues.end());
  return std::exchange(all_, {});
}

} // namespace troupe
