#pragma once

#include "troupe/retry_policy.hpp"
#include "troupe/subscription.hpp"
#include "troupe/unwritten_progress.hpp"

#include <string_view>

namespace troupe {

/// What is kept of a failure that no consumer said anything of.
inline constexpr std::string_view lease_ended_detail = "its lease ended";
inline constexpr std::string_view consumer_lost_detail = "its consumer was lost";

/// What a failure makes of a message: a retry, a dead letter, or done, when it is dropped. `asked`: when not
/// 0, this pause instead of the policy's. `detail` is kept of a dead letter.
offset_outcome after_failure(const subscription_limits& limits, const retry_policy& policy,
                             const failed_message& m, milliseconds asked, std::string_view detail,
                             timestamp now);
/// What a reject makes of a message with so many failures before: a dead letter, or done, when it is dropped.
offset_outcome after_reject(const subscription_limits& limits, std::uint16_t failures,
                            std::string_view detail);
/// What becomes of a message with so many failures that the view does not let out.
offset_outcome after_fate(const subscription_limits& limits, message_fate fate, std::uint16_t failures);
/// One more, as far as they are counted.
std::uint16_t one_more(std::uint16_t failures);

} // namespace troupe
