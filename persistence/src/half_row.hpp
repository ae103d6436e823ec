#pragma once

#include "bytes.hpp"
#include "lmdb.hpp"
#include "tables.hpp"

#include "troupe/batch.hpp"
#include "troupe/entry.hpp"
#include "troupe/transaction.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Rows of `halves`: what became of the half messages of one entry, two bits each (ADR 7,
/// docs/disk-format.md). Decoders throw storage_error when bytes are not what they should be.
namespace troupe {

/// Half messages [first, first + count) of an entry, of one group and transaction.
struct half_span {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  half_of whose;
  std::uint64_t end() const { return std::uint64_t{first} + count; }
  bool operator==(const half_span&) const = default;
};

/// A contiguous part of an entry's half messages. It is as long when it goes as when it came, whatever is
/// decided.
class half_row {
public:
  /// A leaf page of LMDB holds two such rows at least, so none needs pages of its own.
  static constexpr std::size_t max_size = 1900;
  static half_row decode(std::span<const char> value);
  void encode(std::vector<char>& out) const;

  /// Shard time of the entry.
  timestamp since{};
  /// Means nothing while `checks` is 0.
  timestamp next_check{};
  std::uint16_t checks = 0;

  std::uint32_t undecided() const { return undecided_; }
  /// Ascending, none empty.
  const std::vector<half_span>& spans() const { return spans_; }
  std::uint32_t first() const { return spans_.front().first; }

  /// Where a message's bits are.
  struct position {
    const half_span* span = nullptr;
    std::uint32_t at = 0;
  };
  /// Nothing when it is no message of the row.
  std::optional<position> find(std::uint32_t ordinal) const;
  /// prepared, committed or rolled_back.
  transaction_state state(position p) const;
  /// Once, of one that is prepared.
  void decide(position p, bool commit);
  /// The undecided ones of a span.
  std::vector<message_place> undecided(const half_span& span, log_index index) const;

  /// Takes as much of `spans` off the front as a row holds, one message at least. None is decided.
  static half_row take(std::vector<half_span>& spans, timestamp since);

private:
  void place_spans();
  unsigned bits(std::uint32_t at) const;

  std::vector<half_span> spans_;
  /// Of the first message of each span, and behind the last one.
  std::vector<std::uint32_t> starts_;
  std::vector<char> bits_;
  std::uint32_t undecided_ = 0;
};

/// Queue 4, log index 8, ordinal of the first message 4.
using half_key = fixed_bytes<16>;
half_key key_of(const check_place& row);
/// What the keys of an entry's rows begin with.
using half_entry_key = fixed_bytes<12>;
half_entry_key half_rows_of(queue_id queue, log_index index);
check_place half_place(std::span<const char> key);

/// The row that holds a half message, and its key; nothing when there is none.
std::optional<std::pair<check_place, half_row>> find_half_row(const lmdb_txn& txn, const tables& t,
                                                              queue_id queue, message_place message);

/// Adds messages behind those of `spans`, to the last span where they are of the same.
void add_half(std::vector<half_span>& spans, std::uint32_t first, std::uint32_t count, const half_of& whose);

} // namespace troupe
