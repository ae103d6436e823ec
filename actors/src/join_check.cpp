#include "join_check.hpp"

#include "troupe/definitions.hpp"
#include "troupe/units.hpp"

namespace troupe {

error check_join(const join& r) {
  if (!r.consumer)
    return {errc::invalid_argument, "the join names no consumer that deliveries could go to",
            "join with the handle of the consumer"};
  if (r.member.size() > max_member_name)
    return {errc::invalid_argument, "the member's name has " + std::to_string(r.member.size()) +
                                        " bytes; at most " + std::to_string(max_member_name) +
                                        " are allowed"};
  if (r.start > static_cast<std::uint8_t>(start_position::kind::time))
    return {errc::invalid_argument, "unknown start position " + std::to_string(r.start),
            "start at earliest, latest or a time"};
  if (r.start_time < 0 || r.start_time > to_unix_ms(max_time))
    return {errc::invalid_argument, "the start time is not within the years 1970 to 9999"};
  return {};
}

} // namespace troupe
