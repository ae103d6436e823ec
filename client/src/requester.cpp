#include "troupe/requester.hpp"

#include "client_impl.hpp"
#include "outbox.hpp"
#include "reply_inbox.hpp"

#include "troupe/batch.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <future>
#include <random>

namespace troupe {

namespace {

std::string random_address() {
  std::random_device device;
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 32; ++i)
    text += digits[device() % 16];
  return text;
}

error check(const message& m, milliseconds timeout) {
  if (timeout < milliseconds{1} || timeout > std::chrono::hours{24})
    return {errc::invalid_argument,
            "the time to wait for a reply is " + std::to_string(timeout.count()) + " ms",
            "choose 1 ms to 24 h"};
  for (const auto& [name, value] : m.properties)
    if (name == reply_address_property || name == correlation_property)
      return {errc::invalid_argument, "a request sets the property " + name + " itself", "leave it out"};
  return {};
}

/// The value of a property; empty when it is absent.
std::string_view property_of(const message_view& m, std::string_view name) {
  const auto at = std::ranges::find(m.properties, name, [](const auto& p) { return p.first; });
  return at == m.properties.end() ? std::string_view{} : at->second;
}

} // namespace

struct requester::impl {
  client owner;
  producer to;
  std::shared_ptr<reply_board> board = std::make_shared<reply_board>();
  std::string address = random_address();
  caf::actor inbox;
  std::atomic<bool> closed{false};

  impl(const client& c, producer p) : owner(c), to(std::move(p)) {}
  ~impl() { close(); }

  error start() {
    auto& internals = *owner.internals();
    inbox = internals.system->spawn(reply_inbox, reply_inbox_config{internals.connection, address, board});
    return board->wait_known(internals.options.timeout + milliseconds{200});
  }

  error close() {
    if (closed.exchange(true))
      return {};
    if (inbox)
      caf::anon_send(inbox, inbox_stop_atom::value);
    return to.close();
  }

  void request(message m, milliseconds timeout, callback done) {
    const auto refuse = [&](const error& why) {
      const callback_mark mark;
      done(why);
    };
    if (auto wrong = check(m, timeout))
      return refuse(wrong);
    if (closed)
      return refuse({errc::shutting_down, "the requester was closed", "open another one"});
    const auto number = board->add(done, steady_now() + timeout);
    if (!number)
      return refuse({errc::overloaded, std::to_string(most_waiting) + " requests wait for their replies",
                     "wait for some of them", milliseconds{10}});
    caf::anon_send(inbox, inbox_arm_atom::value);
    m.properties.emplace_back(reply_address_property, address);
    m.properties.emplace_back(correlation_property, std::to_string(*number));
    if (!m.ttl)
      m.ttl = timeout;
    to.send_async(std::move(m), [waiting = board, number = *number](const result<receipt>& r) {
      if (!r)
        if (const auto asker = waiting->take(number))
          (*asker)(r.error());
    });
  }
};

requester::requester(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
requester::requester(requester&&) noexcept = default;
requester& requester::operator=(requester&&) noexcept = default;
requester::~requester() = default;

result<requester> requester::open(const client& c, producer_options options) {
  auto to = producer::open(c, std::move(options));
  if (!to)
    return to.error();
  const visit here;
  auto i = std::make_unique<impl>(c, std::move(*to));
  if (auto failed = i->start())
    return failed;
  return requester{std::move(i)};
}

result<message> requester::request(message m, milliseconds timeout) {
  if (inside_callback())
    return error{errc::invalid_argument, "a synchronous call in a callback would wait for itself",
                 "use request_async there, or another thread"};
  auto promise = std::make_shared<std::promise<result<message>>>();
  auto answer = promise->get_future();
  request_async(std::move(m), timeout, [promise](const result<message>& r) { promise->set_value(r); });
  return answer.get();
}

void requester::request_async(message m, milliseconds timeout, callback done) {
  impl_->request(std::move(m), timeout, std::move(done));
}

error requester::close() { return impl_->close(); }

error reply(const client& c, const leased_message& request, message answer) {
  if (!request.delivery)
    return {errc::invalid_argument, "this is no delivered message", "reply to what a consumer got"};
  const auto asked = request.content();
  const auto address = property_of(asked, reply_address_property);
  const auto number = property_of(asked, correlation_property);
  reply_message r;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), r.correlation);
  if (address.empty() || parsed.ec != std::errc{} || parsed.ptr != number.data() + number.size())
    return {errc::invalid_argument,
            "message " + to_string(request.id()) + " asks for no reply: it was not sent by a requester",
            "acknowledge it as any other message"};
  if (answer.born == timestamp{})
    answer.born = std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
  if (auto wrong = validate(answer, limits{}))
    return wrong;
  batch_builder builder;
  builder.add(answer);
  auto packed = builder.finish();
  r.address = address;
  r.header = packed.header;
  r.data = std::move(packed.data);
  auto passed_on = c.internals()->ask<bool>(std::move(r));
  return passed_on ? error{} : std::move(passed_on).error();
}

} // namespace troupe
