#include "definition_codec.hpp"

#include <limits>

namespace troupe::flat {

namespace {

std::string string_of(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

capnp::Text::Reader text_of(const std::string& text) { return {text.data(), text.size()}; }

std::uint64_t ms_of(milliseconds duration) { return static_cast<std::uint64_t>(duration.count()); }

std::uint32_t pause_of(milliseconds pause) { return static_cast<std::uint32_t>(pause.count()); }

milliseconds duration_of(std::uint64_t ms) { return milliseconds{static_cast<std::int64_t>(ms)}; }

objection of(const std::string& name, const char* what) {
  return impossible(std::string(what) + " of '" + name + "'");
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
  return words + capnp::sizeInWords<schema::Retry>() +
         padded(group.options.retry.steps.size() * sizeof(std::uint32_t)) / word;
}

void write(const topic_definition& topic, schema::Topic::Builder to) {
  to.setId(topic.id.value);
  to.setName(text_of(topic.name));
  to.setQueues(topic.options.queues);
  to.setPriorities(topic.options.priorities);
  to.setMaxMessage(topic.options.max_message);
  to.setDedupeWindow(ms_of(topic.options.dedupe_window));
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

namespace {

void write(const retry_schedule& retry, schema::Retry::Builder to) {
  auto steps = to.initSteps(static_cast<capnp::uint>(retry.steps.size()));
  for (capnp::uint i = 0; i < steps.size(); ++i)
    steps.set(i, pause_of(retry.steps[i]));
  to.setInitial(pause_of(retry.initial));
  to.setFactor(retry.factor);
  to.setMaximum(pause_of(retry.maximum));
  to.setJitter(retry.jitter);
}

retry_schedule read(schema::Retry::Reader from) {
  retry_schedule retry{.steps = {},
                       .initial = milliseconds{from.getInitial()},
                       .factor = from.getFactor(),
                       .maximum = milliseconds{from.getMaximum()},
                       .jitter = from.getJitter()};
  for (auto pause : from.getSteps())
    retry.steps.emplace_back(pause);
  return retry;
}

} // namespace

void write(const group_definition& group, schema::Group::Builder to) {
  to.setId(group.id.value);
  to.setName(text_of(group.name));
  to.setMode(static_cast<std::uint8_t>(group.options.mode));
  to.setMaxUnsettled(group.options.max_unsettled);
  to.setLease(ms_of(group.options.lease));
  to.setRetryDelay(ms_of(pause_after(group.options.retry, 1)));
  write(group.options.retry, to.initRetry());
  to.setMaxAttempts(group.options.max_attempts);
  to.setOnExhausted(static_cast<std::uint8_t>(group.options.on_exhausted));
  to.setDeadLetterRetention(ms_of(group.options.dead_letter_retention));
  to.setOrderBy(static_cast<std::uint8_t>(group.options.order_by));
  to.setOrderBatch(group.options.order_batch);
  to.setMaxUnsettledBytes(group.options.max_unsettled_bytes);
  to.setLowShare(group.options.low_share);
  to.setOnExpired(static_cast<std::uint8_t>(group.options.on_expired));
  to.setPaused(group.paused);
  to.setParent(group.parent.value);
  to.setSeen(to_unix_ms(group.seen));
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

objection check(const topic_definition& topic) {
  if (topic.id.value == 0 || topic.name.empty())
    return of(topic.name, "the id or name");
  if (!is_stored_duration(topic.options.retention) || !is_stored_time(topic.created))
    return of(topic.name, "a time");
  // An entry has 32 bits for it.
  if (ms_of(topic.options.dedupe_window) > std::numeric_limits<std::uint32_t>::max())
    return of(topic.name, "the window for keys");
  std::uint64_t total = 0;
  for (const auto& range : topic.queues) {
    if (range.first.value == 0 || range.count == 0 ||
        range.count - 1 > std::numeric_limits<std::uint32_t>::max() - range.first.value)
      return of(topic.name, "a queue range");
    total += range.count;
  }
  if (topic.options.priorities == 0 ||
      total != std::uint64_t{topic.options.queues} * topic.options.priorities)
    return of(topic.name, "the number of queues");
  return {};
}

objection check(const group_definition& group) {
  if (group.id.value == 0 || group.name.empty())
    return of(group.name, "the id or name");
  if (!is_stored_duration(group.options.lease) || !is_stored_time(group.created) ||
      !is_stored_duration(group.options.dead_letter_retention) || !is_stored_time(group.seen))
    return of(group.name, "a time");
  if (validate(group.options.retry))
    return of(group.name, "the retry policy");
  if (group.options.mode > group_mode::broadcast)
    return not_known("a group mode");
  if (group.options.on_exhausted > exhausted_action::block)
    return not_known("what becomes of exhausted messages");
  if (group.options.order_by > group_order::queue)
    return not_known("an order of a group");
  if (group.options.on_expired > expired_action::dead_letter)
    return not_known("what becomes of expired messages");
  for (const auto& s : group.subscriptions) {
    if (s.start.from > start_position::kind::time)
      return not_known("a start position");
    if (s.topic.value == 0 || !is_stored_time(s.start.at))
      return of(group.name, "a subscription");
  }
  return {};
}

result<topic_definition> read(schema::Topic::Reader from) {
  topic_definition topic;
  topic.id = topic_id{from.getId()};
  topic.name = string_of(from.getName());
  topic.options = {.queues = from.getQueues(),
                   .priorities = from.getPriorities(),
                   .retention = duration_of(from.getRetention()),
                   .retention_bytes = from.getRetentionBytes(),
                   .max_message = from.getMaxMessage(),
                   .dedupe_window = duration_of(from.getDedupeWindow())};
  for (auto range : from.getRanges())
    topic.queues.push_back({queue_id{range.getFirst()}, range.getCount()});
  topic.created = from_unix_ms(from.getCreated());
  topic.version = from.getVersion();
  if (auto o = check(topic))
    return after_reading("the definition", o);
  return topic;
}

result<group_definition> read(schema::Group::Reader from) {
  group_definition group;
  group.id = group_id{from.getId()};
  group.name = string_of(from.getName());
  group.options = {.mode = static_cast<group_mode>(from.getMode()),
                   .lease = duration_of(from.getLease()),
                   .retry = from.hasRetry() ? read(from.getRetry())
                                            : retry_schedule::fixed(duration_of(from.getRetryDelay())),
                   .max_unsettled = from.getMaxUnsettled(),
                   .max_attempts = from.getMaxAttempts(),
                   .on_exhausted = static_cast<exhausted_action>(from.getOnExhausted()),
                   .dead_letter_retention = duration_of(from.getDeadLetterRetention()),
                   .order_by = static_cast<group_order>(from.getOrderBy()),
                   .order_batch = from.getOrderBatch(),
                   .max_unsettled_bytes = from.getMaxUnsettledBytes(),
                   .low_share = from.getLowShare(),
                   .on_expired = static_cast<expired_action>(from.getOnExpired())};
  for (auto s : from.getSubscriptions())
    group.subscriptions.push_back(
        {topic_id{s.getTopic()},
         string_of(s.getFilter()),
         {static_cast<start_position::kind>(s.getStart()), from_unix_ms(s.getStartTime())}});
  group.created = from_unix_ms(from.getCreated());
  group.version = from.getVersion();
  group.paused = from.getPaused();
  group.parent = group_id{from.getParent()};
  group.seen = from_unix_ms(from.getSeen());
  if (auto o = check(group))
    return after_reading("the definition", o);
  return group;
}

} // namespace troupe::flat
