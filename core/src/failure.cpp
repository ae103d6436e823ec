#include "troupe/failure.hpp"

#include <limits>

namespace troupe {

namespace {

offset_outcome dead(std::uint16_t attempts, dead_reason reason, std::string_view detail) {
  return {progress::outcome::dead, attempts, 0, reason, dead_detail(detail)};
}

} // namespace

std::uint16_t one_more(std::uint16_t failures) {
  const auto most = std::numeric_limits<std::uint16_t>::max();
  return static_cast<std::uint16_t>(failures < most ? failures + 1 : most);
}

offset_outcome after_failure(const subscription_limits& limits, const retry_policy& policy,
                             const failed_message& m, milliseconds asked, std::string_view detail,
                             timestamp now) {
  const auto decision = policy.decide(m);
  const bool last = !decision.again || (limits.max_attempts > 0 && m.failures >= limits.max_attempts);
  if (last && limits.on_exhausted == exhausted_action::dead_letter)
    return dead(m.failures, dead_reason::attempts, detail);
  if (last && limits.on_exhausted == exhausted_action::drop)
    return {progress::outcome::done};
  const auto pause = asked > milliseconds{0} ? asked : decision.delay;
  return {progress::outcome::retry, m.failures, to_unix_ms(now + pause)};
}

offset_outcome after_reject(const subscription_limits& limits, std::uint16_t failures,
                            std::string_view detail) {
  if (limits.on_exhausted == exhausted_action::drop)
    return {progress::outcome::done};
  return dead(one_more(failures), dead_reason::rejected, detail);
}

offset_outcome after_fate(const subscription_limits& limits, message_fate fate, std::uint16_t failures) {
  if (fate == message_fate::skip)
    return {progress::outcome::skipped};
  if (limits.on_expired == expired_action::dead_letter)
    return dead(failures, dead_reason::expired, {});
  return {progress::outcome::expired};
}

} // namespace troupe
