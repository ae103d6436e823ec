#pragma once

#include "troupe/ids.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// Where an accepted batch went.
struct stored_verdict {
  log_index index;
  std::uint32_t ordinal = 0;
  queue_offset base;
  /// Messages that became visible with it.
  std::uint32_t count = 0;
  /// A delayed batch, of which none did: some of its messages were repeats.
  bool had_repeats = false;
  bool operator==(const stored_verdict&) const = default;
};

/// What apply() knows of one producer in one queue, in its stored form: a value of `producers`. Taking in a
/// verdict costs the same whatever it holds.
class producer_record {
public:
  /// Verdicts that are kept.
  static constexpr std::size_t window = 64;

  /// A producer that is not known.
  producer_record() = default;
  /// Throws storage_error when bytes are not what they should be.
  explicit producer_record(std::span<const char> value);

  bool known() const { return !value_.empty(); }
  producer_epoch epoch() const;
  batch_sequence last() const;
  timestamp last_time() const;
  std::size_t count() const;
  /// Oldest first: verdicts()[i] is that of sequence last - count + 1 + i.
  std::vector<stored_verdict> verdicts() const;
  /// The verdict of a sequence up to last(); nothing when it is too old.
  std::optional<stored_verdict> find(batch_sequence sequence) const;

  /// Takes in the next batch. A new epoch forgets everything before.
  void accept(producer_epoch epoch, batch_sequence sequence, const stored_verdict& verdict, timestamp time);

  std::span<const char> value() const { return value_; }

private:
  void drop_oldest();

  std::vector<char> value_;
};

} // namespace troupe
