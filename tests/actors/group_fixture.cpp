#include "group_fixture.hpp"

#include <algorithm>

namespace troupe::test {

std::string to_string(const std::vector<got>& all) {
  std::string out;
  for (const auto& g : all)
    out += (out.empty() ? "" : " ") + std::to_string(g.number) +
           (g.priority > 0 ? "/" + std::to_string(g.priority) : "") + "@" + std::to_string(g.offset) + "=" +
           g.body + (g.attempts > 0 ? "x" + std::to_string(g.attempts) : "");
  return out;
}

group_fixture::~group_fixture() {
  caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
  run();
}

group_changed group_fixture::definitions() const {
  const auto& s = group_definition_.subscriptions.front();
  return {group_definition_, {{topic_definition_, topic_, s.filter, s.start}}};
}

void group_fixture::start(std::uint32_t queues, const std::string& filter, start_position from) {
  topic_definition_ = topic_of(queues, {.priorities = priorities_});
  topic_ = world_.owned(spawn_topic(world_.system(), ctx_, topic_definition_));
  sequences_.assign(lanes_of(topic_definition_.options), 0);
  group_definition_.id = group_id{1};
  group_definition_.name = "billing";
  group_definition_.options.retry = retry_;
  group_definition_.subscriptions = {{topic_definition_.id, filter, from}};
  aut = spawn_group(world_.system(), ctx_, definitions());
  run();
}

void group_fixture::restart_group() {
  caf::anon_send_exit(aut, caf::exit_reason::kill);
  run();
  aut = spawn_group(world_.system(), ctx_, definitions());
  run();
}

void group_fixture::redefine() {
  producer_.send(aut, definitions());
  run();
}

void group_fixture::publish_to(std::uint32_t number, const std::vector<std::string>& texts) {
  std::vector<message> messages;
  for (const auto& text : texts) {
    message m{.body = text};
    if (const auto colon = text.find(':'); colon != std::string::npos) {
      m.tag = text.substr(0, colon);
      m.body = text.substr(colon + 1);
    }
    messages.push_back(std::move(m));
  }
  publish_messages(number, messages);
}

void group_fixture::publish_as(std::uint8_t priority, std::uint32_t number,
                               const std::vector<std::string>& bodies) {
  std::vector<message> messages;
  for (const auto& body : bodies)
    messages.push_back({.body = body, .priority = priority});
  publish_messages(number, messages, priority);
}

void group_fixture::publish_messages(std::uint32_t number, const std::vector<message>& messages,
                                     std::uint8_t priority) {
  batch_builder builder;
  for (const auto& m : messages)
    builder.add(m);
  auto b = builder.finish();
  b.header.producer = producer_id{7};
  b.header.epoch = producer_epoch{1};
  const auto lane = lane_at({number, priority}, priorities_);
  sequences_.resize(std::max<std::size_t>(sequences_.size(), lane + 1));
  b.header.sequence = batch_sequence{++sequences_[lane]};
  const auto q = world_.ask<queue_handle>(topic_, queue_request{number, priority});
  ASSERT_TRUE(q) << troupe::to_string(q.error());
  producer_.send(q->queue, publish_of(topic_definition_.queue(number, priority), std::move(b)));
  run();
  for (const auto& p : producer_.take<published>())
    for (const auto& r : p.results)
      ASSERT_EQ(r.code, errc::none) << r.reason;
}

std::uint64_t group_fixture::join_as(const consumer_probe& who, const std::string& name) {
  auto answer = world_.ask<joined>(aut, join{.group = "billing", .member = name, .consumer = who.handle()});
  EXPECT_TRUE(answer) << troupe::to_string(answer.error());
  return answer ? answer->member : 0;
}

void group_fixture::credit(consumer_probe& who, std::uint64_t member, std::uint32_t messages,
                           std::uint32_t bytes) {
  who.send(aut, consume{.member = member, .messages = messages, .bytes = bytes});
  run();
}

std::string group_fixture::received(consumer_probe& who) {
  std::vector<got> all;
  last = who.take<delivery>();
  for (const auto& d : last) {
    EXPECT_EQ(d.topic, "orders");
    auto messages = unpack_frame(d.frame, d.shard);
    EXPECT_TRUE(messages) << troupe::to_string(messages.error());
    if (!messages)
      continue;
    EXPECT_EQ(messages->size(), d.messages);
    for (const auto& m : *messages)
      all.push_back({d.number, d.priority, m.offset.value, m.attempts, std::string{m.message.body}});
  }
  return to_string(all);
}

void group_fixture::settle(consumer_probe& who, std::uint64_t member, const delivery& d, std::uint64_t first,
                           std::uint32_t count, settle_action action, std::uint32_t delay_ms,
                           bool give_back) {
  consume c{.member = member};
  c.settles.push_back({d.queue, d.gen, d.lease, queue_offset{first}, count, action, delay_ms, give_back});
  who.send(aut, std::move(c));
  run();
}

void group_fixture::ack_all(consumer_probe& who, std::uint64_t member, const delivery& d) {
  auto messages = unpack_frame(d.frame, d.shard);
  ASSERT_TRUE(messages);
  consume c{.member = member};
  for (const auto& m : *messages)
    c.settles.push_back({d.queue, d.gen, d.lease, m.offset, 1, settle_action::ack});
  who.send(aut, std::move(c));
  run();
}

group_status group_fixture::status() {
  auto s = world_.ask<group_status>(aut, status_atom::value);
  EXPECT_TRUE(s) << troupe::to_string(s.error());
  return s ? std::move(*s) : group_status{};
}

subscription_state group_fixture::progress_of(std::uint32_t number, std::uint8_t priority) const {
  auto s = ctx_->shards[0]->subscription(group_definition_.id, topic_definition_.queue(number, priority));
  EXPECT_TRUE(s) << troupe::to_string(s.error());
  return s && *s ? **s : subscription_state{};
}

} // namespace troupe::test
