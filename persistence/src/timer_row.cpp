#include "timer_row.hpp"

#include "rows.hpp"
#include "varint.hpp"

#include "troupe/units.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr const char* doing = "reading delayed messages";
/// The longest form of a message: three numbers of 8, 10 and 5 bytes.
constexpr std::size_t longest_timer = 23;

template <std::size_t N> void put_bucket(fixed_bytes<N>& key, const timer_bucket& bucket) {
  store_be(key.data(), static_cast<std::uint64_t>(to_unix_ms(bucket.start)));
  key[8] = static_cast<char>(bucket.level);
}

/// Small numbers of either sign become small ones (Protocol Buffers' zigzag).
std::uint64_t folded(std::uint64_t difference) {
  return (difference << 1) ^ (difference >> 63 ? ~std::uint64_t{0} : 0);
}
std::uint64_t unfolded(std::uint64_t x) { return (x >> 1) ^ (x & 1 ? ~std::uint64_t{0} : 0); }

/// Whether the row holds the message, which is due then.
bool holds(const timer_row_place& row, std::span<const char> value, const timer& wanted) {
  timer_row_reader in(row, value);
  auto t = in.next();
  while (t && *t < wanted)
    t = in.next();
  return t == wanted;
}

} // namespace

timer_key key_of(queue_id queue, const timer_row_place& row) {
  timer_key key;
  put_bucket(key, row.bucket);
  store_be(key.data() + 9, row.index.value);
  store_be(key.data() + 17, queue.value);
  store_be(key.data() + 21, row.chunk);
  return key;
}

bucket_key key_of(const timer_bucket& bucket) {
  bucket_key key;
  put_bucket(key, bucket);
  return key;
}

bucket_key end_key(const timer_bucket& bucket) {
  auto key = key_of(bucket);
  ++key[8];
  return key;
}

timer_row_key to_timer_row(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<timer_key>, doing);
  const auto start = load_be<std::uint64_t>(key.data());
  const auto level = static_cast<std::uint8_t>(key[8]);
  require(level < timer_levels.size() && start <= static_cast<std::uint64_t>(to_unix_ms(max_time)), doing);
  const timer_bucket bucket{from_unix_ms(static_cast<std::int64_t>(start)), timer_levels[level]};
  require(bucket_at(bucket.level, bucket.start) == bucket, doing);
  return {
      queue_id{load_be<std::uint32_t>(key.data() + 17)},
      {bucket, log_index{load_be<std::uint64_t>(key.data() + 9)}, load_be<std::uint16_t>(key.data() + 21)}};
}

std::vector<char> encode(const delayed_row& row) {
  std::vector<char> out(sizeof row.count);
  store_le(out.data(), row.count);
  if (row.dropped_to)
    out.insert(out.end(), row.dropped_to->begin(), row.dropped_to->end());
  return out;
}

delayed_row decode_delayed(std::span<const char> value) {
  constexpr std::size_t head = sizeof(std::uint64_t);
  require(value.size() == head || value.size() == head + std::tuple_size_v<timer_key>, doing);
  delayed_row row{number_at(value, 0), {}};
  require(row.count != 0, doing);
  if (value.size() > head)
    row.dropped_to = to_key<timer_key>(value.subspan(head));
  return row;
}

std::size_t pack_timers(std::span<const timer> timers, const timer_row_place& at, std::vector<char>& out) {
  out.clear();
  auto before = at.bucket.start;
  std::size_t n = 0;
  for (; n < timers.size() && out.size() + longest_timer <= max_timer_row; ++n) {
    const auto& t = timers[n];
    put_varint(out, static_cast<std::uint64_t>((t.due - before).count()));
    put_varint(out, folded(t.message.index.value - at.index.value));
    put_varint(out, t.message.ordinal);
    before = t.due;
  }
  return n;
}

timer_row_reader::timer_row_reader(const timer_row_place& at, std::span<const char> value)
    : at_(at), rest_(value) {
  require(!value.empty(), doing);
}

std::optional<timer> timer_row_reader::next() {
  if (rest_.empty())
    return std::nullopt;
  const auto since = take_varint(rest_, doing);
  require(since < static_cast<std::uint64_t>(width_of(timer_level::days).count()), doing);
  timer t;
  t.due = (last_ ? last_->due : at_.bucket.start) + milliseconds{static_cast<std::int64_t>(since)};
  t.message.index = log_index{at_.index.value + unfolded(take_varint(rest_, doing))};
  t.message.ordinal = take_small<std::uint32_t>(rest_, doing);
  require(t.due < at_.bucket.end() && (!last_ || *last_ < t), doing);
  last_ = t;
  return t;
}

std::optional<timer_row_place> find_timer_row(const lmdb_txn& txn, const tables& t, queue_id queue,
                                              const timer& wanted) {
  lmdb_cursor rows(txn, t.timers);
  for (const bool split : {false, true})
    for (auto level : timer_levels) {
      timer_row_place from{bucket_at(level, wanted.due), wanted.message.index, 0};
      from.index.value += split ? 1 : 0;
      const auto begin = split ? key_of(queue_id{}, from) : key_of(queue, from);
      for (bool more = rows.seek(begin); more; more = rows.next()) {
        const auto [owner, row] = to_timer_row(rows.key());
        if (row.bucket != from.bucket || (!split && (owner != queue || row.index != from.index)))
          break;
        if (owner == queue && holds(row, rows.value(), wanted))
          return row;
      }
    }
  return std::nullopt;
}

} // namespace troupe
