#include "troupe/definitions.hpp"

#include "troupe/message.hpp"
#include "troupe/units.hpp"

#include <string>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t max_queues = 1024;
constexpr std::uint8_t max_priorities = 10;
constexpr milliseconds min_dedupe_window = std::chrono::seconds{1};
constexpr milliseconds max_dedupe_window = std::chrono::hours{24 * 30};
constexpr milliseconds min_retention = 1s;
constexpr milliseconds min_lease = 1s;
constexpr milliseconds max_lease = 12h;
constexpr std::uint32_t max_unsettled = 1'000'000;
constexpr std::uint64_t max_unsettled_bytes = std::uint64_t{4} << 30;
constexpr std::uint16_t max_low_share = 1000;
constexpr std::uint32_t max_order_batch = 1024;
/// Of an ordered group: its key waits so long.
constexpr milliseconds max_pause_in_place = 30s;
constexpr milliseconds min_dead_letter_retention = 1s;

error out_of_range(const std::string& what, const std::string& value, const std::string& low,
                   const std::string& high, const char* hint) {
  return {errc::invalid_argument, what + " is " + value + "; it must be from " + low + " to " + high, hint};
}

error check(const char* what, std::uint64_t value, std::uint64_t low, std::uint64_t high, const char* hint) {
  if (value >= low && value <= high)
    return {};
  return out_of_range(what, std::to_string(value), std::to_string(low), std::to_string(high), hint);
}

error check(const char* what, milliseconds value, milliseconds low, milliseconds high, const char* hint) {
  if (value >= low && value <= high)
    return {};
  return out_of_range(what, format_duration(value), format_duration(low), format_duration(high), hint);
}

} // namespace

queue_id topic_definition::queue(std::uint32_t n, std::uint8_t priority) const {
  n = n * options.priorities + priority;
  for (const auto& range : queues) {
    if (n < range.count)
      return queue_id{range.first.value + n};
    n -= range.count;
  }
  return {};
}

error validate(const topic_options& options) {
  if (auto err = check("the number of queues", options.queues, 1, max_queues,
                       "give another --queues (topic_options::queues)"))
    return err;
  if (auto err = check("the number of priorities", options.priorities, 1, max_priorities,
                       "give another --priorities (topic_options::priorities)"))
    return err;
  if (options.retention != 0ms && options.retention < min_retention)
    return {errc::invalid_argument,
            "retention is " + format_duration(options.retention) + "; it must be at least " +
                format_duration(min_retention),
            "use 0 to keep messages for ever"};
  if (options.retention > max_duration)
    return {errc::invalid_argument,
            "retention is " + format_duration(options.retention) + "; it must be at most " +
                format_duration(max_duration),
            "use 0 to keep messages for ever"};
  if (auto err = check("the largest message in bytes", options.max_message, 1, limits{}.body,
                       "give another --max-message (topic_options::max_message); what is larger is sent in "
                       "parts, or as a reference to it"))
    return err;
  if (options.dedupe_window != 0ms &&
      (options.dedupe_window < min_dedupe_window || options.dedupe_window > max_dedupe_window))
    return {errc::invalid_argument,
            "the window for repeated keys is " + format_duration(options.dedupe_window) +
                "; it must be from " + format_duration(min_dedupe_window) + " to " +
                format_duration(max_dedupe_window),
            "use 0 to take every message, whatever its key"};
  return {};
}

group_options default_options(group_mode mode) {
  group_options options{.mode = mode};
  if (mode == group_mode::ordered)
    options.retry = retry_schedule::fixed(1s);
  if (mode == group_mode::broadcast) {
    options.max_attempts = 1;
    options.on_exhausted = exhausted_action::drop;
  }
  return options;
}

namespace {

error check_kept(const char* what, milliseconds kept, milliseconds least) {
  if (kept == 0ms || (kept >= least && kept <= max_duration))
    return {};
  return check(what, kept, least, max_duration, "use 0 to keep them for ever");
}

error check_order(const group_options& options) {
  if (options.mode != group_mode::ordered && options.order_batch > 1)
    return {errc::invalid_argument,
            "messages of one key at a time, here " + std::to_string(options.order_batch) +
                ", are for ordered groups: no other one keeps an order",
            "leave the order batch at 1, or create a group of mode ordered"};
  if (options.mode != group_mode::ordered)
    return {};
  if (auto err = check("the number of messages of one key at a time", options.order_batch, 1, max_order_batch,
                       "give another group_options::order_batch"))
    return err;
  for (auto pause : pauses_of(options.retry))
    if (auto err = check(
            "a pause of an ordered group's retries", pause, retry_schedule::shortest, max_pause_in_place,
            "what fails is retried in place, and all that has its key waits; give shorter pauses"))
      return err;
  return {};
}

error check_broadcast(const group_options& options) {
  if (options.mode != group_mode::broadcast)
    return {};
  if (options.max_attempts == 1 && options.on_exhausted == exhausted_action::drop &&
      options.on_expired == expired_action::drop)
    return {};
  return {errc::invalid_argument,
          "a broadcast group has no retries and no dead letters: what fails, or expires, is passed over",
          "leave out --max-attempts, --on-exhausted and --on-expired (see default_options()); or give each "
          "consumer a group of its own"};
}

} // namespace

error validate(const group_options& options) {
  if (options.mode > group_mode::broadcast)
    return {errc::invalid_argument, "the group has a mode that this version does not know",
            "use the same version of troupe on both sides"};
  if (auto err =
          check("the lease", options.lease, min_lease, max_lease,
                "give another --lease (group_options::lease); who needs longer for a message renews it"))
    return err;
  if (auto err = validate(options.retry))
    return err;
  if (auto err = check_kept("the retention of dead letters", options.dead_letter_retention,
                            min_dead_letter_retention))
    return err;
  if (options.on_exhausted > exhausted_action::block || options.order_by > group_order::queue ||
      options.on_expired > expired_action::dead_letter)
    return {errc::invalid_argument, "the group has an option that this version does not know",
            "use the same version of troupe on both sides"};
  if (auto err = check_order(options))
    return err;
  if (auto err = check_broadcast(options))
    return err;
  if (options.low_share != 0)
    if (auto err = check("the share of lower priorities, one in so many messages,", options.low_share, 2,
                         max_low_share, "use 0 to serve them last"))
      return err;
  if (auto err = check("the number of unsettled bytes per member", options.max_unsettled_bytes, 1,
                       max_unsettled_bytes,
                       "give another --max-unsettled-bytes (group_options::max_unsettled_bytes)"))
    return err;
  return check("the number of unsettled messages per member", options.max_unsettled, 1, max_unsettled,
               "give another --max-unsettled (group_options::max_unsettled)");
}

} // namespace troupe
