#include "shard_model.hpp"

#include <algorithm>

namespace troupe::test {

std::uint64_t shard_model::run::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& b : batches)
    sum += b.header.size;
  return sum;
}

applied shard_model::apply(const proposal& p) {
  ++index;
  time = std::max(time, to_unix_ms(p.time));
  applied out;
  out.index = log_index{index};
  out.time = from_unix_ms(time);
  std::visit([&](const auto& body) { apply(body, out); }, p.body);
  return out;
}

batch_verdict shard_model::judge(std::uint32_t queue, const batch& b) const {
  using outcome = batch_verdict::outcome;
  const auto& h = b.header;
  const auto known = producers.find({queue, h.producer.value});
  batch_verdict v;
  std::uint64_t last = 0;
  if (known == producers.end()) {
    if (h.sequence.value != 1)
      v.what = outcome::unknown_producer;
  } else if (h.epoch.value < known->second.epoch) {
    v.what = outcome::fenced;
  } else {
    if (h.epoch.value == known->second.epoch)
      last = known->second.last;
    if (h.sequence.value > last + 1) {
      v.what = outcome::gap;
      v.expected = batch_sequence{last + 1};
    } else if (h.sequence.value <= last) {
      v.what = outcome::duplicate;
      const auto first = known->second.verdicts.find(h.sequence.value);
      v.known = first != known->second.verdicts.end();
      if (v.known) {
        v.base = queue_offset{first->second.base};
        v.index = log_index{first->second.index};
        v.first_ordinal = first->second.ordinal;
      }
    }
  }
  if (v.what == outcome::accepted && crc32c(b.data.bytes()) != h.crc)
    v.what = outcome::corrupt;
  return v;
}

void shard_model::apply(const append_entry& e, applied& out) {
  auto& q = queues[e.queue.value];
  std::uint32_t ordinal = 0;
  run* open = nullptr;
  for (const auto& b : e.batches) {
    const auto& h = b.header;
    auto v = judge(e.queue.value, b);
    if (v.what == batch_verdict::outcome::accepted) {
      v.base = queue_offset{q.next};
      v.index = log_index{index};
      v.first_ordinal = ordinal;
      auto& p = producers[{e.queue.value, h.producer.value}];
      if (p.epoch != h.epoch.value)
        p.verdicts.clear();
      p.epoch = h.epoch.value;
      p.last = h.sequence.value;
      p.verdicts[p.last] = {q.next, index, ordinal};
      if (p.verdicts.size() > 64)
        p.verdicts.erase(p.verdicts.begin());
      if (h.count) {
        if (!open || open->end_ordinal != ordinal) {
          q.runs.push_back({index, ordinal, {}});
          open = &q.runs.back();
        }
        open->batches.push_back({h, q.next, index, ordinal, time, b.data});
        open->end_ordinal = ordinal + h.count;
        q.next += h.count;
      }
    }
    ordinal += h.count;
    out.verdicts.push_back(v);
  }
  out.next = queue_offset{q.next};
}

void shard_model::apply(const settle_entry& e, applied& out) {
  for (const auto& section : e.sections) {
    const auto found = subscriptions.find({section.queue.value, section.group.value});
    if (found == subscriptions.end() || found->second.gen != section.gen.value) {
      out.subscriptions.push_back({});
      continue;
    }
    auto& s = found->second;
    const auto next = queues[section.queue.value].next;
    for (const auto& r : section.ranges) {
      for (std::uint64_t offset = r.first.value; offset < r.first.value + r.count && offset < next;
           ++offset) {
        if (offset < s.floor || s.settled.contains(offset) || r.action == settle_action::dead)
          continue;
        if (r.action == settle_action::retry) {
          s.retries[offset] = {r.attempts, to_unix_ms(r.retry_at)};
        } else {
          s.settled.insert(offset);
          s.retries.erase(offset);
        }
      }
      while (s.settled.erase(s.floor))
        ++s.floor;
    }
    out.subscriptions.push_back({generation{s.gen}, queue_offset{s.floor}});
  }
}

void shard_model::apply(const define_entry& e, applied&) {
  for (const auto& topic : e.topics) {
    topics[topic.id.value] = topic;
    last_topic = std::max(last_topic, topic.id.value);
    for (const auto& range : topic.queues)
      last_queue = std::max(last_queue, range.first.value + range.count - 1);
  }
  for (const auto& group : e.groups) {
    groups[group.id.value] = group;
    last_group = std::max(last_group, group.id.value);
  }
  for (auto id : e.removed_topics)
    topics.erase(id.value);
  for (auto id : e.removed_groups)
    groups.erase(id.value);
}

void shard_model::apply(const trim_entry& e, applied& out) {
  auto& q = queues[e.queue.value];
  auto goes = [&] { return !q.runs.empty() && q.runs.front().next() <= e.first.value; };
  for (int n = 0; n < 64 && goes(); ++n)
    q.runs.erase(q.runs.begin());
  out.first = queue_offset{q.runs.empty() ? q.next : q.runs.front().base()};
  out.done = !goes();
}

void shard_model::apply(const drop_queue_entry& e, applied& out) {
  if (e.group.value) {
    subscriptions.erase({e.queue.value, e.group.value});
    return;
  }
  std::erase_if(producers, [&](const auto& p) { return p.first.first == e.queue.value; });
  std::erase_if(subscriptions, [&](const auto& s) { return s.first.first == e.queue.value; });
  auto& runs = queues[e.queue.value].runs;
  out.done = runs.size() <= 64;
  if (out.done)
    queues.erase(e.queue.value);
  else
    runs.erase(runs.begin(), runs.begin() + 64);
}

void shard_model::apply(const reset_entry& e, applied& out) {
  const auto next = queues[e.queue.value].next;
  auto& s = subscriptions[{e.queue.value, e.group.value}];
  s = {s.gen + 1, std::min(e.to.value, next), {}, {}};
  out.subscriptions.push_back({generation{s.gen}, queue_offset{s.floor}});
}

const shard_model::stored* shard_model::find(std::uint64_t at, std::uint32_t ordinal,
                                             std::uint32_t* queue) const {
  for (const auto& [id, q] : queues)
    for (const auto& r : q.runs)
      for (const auto& b : r.batches)
        if (b.index == at && ordinal >= b.ordinal && ordinal - b.ordinal < b.header.count) {
          *queue = id;
          return &b;
        }
  return nullptr;
}

std::size_t shard_model::entries() const {
  std::set<std::uint64_t> needed;
  for (const auto& [id, q] : queues)
    for (const auto& r : q.runs)
      needed.insert(r.index);
  return needed.size();
}

} // namespace troupe::test
