#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstdint>
#include <string>
#include <string_view>

/// Durations, sizes and times as people write them. No locale and no clock: the same text means the same
/// everywhere.
namespace troupe {

/// The longest duration that options accept: 100 years of 365 days.
inline constexpr milliseconds max_duration = std::chrono::hours{24 * 365 * 100};
/// The last time that has a text form: 9999-12-31T23:59:59.999Z.
inline constexpr timestamp max_time = from_unix_ms(253'402'300'799'999);

/// A whole number with one of the units ms, s, m, h, d (`500ms 10s 5m 2h 3d`), or a bare 0. At most
/// max_duration.
result<milliseconds> parse_duration(std::string_view text);
/// The largest unit that divides it: "3d", "90s", "0s". A negative one begins with '-' (and is not parsed
/// again).
std::string format_duration(milliseconds value);

/// A whole number of bytes, bare or with B, KiB, MiB, GiB or TiB (`100B 64KiB 4MiB`).
result<std::uint64_t> parse_size(std::string_view text);
/// The largest unit that divides it: "4MiB", "100B", "0B".
std::string format_size(std::uint64_t bytes);

/// RFC 3339 with seconds and a time zone ("2024-05-01T12:30:00Z", "2024-05-01T14:30:00.250+02:00"), or Unix
/// milliseconds. From 1970 to max_time; digits below a millisecond are cut off.
result<timestamp> parse_time(std::string_view text);
/// RFC 3339 in UTC with milliseconds: "2024-05-01T12:30:00.000Z". Beyond 1970..9999: Unix milliseconds.
std::string format_time(timestamp value);

} // namespace troupe
