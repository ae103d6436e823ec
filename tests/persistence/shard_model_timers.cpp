#include "shard_model.hpp"

#include <algorithm>

namespace troupe::test {

namespace {

constexpr std::int64_t widths[] = {67'108'864, 262'144, 1024};

std::int64_t start(int level, std::int64_t due) { return due / widths[level] * widths[level]; }

/// When a bucket wants a look, the first message of which is due then.
std::int64_t look(int level, std::int64_t due) {
  return level == 2 ? due : start(level, due) - widths[level] / 4;
}

void note(applied& out, std::int64_t at) {
  out.look_at = std::min(out.look_at.value_or(from_unix_ms(at)), from_unix_ms(at));
}

} // namespace

void shard_model::delay(std::uint32_t queue, const stored& b, applied& out) {
  if (b.header.count == 0)
    return;
  accepted_[index].push_back(b);
  const auto reader = batch_reader::open(b.header, b.data).value();
  for (std::uint32_t i = 0; i < reader.count(); ++i) {
    const auto at = reader.at(i).deliver_at;
    const auto due = at ? to_unix_ms(*at) : 0;
    int level = 0;
    while (level < 2 && time + widths[level] / 4 >= start(level, due))
      ++level;
    timers[{start(level, due), level, index, queue}].insert({due, index, b.ordinal + i});
    note(out, look(level, due));
  }
}

bool shard_model::take(std::uint32_t queue, const timer_row_place& row, message_place message) {
  const auto found =
      timers.find({to_unix_ms(row.bucket.start), static_cast<int>(row.bucket.level), row.index.value, queue});
  if (found == timers.end() || row.chunk != 0)
    return false;
  const auto taken = std::erase_if(found->second, [&](const timer& t) {
    return std::get<1>(t) == message.index.value && std::get<2>(t) == message.ordinal;
  });
  if (found->second.empty())
    timers.erase(found);
  if (!waits(queue))
    dropped_to_.erase(queue);
  return taken > 0;
}

void shard_model::apply(const fire_entry& e, applied& out) {
  auto& q = queues[e.queue.value];
  out.first = queue_offset{q.next};
  bool open = false;
  for (const auto& m : e.messages) {
    const bool there =
        std::ranges::any_of(e.rows, [&](const auto& row) { return take(e.queue.value, row, m); });
    out.found.push_back(there);
    if (there && !open)
      q.runs.push_back({index, 0, {}, true, std::uint64_t{16} + e.message_bytes});
    open = there;
    if (!there)
      continue;
    auto b = alone(m.index.value, m.ordinal);
    b.base = q.next++;
    b.visible = time;
    q.runs.back().batches.push_back(std::move(b));
  }
  out.next = queue_offset{q.next};
}

void shard_model::apply(const cancel_entry& e, applied& out) {
  out.found.push_back(take(e.queue.value, e.row, e.message));
}

void shard_model::apply(const split_entry& e, applied& out) {
  const auto from = to_unix_ms(e.bucket.start);
  const auto level = static_cast<int>(e.bucket.level);
  std::size_t moved = 0;
  for (auto row = timers.lower_bound({from, level, 0, 0}); row != timers.end();) {
    const auto [begin, of_level, writer, queue] = row->first;
    if (begin != from || of_level != level)
      break;
    if (moved >= e.messages) {
      out.done = false;
      return;
    }
    for (const auto& t : row->second) {
      const auto due = std::get<0>(t);
      timers[{start(level + 1, due), level + 1, index, queue}].insert(t);
      note(out, look(level + 1, due));
      ++moved;
    }
    row = timers.erase(row);
  }
}

bool shard_model::waits(std::uint32_t queue) const {
  return std::ranges::any_of(timers, [&](const auto& row) { return std::get<3>(row.first) == queue; });
}

std::size_t shard_model::forget_timers(std::uint32_t queue, std::size_t room) {
  if (!waits(queue) || room == 0)
    return 0;
  std::size_t taken = 0;
  auto row = timers.lower_bound(dropped_to_[queue]);
  while (row != timers.end() && taken < room && waits(queue)) {
    if (std::get<3>(row->first) != queue) {
      ++row;
      continue;
    }
    const auto waiting = row->second;
    row = timers.erase(row);
    taken += 1 + waiting.size() / 16;
    std::set<std::uint64_t> held;
    for (const auto& t : waiting)
      held.insert(std::get<1>(t));
    const auto needed = entries();
    taken += 16 * static_cast<std::size_t>(
                      std::ranges::count_if(held, [&](auto at) { return !needed.contains(at); }));
  }
  if (!waits(queue)) {
    dropped_to_.erase(queue);
    return std::min(taken, room - 1);
  }
  dropped_to_[queue] = row == timers.end() ? timer_row{} : row->first;
  return room;
}

} // namespace troupe::test
