#pragma once

#include "troupe/wire.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What is asked of delayed messages, as it travels: CLIENT -> DIRECTORY, requests. The rules of wire.hpp
/// hold.
namespace troupe {

/// A message that waits for its time.
struct delayed_status {
  message_id id;
  std::string topic;
  std::int64_t deliver_at = 0;
};
/// A page of the delayed messages of all topics, or one, in the order in which they are due. The answer is
/// `delayed_page`.
struct list_delayed {
  static constexpr std::uint32_t most = 1000;
  /// Empty: of all topics.
  std::string topic;
  /// Behind this one, by time and id; at first those of the epoch.
  std::int64_t after = 0;
  message_id after_id;
  /// 1 to `most`.
  std::uint32_t max = most;
};
struct delayed_page {
  std::vector<delayed_status> messages;
  /// There may be others behind the last one.
  bool more = false;
};
/// Forgets a delayed message. The answer is `cancelled_delayed`, when it is durable; not_found for a message
/// that does not wait and is in no queue.
struct cancel_delayed {
  message_id id;
};
struct cancelled_delayed {
  delayed_status message;
  /// False: it became visible before.
  bool cancelled = false;
};

template <class Inspector> auto inspect(Inspector& f, delayed_status& x) {
  return f(caf::meta::type_name("delayed_status"), x.id, x.topic, x.deliver_at);
}
template <class Inspector> auto inspect(Inspector& f, list_delayed& x) {
  return f(caf::meta::type_name("list_delayed"), x.topic, x.after, x.after_id, x.max);
}
template <class Inspector> auto inspect(Inspector& f, delayed_page& x) {
  return f(caf::meta::type_name("delayed_page"), x.messages, x.more);
}
template <class Inspector> auto inspect(Inspector& f, cancel_delayed& x) {
  return f(caf::meta::type_name("cancel_delayed"), x.id);
}
template <class Inspector> auto inspect(Inspector& f, cancelled_delayed& x) {
  return f(caf::meta::type_name("cancelled_delayed"), x.message, x.cancelled);
}

} // namespace troupe
