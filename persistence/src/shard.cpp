#include "guarded.hpp"
#include "queue_index.hpp"
#include "shard_impl.hpp"
#include "timer_row.hpp"

#include <algorithm>

namespace troupe {

shard::shard(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
shard::~shard() = default;

result<std::unique_ptr<shard>> shard::open(const std::filesystem::path& dir, const shard_options& options) {
  auto env = environment::open(dir, options);
  if (!env)
    return std::move(env).error();
  auto i = std::make_unique<impl>();
  i->env = *std::move(env);
  return std::unique_ptr<shard>(new shard(std::move(i)));
}

shard_id shard::id() const { return impl_->id(); }

result<queue_extent> shard::extent(queue_id queue) const {
  return guarded([&]() -> result<queue_extent> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    queue_index index(txn, impl_->env->db(), queue);
    queue_extent e;
    e.first = index.first();
    e.next = index.next();
    e.bytes = index.bytes();
    if (const auto oldest = index.front())
      e.oldest = oldest->time;
    if (const auto delayed = txn.get(impl_->env->db().delayed, key_of(queue)))
      e.delayed = decode_delayed(*delayed).count;
    return e;
  });
}

result<std::optional<timestamp>> shard::stored_at(queue_id queue, queue_offset offset) const {
  return guarded([&]() -> result<std::optional<timestamp>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto run = queue_index(txn, impl_->env->db(), queue).at_or_after(offset);
    return run ? std::optional(run->time) : std::nullopt;
  });
}

result<queue_offset> shard::offset_at(queue_id queue, timestamp time) const {
  return guarded([&]() -> result<queue_offset> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    queue_index index(txn, impl_->env->db(), queue);
    // Runs lie in time order, and all messages of a run have one time.
    const auto run = index.search([&](const queue_run& r) { return r.time < time; });
    return run ? run->base : index.next();
  });
}

result<std::vector<shard::index_row>> shard::oldest_rows(queue_id queue, std::size_t max) const {
  return guarded([&]() -> result<std::vector<index_row>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    queue_index index(txn, impl_->env->db(), queue);
    std::vector<index_row> found;
    std::uint64_t bytes = 0;
    for (auto run = index.front(); run && found.size() < max; run = index.after()) {
      bytes += run->bytes;
      found.push_back({run->next(), run->time, bytes});
    }
    return found;
  });
}

result<std::optional<subscription_state>> shard::subscription(group_id group, queue_id queue) const {
  return guarded([&]() -> result<std::optional<subscription_state>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto& db = impl_->env->db();
    const auto prefix = key_of(queue, group, 0);
    const auto value = txn.get(db.subscriptions, prefix);
    if (!value)
      return std::optional<subscription_state>();
    subscription_state s;
    std::tie(s.row.gen, s.row.floor) = decode_subscription(*value);
    s.row.expired = decode_expired(*value);
    lmdb_cursor rows(txn, db.settled);
    for (bool more = rows.seek(prefix); more; more = rows.next()) {
      if (!std::ranges::equal(rows.key().first(prefix.size()), prefix))
        break;
      const std::uint64_t start = chunk_of(rows.key()) * settled_row::chunk;
      const auto row = decode_settled(rows.value());
      const auto floor = s.row.floor.value > start ? s.row.floor.value - start : 0;
      for (std::uint32_t at = static_cast<std::uint32_t>(std::min(floor, settled_row::chunk));
           at < settled_row::chunk;) {
        if (!row.settled(at)) {
          ++at;
          continue;
        }
        const auto end = row.first_open(at);
        const queue_offset from{start + at};
        if (!s.settled.empty() && s.settled.back().second == from)
          s.settled.back().second = queue_offset{start + end};
        else
          s.settled.emplace_back(from, queue_offset{start + end});
        at = end;
      }
      for (const auto& r : row.retries)
        if (r.at >= floor)
          s.retries.push_back({queue_offset{start + r.at}, r.attempts, r.due});
    }
    return std::optional(std::move(s));
  });
}

result<std::uint64_t> shard::expired_count(queue_id queue, group_id group) const {
  return guarded([&]() -> result<std::uint64_t> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto value = txn.get(impl_->env->db().subscriptions, key_of(queue, group, 0));
    return value ? decode_expired(*value) : std::uint64_t{0};
  });
}

result<bool> shard::has_subscription(group_id group, queue_id queue) const {
  return guarded([&]() -> result<bool> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    return txn.get(impl_->env->db().subscriptions, key_of(queue, group, 0)).has_value();
  });
}

result<std::vector<std::pair<group_id, subscription_row>>> shard::subscriptions(queue_id queue) const {
  return guarded([&]() -> result<std::vector<std::pair<group_id, subscription_row>>> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    std::vector<std::pair<group_id, subscription_row>> found;
    lmdb_cursor rows(txn, impl_->env->db().subscriptions);
    for (bool more = rows.seek(key_of(queue, group_id{}, 0)); more && queue_of(rows.key()) == queue;
         more = rows.next()) {
      const auto [gen, floor] = decode_subscription(rows.value());
      found.emplace_back(group_of(rows.key()), subscription_row{gen, floor, decode_expired(rows.value())});
    }
    return found;
  });
}

result<shard::definitions> shard::load_definitions() const {
  return guarded([&]() -> result<definitions> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto& db = impl_->env->db();
    definitions d;
    if (const auto value = txn.get(db.meta, meta_ids)) {
      const auto ids = decode_ids(*value);
      d.last_topic = ids.topic;
      d.last_queue = ids.queue;
      d.last_group = ids.group;
    }
    lmdb_cursor rows(txn, db.definitions);
    for (bool more = rows.first(); more; more = rows.next()) {
      if (rows.key()[0] == 't') {
        auto topic = decode_topic(rows.value());
        if (!topic)
          return topic.error();
        d.topics.push_back(*std::move(topic));
      } else {
        auto group = decode_group(rows.value());
        if (!group)
          return group.error();
        d.groups.push_back(*std::move(group));
      }
    }
    return d;
  });
}

timestamp shard::last_time() const { return from_unix_ms(impl_->env->last_time); }

shard_stats shard::stats() const {
  auto answer = guarded([&]() -> result<shard_stats> {
    const auto& env = *impl_->env;
    const lmdb_txn txn(env.handle(), MDB_RDONLY);
    shard_stats s;
    const auto usage = env.usage(txn.get());
    s.entries = usage.entries;
    s.used = usage.used;
    s.file = env.file_size();
    if (const auto state = txn.get(env.db().meta, meta_state))
      s.last = decode_state(*state).applied;
    lmdb_cursor log(txn, env.db().log);
    if (log.first())
      s.first = index_of(log.key());
    return s;
  });
  return answer ? *answer : shard_stats{};
}

result<std::uint64_t> shard::table_hash() const {
  return guarded([&]() -> result<std::uint64_t> {
    const lmdb_txn txn(impl_->env->handle(), MDB_RDONLY);
    const auto& db = impl_->env->db();
    // FNV-1a over the checksums of keys and values, with their sizes.
    std::uint64_t hash = 0xcbf29ce484222325u;
    auto mix = [&](std::uint64_t x) { hash = (hash ^ x) * 0x100000001b3u; };
    auto mix_bytes = [&](std::span<const char> bytes) {
      mix(bytes.size());
      mix(crc32c(bytes));
    };
    for (const auto& table : all_tables) {
      lmdb_cursor rows(txn, db.*table.handle);
      for (bool more = rows.first(); more; more = rows.next()) {
        mix_bytes(rows.key());
        mix_bytes(rows.value());
      }
      mix(0x7461626cu); // the end of a table
    }
    return hash;
  });
}

} // namespace troupe
