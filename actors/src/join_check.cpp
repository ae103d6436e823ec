#include "join_check.hpp"

#include "troupe/filter.hpp"
#include "troupe/units.hpp"

namespace troupe {

namespace {

error check_start(std::uint8_t kind, std::int64_t time) {
  if (kind > static_cast<std::uint8_t>(start_position::kind::time))
    return {errc::invalid_argument, "unknown start position " + std::to_string(kind),
            "start at earliest, latest or a time"};
  if (time < 0 || time > to_unix_ms(max_time))
    return {errc::invalid_argument, "the start time is not within the years 1970 to 9999"};
  return {};
}

} // namespace

error check_join(const join& r) {
  if (!r.consumer)
    return {errc::invalid_argument, "the join names no consumer that deliveries could go to",
            "join with the handle of the consumer"};
  if (r.member.size() > max_member_name)
    return {errc::invalid_argument, "the member's name has " + std::to_string(r.member.size()) +
                                        " bytes; at most " + std::to_string(max_member_name) +
                                        " are allowed"};
  if (r.mode > group_mode::broadcast && r.mode != any_mode)
    return {errc::invalid_argument, "the join asks for a mode that this version does not know",
            "use the same version of troupe on both sides"};
  return check_start(r.start, r.start_time);
}

result<wanted_membership> read_join(join& r) {
  if (auto wrong = check_join(r))
    return wrong;
  wanted_membership wanted{.group = r.group, .again = r.version != 0};
  if (!r.made_up)
    wanted.member = r.member;
  if (r.mode != any_mode)
    wanted.mode = r.mode;
  wanted.start = {static_cast<start_position::kind>(r.start), from_unix_ms(r.start_time)};
  for (auto& [topic, expression] : r.topics) {
    auto parsed = parse_filter(expression);
    if (!parsed)
      return parsed.error();
    expression = (*parsed)->text();
    wanted.subscriptions.push_back({topic, expression});
  }
  return wanted;
}

result<wanted_subscription> read_subscribe(const subscribe_group& r) {
  if (r.remove)
    return wanted_subscription{r.what.topic, {}};
  if (auto wrong = check_start(static_cast<std::uint8_t>(r.start), r.start_time))
    return wrong;
  auto parsed = parse_filter(r.what.filter);
  if (!parsed)
    return parsed.error();
  return wanted_subscription{r.what.topic, (*parsed)->text()};
}

start_position not_later(start_position start, timestamp now) {
  const bool latest = start.from == start_position::kind::latest ||
                      (start.from == start_position::kind::time && start.at > now);
  return latest ? start_position{start_position::kind::latest, now} : start;
}

start_position begin_in_new_topic(start_position start, timestamp now) {
  if (start.from == start_position::kind::earliest)
    return {};
  const bool latest = start.from == start_position::kind::latest || start.at > now;
  return {start_position::kind::time, latest ? now : start.at};
}

} // namespace troupe
