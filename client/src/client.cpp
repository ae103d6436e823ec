#include "troupe/client.hpp"

#include "client_impl.hpp"
#include "connection.hpp"

#include "troupe/guarded_middleman.hpp"
#include "troupe/node.hpp"
#include "troupe/tls.hpp"

#include <caf/io/middleman.hpp>
#include <caf/logger.hpp>
#include <caf/openssl/manager.hpp>

#include <charconv>
#include <future>
#include <random>
#include <thread>

namespace troupe {

namespace {

thread_local bool in_callback = false;

/// The settings of remoting that were measured to be right: one work queue for all threads and a multiplexer
/// that deserialises itself (a round trip of 244 us instead of 433 on two processors); a peer that stopped is
/// noticed within 10 s.
struct remote_config : caf::actor_system_config {
  explicit remote_config(const tls_files& tls) {
    add_wire_types(*this);
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{2});
    set("middleman.workers", std::size_t{0});
    set("middleman.heartbeat-interval", caf::timespan{std::chrono::seconds{1}});
    set("middleman.connection-timeout", caf::timespan{std::chrono::seconds{10}});
    if (!tls.certificate.empty()) {
      openssl_certificate = tls.certificate;
      openssl_key = tls.key;
      openssl_cafile = tls.ca;
      load<caf::openssl::manager>();
    }
  }
};

struct endpoint {
  std::string host;
  std::uint16_t port = 0;
};

/// "HOST:PORT" or "[IPV6]:PORT".
result<endpoint> parse_endpoint(const std::string& text) {
  const auto wrong = [&] {
    return error{errc::invalid_argument, "\"" + text + "\" is no address of a node",
                 "write HOST:PORT, for example 127.0.0.1:7700 or [::1]:7700"};
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return wrong();
  endpoint e{text.substr(0, colon)};
  if (e.host.size() > 2 && e.host.front() == '[' && e.host.back() == ']')
    e.host = e.host.substr(1, e.host.size() - 2);
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, e.port);
  if (parsed.ec != std::errc{} || parsed.ptr != end || e.port == 0)
    return wrong();
  return e;
}

error check(const client_options& o) {
  const int files = !o.tls.certificate.empty() + !o.tls.key.empty() + !o.tls.ca.empty();
  if (files != 0 && files != 3)
    return {errc::invalid_argument, "TLS needs three files: certificate, key and CA",
            "name all three, or none"};
  if (o.timeout < milliseconds{1} || o.timeout > std::chrono::hours{24})
    return {errc::invalid_argument, "timeout is " + std::to_string(o.timeout.count()) + " ms",
            "choose 1 ms to 24 h"};
  if (o.min_backoff < milliseconds{1} || o.max_backoff < o.min_backoff ||
      o.max_backoff > std::chrono::hours{1})
    return {errc::invalid_argument, "the pauses between attempts to reconnect make no sense",
            "choose 1 ms <= min_backoff <= max_backoff <= 1 h"};
  return {};
}

connection_config base_config(const client_options& o, const std::shared_ptr<line_status>& line) {
  connection_config cfg;
  cfg.client_name = o.name;
  cfg.timeout = o.timeout;
  cfg.min_backoff = o.min_backoff;
  cfg.max_backoff = o.max_backoff;
  cfg.seed = std::random_device{}();
  cfg.status = line;
  return cfg;
}

/// Who connects without TLS. It ends with CAF's own one, in the destructor of the system; by kill, because
/// with an answer that is still open it would not end otherwise.
caf::actor guarded_middleman(caf::actor_system& system) {
  auto middleman = caf::actor_cast<caf::actor>(spawn_guarded_middleman(system));
  caf::actor_cast<caf::abstract_actor*>(system.middleman().actor_handle())->attach_functor([middleman] {
    caf::anon_send_exit(middleman, caf::exit_reason::kill);
  });
  return middleman;
}

result<client> connect_remote(client_options options) {
  if (auto wrong = check(options))
    return wrong;
  auto where = parse_endpoint(options.address);
  if (!where)
    return where.error();
  // CAF would throw in a thread of its own, where nobody can answer.
  if (!options.tls.certificate.empty())
    if (auto wrong = check_tls_files({options.tls.certificate, options.tls.key, options.tls.ca}))
      return wrong;
  auto impl = std::make_shared<client::impl>();
  impl->address = options.address;
  impl->config = std::make_unique<remote_config>(options.tls);
  impl->own = std::make_unique<caf::actor_system>(*impl->config);
  impl->system = impl->own.get();
  auto cfg = base_config(options, impl->line);
  cfg.host = where->host;
  cfg.port = where->port;
  cfg.tls = !options.tls.certificate.empty();
  cfg.middleman = cfg.tls ? caf::actor_cast<caf::actor>(impl->own->openssl_manager().actor_handle())
                          : guarded_middleman(*impl->own);
  impl->options = std::move(options);
  return connect_through(std::move(impl), std::move(cfg));
}

result<client> connect_embedded(node& embedded, client_options options) {
  if (auto wrong = check(options))
    return wrong;
  auto impl = std::make_shared<client::impl>();
  impl->address = "this process";
  auto cfg = base_config(options, impl->line);
  cfg.embedded = embedded.directory();
  if (!cfg.embedded)
    return error{errc::shutting_down, "the node has stopped", "start one and attach to that"};
  impl->system = &cfg.embedded->home_system();
  impl->options = std::move(options);
  return connect_through(std::move(impl), std::move(cfg));
}

/// The library promises error values; what CAF, TLS or the system throw on the way becomes one.
template <class F> result<client> guarded(F&& f) {
  const visit here;
  try {
    return f();
  } catch (const std::exception& e) {
    return error{errc::invalid_argument, std::string{"the client cannot start: "} + e.what(),
                 "check the TLS files, and the limits on threads and memory"};
  }
}

} // namespace

bool inside_callback() { return in_callback; }
callback_mark::callback_mark() : before_(std::exchange(in_callback, true)) {}
callback_mark::~callback_mark() { in_callback = before_; }

visit::~visit() {
  if (!in_callback)
    caf::logger::set_current_actor_system(nullptr);
}

result<client> connect_through(std::shared_ptr<client::impl> impl, connection_config cfg) {
  impl->connection = impl->system->spawn(connection, std::move(cfg));
  // Somebody who accepts and does not answer may be stopped or starting: CONNECTION tries again until then. A
  // little more, so that the reason that comes from the request's own timeout wins.
  auto failed = impl->line->first_line(impl->options.timeout, milliseconds{500});
  if (failed)
    return failed;
  impl->connected = true;
  return client{std::move(impl)};
}

client::client(std::shared_ptr<impl> i) : impl_(std::move(i)) {}

result<client> client::connect(client_options options) {
  return guarded([&] { return connect_remote(std::move(options)); });
}

result<client> client::attach(node& embedded, client_options options) {
  return guarded([&] { return connect_embedded(embedded, std::move(options)); });
}

void client::close() { impl_->close(); }

void client::impl::close() {
  closed = true;
  if (connection)
    caf::anon_send(connection, close_atom::value);
  // An embedded client's actors live in the node's system, which must not end before them. Not from a
  // callback: the actor that runs it would wait for itself.
  if (!inside_callback() && connection)
    line->wait_ended(std::chrono::seconds{5});
}

client::impl::~impl() {
  close();
  connection = nullptr;
  if (!own)
    return;
  { const visit over; } // this thread may be still in the call that failed to connect
  // Another thread ends the system: in a callback this one belongs to it, and an attempt to connect that the
  // operating system holds up for minutes must not hold up who gave up.
  std::promise<void> ended;
  auto done = ended.get_future();
  std::thread last{[system = std::move(own), cfg = std::move(config), promise = std::move(ended)]() mutable {
    system.reset();
    cfg.reset();
    promise.set_value();
  }};
  const auto patience = connected ? std::chrono::milliseconds{5'000} : std::chrono::milliseconds{500};
  if (inside_callback() || done.wait_for(patience) != std::future_status::ready)
    last.detach();
  else
    last.join();
}

error client::impl::no_answer() const {
  auto why = line->why();
  return why ? why
             : error{errc::timeout,
                     "the node at " + address + " gave no answer in " +
                         std::to_string(options.timeout.count()) + " ms",
                     "what was asked may still happen; ask again, or allow more time"};
}

} // namespace troupe
