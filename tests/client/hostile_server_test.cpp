#include "troupe/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

/// Listens on loopback and says the same to whoever connects. Then it hangs up, or is silent for good.
class hostile_server {
public:
  hostile_server(std::string says, bool hangs_up)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), says_(std::move(says)),
        hangs_up_(hangs_up) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&any), size) != 0 ||
        ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size) != 0)
      throw std::runtime_error(std::string{"no server: "} + std::strerror(errno));
    address_ = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
    server_ = std::thread{[this] { serve(); }};
  }
  ~hostile_server() {
    ::shutdown(listener_, SHUT_RDWR); // accept() then fails
    server_.join();
    ::close(listener_);
  }
  const std::string& address() const { return address_; }
  int accepted() const { return accepted_; }

private:
  void serve() {
    std::vector<int> peers;
    for (int peer = 0; (peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      ++accepted_;
      for (std::string_view left = says_; !left.empty();) {
        const auto n = ::send(peer, left.data(), left.size(), MSG_NOSIGNAL);
        if (n <= 0)
          break;
        left.remove_prefix(static_cast<std::size_t>(n));
      }
      if (hangs_up_)
        ::close(peer);
      else
        peers.push_back(peer);
    }
    for (auto peer : peers)
      ::close(peer);
  }

  int listener_;
  const std::string says_;
  const bool hangs_up_;
  std::string address_;
  std::atomic<int> accepted_{0};
  std::thread server_;
};

/// A header of CAF's binary actor system protocol: operation, 3 bytes of flags, length of the payload,
/// version and actors; big endian.
std::string header(char operation, std::uint32_t payload, char version = 3) {
  std::string h(32, '\0');
  h[0] = operation;
  for (std::size_t i = 0; i < 4; ++i)
    h[4 + i] = static_cast<char>(payload >> (24 - 8 * i));
  h[15] = version;
  return h;
}

std::string random_bytes(std::size_t n, std::uint32_t seed) {
  std::minstd_rand random{seed};
  std::string bytes(n, '\0');
  for (auto& b : bytes)
    b = static_cast<char>(random() >> 8);
  return bytes;
}

/// The most memory that this process ever had, in KiB.
long peak_memory() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return used.ru_maxrss;
}

TEST(HostileServer, IsAnErrorForTheClientWhateverItSays) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr char server_handshake = 0;
  constexpr char client_handshake = 1;
  constexpr char routed = 3;
  const auto before = peak_memory();
  const std::vector<std::string> sayings{"",
                                         "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
                                         random_bytes(31, seed),
                                         random_bytes(1 << 20, seed),
                                         std::string(1 << 20, '\0'),
                                         header(server_handshake, 0),
                                         header(client_handshake, 0),
                                         header(server_handshake, 0xffffffff),
                                         header(server_handshake, 0xffffffff) + random_bytes(1 << 20, seed),
                                         header(routed, 0xffffffff),
                                         header(server_handshake, 100) + random_bytes(100, seed),
                                         header(server_handshake, 60'000) + random_bytes(60'000, seed)};
  for (std::size_t i = 0; i < sayings.size(); ++i)
    for (bool hangs_up : {true, false}) {
      SCOPED_TRACE("saying " + std::to_string(i) + (hangs_up ? ", hangs up" : ", is silent then"));
      hostile_server server{sayings[i], hangs_up};
      const auto c = client::connect({.address = server.address(), .timeout = 300ms});
      ASSERT_FALSE(c);
      EXPECT_TRUE(c.error().code == errc::disconnected || c.error().code == errc::timeout)
          << to_string(c.error());
      EXPECT_FALSE(c.error().hint.empty());
    }
  EXPECT_LT(peak_memory() - before, 256 << 10) << "KiB";
}

TEST(HostileServer, IsGivenTheWholeTimeToBecomeANode) {
  hostile_server server{"", true};
  const auto c = client::connect({.address = server.address(), .timeout = 2s});
  ASSERT_FALSE(c);
  EXPECT_GT(server.accepted(), 1);
  EXPECT_THAT(c.error().reason,
              testing::HasSubstr("accepts connections at " + server.address() + " but did not answer"));
}

TEST(HostileServer, IsToldApartFromNobody) {
  std::string address;
  { address = hostile_server{"", true}.address(); }
  const auto c = client::connect({.address = address, .timeout = 60s});
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, errc::disconnected);
  EXPECT_EQ(c.error().reason, "nobody listens at " + address);
}

} // namespace
} // namespace troupe
