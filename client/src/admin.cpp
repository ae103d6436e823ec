#include "client_impl.hpp"

#include "troupe/batch.hpp"
#include "troupe/client.hpp"
#include "troupe/consumer.hpp"
#include "troupe/message.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>

/// Administration: one request each, and the wire's structs made into what programs see.
namespace troupe {

namespace {

/// Requests of one create_topics call on their way at a time.
constexpr std::size_t requests_together = 128;

topic_info to_info(topic_status&& s) {
  topic_info info{std::move(s.name), s.options, {}};
  info.queues.reserve(s.queues.size());
  for (const auto& q : s.queues)
    info.queues.push_back({q.number, q.first, q.next, q.bytes, q.priority, q.delayed});
  return info;
}

group_info to_info(group_status&& s) {
  group_info info{std::move(s.name), std::move(s.options), {}, {}, {}, s.paused};
  for (auto& t : s.topics)
    info.topics.push_back({std::move(t.topic), std::move(t.filter)});
  for (auto& m : s.members)
    info.members.push_back({std::move(m.name), std::move(m.node), from_unix_ms(m.since), m.lag});
  for (auto& q : s.queues)
    info.queues.push_back({std::move(q.topic), q.number, q.floor, q.next,
                           milliseconds{static_cast<milliseconds::rep>(q.lag_ms)}, q.leased, q.retrying,
                           q.unsettled, q.dead, q.expired, q.priority, q.estimated});
  return info;
}

node_info to_info(node_status&& s) {
  node_info info{std::move(s.name), std::move(s.version), std::move(s.state), std::move(s.listen),
                 std::move(s.data)};
  info.uptime = milliseconds{static_cast<milliseconds::rep>(s.uptime_ms)};
  info.topics = s.topics;
  info.groups = s.groups;
  info.connections = s.connections;
  info.rss = s.rss;
  info.disk_used = s.disk_used;
  info.disk_free = s.disk_free;
  info.disk_budget = s.disk_budget;
  for (const auto& x : s.shards)
    info.shards.push_back(
        {x.shard, x.entries, x.first, x.last, x.file, x.commits, x.commit_p50_us, x.commit_p99_us});
  return info;
}

result<received_message> to_message(found_message&& f, const message_id& id) {
  auto batch = batch_reader::open(f.header, std::move(f.data));
  if (!batch)
    return batch.error();
  const auto at = id.ordinal - f.first_ordinal;
  if (id.ordinal < f.first_ordinal || at >= batch->count())
    return error{errc::corrupt, "the node answered a batch that does not hold the message", "report this"};
  received_message m;
  m.id = id;
  m.topic = std::move(f.topic);
  m.queue = f.number;
  m.offset = queue_offset{f.base.value + at};
  m.stored = from_unix_ms(f.stored);
  m.waits = f.waits;
  m.content = batch->at(at).materialize();
  return m;
}

template <class To, class From> result<To> converted(result<From> answer) {
  if (!answer)
    return std::move(answer).error();
  return to_info(std::move(*answer));
}

error outcome_of(result<bool> answer) { return answer ? error{} : std::move(answer).error(); }

result<std::vector<std::string>> values_of(result<names> answer) {
  if (!answer)
    return std::move(answer).error();
  return std::move(answer->values);
}

} // namespace

result<topic_info> client::create_topic(const std::string& name, const topic_options& options) {
  if (auto wrong = validate_topic_name(name))
    return wrong;
  if (auto wrong = validate(options))
    return wrong;
  return converted<topic_info>(impl_->ask<topic_status>(troupe::create_topic{name, options}));
}

std::vector<result<topic_info>> client::create_topics(const std::vector<std::string>& names,
                                                      const topic_options& options) {
  std::vector<result<topic_info>> out;
  out.reserve(names.size());
  std::deque<std::shared_ptr<answer_slot<topic_status>>> open;
  const auto take_first = [&] {
    auto answer = open.front()->wait_until(std::chrono::steady_clock::now() + impl_->options.timeout +
                                           milliseconds{200});
    open.pop_front();
    out.push_back(answer ? converted<topic_info>(std::move(*answer))
                         : result<topic_info>{impl_->no_answer()});
  };
  for (const auto& name : names) {
    if (open.size() == requests_together)
      take_first();
    open.push_back(make_call<topic_status>(impl_->options.timeout, troupe::create_topic{name, options}));
    if (auto wrong = impl_->closed ? client_closed() : validate_topic_name(name))
      open.back()->put(wrong);
    else
      caf::anon_send(impl_->connection, call_directory{open.back()});
  }
  while (!open.empty())
    take_first();
  return out;
}

result<topic_info> client::set_topic(const std::string& name, const topic_options& options) {
  if (auto wrong = validate(options))
    return wrong;
  return converted<topic_info>(impl_->ask<topic_status>(troupe::set_topic{name, options}));
}

result<topic_info> client::describe_topic(const std::string& name) {
  return converted<topic_info>(impl_->ask<topic_status>(describe_atom::value, topic_name{name}));
}

result<std::vector<std::string>> client::list_topics() {
  return values_of(impl_->ask<names>(list_topics_atom::value));
}

error client::delete_topic(const std::string& name) {
  return outcome_of(impl_->ask<bool>(delete_atom::value, topic_name{name}));
}

result<group_info> client::create_group(const std::string& name, const group_options& options) {
  if (auto wrong = validate_group_name(name))
    return wrong;
  if (auto wrong = validate(options))
    return wrong;
  return converted<group_info>(impl_->ask<group_status>(troupe::create_group{name, options}));
}

result<group_info> client::set_group(const std::string& name, const group_options& options) {
  if (auto wrong = validate(options))
    return wrong;
  return converted<group_info>(impl_->ask<group_status>(troupe::set_group{name, options}));
}

result<group_info> client::pause_group(const std::string& name, bool paused) {
  return converted<group_info>(impl_->ask<group_status>(troupe::pause_group{name, paused}));
}

result<group_info> client::subscribe_group(const std::string& name, const topic_subscription& what,
                                           const start_position& start) {
  troupe::subscribe_group r{.name = name, .what = {what.topic, what.filter}};
  r.start = start.from;
  r.start_time = to_unix_ms(start.at);
  return converted<group_info>(impl_->ask<group_status>(std::move(r)));
}

result<group_info> client::unsubscribe_group(const std::string& name, const std::string& topic) {
  return converted<group_info>(
      impl_->ask<group_status>(troupe::subscribe_group{.name = name, .what = {topic, "*"}, .remove = true}));
}

result<std::vector<reset_info>> client::reset_group(const std::string& name, const reset_options& options) {
  troupe::reset_group r{.name = name, .topic = options.topic, .dry_run = options.dry_run};
  r.to = options.offset ? reset_target::offset : static_cast<reset_target>(options.to.from);
  r.time = to_unix_ms(options.to.at);
  r.offset = options.offset.value_or(queue_offset{});
  if (options.queue)
    r.queue = static_cast<std::int32_t>(std::min<std::uint32_t>(*options.queue, INT32_MAX));
  r.member = options.member;
  auto answer = impl_->ask<group_reset>(std::move(r));
  if (!answer)
    return std::move(answer).error();
  std::vector<reset_info> queues;
  for (const auto& q : answer->queues)
    queues.push_back({q.number, q.from, q.to, q.leased, q.moved, q.priority, q.member});
  return queues;
}

result<group_info> client::describe_group(const std::string& name) {
  return converted<group_info>(impl_->ask<group_status>(describe_atom::value, group_name{name}));
}

result<std::vector<std::string>> client::list_groups() {
  return values_of(impl_->ask<names>(list_groups_atom::value));
}

error client::delete_group(const std::string& name) {
  return outcome_of(impl_->ask<bool>(delete_atom::value, group_name{name}));
}

result<received_message> client::get(const message_id& id) {
  auto found = impl_->ask<found_message>(get_message{id});
  if (!found)
    return std::move(found).error();
  return to_message(std::move(*found), id);
}

result<node_info> client::node_status() {
  return converted<node_info>(impl_->ask<troupe::node_status>(status_atom::value));
}

error client::drain() { return outcome_of(impl_->ask<bool>(drain_atom::value)); }

} // namespace troupe
