#pragma once

#include "troupe/batch.hpp"
#include "troupe/block.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"
#include "troupe/shard.hpp"

#include <cstdint>
#include <vector>

namespace troupe {

/// A run of delivered messages out of one batch.
struct delivery_segment {
  batch_header header;
  /// Offset and ordinal of the *batch's* first message.
  queue_offset base;
  log_index index;
  std::uint32_t first_ordinal = 0;
  timestamp stored{};
  /// Failures recorded so far for each of these messages; the attempt shown to the handler is one more.
  std::uint16_t attempts = 0;
  /// Which messages of the batch are meant: positions in the batch, ascending. Empty: [from, to).
  std::vector<std::uint32_t> picked;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  block data;

  std::uint32_t size() const {
    return picked.empty() ? to - from : static_cast<std::uint32_t>(picked.size());
  }
};

/// What n messages of a batch add to a frame, if all its messages are of one size; `least` is in every frame.
struct frame_size {
  static constexpr std::uint64_t least = 16;
  static std::uint64_t of(const batch_header& batch, std::uint32_t n);
};

/// Packs segments into one contiguous block. A batch of which less than half is meant is repacked: only those
/// messages are copied, and keep their offsets, ids and attempts. All other batches are copied as they are,
/// in one memcpy each. Segments without messages are left out.
///
/// The frame, little-endian, every part a multiple of 8 bytes long:
///
///     header     magic "TRFR", version u16, 0 u16, segments u32, messages u32
///     segment    base, index, stored, producer, sequence (8 bytes each), epoch, first ordinal, count, size,
///     crc, from, to,
///                number of positions (u32 each), attempts u16, lane u8, kind u8, flags u32 (1: repacked)
///     positions  u32 each, padded: messages meant within the original batch; none: [from, to)
///     batch      `size` bytes; of a repacked one, message i has the original position positions[i]
block pack_frame(const std::vector<delivery_segment>& segments);

/// Walks over a frame message by message and decodes only what is asked for: half the cost of unpack_frame
/// for a consumer that needs bodies. Safe for bytes from outside: open() checks lengths, CRCs and structure
/// of all segments.
///
///     auto frame = frame_reader::open(d.frame, d.shard);
///     while (frame->next())
///       handle(frame->offset(), frame->body());
class frame_reader {
public:
  /// `corrupt` when it is not a frame, `unknown_version` when it is one of another version.
  static result<frame_reader> open(block frame, shard_id shard);

  /// Messages in the frame.
  std::uint32_t size() const { return messages_; }
  /// Steps to the first or next message; false behind the last. Offsets ascend unless messages of one batch
  /// have different attempts.
  bool next() {
    if (segment_ < segments_.size() && ++at_ < segments_[segment_].count)
      return true;
    return next_segment();
  }

  // Of the current message, after next() said true. Views stay valid as long as the frame's block.
  queue_offset offset() const { return queue_offset{here().base.value + original()}; }
  message_id id() const { return {shard_, here().index, here().first_ordinal + original()}; }
  std::uint16_t attempts() const { return here().attempts; }
  timestamp stored() const { return here().stored; }
  std::string_view body() const { return here().messages.body(in_batch()); }
  message_meta meta() const { return here().messages.meta(in_batch()); }
  message_view message() const { return here().messages.at(in_batch()); }

  // Of message i < size(), in the order of next(), from any number of threads at a time.
  queue_offset offset(std::uint32_t i) const {
    const auto m = find(i);
    return queue_offset{m.in->base.value + m.original()};
  }
  message_id id(std::uint32_t i) const {
    const auto m = find(i);
    return {shard_, m.in->index, m.in->first_ordinal + m.original()};
  }
  std::uint16_t attempts(std::uint32_t i) const { return find(i).in->attempts; }
  timestamp stored(std::uint32_t i) const { return find(i).in->stored; }
  std::string_view body(std::uint32_t i) const {
    const auto m = find(i);
    return m.in->messages.body(m.in_batch());
  }
  std::string_view tag(std::uint32_t i) const {
    const auto m = find(i);
    return m.in->messages.tag(m.in_batch());
  }
  message_meta meta(std::uint32_t i) const {
    const auto m = find(i);
    return m.in->messages.meta(m.in_batch());
  }
  message_view message(std::uint32_t i) const {
    const auto m = find(i);
    return m.in->messages.at(m.in_batch());
  }

private:
  struct segment {
    batch_reader messages;
    queue_offset base;
    log_index index;
    std::uint32_t first_ordinal = 0;
    std::uint16_t attempts = 0;
    bool repacked = false;
    timestamp stored{};
    /// Positions, four bytes each in the frame; null: from, from + 1, ...
    const char* picked = nullptr;
    std::uint32_t from = 0;
    std::uint32_t count = 0;
    /// Messages in the segments before.
    std::uint32_t before = 0;
  };
  struct place {
    const segment* in = nullptr;
    std::uint32_t at = 0;
    std::uint32_t original() const;
    std::uint32_t in_batch() const { return in->repacked ? at : original(); }
  };
  place find(std::uint32_t i) const;
  explicit frame_reader(shard_id shard) : shard_(shard) {}
  error add_segment(const block& frame, std::uint32_t& at);
  bool next_segment();
  const segment& here() const { return segments_[segment_]; }
  std::uint32_t original() const { return place{&here(), at_}.original(); }
  std::uint32_t in_batch() const { return place{&here(), at_}.in_batch(); }

  std::vector<segment> segments_;
  shard_id shard_;
  std::uint32_t messages_ = 0;
  std::size_t segment_ = 0;
  /// Within the segment; all ones before its first message.
  std::uint32_t at_ = ~std::uint32_t{0};
};

/// One delivered message's place and bytes, as a consumer iterates over a frame.
struct delivered {
  queue_offset offset;
  message_id id;
  std::uint16_t attempts = 0;
  timestamp stored{};
  message_view message;
};

/// Opens a frame and gives all its messages in offset order. The views stay valid as long as `frame`'s block.
/// Safe for bytes from outside. frame_reader does the same without a view per message.
result<std::vector<delivered>> unpack_frame(const block& frame, shard_id shard);

} // namespace troupe
