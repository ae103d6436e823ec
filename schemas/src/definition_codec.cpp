#include "definition_codec.hpp"

#include "troupe/units.hpp"

#include <limits>

namespace troupe::flat {

namespace {

error damaged(const char* what, const std::string& name) {
  return {errc::corrupt, std::string("the definition is damaged: ") + what + " of '" + name + "'"};
}

error unknown(const char* what, const std::string& name) {
  return {errc::unknown_version,
          std::string("the definition of '") + name + "' has a " + what + " that this program does not know",
          "read it with the version of the program that wrote it"};
}

std::string string_of(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

capnp::Text::Reader text_of(const std::string& text) { return {text.data(), text.size()}; }

std::uint64_t ms_of(milliseconds duration) { return static_cast<std::uint64_t>(duration.count()); }

/// Stored durations and times stay in a range in which sums of two never overflow.
bool plausible_duration(std::uint64_t ms) { return ms <= static_cast<std::uint64_t>(max_duration.count()); }
bool plausible_time(std::int64_t ms) { return ms >= 0 && ms <= to_unix_ms(max_time); }

/// The queue ranges when they add up to `queues` and no id leaves 32 bits.
result<std::vector<queue_range>> read_ranges(schema::Topic::Reader from, const std::string& name) {
  std::vector<queue_range> ranges;
  std::uint64_t total = 0;
  for (auto range : from.getRanges()) {
    if (range.getFirst() == 0 || range.getCount() == 0 ||
        range.getCount() - 1 > std::numeric_limits<std::uint32_t>::max() - range.getFirst())
      return damaged("a queue range", name);
    total += range.getCount();
    ranges.push_back({queue_id{range.getFirst()}, range.getCount()});
  }
  if (total != from.getQueues())
    return damaged("the number of queues", name);
  return ranges;
}

} // namespace

std::size_t extra_words(const topic_definition& topic) {
  return text_words(topic.name.size()) + list_words<schema::QueueRange>(topic.queues.size());
}

std::size_t extra_words(const group_definition& group) {
  auto words =
      text_words(group.name.size()) + list_words<schema::GroupSubscription>(group.subscriptions.size());
  for (const auto& s : group.subscriptions)
    words += text_words(s.filter.size());
  return words;
}

void write(const topic_definition& topic, schema::Topic::Builder to) {
  to.setId(topic.id.value);
  to.setName(text_of(topic.name));
  to.setQueues(topic.options.queues);
  to.setPriorities(topic.options.priorities);
  to.setMaxMessage(topic.options.max_message);
  to.setRetention(ms_of(topic.options.retention));
  to.setRetentionBytes(topic.options.retention_bytes);
  to.setCreated(to_unix_ms(topic.created));
  to.setVersion(topic.version);
  auto ranges = to.initRanges(static_cast<capnp::uint>(topic.queues.size()));
  for (capnp::uint i = 0; i < ranges.size(); ++i) {
    ranges[i].setFirst(topic.queues[i].first.value);
    ranges[i].setCount(topic.queues[i].count);
  }
}

void write(const group_definition& group, schema::Group::Builder to) {
  to.setId(group.id.value);
  to.setName(text_of(group.name));
  to.setMode(static_cast<std::uint8_t>(group.options.mode));
  to.setMaxUnsettled(group.options.max_unsettled);
  to.setLease(ms_of(group.options.lease));
  to.setRetryDelay(ms_of(group.options.retry_delay));
  to.setCreated(to_unix_ms(group.created));
  to.setVersion(group.version);
  auto subscriptions = to.initSubscriptions(static_cast<capnp::uint>(group.subscriptions.size()));
  for (capnp::uint i = 0; i < subscriptions.size(); ++i) {
    const auto& s = group.subscriptions[i];
    subscriptions[i].setTopic(s.topic.value);
    subscriptions[i].setFilter(text_of(s.filter));
    subscriptions[i].setStart(static_cast<std::uint8_t>(s.start.from));
    subscriptions[i].setStartTime(to_unix_ms(s.start.at));
  }
}

result<topic_definition> read(schema::Topic::Reader from) {
  topic_definition topic;
  topic.id = topic_id{from.getId()};
  topic.name = string_of(from.getName());
  if (topic.id.value == 0 || topic.name.empty())
    return damaged("the id or name", topic.name);
  if (!plausible_duration(from.getRetention()) || !plausible_time(from.getCreated()))
    return damaged("a time", topic.name);
  auto ranges = read_ranges(from, topic.name);
  if (!ranges)
    return ranges.error();
  topic.queues = std::move(*ranges);
  topic.options = {.queues = from.getQueues(),
                   .priorities = from.getPriorities(),
                   .retention = milliseconds{from.getRetention()},
                   .retention_bytes = from.getRetentionBytes(),
                   .max_message = from.getMaxMessage()};
  topic.created = from_unix_ms(from.getCreated());
  topic.version = from.getVersion();
  return topic;
}

result<group_definition> read(schema::Group::Reader from) {
  group_definition group;
  group.id = group_id{from.getId()};
  group.name = string_of(from.getName());
  if (group.id.value == 0 || group.name.empty())
    return damaged("the id or name", group.name);
  if (!plausible_duration(from.getLease()) || !plausible_duration(from.getRetryDelay()) ||
      !plausible_time(from.getCreated()))
    return damaged("a time", group.name);
  if (from.getMode() > static_cast<std::uint8_t>(group_mode::broadcast))
    return unknown("mode", group.name);
  group.options = {.mode = static_cast<group_mode>(from.getMode()),
                   .lease = milliseconds{from.getLease()},
                   .retry_delay = milliseconds{from.getRetryDelay()},
                   .max_unsettled = from.getMaxUnsettled()};
  for (auto s : from.getSubscriptions()) {
    if (s.getStart() > static_cast<std::uint8_t>(start_position::kind::time))
      return unknown("start position", group.name);
    if (s.getTopic() == 0 || !plausible_time(s.getStartTime()))
      return damaged("a subscription", group.name);
    group.subscriptions.push_back(
        {topic_id{s.getTopic()},
         string_of(s.getFilter()),
         {static_cast<start_position::kind>(s.getStart()), from_unix_ms(s.getStartTime())}});
  }
  group.created = from_unix_ms(from.getCreated());
  group.version = from.getVersion();
  return group;
}

} // namespace troupe::flat
