#pragma once

#include "bytes.hpp"
#include "lmdb.hpp"
#include "tables.hpp"

#include "troupe/entry.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

/// Rows of `timers`: delayed messages of one queue and bucket, packed (ADR 5, docs/disk-format.md). Decoders
/// throw storage_error when bytes are not what they should be.
namespace troupe {

/// A delayed message; in the order in which messages of a queue become visible.
struct timer {
  timestamp due{};
  message_place message;
  auto operator<=>(const timer&) const = default;
};

/// Bucket start 8, level 1, log index 8, queue 4, chunk 2: what one commit writes to a bucket lies together.
using timer_key = fixed_bytes<23>;
/// What the keys of a bucket begin with.
using bucket_key = fixed_bytes<9>;

timer_key key_of(queue_id queue, const timer_row_place& row);
bucket_key key_of(const timer_bucket& bucket);
/// Behind all keys of a bucket.
bucket_key end_key(const timer_bucket& bucket);

/// A stored key taken apart.
struct timer_row_key {
  queue_id queue;
  timer_row_place row;
};
timer_row_key to_timer_row(std::span<const char> key);

/// `delayed`: how many messages of a queue wait, not 0; and while the queue is dropped, how far that came.
struct delayed_row {
  std::uint64_t count = 0;
  std::optional<timer_key> dropped_to;
};
std::vector<char> encode(const delayed_row& row);
delayed_row decode_delayed(std::span<const char> value);

/// A leaf page of LMDB holds two such rows at least, so none needs pages of its own.
inline constexpr std::size_t max_timer_row = 1900;

/// Packs as many of `timers` as a row holds: one at least. They are not empty, sorted and in the row's
/// bucket. Returns how many.
std::size_t pack_timers(std::span<const timer> timers, const timer_row_place& at, std::vector<char>& out);

/// Takes the messages of a row one after the other, in order.
class timer_row_reader {
public:
  timer_row_reader(const timer_row_place& at, std::span<const char> value);
  std::optional<timer> next();

private:
  timer_row_place at_;
  std::span<const char> rest_;
  std::optional<timer> last_;
};

/// The row that holds a message. Rows that its own entry wrote have its log index, those that a split wrote a
/// later one.
std::optional<timer_row_place> find_timer_row(const lmdb_txn& txn, const tables& t, queue_id queue,
                                              const timer& wanted);

} // namespace troupe
