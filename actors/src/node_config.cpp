#include "node_address.hpp"
#include "troupe/data_directory.hpp"
#include "troupe/node.hpp"
#include "troupe/units.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe {

namespace {

constexpr std::uint64_t min_budget_per_shard = 128u << 20;
constexpr std::uint64_t min_in_flight = 16u << 20;
constexpr std::size_t max_name = 255;
constexpr milliseconds max_max_delay = std::chrono::hours{24 * 36500};
constexpr std::uint64_t min_key_memory = 1u << 20;
/// Ages are known to the hour.
constexpr milliseconds min_producer_memory = std::chrono::hours{1};
constexpr milliseconds max_producer_memory = std::chrono::hours{24 * 3650};

error invalid(std::string why, std::string todo) {
  return {errc::invalid_argument, std::move(why), std::move(todo)};
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    auto bits = reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr;
    return (ntohl(bits) >> 24) == 127;
  }
  return address.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

using addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

result<addresses> look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* raw = nullptr;
  if (auto code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw); code != 0)
    return invalid("cannot listen on " + host + ": " + ::gai_strerror(code),
                   "use 127.0.0.1, or a name or address of this machine");
  return addresses{raw, ::freeaddrinfo};
}

/// An errno; 0 when the address could be had.
int try_bind(const addrinfo& at) {
  int fd = ::socket(at.ai_family, at.ai_socktype | SOCK_CLOEXEC, at.ai_protocol);
  if (fd < 0)
    return errno;
  // As the node itself binds: a port whose last owner ended a moment ago is free.
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int code = ::bind(fd, at.ai_addr, at.ai_addrlen) == 0 ? 0 : errno;
  ::close(fd);
  return code;
}

} // namespace

error validate(const node_config& c) {
  if (c.data.empty())
    return invalid("no data directory is given", "name one: it is made when it does not exist");
  if (c.shards > data_directory::max_shards)
    return invalid("the number of shards is " + std::to_string(c.shards) + "; it must be 1 to " +
                       std::to_string(data_directory::max_shards),
                   "one shard per disk, or per two cores that publish, is plenty");
  const auto shards = c.shards == 0 ? 1u : c.shards;
  if (c.disk_budget != 0 && c.disk_budget / shards < min_budget_per_shard)
    return invalid("the disk budget is " + format_size(c.disk_budget) + " for " + std::to_string(shards) +
                       " shard(s); each needs at least " + format_size(min_budget_per_shard) +
                       ", of which 64MiB are a reserve for settles and deletes",
                   "raise it, or use 0 for all that the file system has");
  if (c.in_flight < min_in_flight)
    return invalid("the limit of bytes in flight is " + format_size(c.in_flight) + "; it must be at least " +
                       format_size(min_in_flight),
                   "raise it");
  if (c.max_delay < milliseconds{1} || c.max_delay > max_max_delay)
    return invalid("the longest delay is " + format_duration(c.max_delay) + "; it must be 1ms to " +
                       format_duration(max_max_delay),
                   "40d is the default");
  if (c.key_memory / shards < min_key_memory)
    return invalid("the memory for keys is " + format_size(c.key_memory) + " for " + std::to_string(shards) +
                       " shard(s); each needs at least " + format_size(min_key_memory),
                   "raise it");
  if (auto wrong = validate(c.transaction_checks))
    return wrong;
  if (c.max_producers == 0)
    return invalid("a shard would remember no producer", "let it remember at least one");
  if (c.producer_memory < min_producer_memory || c.producer_memory > max_producer_memory)
    return invalid("producers would be remembered for " + format_duration(c.producer_memory) +
                       "; it must be from " + format_duration(min_producer_memory) + " to " +
                       format_duration(max_producer_memory),
                   "choose a time in between");
  if (c.name.size() > max_name)
    return invalid("the node's name has " + std::to_string(c.name.size()) + " bytes; at most " +
                       std::to_string(max_name) + " are allowed",
                   "choose a shorter one");
  const int given = !c.tls_certificate.empty() + !c.tls_key.empty() + !c.tls_ca.empty();
  if (given != 0 && given != 3)
    return invalid("TLS needs a certificate, a key and a CA; " + std::to_string(given) +
                       " of the three are given",
                   "give all three, or none to listen on loopback in plain TCP");
  if (c.host.empty() && given != 0)
    return invalid("TLS files are given for a node that listens nowhere", "give an address to listen on");
  return {};
}

error check_address(const node_config& config) {
  auto found = look_up(config.host, 0);
  if (!found)
    return found.error();
  for (const auto* at = found->get(); at; at = at->ai_next)
    if (!is_loopback(*at->ai_addr) && config.tls_ca.empty())
      return invalid(
          config.host +
              " is not loopback, and no TLS files are given: whoever reaches this port has all rights",
          "listen on 127.0.0.1, or give a certificate, its key and the private CA of all peers");
  return {};
}

error check_port(const node_config& config) {
  if (config.host.empty() || config.port == 0)
    return {};
  auto found = look_up(config.host, config.port);
  if (!found)
    return found.error();
  int code = EADDRNOTAVAIL;
  for (const auto* at = found->get(); at; at = at->ai_next) {
    code = try_bind(*at);
    if (code == 0)
      return {};
    if (code == EADDRINUSE)
      break;
  }
  const auto where = join_address(config.host, config.port);
  if (code == EADDRINUSE)
    return {errc::in_use, where + " is in use by another program", "choose another --listen"};
  return invalid("cannot listen on " + where + ": " + std::strerror(code),
                 code == EACCES ? "choose a port from 1024 on" : "use an address of this machine");
}

std::string join_address(const std::string& host, std::uint16_t port) {
  auto shown = host.find(':') == std::string::npos ? host : '[' + host + ']';
  return shown + ':' + std::to_string(port);
}

} // namespace troupe
