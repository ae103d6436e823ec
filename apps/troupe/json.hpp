#pragma once

#include "output.hpp"

#include "troupe/dead_letters.hpp"
#include "troupe/delayed.hpp"
#include "troupe/producer.hpp"
#include "troupe/status.hpp"

#include <set>
#include <string>

/// The JSON objects that scripts may rely on. Times are Unix milliseconds; absent values are left out.
namespace troupe::cli {

json to_json(const topic_info& topic);
json to_json(const group_info& group);
json to_json(const node_info& node);
/// A send line; `durability` is the one that was asked for. What has no offset yet has a `state`: delayed,
/// unless the caller knows better (a half message).
json to_json(const receipt& place, std::string_view durability);
/// A message that was delivered (with its attempt) or read (without).
json to_json(const received_message& message, bool delivered);

/// A reply to a request over this topic: it has no place of its own.
json to_json(const message& reply, const std::string& topic);

/// A dead letter of a group: the message's fields, when it was read, and how it died.
json to_json(const dead_letter_info& letter, const std::string& group);

/// A message that waits for its time.
json to_json(const delayed_info& message);

/// A transaction that is not over.
json to_json(const transaction_info& transaction);
/// As both print it.
std::string id_of(const transaction_info& transaction);
/// Its state, or that it is parked.
std::string_view state_of(const transaction_info& transaction);

/// The topics with several priorities: their queues have a row for each.
std::set<std::string> topics_with_priorities(const group_info& group);

/// Sums over all queues.
std::uint64_t messages_of(const topic_info& topic);
std::uint64_t bytes_of(const topic_info& topic);
/// Messages that wait for their time.
std::uint64_t delayed_of(const topic_info& topic);
std::uint64_t lag_of(const subscription_info& queue);
std::uint64_t lag_of(const group_info& group);
/// A filter has not seen all of it.
bool lag_estimated(const group_info& group);
/// The largest of all queues.
milliseconds lag_time_of(const group_info& group);

std::string_view to_string(group_mode mode);
std::string_view to_string(exhausted_action action);
std::string_view to_string(expired_action action);
std::string_view to_string(durability_level level);

} // namespace troupe::cli
