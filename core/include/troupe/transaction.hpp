#pragma once

#include "troupe/ids.hpp"
#include "troupe/units.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// What became of a transaction, or of a half message. On disk and on the wire; append only.
enum class transaction_state : std::uint8_t {
  /// It never was, was rolled back, or ended so long ago that it was forgotten.
  unknown = 0,
  /// Half messages may be added.
  begun = 1,
  /// Sealed: all its half messages are known and durable. Of a half message: it waits for a decision.
  prepared = 2,
  committed = 3,
  rolled_back = 4,
};

/// "unknown", "begun", "prepared", "committed", "rolled_back".
std::string_view to_string(transaction_state state);

constexpr bool has_ended(transaction_state state) { return state >= transaction_state::committed; }

/// The next check of what is asked for no more: only a decision by hand ends it.
constexpr timestamp never() { return max_time; }

/// Most bytes of a producer group's name, and of an application's key of a transaction.
inline constexpr std::size_t max_transaction_name = 255;

} // namespace troupe
