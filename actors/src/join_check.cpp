#include "join_check.hpp"

#include "troupe/filter.hpp"
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

result<std::vector<wanted_subscription>> read_join(join& r) {
  if (auto wrong = check_join(r))
    return wrong;
  std::vector<wanted_subscription> wanted;
  for (auto& [topic, expression] : r.topics) {
    auto parsed = parse_filter(expression);
    if (!parsed)
      return parsed.error();
    expression = (*parsed)->text();
    wanted.push_back({topic, expression});
  }
  return wanted;
}

start_position not_later(start_position start, timestamp now) {
  const bool latest = start.from == start_position::kind::latest ||
                      (start.from == start_position::kind::time && start.at > now);
  return latest ? start_position{start_position::kind::latest, now} : start;
}

} // namespace troupe
