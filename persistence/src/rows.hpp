#pragma once

#include "bytes.hpp"

#include "troupe/dead_letter.hpp"
#include "troupe/definitions.hpp"
#include "troupe/entry.hpp"
#include "troupe/ids.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// Keys and values of the tables, byte for byte as docs/disk-format.md draws them (blocks of a queue's index
/// and what is known of producers: index_block.hpp, producer_record.hpp). Decoders throw storage_error
/// (MDB_CORRUPTED) when bytes are not what they should be.
namespace troupe {

/// `meta` "format": what this directory is.
struct format_row {
  /// 2: tables `dead` and `pins`, and runs that list messages of other entries. 3: subscriptions that count
  /// expired messages. 4: tables `timers`, `delayed` and `ages`, and runs that list fired messages.
  /// 5: table `firsts`, entries with a window for repeats.
  /// 6: tables `halves`, `checks` and `transactions`, and runs that list committed messages.
  static constexpr std::uint32_t current = 6;
  static constexpr std::uint32_t oldest = 1;
  bool known() const { return version >= oldest && version <= current; }
  std::uint32_t version = current;
  shard_id shard;
  std::uint16_t shards = 1;
};

/// `meta` "state": how far the log was applied.
struct state_row {
  log_index applied;
  /// Where the contiguous part of the log begins; what lies below is state.
  log_index first{1};
  timestamp time{};
  std::uint64_t term = 1;
};

/// `meta` "ids": the highest ids ever given.
struct ids_row {
  topic_id topic;
  queue_id queue;
  group_id group;
};

/// A failed message that waits.
struct retry_row {
  /// Position in the chunk.
  std::uint16_t at = 0;
  std::uint16_t attempts = 0;
  timestamp due{};
  bool operator==(const retry_row&) const = default;
};

/// `settled`: one chunk of a subscription's offsets.
struct settled_row {
  static constexpr std::uint64_t chunk = 1024;
  std::array<std::uint64_t, chunk / 64> bits{};
  /// Sorted by position; none is settled.
  std::vector<retry_row> retries;

  bool settled(std::uint32_t at) const { return bits[at / 64] >> (at % 64) & 1; }
  /// Sets [from, to), 0 <= from < to <= chunk, and drops the retries in it.
  void settle(std::uint32_t from, std::uint32_t to);
  /// Records a failure, unless the message is settled.
  void retry(const retry_row& r);
  /// First position at or after `from` that is not settled; `chunk` when there is none.
  std::uint32_t first_open(std::uint32_t from) const;
  /// True when nothing at or after `from` is recorded.
  bool empty_from(std::uint32_t from) const;
};

/// `dead`: a dead letter, beside its key.
struct dead_row {
  queue_offset offset;
  timestamp died{};
  std::uint16_t attempts = 0;
  dead_reason reason = dead_reason::attempts;
  std::string detail;
  bool operator==(const dead_row&) const = default;
};

/// A producer in `ages`, by the hour (since 1970) of shard time in which its last batch was accepted.
struct producer_age {
  std::uint64_t hour = 0;
  queue_id queue;
  producer_id producer;
};

/// Of a row of `firsts`, beside its queue: an entry and its shard time.
struct first_place {
  timestamp time{};
  log_index index;
  auto operator<=>(const first_place&) const = default;
};

using log_key = fixed_bytes<8>;
using tail_key = fixed_bytes<4>;
using queue_key = fixed_bytes<12>;
using producer_key = fixed_bytes<12>;
using age_key = fixed_bytes<20>;
using firsts_key = fixed_bytes<20>;
using subscription_key = fixed_bytes<9>;
using settled_key = fixed_bytes<17>;
using definition_key = fixed_bytes<5>;
using dead_key = fixed_bytes<20>;
/// Of the row in `dead` that counts a group's dead letters in a queue; it lies before theirs.
using dead_count_key = fixed_bytes<8>;

/// Names of the rows of `meta`.
inline constexpr fixed_bytes<6> meta_format = {'f', 'o', 'r', 'm', 'a', 't'};
inline constexpr fixed_bytes<5> meta_state = {'s', 't', 'a', 't', 'e'};
inline constexpr fixed_bytes<3> meta_ids = {'i', 'd', 's'};

/// The log's key is LMDB's integer key: eight bytes in the machine's own order (little-endian on all that we
/// support).
log_key key_of(log_index index);
log_index index_of(std::span<const char> log_key);
tail_key key_of(queue_id queue);
queue_key key_of(queue_id queue, queue_offset base);
/// The first key that no row of `queue` (in queues, producers, subscriptions, settled or dead) reaches.
queue_key end_key(queue_id queue);
producer_key key_of(queue_id queue, producer_id producer);
age_key key_of(const producer_age& age);
firsts_key key_of(queue_id queue, const first_place& at);
subscription_key key_of(queue_id queue, group_id group, std::uint8_t lane);
settled_key key_of(queue_id queue, group_id group, std::uint8_t lane, std::uint64_t chunk);
definition_key key_of(topic_id topic);
definition_key key_of(group_id group);
dead_key key_of(queue_id queue, group_id group, message_place message);
dead_count_key key_of(queue_id queue, group_id group);

/// A stored key as the fixed bytes that key_of() gives; all zeros when it has another size.
template <class Key> Key to_key(std::span<const char> stored) {
  Key key{};
  if (stored.size() == key.size())
    std::copy(stored.begin(), stored.end(), key.begin());
  return key;
}

/// The queue that a key of tails, queues, producers, subscriptions, settled or dead begins with.
queue_id queue_of(std::span<const char> key);
group_id group_of(std::span<const char> subscription_or_settled_or_dead_key);
message_place place_of(std::span<const char> dead_key);
std::uint8_t lane_of(std::span<const char> subscription_or_settled_key);
std::uint64_t chunk_of(std::span<const char> settled_key);
producer_id producer_of(std::span<const char> producer_key);
producer_age age_of(std::span<const char> age_key);
first_place first_place_of(std::span<const char> firsts_key);
/// Hours since 1970 that had ended, and when the given one ends.
std::uint64_t hour_of(timestamp time);
timestamp end_of_hour(std::uint64_t hour);

fixed_bytes<16> encode(const format_row& row);
fixed_bytes<32> encode(const state_row& row);
fixed_bytes<16> encode(const ids_row& row);
fixed_bytes<16> encode(generation gen, queue_offset floor);
/// Of a subscription with expired messages, of which there are some.
fixed_bytes<24> encode(generation gen, queue_offset floor, std::uint64_t expired);
void encode(const settled_row& row, std::vector<char>& out);
void encode(const dead_row& row, std::vector<char>& out);
/// How many: dead letters of a pair, or holders of an entry (`pins`).
fixed_bytes<8> encode_count(std::uint64_t count);
fixed_bytes<4> encode_pins(std::uint32_t pins);

format_row decode_format(std::span<const char> value);
state_row decode_state(std::span<const char> value);
ids_row decode_ids(std::span<const char> value);
/// Generation and floor.
std::pair<generation, queue_offset> decode_subscription(std::span<const char> value);
/// Of the same row.
std::uint64_t decode_expired(std::span<const char> value);
settled_row decode_settled(std::span<const char> value);
dead_row decode_dead(std::span<const char> value);
/// Never 0.
std::uint64_t decode_count(std::span<const char> value);
std::uint32_t decode_pins(std::span<const char> value);

} // namespace troupe
