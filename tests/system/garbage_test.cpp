#include "ledger.hpp"
#include "loader.hpp"
#include "system_fixture.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cstring>
#include <iostream>
#include <netinet/in.h>
#include <poll.h>
#include <random>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::test {

namespace {

/// A bare TCP connection to a node.
class line {
public:
  explicit line(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to " + address);
  }
  ~line() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  line(line&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  line& operator=(line&&) = delete;

  /// As much as the other side takes; it may hang up in the middle.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready{fd_, POLLOUT, 0};
      if (::poll(&ready, 1, 1000) <= 0)
        return;
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0)
        return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  /// What the other side says first: a node greets whoever connects.
  std::string greeting() {
    std::string bytes(4096, '\0');
    pollfd ready{fd_, POLLIN, 0};
    const auto n = ::poll(&ready, 1, 10'000) > 0 ? ::recv(fd_, bytes.data(), bytes.size(), 0) : 0;
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
  /// True once the node has closed the connection; what it says until then is thrown away.
  bool closed_within(std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd ready{fd_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0)
        return false;
      char thrown_away[4096];
      if (::recv(fd_, thrown_away, sizeof thrown_away, 0) <= 0)
        return true;
    }
  }
  /// Resets the connection instead of closing it in good order.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(fd_, -1));
  }

private:
  int fd_;
};

/// A header of CAF's binary actor system protocol: operation, 2 zeros, flags, payload length, operation data,
/// source and destination actor; big endian.
std::string header(std::uint8_t operation, std::uint32_t payload, std::uint64_t data) {
  std::string h(4, '\0');
  h[0] = static_cast<char>(operation);
  for (int shift = 24; shift >= 0; shift -= 8)
    h.push_back(static_cast<char>(payload >> shift));
  for (int shift = 56; shift >= 0; shift -= 8)
    h.push_back(static_cast<char>(data >> shift));
  h.append(16, '\0');
  return h;
}

} // namespace

TEST(garbage_test, whatever_arrives_on_the_port_the_node_goes_on_and_clients_do_not_notice) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "garbage on the port, " << random.describe() << std::endl;
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  must(c.create_topic("orders", {.queues = 2}));
  ledger books;
  loader load{connect(node), {.topic = "orders"}, {.seed = random.next()}, books};

  // What one client says, for replay: the node's own greeting is a well-formed one.
  const auto spoken = line{node.address()}.greeting();
  ASSERT_FALSE(spoken.empty());
  std::vector<line> silent;
  for (int i = 0; i < 200; ++i) {
    line to{node.address()};
    switch (random.below(8)) {
    case 0: // noise
      to.send(random.bytes(random.between(1, 20'000)));
      break;
    case 1: // nothing, and stays
      silent.push_back(std::move(to));
      continue;
    case 2: // another protocol
      to.send("GET / HTTP/1.1\r\nHost: node\r\n\r\n");
      break;
    case 3: // the beginning of a header, and stays
      to.send(std::string_view{spoken}.substr(0, random.below(spoken.size())));
      silent.push_back(std::move(to));
      continue;
    case 4: // a header that announces gigabytes, and a little of it
      to.send(header(static_cast<std::uint8_t>(random.below(8)), 0xfffffff0u, random.next()));
      to.send(random.bytes(1000));
      break;
    case 5: { // a greeting with flipped bits
      auto bent = spoken;
      for (auto flips = random.between(1, 8); flips > 0; --flips)
        bent[random.below(bent.size())] ^= static_cast<char>(1 << random.below(8));
      to.send(bent);
      break;
    }
    case 6: // a proper greeting, then noise in proper frames
      to.send(spoken);
      for (int n = 0; n < 5; ++n) {
        const auto body = random.bytes(random.below(300));
        to.send(header(static_cast<std::uint8_t>(random.below(8)), static_cast<std::uint32_t>(body.size()),
                       random.next()) +
                body);
      }
      break;
    default:
      to.half_close();
      break;
    }
    if (random.one_in(2))
      to.reset();
  }
  EXPECT_LT(node.anonymous_memory(), 512u << 20) << "announced gigabytes were taken at their word";

  // The load went on all the time and goes on now, over the same connection; new clients come in.
  const auto goal = books.acknowledged() + 1000;
  EXPECT_TRUE(eventually([&] { return books.acknowledged() >= goal; })) << node.log();
  auto late = connect(node);
  EXPECT_EQ(must(late.node_status()).state, "running");
  load.stop();
  EXPECT_EQ(load.statistics().reconnects, 0u) << "a well-behaved client lost its connection";
  EXPECT_EQ(books.failed(), 0u) << books.first_failure();
  books.expect_exactly_once(read_by_consumer(c, "orders", "fresh"));
  EXPECT_EQ(node.stop(), 0) << node.log();
  EXPECT_EQ(node.verify().status, 0);
}

TEST(garbage_test, connections_that_are_refused_leave_no_descriptor_behind) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  const auto before = node.open_files();
  const std::string refused[] = {std::string(500, '\xff'),
                                 header(1, 60'000, 3) + std::string(100, 'x'),
                                 header(1, 200, 3) + std::string(200, 'x'),
                                 header(3, 1, 0) + "x",
                                 header(1, 0, 0),
                                 header(1, 0xfffffff0u, 0),
                                 std::string(3000, 'g')};
  for (int i = 0; i < 20; ++i)
    for (const auto& bytes : refused)
      line{node.address()}.send(bytes);
  EXPECT_TRUE(eventually([&] { return node.open_files() <= before; }))
      << node.open_files() << " > " << before;
  EXPECT_TRUE(c.node_status());
}

TEST(garbage_test, a_connection_that_says_nothing_is_closed) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  line silent{node.address()};
  EXPECT_TRUE(silent.closed_within(40s));
  EXPECT_TRUE(connect(node).node_status());
}

TEST(garbage_test, more_connections_than_descriptors_shut_nobody_out_for_good) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  constexpr std::size_t descriptors = 300;
  const rlimit few{descriptors, descriptors};
  ASSERT_EQ(::prlimit(node.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  std::vector<line> many;
  for (std::size_t i = 0; i < 2 * descriptors; ++i)
    many.emplace_back(node.address());
  EXPECT_TRUE(c.node_status()) << "who is connected notices nothing";
  must(c.create_topic("meanwhile"));
  EXPECT_LT(node.open_files(), descriptors - 32) << "files and threads have theirs";
  many.clear();
  EXPECT_TRUE(
      eventually([&] { return client::connect({.address = node.address(), .timeout = 1s}).has_value(); }));
}

} // namespace troupe::test
