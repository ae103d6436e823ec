#include "silent_peers.hpp"

#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <linux/tcp.h>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>

namespace troupe {

namespace {

/// The local port of a connected or listening TCP socket; 0 for anything else.
std::uint16_t local_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return 0;
  if (address.ss_family == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

bool listens(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value != 0;
}

bool silent(int fd, milliseconds limit) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         milliseconds{info.tcpi_last_data_recv} > limit;
}

struct closer {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

} // namespace

std::size_t close_silent_peers(std::uint16_t port, milliseconds limit) {
  std::unique_ptr<DIR, closer> open_files{::opendir("/proc/self/fd")};
  if (!open_files)
    return 0;
  std::size_t closed = 0;
  while (const auto* entry = ::readdir(open_files.get())) {
    char* end = nullptr;
    const int fd = static_cast<int>(std::strtol(entry->d_name, &end, 10));
    if (end == entry->d_name || local_port(fd) != port || listens(fd) || !silent(fd, limit))
      continue;
    // Not closed here: the descriptor is CAF's, which now reads the end of the connection from it.
    closed += ::shutdown(fd, SHUT_RDWR) == 0;
  }
  return closed;
}

} // namespace troupe
