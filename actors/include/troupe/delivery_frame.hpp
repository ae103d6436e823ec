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

  std::uint32_t size() const { return picked.empty() ? to - from : static_cast<std::uint32_t>(picked.size()); }
};

/// Packs segments into one contiguous block. A batch of which few messages are meant is repacked: only theirs are copied
/// (then base, ordinals and picked still name the original positions; see `repacked` in the frame's layout).
block pack_frame(std::vector<delivery_segment>& segments);

/// One delivered message's place and bytes, as a consumer iterates over a frame.
struct delivered {
  queue_offset offset;
  message_id id;
  std::uint16_t attempts = 0;
  timestamp stored{};
  message_view message;
};

/// Opens a frame: checks lengths, CRCs and structure of all segments, then gives the messages in offset order. The views
/// share the block. Safe for bytes from outside.
result<std::vector<delivered>> unpack_frame(const block& frame, shard_id shard);

} // namespace troupe
