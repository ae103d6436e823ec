#include "transaction_row.hpp"

#include "varint.hpp"

#include "troupe/message.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace troupe {

namespace {

constexpr const char* doing = "reading a transaction";

// The head of a row, 32 bytes; then numbers and texts of any length.
constexpr std::size_t state_at = 0;
constexpr std::size_t checks_at = 2;
constexpr std::size_t begun_at = 8;
constexpr std::size_t ended_at = 16;
constexpr std::size_t next_check_at = 24;
constexpr std::size_t head_size = 32;

timestamp to_time(std::uint64_t ms) {
  require(ms <= static_cast<std::uint64_t>(to_unix_ms(max_time)), doing);
  return from_unix_ms(static_cast<std::int64_t>(ms));
}

void put_text(std::vector<char>& out, const std::string& text) {
  put_varint(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

std::string take_text(std::span<const char>& in) {
  const auto length = take_varint(in, doing);
  require(length <= max_transaction_name && length <= in.size(), doing);
  std::string text(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(length));
  require(is_utf8(text), doing);
  in = in.subspan(length);
  return text;
}

} // namespace

transaction_key transaction_key_of(log_index begin) {
  transaction_key key;
  store_be(key.data(), begin.value);
  return key;
}

log_index transaction_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<transaction_key>, doing);
  return log_index{load_be<std::uint64_t>(key.data())};
}

bool is_checked(const stored_transaction& row) { return !has_ended(row.state) || !row.unconfirmed.empty(); }

void encode(const stored_transaction& row, std::vector<char>& out) {
  out.assign(head_size, 0);
  store_le(out.data() + state_at, static_cast<std::uint8_t>(row.state));
  store_le(out.data() + checks_at, row.checks);
  store_le(out.data() + begun_at, static_cast<std::uint64_t>(to_unix_ms(row.begun)));
  store_le(out.data() + ended_at, static_cast<std::uint64_t>(to_unix_ms(row.ended)));
  store_le(out.data() + next_check_at, static_cast<std::uint64_t>(to_unix_ms(row.next_check)));
  put_text(out, row.group);
  put_text(out, row.key);
  put_varint(out, row.unconfirmed.size());
  for (auto shard : row.unconfirmed)
    put_varint(out, shard.value);
  put_varint(out, row.messages.size());
  for (const auto& id : row.messages) {
    put_varint(out, id.shard.value);
    put_varint(out, id.index.value);
    put_varint(out, id.ordinal);
  }
}

stored_transaction decode_transaction(std::span<const char> value) {
  require(value.size() >= head_size, doing);
  stored_transaction row;
  row.state = static_cast<transaction_state>(load_le<std::uint8_t>(value.data() + state_at));
  require(row.state >= transaction_state::begun && row.state <= transaction_state::rolled_back, doing);
  row.checks = load_le<std::uint16_t>(value.data() + checks_at);
  row.begun = to_time(number_at(value, begun_at));
  row.ended = to_time(number_at(value, ended_at));
  row.next_check = to_time(number_at(value, next_check_at));
  auto rest = value.subspan(head_size);
  row.group = take_text(rest);
  row.key = take_text(rest);
  const auto shards = take_varint(rest, doing);
  require(shards <= rest.size(), doing);
  for (std::uint64_t i = 0; i < shards; ++i)
    row.unconfirmed.push_back(shard_id{take_small<std::uint16_t>(rest, doing)});
  require(std::ranges::adjacent_find(row.unconfirmed, std::greater_equal{}) == row.unconfirmed.end(), doing);
  const auto messages = take_varint(rest, doing);
  require(messages <= max_listed_messages, doing);
  for (std::uint64_t i = 0; i < messages; ++i) {
    message_id id;
    id.shard = shard_id{take_small<std::uint16_t>(rest, doing)};
    id.index = log_index{take_varint(rest, doing)};
    id.ordinal = take_small<std::uint32_t>(rest, doing);
    row.messages.push_back(id);
  }
  require(rest.empty(), doing);
  return row;
}

check_time check_of(const check_place& place, const half_row& row) {
  return {row.checks > 0, row.checks > 0 ? row.next_check : row.since, place};
}

check_key key_of(const check_time& at) {
  check_key key;
  key[0] = at.checked ? 1 : 0;
  store_be(key.data() + 1, static_cast<std::uint64_t>(to_unix_ms(at.due)));
  const auto place = key_of(at.place);
  std::ranges::copy(place, key.begin() + 9);
  return key;
}

check_time check_of(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<check_key> && (key[0] == 0 || key[0] == 1), doing);
  return {key[0] == 1, to_time(load_be<std::uint64_t>(key.data() + 1)), half_place(key.subspan(9))};
}

} // namespace troupe
