#pragma once

#include "bytes.hpp"
#include "half_row.hpp"

#include "troupe/stored.hpp"

#include <span>
#include <vector>

/// Rows of `transactions` and `checks` (docs/disk-format.md). Decoders throw storage_error when bytes are not
/// what they should be.
namespace troupe {

/// Log index of the begin.
using transaction_key = fixed_bytes<8>;
transaction_key transaction_key_of(log_index begin);
log_index transaction_of(std::span<const char> key);

void encode(const stored_transaction& row, std::vector<char>& out);
stored_transaction decode_transaction(std::span<const char> value);
/// It has a row in `checks`: it has not ended, or some shard has not confirmed.
bool is_checked(const stored_transaction& row);

/// When something is looked at: what was never checked lies apart, by its age.
struct check_time {
  bool checked = false;
  timestamp due{};
  check_place place;
  auto operator<=>(const check_time&) const = default;
};

/// Of half messages some of which are undecided.
check_time check_of(const check_place& place, const half_row& row);

/// Checked 1, time 8, queue 4, log index 8, ordinal 4.
using check_key = fixed_bytes<25>;
check_key key_of(const check_time& at);
check_time check_of(std::span<const char> key);

} // namespace troupe
