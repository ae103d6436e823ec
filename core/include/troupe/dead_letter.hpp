#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// Why a message became a dead letter of a group. On disk; append only.
enum class dead_reason : std::uint8_t {
  /// It failed as often as its group allows.
  attempts = 1,
  /// A consumer refused it for good.
  rejected = 2,
  /// Its time to live was over before it was delivered.
  expired = 3,
  /// It was leased or waited for longer than its group allows.
  unsettled = 4,
};

/// Bytes that are kept of the text of a failure.
inline constexpr std::size_t max_dead_detail = 1024;

/// "attempts", "rejected", "expired" or "unsettled"; "unknown" for anything else.
std::string_view to_string(dead_reason reason);

/// The text of a failure as it may be kept: UTF-8, each byte that is not becomes '?', cut between characters
/// to at most max_dead_detail bytes.
std::string dead_detail(std::string_view text);

} // namespace troupe
