#include "troupe/guarded_middleman.hpp"

#include "basp_gate.hpp"

#include <caf/actor_system.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/middleman_actor_impl.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/doorman_impl.hpp>
#include <caf/io/network/scribe_impl.hpp>
#include <caf/make_counted.hpp>

#include <limits>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <utility>

namespace troupe {

namespace {

namespace net = caf::io::network;

/// How many connections an acceptor has. Only the multiplexer's thread counts.
using open_count = std::shared_ptr<std::size_t>;

/// Connections that may be open at a time: what the limit of file descriptors leaves when files, threads and
/// reads of /proc have theirs. Without any left, nobody could even be told.
std::size_t most_connections() {
  constexpr rlim_t reserve = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::numeric_limits<std::size_t>::max();
  return limit.rlim_cur > 2 * reserve ? limit.rlim_cur - reserve : limit.rlim_cur / 2;
}

/// A connection that ends at the first chunk that the gate refuses.
class guarded_scribe final : public net::scribe_impl {
public:
  guarded_scribe(net::default_multiplexer& mx, net::native_socket socket, basp_gate::side side,
                 open_count open = nullptr)
      : scribe_impl(mx, socket), gate_(side), open_(std::move(open)) {
    if (open_)
      ++*open_;
  }
  ~guarded_scribe() override {
    if (open_)
      --*open_;
  }

  bool consume(caf::execution_unit* unit, const void* data, std::size_t size) override {
    if (gate_.admit({static_cast<const char*>(data), size}))
      return scribe_impl::consume(unit, data, size);
    // As if the peer had gone: the broker forgets the connection, and its descriptor is closed.
    io_failure(unit, net::operation::read);
    return false;
  }

private:
  basp_gate gate_;
  open_count open_;
};

/// An acceptor whose connections are guarded, and bounded in number.
class guarded_doorman final : public net::doorman_impl {
public:
  guarded_doorman(net::default_multiplexer& mx, net::native_socket socket) : doorman_impl(mx, socket) {}

  bool new_connection() override {
    if (detached())
      return false;
    auto& mx = acceptor_.backend();
    const auto socket = acceptor_.accepted_socket();
    if (*open_ >= most_connections()) {
      net::close_socket(socket);
      return true;
    }
    auto peer = caf::make_counted<guarded_scribe>(mx, socket, basp_gate::side::accepted, open_);
    const auto handle = peer->hdl();
    parent()->add_scribe(std::move(peer));
    return doorman::new_connection(&mx, handle);
  }

private:
  open_count open_ = std::make_shared<std::size_t>(0);
};

class guarded_middleman final : public caf::io::middleman_actor_impl {
public:
  using middleman_actor_impl::middleman_actor_impl;

private:
  net::default_multiplexer& multiplexer() {
    return static_cast<net::default_multiplexer&>(system().middleman().backend());
  }

  caf::expected<caf::io::scribe_ptr> connect(const std::string& host, std::uint16_t port) override {
    auto socket = net::new_tcp_connection(host, port);
    if (!socket)
      return std::move(socket.error());
    return caf::make_counted<guarded_scribe>(multiplexer(), *socket, basp_gate::side::connected);
  }

  caf::expected<caf::io::doorman_ptr> open(std::uint16_t port, const char* address, bool reuse) override {
    auto socket = net::new_tcp_acceptor_impl(port, address, reuse);
    if (!socket)
      return std::move(socket.error());
    return caf::make_counted<guarded_doorman>(multiplexer(), *socket);
  }
};

} // namespace

caf::io::middleman_actor spawn_guarded_middleman(caf::actor_system& sys) {
  auto broker = sys.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  // Detached: connecting blocks.
  return sys.spawn<guarded_middleman, caf::detached + caf::hidden>(std::move(broker));
}

} // namespace troupe
