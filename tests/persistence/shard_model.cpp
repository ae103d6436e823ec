#include "shard_model.hpp"

#include <algorithm>
#include <stdexcept>

namespace troupe::test {

std::uint64_t shard_model::run::bytes() const {
  std::uint64_t sum = lists ? batches.size() * each : 0;
  for (const auto& b : batches)
    sum += lists ? 0 : b.header.size;
  return sum;
}

applied shard_model::apply(const proposal& p) {
  ++index;
  time = std::max(time, to_unix_ms(p.time));
  applied out;
  out.index = log_index{index};
  out.time = from_unix_ms(time);
  std::visit([&](const auto& body) { apply(body, out); }, p.body);
  // What is known of half messages goes with their entry.
  if (!halves.empty()) {
    const auto needed = entries();
    std::erase_if(halves, [&](const auto& row) { return !needed.contains(row.first.second); });
  }
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

namespace {

/// The first key of each message; empty for one that has none.
std::vector<std::string> keys_of(const batch& b) {
  std::vector<std::string> keys;
  const auto reader = batch_reader::open(b.header, b.data);
  for (std::uint32_t i = 0; reader && i < reader->count(); ++i) {
    const auto m = reader->at(i).materialize();
    keys.push_back(m.keys.empty() ? std::string() : m.keys.front());
  }
  return keys;
}

repeated_message repeat_of(const shard_model::first& f, std::uint32_t position) {
  return {position, log_index{f.index}, f.ordinal, queue_offset{f.offset.value_or(0)}, !f.offset};
}

} // namespace

void shard_model::recall(std::uint32_t queue, const batch& b, batch_verdict& v) const {
  const auto keys = keys_of(b);
  v.known = crc32c(b.data.bytes()) == b.header.crc;
  for (std::uint32_t i = 0; v.known && i < keys.size(); ++i) {
    if (keys[i].empty())
      continue;
    const std::pair own{v.index.value, v.first_ordinal + i};
    const first* newest = nullptr;
    if (const auto q = firsts.find(queue); q != firsts.end())
      if (const auto k = q->second.find(keys[i]); k != q->second.end())
        for (const auto& f : k->second)
          if (std::pair{f.index, f.ordinal} <= own)
            newest = &f;
    v.known = newest != nullptr;
    if (newest && std::pair{newest->index, newest->ordinal} != own)
      v.repeats.push_back(repeat_of(*newest, i));
  }
  if (!v.known)
    v.repeats.clear();
}

std::vector<repeated_message> shard_model::repeats(const append_entry& e, const batch& b,
                                                   std::uint32_t ordinal) {
  std::vector<repeated_message> found;
  const auto keys = keys_of(b);
  auto offset = queues[e.queue.value].next;
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].empty()) {
      auto& known = firsts[e.queue.value][keys[i]];
      if (!known.empty() && known.back().time > time - e.window.count()) {
        found.push_back(repeat_of(known.back(), i));
        continue;
      }
      known.push_back({time, index, ordinal + i, {}});
      if (b.header.kind == batch_kind::plain)
        known.back().offset = offset;
    }
    ++offset;
  }
  return found;
}

void shard_model::show(std::uint32_t queue, const batch& b, std::uint32_t ordinal) {
  auto& q = queues[queue];
  const auto& h = b.header;
  if (h.count == 0)
    return;
  if (q.runs.empty() || q.runs.back().lists || q.runs.back().index != index ||
      q.runs.back().end_ordinal != ordinal)
    q.runs.push_back({index, ordinal, {}, false});
  auto& open = q.runs.back();
  open.batches.push_back({h, q.next, index, ordinal, time, b.data, time, 0});
  accepted_[index].push_back(open.batches.back());
  open.end_ordinal = ordinal + h.count;
  q.next += h.count;
}

void shard_model::apply(const append_entry& e, applied& out) {
  std::uint32_t ordinal = 0;
  for (const auto& b : e.batches) {
    const auto& h = b.header;
    auto v = judge(e.queue.value, b);
    if (v.what == batch_verdict::outcome::duplicate && v.known) {
      const auto& first = producers[{e.queue.value, h.producer.value}].verdicts[h.sequence.value];
      if (first.delayed_with_repeats || (h.kind == batch_kind::plain && first.visible != h.count))
        recall(e.queue.value, b, v);
    }
    if (v.what == batch_verdict::outcome::accepted) {
      v.base = queue_offset{queues[e.queue.value].next};
      v.index = log_index{index};
      v.first_ordinal = ordinal;
      if (e.window.count() > 0 && h.kind != batch_kind::transactional)
        v.repeats = repeats(e, b, ordinal);
      auto& p = producers[{e.queue.value, h.producer.value}];
      if (p.epoch != h.epoch.value)
        p.verdicts.clear();
      p.epoch = h.epoch.value;
      p.last = h.sequence.value;
      p.time = time;
      const auto left = h.count - static_cast<std::uint32_t>(v.repeats.size());
      const bool waits = h.kind != batch_kind::plain;
      p.verdicts[p.last] = {v.base.value, index, ordinal, waits ? 0 : left, waits && left < h.count};
      if (p.verdicts.size() > 64)
        p.verdicts.erase(p.verdicts.begin());
      std::vector<std::uint32_t> positions;
      for (const auto& r : v.repeats)
        positions.push_back(r.position);
      auto take = [&](const batch& some, std::uint32_t first) {
        if (h.kind == batch_kind::transactional)
          hold(e.queue.value, {some.header, 0, index, first, time, some.data, 0, 0}, out);
        else if (waits)
          delay(e.queue.value, {some.header, 0, index, first, time, some.data, 0, 0}, out);
        else
          show(e.queue.value, some, first);
      };
      if (positions.empty())
        take(b, ordinal);
      else
        for (const auto& part : without(b, positions))
          take(part.messages, ordinal + part.first);
    }
    ordinal += h.count;
    out.verdicts.push_back(v);
  }
  out.next = queue_offset{queues[e.queue.value].next};
}

void shard_model::apply(const forget_keys_entry& e, applied&) {
  for (auto& [key, known] : firsts[e.queue.value])
    std::erase_if(known, [&](const first& f) { return f.time < to_unix_ms(e.before); });
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
        if (offset < s.floor || s.settled.contains(offset))
          continue;
        if (r.action == settle_action::dead)
          bury(section, r, offset);
        s.expired += r.action == settle_action::expired ||
                     (r.action == settle_action::dead && r.reason == dead_reason::expired);
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
    out.subscriptions.push_back({generation{s.gen}, queue_offset{s.floor}, s.expired});
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

void shard_model::bury(const settle_section& section, const settle_range& range, std::uint64_t offset) {
  for (const auto& r : queues[section.queue.value].runs)
    for (const auto& b : r.batches)
      if (offset >= b.base && offset < b.base + b.header.count &&
          (b.only_for == 0 || b.only_for == section.group.value)) {
        const auto ordinal = b.ordinal + static_cast<std::uint32_t>(offset - b.base);
        dead_letters[{section.queue.value, section.group.value, b.index, ordinal}] = {
            offset, time, range.attempts, range.reason, range.detail};
      }
}

shard_model::stored shard_model::alone(std::uint64_t at, std::uint32_t ordinal) const {
  for (const auto& b : accepted_.at(at))
    if (ordinal >= b.ordinal && ordinal - b.ordinal < b.header.count) {
      batch_builder builder;
      const auto reader = batch_reader::open(b.header, b.data).value();
      builder.add(reader.at(ordinal - b.ordinal).materialize());
      const auto built =
          b.header.kind == batch_kind::transactional ? builder.finish(reader.half()) : builder.finish();
      auto found = b;
      found.ordinal = ordinal;
      found.data = built.data;
      found.header.count = 1;
      found.header.size = built.header.size;
      found.header.crc = built.header.crc;
      return found;
    }
  throw std::logic_error("a message that was never accepted");
}

void shard_model::apply(const redrive_entry& e, applied& out) {
  auto& q = queues[e.queue.value];
  out.first = queue_offset{q.next};
  bool open = false;
  for (const auto& m : e.messages) {
    const bool there = dead_letters.erase({e.queue.value, e.group.value, m.index.value, m.ordinal}) != 0;
    out.found.push_back(there);
    if (there && !open)
      q.runs.push_back({index, 0, {}, true});
    open = there;
    if (!there)
      continue;
    auto b = alone(m.index.value, m.ordinal);
    b.base = q.next++;
    b.visible = time;
    b.only_for = e.group.value;
    q.runs.back().batches.push_back(std::move(b));
  }
  out.next = queue_offset{q.next};
}

void shard_model::apply(const purge_entry& e, applied& out) {
  for (const auto& m : e.messages)
    out.found.push_back(dead_letters.erase({e.queue.value, e.group.value, m.index.value, m.ordinal}) != 0);
}

void shard_model::apply(const evict_entry& e, applied& out) {
  constexpr std::int64_t hour = 3'600'000;
  std::set<std::tuple<std::int64_t, std::uint32_t, std::uint64_t>> oldest;
  for (const auto& [key, p] : producers)
    oldest.emplace(p.time / hour, key.first, key.second);
  for (const auto& [at, queue, producer] : oldest) {
    if ((at + 1) * hour > to_unix_ms(e.before) && producers.size() <= e.keep)
      return;
    producers.erase({queue, producer});
    out.evicted = from_unix_ms((at + 1) * hour);
  }
}

void shard_model::leave(queue& q, std::uint64_t up_to) {
  std::size_t released = 0;
  for (int n = 0; n < 64 && released < 1024 && !q.runs.empty() && q.runs.front().next() <= up_to; ++n) {
    released += q.runs.front().lists ? q.runs.front().batches.size() : 0;
    q.runs.erase(q.runs.begin());
  }
}

void shard_model::apply(const trim_entry& e, applied& out) {
  auto& q = queues[e.queue.value];
  leave(q, e.first.value);
  out.first = queue_offset{q.runs.empty() ? q.next : q.runs.front().base()};
  out.done = q.runs.empty() || q.runs.front().next() > e.first.value;
}

std::size_t shard_model::rows(std::uint32_t queue, std::uint32_t group) const {
  std::size_t n = 0;
  for (const auto& [key, s] : subscriptions)
    if (key.first == queue && (group == 0 || key.second == group)) {
      std::set<std::uint64_t> chunks;
      for (auto at : s.settled)
        chunks.insert(at / 1024);
      for (const auto& r : s.retries)
        chunks.insert(r.first / 1024);
      n += chunks.size();
    }
  for (const auto& p : producers)
    n += group == 0 && p.first.first == queue;
  if (const auto q = firsts.find(queue); group == 0 && q != firsts.end()) {
    std::set<std::uint64_t> entries;
    for (const auto& [key, known] : q->second)
      for (const auto& f : known)
        entries.insert(f.index);
    n += entries.size();
  }
  return n;
}

void shard_model::apply(const drop_queue_entry& e, applied& out) {
  const auto queue = e.queue.value, group = e.group.value;
  std::size_t room = 1024 - rows(queue, group); // those rows never fill a step here
  auto mine = [&](std::uint32_t q, std::uint32_t g) { return q == queue && (group == 0 || g == group); };
  if (group == 0)
    firsts.erase(queue);
  if (group == 0)
    std::erase_if(producers, [&](const auto& p) { return p.first.first == queue; });
  for (auto& [key, s] : subscriptions)
    if (mine(key.first, key.second)) {
      s.settled.clear();
      s.retries.clear();
    }
  for (auto d = dead_letters.begin(); d != dead_letters.end() && room > 0;) {
    if (!mine(std::get<0>(d->first), std::get<1>(d->first))) {
      ++d;
      continue;
    }
    const auto at = std::get<2>(d->first);
    d = dead_letters.erase(d);
    const std::size_t took = entries().contains(at) ? 1 : 17;
    room -= std::min(room, took);
  }
  if (group == 0)
    room -= forget_timers(queue, room);
  if (group == 0)
    room -= forget_halves(queue, room);
  // By these, whoever starts again finds what is left.
  for (auto s = subscriptions.begin(); s != subscriptions.end() && room > 0;)
    if (mine(s->first.first, s->first.second)) {
      s = subscriptions.erase(s);
      --room;
    } else {
      ++s;
    }
  out.done = room != 0;
  if (group || !out.done)
    return;
  auto& q = queues[queue];
  leave(q, q.next);
  out.done = q.runs.empty();
  if (out.done)
    queues.erase(queue);
}

void shard_model::apply(const reset_entry& e, applied& out) {
  const auto next = queues[e.queue.value].next;
  auto& s = subscriptions[{e.queue.value, e.group.value}];
  s = {s.gen + 1, std::min(e.to.value, next), s.expired, {}, {}};
  out.subscriptions.push_back({generation{s.gen}, queue_offset{s.floor}, s.expired});
}

std::optional<shard_model::stored> shard_model::find(std::uint64_t at, std::uint32_t ordinal,
                                                     std::uint32_t* queue) const {
  for (const auto& [id, q] : queues)
    for (const auto& r : q.runs)
      for (const auto& b : r.batches)
        if (!r.lists && b.index == at && ordinal >= b.ordinal && ordinal - b.ordinal < b.header.count) {
          *queue = id;
          return b;
        }
  for (const auto& [row, waiting] : timers)
    for (const auto& t : waiting)
      if (std::get<1>(t) == at && std::get<2>(t) == ordinal) {
        *queue = std::get<3>(row);
        return alone(at, ordinal);
      }
  for (const auto& [key, row] : halves)
    if (const auto m = row.messages.find(ordinal); key.second == at && m != row.messages.end()) {
      *queue = key.first;
      if (m->second.state == transaction_state::prepared)
        return alone(at, ordinal);
      if (m->second.state == transaction_state::rolled_back)
        return std::nullopt;
    }
  for (const auto& [key, d] : dead_letters)
    if (std::get<2>(key) == at && std::get<3>(key) == ordinal) {
      auto found = alone(at, ordinal);
      found.base = d.offset;
      *queue = std::get<0>(key);
      return found;
    }
  for (const auto& [id, q] : queues)
    for (const auto& r : q.runs)
      for (const auto& b : r.batches)
        if (r.lists && b.index == at && b.ordinal == ordinal) {
          *queue = id;
          return b;
        }
  return std::nullopt;
}

std::set<std::uint64_t> shard_model::entries() const {
  std::set<std::uint64_t> needed;
  for (const auto& [id, q] : queues)
    for (const auto& r : q.runs) {
      needed.insert(r.index);
      for (const auto& b : r.batches)
        needed.insert(b.index);
    }
  for (const auto& d : dead_letters)
    needed.insert(std::get<2>(d.first));
  for (const auto& [row, waiting] : timers)
    for (const auto& t : waiting)
      needed.insert(std::get<1>(t));
  for (const auto& [key, row] : halves)
    if (row.undecided())
      needed.insert(key.second);
  return needed;
}

} // namespace troupe::test
