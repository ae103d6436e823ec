#pragma once

#include "troupe/dead_letter.hpp"
#include "troupe/wire.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What is asked of a group's dead letters, as it travels: CLIENT -> DIRECTORY, requests. The rules of
/// wire.hpp hold.
namespace troupe {

/// Where a list of dead letters goes on: behind this one. No queue: from the first.
struct dead_place {
  queue_id queue;
  message_id id;
};
/// A page of a group's dead letters, in the order of queues and ids. The answer is `dead_page`.
struct list_dead {
  static constexpr std::uint32_t most = 1000;
  std::string group;
  /// Empty: of all topics.
  std::string topic;
  /// Only those that it matches; `attempt` is the number of attempts made.
  std::string filter = "*";
  /// Only these, when there are any: at most `most`.
  std::vector<message_id> ids;
  dead_place after;
  /// 1 to `most`; a page of large messages is shorter.
  std::uint32_t max = most;
  /// With the messages themselves.
  bool messages = false;
};
struct dead_status {
  message_id id;
  std::string topic;
  std::uint32_t number = 0;
  queue_offset offset;
  dead_reason reason = dead_reason::attempts;
  std::uint16_t attempts = 0;
  std::int64_t died = 0;
  std::string detail;
  /// The page's frame holds the message.
  bool message = false;
  /// The lane's.
  std::uint8_t priority = 0;
};
struct dead_page {
  std::vector<dead_status> letters;
  /// Where to go on, when there may be more.
  dead_place next;
  bool more = false;
  /// The messages, in the order of the letters that have one, as delivery_frame.hpp lays them out.
  block frame;
};
/// Forgets dead letters, or makes their messages visible again, at the end of their own queue and for this
/// group only. At most list_dead::most of them. The answer is `dead_settled`, when it is durable.
struct settle_dead {
  std::string group;
  std::vector<message_id> ids;
  bool redrive = false;
};
struct dead_result {
  message_id id;
  /// none, not_found when it is no dead letter of the group (any more), or what stood in its way.
  errc code = errc::none;
};
struct dead_settled {
  /// In the order of `ids`.
  std::vector<dead_result> results;
};

template <class Inspector> auto inspect(Inspector& f, dead_place& x) {
  return f(caf::meta::type_name("dead_place"), x.queue, x.id);
}
template <class Inspector> auto inspect(Inspector& f, list_dead& x) {
  return f(caf::meta::type_name("list_dead"), x.group, x.topic, x.filter, x.ids, x.after, x.max, x.messages);
}
template <class Inspector> auto inspect(Inspector& f, dead_status& x) {
  return f(caf::meta::type_name("dead_status"), x.id, x.topic, x.number, x.offset, x.reason, x.attempts,
           x.died, x.detail, x.message, x.priority);
}
template <class Inspector> auto inspect(Inspector& f, dead_page& x) {
  return f(caf::meta::type_name("dead_page"), x.letters, x.next, x.more, x.frame);
}
template <class Inspector> auto inspect(Inspector& f, settle_dead& x) {
  return f(caf::meta::type_name("settle_dead"), x.group, x.ids, x.redrive);
}
template <class Inspector> auto inspect(Inspector& f, dead_result& x) {
  return f(caf::meta::type_name("dead_result"), x.id, x.code);
}
template <class Inspector> auto inspect(Inspector& f, dead_settled& x) {
  return f(caf::meta::type_name("dead_settled"), x.results);
}

} // namespace troupe
