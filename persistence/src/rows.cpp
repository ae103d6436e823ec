#include "rows.hpp"

#include "lmdb.hpp"

#include "troupe/message.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr std::size_t settled_head = settled_row::chunk / 8;
constexpr std::size_t retry_size = 12;
constexpr std::size_t dead_head = 24;

template <std::size_t N>
void put_subscription_prefix(fixed_bytes<N>& key, queue_id queue, group_id group, std::uint8_t lane) {
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, group.value);
  key[8] = static_cast<char>(lane);
}

} // namespace

void settled_row::settle(std::uint32_t from, std::uint32_t to) {
  for (std::uint32_t word = from / 64; word <= (to - 1) / 64; ++word) {
    const std::uint32_t low = std::max(from, word * 64) - word * 64;
    const std::uint32_t high = std::min(to, word * 64 + 64) - word * 64;
    const std::uint64_t upto = high == 64 ? ~0ull : (1ull << high) - 1;
    bits[word] |= upto & ~((1ull << low) - 1);
  }
  std::erase_if(retries, [&](const retry_row& r) { return r.at >= from && r.at < to; });
}

void settled_row::retry(const retry_row& r) {
  if (settled(r.at))
    return;
  auto place = std::ranges::lower_bound(retries, r.at, {}, &retry_row::at);
  if (place != retries.end() && place->at == r.at)
    *place = r;
  else
    retries.insert(place, r);
}

std::uint32_t settled_row::first_open(std::uint32_t from) const {
  for (std::uint32_t word = from / 64; word < bits.size(); ++word) {
    std::uint64_t open = ~bits[word];
    if (word == from / 64)
      open &= ~0ull << (from % 64);
    if (open)
      return word * 64 + static_cast<std::uint32_t>(std::countr_zero(open));
  }
  return chunk;
}

bool settled_row::empty_from(std::uint32_t from) const {
  for (std::uint32_t word = from / 64; word < bits.size(); ++word)
    if (bits[word] & (word == from / 64 ? ~0ull << (from % 64) : ~0ull))
      return false;
  return std::ranges::none_of(retries, [&](const retry_row& r) { return r.at >= from; });
}

log_key key_of(log_index index) {
  log_key key;
  std::memcpy(key.data(), &index.value, sizeof index.value);
  return key;
}

log_index index_of(std::span<const char> key) {
  require(key.size() == sizeof(std::uint64_t), "reading a log index");
  log_index index;
  std::memcpy(&index.value, key.data(), sizeof index.value);
  return index;
}

tail_key key_of(queue_id queue) {
  tail_key key;
  store_be(key.data(), queue.value);
  return key;
}

queue_key key_of(queue_id queue, queue_offset base) {
  queue_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, base.value);
  return key;
}

queue_key end_key(queue_id queue) {
  queue_key key;
  key.fill(static_cast<char>(0xff));
  if (queue.value != 0xffffffffu) {
    key.fill(0);
    store_be(key.data(), queue.value + 1);
  }
  return key;
}

producer_key key_of(queue_id queue, producer_id producer) {
  producer_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, producer.value);
  return key;
}

age_key key_of(const producer_age& age) {
  age_key key;
  store_be(key.data(), age.hour);
  store_be(key.data() + 8, age.queue.value);
  store_be(key.data() + 12, age.producer.value);
  return key;
}

firsts_key key_of(queue_id queue, const first_place& at) {
  firsts_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, static_cast<std::uint64_t>(to_unix_ms(at.time)));
  store_be(key.data() + 12, at.index.value);
  return key;
}

subscription_key key_of(queue_id queue, group_id group, std::uint8_t lane) {
  subscription_key key;
  put_subscription_prefix(key, queue, group, lane);
  return key;
}

settled_key key_of(queue_id queue, group_id group, std::uint8_t lane, std::uint64_t chunk) {
  settled_key key;
  put_subscription_prefix(key, queue, group, lane);
  store_be(key.data() + 9, chunk);
  return key;
}

definition_key key_of(topic_id topic) {
  definition_key key{'t'};
  store_be(key.data() + 1, topic.value);
  return key;
}

definition_key key_of(group_id group) {
  definition_key key{'g'};
  store_be(key.data() + 1, group.value);
  return key;
}

dead_key key_of(queue_id queue, group_id group, message_place message) {
  dead_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, group.value);
  store_be(key.data() + 8, message.index.value);
  store_be(key.data() + 16, message.ordinal);
  return key;
}

dead_count_key key_of(queue_id queue, group_id group) {
  dead_count_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, group.value);
  return key;
}

queue_id queue_of(std::span<const char> key) {
  require(key.size() >= 4, "reading a key");
  return queue_id{load_be<std::uint32_t>(key.data())};
}

group_id group_of(std::span<const char> key) {
  require(key.size() >= 8, "reading a group's key");
  return group_id{load_be<std::uint32_t>(key.data() + 4)};
}

std::uint8_t lane_of(std::span<const char> key) {
  require(key.size() >= 9, "reading a subscription's key");
  return static_cast<std::uint8_t>(key[8]);
}

std::uint64_t chunk_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<settled_key>, "reading a settled key");
  return load_be<std::uint64_t>(key.data() + 9);
}

producer_id producer_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<producer_key>, "reading a producer's key");
  return producer_id{load_be<std::uint64_t>(key.data() + 4)};
}

producer_age age_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<age_key>, "reading the age of a producer");
  return {load_be<std::uint64_t>(key.data()), queue_id{load_be<std::uint32_t>(key.data() + 8)},
          producer_id{load_be<std::uint64_t>(key.data() + 12)}};
}

first_place first_place_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<firsts_key>, "reading the place of keys");
  return {from_unix_ms(static_cast<std::int64_t>(load_be<std::uint64_t>(key.data() + 4))),
          log_index{load_be<std::uint64_t>(key.data() + 12)}};
}

std::uint64_t hour_of(timestamp time) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::hours>(time.time_since_epoch()).count());
}

timestamp end_of_hour(std::uint64_t hour) {
  return timestamp{std::chrono::hours{static_cast<std::int64_t>(hour) + 1}};
}

message_place place_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<dead_key>, "reading a dead letter's key");
  return {log_index{load_be<std::uint64_t>(key.data() + 8)}, load_be<std::uint32_t>(key.data() + 16)};
}

fixed_bytes<16> encode(const format_row& row) {
  fixed_bytes<16> out{};
  store_le(out.data(), row.version);
  store_le(out.data() + 4, row.shard.value);
  store_le(out.data() + 6, row.shards);
  return out;
}

format_row decode_format(std::span<const char> value) {
  require(value.size() >= 4, "reading the format version");
  format_row row;
  row.version = load_le<std::uint32_t>(value.data());
  if (!row.known()) // what follows may look different there
    return row;
  require(value.size() == 16, "reading the format");
  row.shard = shard_id{load_le<std::uint16_t>(value.data() + 4)};
  row.shards = load_le<std::uint16_t>(value.data() + 6);
  return row;
}

fixed_bytes<32> encode(const state_row& row) {
  fixed_bytes<32> out{};
  store_le(out.data(), row.applied.value);
  store_le(out.data() + 8, row.first.value);
  store_le(out.data() + 16, static_cast<std::uint64_t>(to_unix_ms(row.time)));
  store_le(out.data() + 24, row.term);
  return out;
}

state_row decode_state(std::span<const char> value) {
  require(value.size() == 32, "reading the log's state");
  return {log_index{load_le<std::uint64_t>(value.data())},
          log_index{load_le<std::uint64_t>(value.data() + 8)},
          from_unix_ms(static_cast<std::int64_t>(load_le<std::uint64_t>(value.data() + 16))),
          load_le<std::uint64_t>(value.data() + 24)};
}

fixed_bytes<16> encode(const ids_row& row) {
  fixed_bytes<16> out{};
  store_le(out.data(), row.topic.value);
  store_le(out.data() + 4, row.queue.value);
  store_le(out.data() + 8, row.group.value);
  return out;
}

ids_row decode_ids(std::span<const char> value) {
  require(value.size() == 16, "reading the highest ids");
  return {topic_id{load_le<std::uint32_t>(value.data())}, queue_id{load_le<std::uint32_t>(value.data() + 4)},
          group_id{load_le<std::uint32_t>(value.data() + 8)}};
}

fixed_bytes<16> encode(generation gen, queue_offset floor) {
  fixed_bytes<16> out{};
  store_le(out.data(), gen.value);
  store_le(out.data() + 8, floor.value);
  return out;
}

fixed_bytes<24> encode(generation gen, queue_offset floor, std::uint64_t expired) {
  fixed_bytes<24> out{};
  const auto row = encode(gen, floor);
  std::copy(row.begin(), row.end(), out.begin());
  store_le(out.data() + 16, expired);
  return out;
}

std::uint64_t decode_expired(std::span<const char> value) {
  return value.size() == 24 ? load_le<std::uint64_t>(value.data() + 16) : 0;
}

std::pair<generation, queue_offset> decode_subscription(std::span<const char> value) {
  require(value.size() == 16 || value.size() == 24, "reading a subscription");
  return {generation{load_le<std::uint64_t>(value.data())},
          queue_offset{load_le<std::uint64_t>(value.data() + 8)}};
}

void encode(const settled_row& row, std::vector<char>& out) {
  out.resize(settled_head + row.retries.size() * retry_size);
  char* at = out.data();
  for (auto word : row.bits) {
    store_le(at, word);
    at += 8;
  }
  for (const auto& r : row.retries) {
    store_le(at, r.at);
    store_le(at + 2, r.attempts);
    store_le(at + 4, static_cast<std::uint64_t>(to_unix_ms(r.due)));
    at += retry_size;
  }
}

settled_row decode_settled(std::span<const char> value) {
  require(value.size() >= settled_head && (value.size() - settled_head) % retry_size == 0,
          "reading settled offsets");
  settled_row row;
  for (std::size_t i = 0; i < row.bits.size(); ++i)
    row.bits[i] = load_le<std::uint64_t>(value.data() + i * 8);
  row.retries.reserve((value.size() - settled_head) / retry_size);
  for (auto rest = value.subspan(settled_head); !rest.empty(); rest = rest.subspan(retry_size)) {
    const retry_row r{load_le<std::uint16_t>(rest.data()), load_le<std::uint16_t>(rest.data() + 2),
                      from_unix_ms(static_cast<std::int64_t>(load_le<std::uint64_t>(rest.data() + 4)))};
    require(r.at < settled_row::chunk && (row.retries.empty() || row.retries.back().at < r.at),
            "reading retries");
    row.retries.push_back(r);
  }
  return row;
}

void encode(const dead_row& row, std::vector<char>& out) {
  out.assign(dead_head, 0);
  store_le(out.data(), row.offset.value);
  store_le(out.data() + 8, static_cast<std::uint64_t>(to_unix_ms(row.died)));
  store_le(out.data() + 16, row.attempts);
  store_le(out.data() + 18, static_cast<std::uint8_t>(row.reason));
  out.insert(out.end(), row.detail.begin(), row.detail.end());
}

dead_row decode_dead(std::span<const char> value) {
  constexpr const char* doing = "reading a dead letter";
  require(value.size() >= dead_head && value.size() <= dead_head + max_dead_detail, doing);
  dead_row row;
  row.offset = queue_offset{load_le<std::uint64_t>(value.data())};
  row.died = from_unix_ms(static_cast<std::int64_t>(load_le<std::uint64_t>(value.data() + 8)));
  row.attempts = load_le<std::uint16_t>(value.data() + 16);
  row.reason = static_cast<dead_reason>(load_le<std::uint8_t>(value.data() + 18));
  require(row.reason >= dead_reason::attempts && row.reason <= dead_reason::unsettled, doing);
  row.detail.assign(value.begin() + dead_head, value.end());
  require(is_utf8(row.detail), doing);
  return row;
}

fixed_bytes<8> encode_count(std::uint64_t count) {
  fixed_bytes<8> out;
  store_le(out.data(), count);
  return out;
}

std::uint64_t decode_count(std::span<const char> value) {
  require(value.size() == 8 && number_at(value, 0) != 0, "reading a count of dead letters");
  return number_at(value, 0);
}

fixed_bytes<4> encode_pins(std::uint32_t pins) {
  fixed_bytes<4> out;
  store_le(out.data(), pins);
  return out;
}

std::uint32_t decode_pins(std::span<const char> value) {
  require(value.size() == 4, "reading pins");
  const auto pins = load_le<std::uint32_t>(value.data());
  require(pins != 0, "reading pins");
  return pins;
}

} // namespace troupe
