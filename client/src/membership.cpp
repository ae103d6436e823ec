#include "membership.hpp"

#include "outbox.hpp"

#include <algorithm>
#include <random>

#include <unistd.h>

namespace troupe {

namespace {

std::string made_up_member() {
  char host[256] = "host";
  if (gethostname(host, sizeof host - 1) != 0)
    host[0] = '\0';
  std::random_device device;
  return std::string{host} + "-" + std::to_string(getpid()) + "-" + std::to_string(device());
}

error invalid(std::string why, std::string todo) {
  return {errc::invalid_argument, std::move(why), std::move(todo)};
}

error check(const consumer_options& o) {
  if (auto wrong = validate_group_name(o.group))
    return wrong;
  if (o.topics.empty())
    return invalid("the consumer subscribes to no topic", "name at least one");
  for (const auto& t : o.topics)
    if (auto wrong = validate_topic_name(t.topic))
      return wrong;
  if (o.max_messages == 0 || o.max_messages > (1u << 20))
    return invalid("consumer option max_messages is " + std::to_string(o.max_messages),
                   "choose 1 to 1048576");
  if (o.max_bytes == 0 || o.max_bytes > (1u << 30))
    return invalid("consumer option max_bytes is " + std::to_string(o.max_bytes), "choose 1 byte to 1 GiB");
  if (o.member.size() > 255)
    return invalid("the member's name has " + std::to_string(o.member.size()) + " bytes", "255 are allowed");
  if (o.mode == group_mode::broadcast && o.member.empty())
    return invalid("a member of a broadcast group must have a name, and consumer option member is empty",
                   "give it one that stays: its place is kept under it");
  return {};
}

} // namespace

result<std::unique_ptr<membership>> membership::begin(const client& c, consumer_options options, bool push) {
  if (auto wrong = check(options))
    return wrong;
  auto& internals = *c.internals();
  if (internals.closed)
    return client_closed();
  const visit here;
  const bool made_up = options.member.empty();
  if (made_up)
    options.member = made_up_member();
  std::unique_ptr<membership> m(new membership(c));
  m->messages_ = std::make_shared<inbox>(inbox::limits{options.max_messages, options.max_bytes, push});
  const auto& client_options = internals.options;
  consumer_config cfg;
  cfg.options = std::move(options);
  cfg.made_up = made_up;
  cfg.timeout = client_options.timeout;
  cfg.min_backoff = client_options.min_backoff;
  cfg.max_backoff = client_options.max_backoff;
  cfg.seed = std::random_device{}();
  cfg.connection = internals.connection;
  cfg.messages = m->messages_;
  cfg.log = client_options.log;
  m->actor_ = internals.system->spawn(consumer_actor, std::move(cfg));
  m->messages_->wake_with([handle = m->actor_](inbox::urgency how) {
    if (how == inbox::urgency::now)
      caf::anon_send(handle, news_atom::value);
    else
      caf::anon_send(handle, soon_atom::value);
  });
  if (auto failed = m->messages_->wait_open(client_options.timeout + milliseconds{200}))
    return failed;
  return m;
}

membership::~membership() {
  if (actor_ && !left_)
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
}

error membership::leave(milliseconds limit) {
  if (std::exchange(left_, true))
    return {};
  messages_->stop_taking();
  const auto end = steady_now() + limit;
  auto flushed = messages_->flush(messages_->is_member() ? limit : milliseconds{0});
  caf::anon_send(actor_, leave_atom::value);
  if (!messages_->wait_ended(std::max(end - steady_now(), milliseconds{1000})))
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
  return flushed;
}

void membership::renew(const held_lease& lease) { caf::anon_send(actor_, lease); }

} // namespace troupe
