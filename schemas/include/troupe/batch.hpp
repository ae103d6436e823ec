#pragma once

#include "troupe/block.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/message.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// CRC-32C (Castagnoli) of `bytes`.
std::uint32_t crc32c(std::span<const char> bytes);

/// A batch's messages become visible at once (plain), when due (delayed) or at commit (transactional).
enum class batch_kind : std::uint8_t { plain = 0, delayed = 1, transactional = 2 };

/// Whose decision the messages of a transactional batch wait for.
struct half_of {
  /// The producer group that is asked about them; at most max_transaction_name bytes of UTF-8. May be empty
  /// when there is a transaction.
  std::string group;
  /// None: each message is a transaction of its own, whose id is the message's.
  transaction_id transaction;
  bool operator==(const half_of&) const = default;
};

/// The same without a copy of the name.
struct half_view {
  std::string_view group;
  transaction_id transaction;
  half_of copy() const { return {std::string(group), transaction}; }
  bool operator==(const half_view&) const = default;
};

/// What routing, deduplication and storage need to know of a batch without opening it. The producer fills
/// it in; the broker keeps it, byte for byte, in the batch directory of the log entry (docs/disk-format.md).
struct batch_header {
  producer_id producer;
  producer_epoch epoch;
  batch_sequence sequence;
  /// Messages in the batch. An empty batch takes the place of one that was refused for good.
  std::uint32_t count = 0;
  /// Bytes of the flat Cap'n Proto message, a multiple of 8.
  std::uint32_t size = 0;
  /// CRC-32C of those bytes, computed by the producer and checked wherever they are read.
  std::uint32_t crc = 0;
  std::uint8_t lane = 0;
  batch_kind kind = batch_kind::plain;
  bool operator==(const batch_header&) const = default;
};

/// A batch: its header and its flat, 8-byte aligned Cap'n Proto bytes (schemas/batch.capnp).
struct batch {
  batch_header header;
  block data;
};

/// Most messages in one batch.
inline constexpr std::uint32_t max_batch_count = 16384;
/// Most bytes of one batch: a message of 4 MiB with all its attributes fits.
inline constexpr std::uint32_t max_batch_size = (4u << 20) + (128u << 10);

/// Builds one batch. Messages must have been validated. Not thread-safe; reuse one to avoid allocation.
class batch_builder {
public:
  batch_builder();
  ~batch_builder();
  batch_builder(batch_builder&&) noexcept;
  batch_builder& operator=(batch_builder&&) noexcept;

  /// Appends a copy of the message.
  void add(const message& m);
  /// Appends a message out of another batch (repacking).
  void add(const message_view& m);
  std::uint32_t count() const;
  /// About how many bytes finish() will give.
  std::uint32_t size() const;
  bool empty() const { return count() == 0; }
  /// Encodes what was added and starts anew. Fills in count, size, crc and lane (0) of the header.
  batch finish();
  /// The same for half messages: the header's kind is transactional.
  batch finish(const half_view& half);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// Messages of a batch that follow each other there, as a batch of their own.
struct batch_part {
  /// Position of the first one.
  std::uint32_t first = 0;
  batch messages;
};
/// What is left of a batch without the messages at `positions` (ascending): the same messages from the same
/// producer under the same sequence. Nothing when the batch cannot be read. Of equal arguments the bytes are
/// equal.
std::vector<batch_part> without(const batch& b, std::span<const std::uint32_t> positions);

/// What the broker may look at per message without opening the blob.
struct message_meta {
  std::uint32_t tag_hash = 0;
  /// 0: the message has no order key.
  std::uint32_t order_key_hash = 0;
  std::uint8_t priority = 0;
  timestamp born{};
  /// Epoch when the message does not expire.
  timestamp expires{};
};

struct batch_meta;

/// True when messages of the batch may have a time to live: says so by one look at its bytes, without opening
/// it. Safe for bytes from outside; never false for a batch that batch_reader finds one in.
bool may_expire(std::span<const char> bytes);

/// Whose decision the messages of a transactional batch wait for, by one look at its bytes, without opening
/// it: the checksum and the messages are not looked at. `corrupt` when there is nobody to ask (no group and
/// no transaction), or the name is too long or not UTF-8.
result<half_of> half_of_batch(const batch_header& header, std::span<const char> bytes);

/// Reads a batch in place. Holds a share of the block. Safe for bytes from outside: open() and every
/// accessor check bounds; a batch that is not what its header says is refused, never read out of range.
class batch_reader {
public:
  /// Checks size, alignment (copies when misaligned), CRC, structure, and that count matches.
  static result<batch_reader> open(const batch_header& header, block data);

  std::uint32_t count() const { return count_; }
  /// i < count().
  message_meta meta(std::uint32_t i) const;
  /// The tag's bytes, for filters that need more than the hash.
  std::string_view tag(std::uint32_t i) const;
  /// The value of a property, or nothing. Allocates nothing, as next_key().
  std::optional<std::string_view> property(std::uint32_t i, std::string_view name) const;
  /// One key after the other, nothing behind the last; `cursor` is 0 for the first and then ours.
  std::optional<std::string_view> next_key(std::uint32_t i, std::uint32_t& cursor) const;
  /// The whole message; views stay valid as long as the block of this batch.
  message_view at(std::uint32_t i) const;
  /// When it shall become visible; the epoch for at once.
  timestamp due(std::uint32_t i) const;
  /// Of a transactional batch: whose decision its messages wait for, or waited for. Nobody's of other kinds.
  const half_view& half() const { return half_; }
  /// Only the body (cheaper than at()).
  std::string_view body(std::uint32_t i) const;
  /// The bytes that the views point into: the block open() got, or its aligned copy.
  const block& data() const { return data_; }

private:
  batch_reader() = default;
  batch_meta raw(std::uint32_t i) const;
  std::uint32_t end_of(std::uint32_t i) const;
  timestamp born(const batch_meta& m, std::uint32_t i) const;
  milliseconds ttl(std::uint32_t i) const;
  error check_messages() const;
  error check_times() const;

  // Everything below points into data_ and was checked by open().
  block data_;
  std::uint32_t count_ = 0;
  /// Bytes from one message's description to the next.
  std::uint32_t stride_ = 0;
  const char* metas_ = nullptr;
  const char* blob_ = nullptr;
  std::uint32_t blob_size_ = 0;
  std::int64_t born_base_ = 0;
  // One 8-byte number per message, or null.
  const char* ttls_ = nullptr;
  const char* dues_ = nullptr;
  const char* borns_ = nullptr;
  half_view half_;
};

} // namespace troupe
