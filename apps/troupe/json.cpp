#include "json.hpp"

#include "text.hpp"

#include "troupe/message.hpp"

#include <algorithm>

namespace troupe::cli {

namespace {

json queue_of(const subscription_info& q, bool lanes) {
  json object{{"topic", q.topic},
              {"queue", q.queue},
              {"floor", q.floor.value},
              {"next", q.next.value},
              {"lag", lag_of(q)},
              {"lag_ms", q.lag_time.count()},
              {"leased", q.leased},
              {"retrying", q.retrying},
              {"dead", q.dead},
              {"expired", q.expired},
              {"lag_estimated", q.lag_estimated}};
  if (lanes)
    object["priority"] = q.priority;
  return object;
}

json shard_of(const shard_info& s) {
  return {{"shard", s.shard.value},
          {"entries", s.entries},
          {"first", s.first.value},
          {"last", s.last.value},
          {"file", s.file},
          {"commits", s.commits},
          {"commit_p50_us", s.commit_p50_us},
          {"commit_p99_us", s.commit_p99_us}};
}

void put_content(json& object, const message& m) {
  if (!m.keys.empty())
    object["keys"] = m.keys;
  if (!m.tag.empty())
    object["tag"] = m.tag;
  if (!m.properties.empty()) {
    auto properties = json::object();
    for (const auto& [name, value] : m.properties)
      properties[name] = value;
    object["properties"] = std::move(properties);
  }
  if (!m.order_key.empty())
    object["order_key"] = m.order_key;
  if (m.priority != 0)
    object["priority"] = m.priority;
}

void put_body(json& object, const std::string& body) {
  if (is_utf8(body))
    object["body"] = body;
  else
    object["body_base64"] = base64_encode(body);
}

} // namespace

json to_json(const topic_info& topic) {
  json object{{"name", topic.name},
              {"queues", topic.options.queues},
              {"priorities", topic.options.priorities},
              {"retention_ms", topic.options.retention.count()},
              {"retention_bytes", topic.options.retention_bytes},
              {"max_message", topic.options.max_message},
              {"dedupe_key_window_ms", topic.options.dedupe_window.count()},
              {"messages", messages_of(topic)},
              {"bytes", bytes_of(topic)},
              {"delayed", delayed_of(topic)}};
  auto queues = json::array();
  for (const auto& q : topic.queues) {
    json queue{{"queue", q.number}, {"first", q.first.value}, {"next", q.next.value}};
    if (topic.options.priorities > 1)
      queue["priority"] = q.priority;
    queues.push_back(std::move(queue));
  }
  object["per_queue"] = std::move(queues);
  return object;
}

namespace {

/// Members of a broadcast group have a lag of their own, and may be away: then there is no node.
json member_of(const member_info& m, group_mode mode) {
  json object{{"name", m.name}, {"since", to_unix_ms(m.since)}};
  if (!m.node.empty())
    object["node"] = m.node;
  if (mode == group_mode::broadcast) {
    object["connected"] = !m.node.empty();
    object["lag"] = m.lag;
  }
  return object;
}

} // namespace

json to_json(const group_info& group) {
  json object{{"name", group.name}, {"mode", to_string(group.options.mode)}};
  if (group.options.mode == group_mode::ordered) {
    object["order_by"] = group.options.order_by == group_order::queue ? "queue" : "key";
    object["order_batch"] = group.options.order_batch;
  }
  auto members = json::array();
  for (const auto& m : group.members)
    members.push_back(member_of(m, group.options.mode));
  object["members"] = std::move(members);
  auto subscriptions = json::array();
  for (const auto& t : group.topics)
    subscriptions.push_back({{"topic", t.topic}, {"filter", t.filter}});
  object["subscriptions"] = std::move(subscriptions);
  auto pauses = json::array();
  for (auto pause : pauses_of(group.options.retry))
    pauses.push_back(pause.count());
  object["retry_ms"] = std::move(pauses);
  object["retry"] = format_retry(group.options.retry);
  object["max_attempts"] = group.options.max_attempts;
  object["on_exhausted"] = to_string(group.options.on_exhausted);
  object["on_expired"] = to_string(group.options.on_expired);
  object["dead_letter_retention_ms"] = group.options.dead_letter_retention.count();
  object["lease_ms"] = group.options.lease.count();
  object["max_unsettled"] = group.options.max_unsettled;
  object["max_unsettled_bytes"] = group.options.max_unsettled_bytes;
  object["low_share"] = group.options.low_share;
  object["paused"] = group.paused;
  object["lag"] = lag_of(group);
  object["lag_estimated"] = lag_estimated(group);
  object["lag_ms"] = lag_time_of(group).count();
  auto queues = json::array();
  const auto lanes = topics_with_priorities(group);
  for (const auto& q : group.queues)
    queues.push_back(queue_of(q, lanes.contains(q.topic)));
  object["queues"] = std::move(queues);
  return object;
}

json to_json(const node_info& node) {
  json object{{"name", node.name},
              {"version", node.version},
              {"state", node.state},
              {"listen", node.listen},
              {"data", node.data},
              {"uptime_ms", node.uptime.count()},
              {"topics", node.topics},
              {"groups", node.groups},
              {"connections", node.connections},
              {"rss", node.rss},
              {"disk", {{"used", node.disk_used}, {"free", node.disk_free}, {"budget", node.disk_budget}}}};
  auto shards = json::array();
  for (const auto& s : node.shards)
    shards.push_back(shard_of(s));
  object["shards"] = std::move(shards);
  return object;
}

json to_json(const receipt& place, std::string_view durability) {
  json object{{"topic", place.topic}, {"queue", place.queue}};
  if (place.priority != 0)
    object["priority"] = place.priority;
  if (place.placed) {
    if (place.visible)
      object["offset"] = place.offset.value;
    else
      object["state"] = "delayed";
    object["id"] = troupe::to_string(place.id);
  }
  object["durability"] = durability;
  if (place.duplicate)
    object["duplicate"] = true;
  return object;
}

json to_json(const received_message& message, bool delivered) {
  const auto& m = message.content;
  json object{{"id", troupe::to_string(message.id)}, {"topic", message.topic}, {"queue", message.queue}};
  if (!message.waits)
    object["offset"] = message.offset.value;
  else
    object["state"] = m.deliver_at ? "delayed" : "prepared";
  put_content(object, m);
  object["born"] = to_unix_ms(m.born);
  object["stored"] = to_unix_ms(message.stored);
  if (m.deliver_at)
    object["deliver_at"] = to_unix_ms(*m.deliver_at);
  if (m.ttl)
    object["expires"] = to_unix_ms(m.born + *m.ttl);
  if (delivered)
    object["attempt"] = message.attempt;
  put_body(object, m.body);
  return object;
}

json to_json(const message& reply, const std::string& topic) {
  json object{{"topic", topic}};
  put_content(object, reply);
  object["born"] = to_unix_ms(reply.born);
  put_body(object, reply.body);
  return object;
}

json to_json(const dead_letter_info& letter, const std::string& group) {
  json object{{"id", troupe::to_string(letter.id)},
              {"topic", letter.topic},
              {"queue", letter.queue},
              {"offset", letter.offset.value}};
  if (letter.priority != 0)
    object["priority"] = letter.priority;
  if (letter.message)
    object = to_json(*letter.message, false);
  object["group"] = group;
  object["reason"] = troupe::to_string(letter.reason);
  object["attempts"] = letter.attempts;
  object["died"] = to_unix_ms(letter.died);
  if (!letter.detail.empty())
    object["detail"] = letter.detail;
  return object;
}

json to_json(const delayed_info& message) {
  return {{"id", troupe::to_string(message.id)},
          {"topic", message.topic},
          {"deliver_at", to_unix_ms(message.deliver_at)}};
}

std::string id_of(const transaction_info& t) {
  return t.message ? troupe::to_string(*t.message)
                   : troupe::to_string(t.transaction.value_or(transaction_id{}));
}

std::string_view state_of(const transaction_info& t) {
  return t.parked ? std::string_view{"parked"} : troupe::to_string(t.state);
}

json to_json(const transaction_info& t) {
  json object{{"id", id_of(t)},       {"group", t.group},
              {"state", state_of(t)}, {"since", to_unix_ms(t.since)},
              {"checks", t.checks},   {"messages", t.messages}};
  if (!t.topic.empty())
    object["topic"] = t.topic;
  if (!t.key.empty())
    object["key"] = t.key;
  return object;
}

std::uint64_t delayed_of(const topic_info& topic) {
  std::uint64_t sum = 0;
  for (const auto& q : topic.queues)
    sum += q.delayed;
  return sum;
}

std::uint64_t messages_of(const topic_info& topic) {
  std::uint64_t sum = 0;
  for (const auto& q : topic.queues)
    sum += q.next.value - std::min(q.first, q.next).value;
  return sum;
}

std::uint64_t bytes_of(const topic_info& topic) {
  std::uint64_t sum = 0;
  for (const auto& q : topic.queues)
    sum += q.bytes;
  return sum;
}

std::set<std::string> topics_with_priorities(const group_info& group) {
  std::set<std::string> found;
  for (const auto& q : group.queues)
    if (q.priority > 0)
      found.insert(q.topic);
  return found;
}

std::uint64_t lag_of(const subscription_info& queue) { return queue.unsettled; }

std::uint64_t lag_of(const group_info& group) {
  std::uint64_t sum = 0;
  for (const auto& q : group.queues)
    sum += lag_of(q);
  return sum;
}

bool lag_estimated(const group_info& group) {
  return std::ranges::any_of(group.queues, &subscription_info::lag_estimated);
}

milliseconds lag_time_of(const group_info& group) {
  milliseconds largest{0};
  for (const auto& q : group.queues)
    largest = std::max(largest, q.lag_time);
  return largest;
}

std::string_view to_string(group_mode mode) {
  switch (mode) {
  case group_mode::shared:
    return "shared";
  case group_mode::ordered:
    return "ordered";
  case group_mode::broadcast:
    return "broadcast";
  }
  return "unknown";
}

std::string_view to_string(exhausted_action action) {
  switch (action) {
  case exhausted_action::dead_letter:
    return "dead-letter";
  case exhausted_action::drop:
    return "drop";
  case exhausted_action::block:
    return "block";
  }
  return "unknown";
}

std::string_view to_string(expired_action action) {
  return action == expired_action::dead_letter ? "dead-letter" : "drop";
}

std::string_view to_string(durability_level level) {
  return level == durability_level::durable ? "durable" : "buffered";
}

} // namespace troupe::cli
