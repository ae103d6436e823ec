#pragma once

#include "troupe/error.hpp"
#include "troupe/units.hpp"

#include <string>
#include <utility>

namespace troupe {

/// Why a value cannot be stored. The same checks stand before writing and behind reading, so that nothing is
/// written that could not be read again.
struct objection {
  /// none, `corrupt` for what no version writes, `unknown_version` for what a later one may.
  errc code = errc::none;
  std::string why;
  explicit operator bool() const { return code != errc::none; }
};

inline objection impossible(std::string why) { return {errc::corrupt, std::move(why)}; }
inline objection not_known(std::string why) { return {errc::unknown_version, std::move(why)}; }

/// The objection as an error of someone who read `what`, such as "the entry".
inline error after_reading(const std::string& what, const objection& o) {
  if (o.code == errc::unknown_version)
    return {o.code, what + " has " + o.why + ", which this program does not know",
            "read it with the version of the program that wrote it"};
  return {o.code, what + " is damaged: " + o.why};
}

/// Times and durations that are stored keep to a range in which sums of two never overflow.
inline bool is_stored_time(timestamp t) { return t >= timestamp{} && t <= max_time; }
inline bool is_stored_duration(milliseconds d) { return d.count() >= 0 && d <= max_duration; }

} // namespace troupe
