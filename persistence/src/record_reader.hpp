#pragma once

#include "index_block.hpp"

#include "troupe/entry.hpp"
#include "troupe/shard.hpp"

#include <span>

namespace troupe {

/// What a row's record holds: its batches with their offsets, after the header and the directory were
/// checked.
struct record_view {
  entry_header header;
  struct place {
    batch_place batch;
    queue_offset base;
  };
  /// In order; empty batches and those outside of the run are left out.
  std::vector<place> places;
};

/// Reads the record that `run` points at. `corrupt` when header or directory are damaged or contradict the
/// run.
result<record_view> view_record(queue_id queue, const queue_run& run, std::span<const char> entry);

/// A run of a queue with the entry that it points at; the caller keeps both.
struct stored_run {
  shard_id shard;
  queue_id queue;
  const queue_run& run;
  std::span<const char> entry;
};

/// Copies the batches of a run that hold offsets from `from` on, up to about `max_bytes` (at least one), into
/// `out`: one copy, each batch's CRC checked. Damage goes to out.damaged and costs the damaged batch only, or
/// the row when its record cannot be understood. Moves out.next behind what was read. Returns the bytes it
/// looked at.
std::uint64_t read_record(const stored_run& at, queue_offset from, std::uint64_t max_bytes, read_result& out);

} // namespace troupe
