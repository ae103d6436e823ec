#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

/// A number that cannot be mistaken for another kind of number. Tag only distinguishes types.
template <class Tag, class Rep> struct strong {
  using rep = Rep;
  Rep value{};
  constexpr strong() = default;
  constexpr explicit strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const strong&) const = default;
};

/// A shard: one LMDB environment with one log. Numbered from 0; fixed when a data directory is made.
using shard_id = strong<struct shard_id_tag, std::uint16_t>;
/// A topic's number in the catalog, from 1; never reused.
using topic_id = strong<struct topic_id_tag, std::uint32_t>;
/// A queue's number, from 1, unique over all topics; never reused. Its shard is `value % shards`.
using queue_id = strong<struct queue_id_tag, std::uint32_t>;
/// A consumer group's number in the catalog, from 1; never reused.
using group_id = strong<struct group_id_tag, std::uint32_t>;
/// A position in a shard's log, from 1, without gaps.
using log_index = strong<struct log_index_tag, std::uint64_t>;
/// A position in a queue, from 0, dense. Half-open ranges are written [first, next).
using queue_offset = strong<struct queue_offset_tag, std::uint64_t>;
/// A producer's random identity, chosen by the client; idempotence is judged per queue and producer.
using producer_id = strong<struct producer_id_tag, std::uint64_t>;
/// A producer's incarnation, from 1; an older one is fenced.
using producer_epoch = strong<struct producer_epoch_tag, std::uint32_t>;
/// Numbers the batches of one producer, epoch and queue, from 1, without gaps.
using batch_sequence = strong<struct batch_sequence_tag, std::uint64_t>;
/// Counts the resets of a subscription, from 1; a settle of another generation is void.
using generation = strong<struct generation_tag, std::uint64_t>;
/// A lease's number within one subscription and one run of the broker.
using lease_id = strong<struct lease_id_tag, std::uint64_t>;

/// Wall-clock time in milliseconds since the Unix epoch. core never asks a clock: time is an argument.
using timestamp = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using std::chrono::milliseconds;

/// Milliseconds since the Unix epoch.
constexpr std::int64_t to_unix_ms(timestamp t) { return t.time_since_epoch().count(); }
constexpr timestamp from_unix_ms(std::int64_t ms) { return timestamp{milliseconds{ms}}; }

/// A message's identity: known at acceptance, never changed, never reused.
/// Its text form is "<shard>-<log index>-<ordinal>" in decimal.
struct message_id {
  shard_id shard;
  log_index index;
  /// Position among all messages of the entry, from 0.
  std::uint32_t ordinal = 0;
  auto operator<=>(const message_id&) const = default;
};

std::string to_string(const message_id& id);
/// Empty when the text is not exactly a message id.
std::optional<message_id> parse_message_id(std::string_view text);

/// The identity of a transaction of several messages: the shard that decides about it, and where that shard's
/// log says that it began. Its text form is "<home>-<log index>" in decimal.
struct transaction_id {
  shard_id home;
  /// 0: none.
  log_index index;
  auto operator<=>(const transaction_id&) const = default;
  bool known() const { return index.value != 0; }
};

std::string to_string(const transaction_id& id);
/// Empty when the text is not exactly the id of a transaction.
std::optional<transaction_id> parse_transaction_id(std::string_view text);

} // namespace troupe

template <class Tag, class Rep> struct std::hash<troupe::strong<Tag, Rep>> {
  std::size_t operator()(const troupe::strong<Tag, Rep>& x) const noexcept {
    return std::hash<Rep>{}(x.value);
  }
};
