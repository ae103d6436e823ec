#include "raw_limits.hpp"

#include "latencies.hpp"
#include "scratch_directory.hpp"

#include <lmdb.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint64_t most_written = 256u << 20;
/// LMDB copies the pages on the way from the root to a value, and keeps freed ones for two commits.
constexpr std::uint64_t pages_per_commit = 8;

error system_failure(const std::string& what) {
  return {errc::storage_failed, what + ": " + std::strerror(errno), "see whether the disk has room (--dir)"};
}

/// Runs `step` until the time is over or it gives false; each step counts as `messages` of `bytes`.
template <class Step>
raw_figures measure(std::chrono::milliseconds duration, std::size_t messages, std::size_t bytes, Step step) {
  auto times = std::make_unique<latencies>();
  auto begin = clock::now();
  auto last = begin;
  std::uint64_t steps = 0;
  while (last - begin < duration) {
    if (!step())
      break;
    auto now = clock::now();
    times->record(now - last);
    last = now;
    ++steps;
  }
  raw_figures f;
  f.seconds = std::chrono::duration<double>(last - begin).count();
  f.operations = steps;
  if (f.seconds > 0) {
    f.per_s = static_cast<double>(steps * messages) / f.seconds;
    f.mb_per_s = f.per_s * static_cast<double>(bytes) / 1e6;
  }
  f.p50_us = times->percentile_us(0.5);
  f.p99_us = times->percentile_us(0.99);
  f.p999_us = times->percentile_us(0.999);
  return f;
}

struct socket_fd {
  int fd = -1;
  socket_fd() = default;
  explicit socket_fd(int f) : fd(f) {}
  socket_fd(socket_fd&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  socket_fd& operator=(socket_fd&& other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~socket_fd() {
    if (fd >= 0)
      close(fd);
  }
};

/// Real zeros where the store will grow: a commit that need not grow the file is 1.4 to 1.8 times as fast
/// (measured), and the limit is the best that the machine can do. A shard that grows has allocated blocks
/// there.
error write_ahead(const std::filesystem::path& directory, std::uint64_t bytes) {
  socket_fd file(open((directory / "data.mdb").c_str(), O_WRONLY | O_CLOEXEC));
  const std::vector<char> zeros(1u << 20);
  auto at = lseek(file.fd, 0, SEEK_END);
  for (std::uint64_t written = 0; written < bytes; written += zeros.size(), at += zeros.size())
    if (pwrite(file.fd, zeros.data(), zeros.size(), at) != static_cast<ssize_t>(zeros.size()))
      return system_failure("cannot write a file");
  return fdatasync(file.fd) == 0 ? error() : system_failure("fdatasync");
}

/// An LMDB environment with one table of appended values.
class bare_store {
public:
  ~bare_store() {
    if (env_ != nullptr)
      mdb_env_close(env_);
  }
  int open(const std::filesystem::path& directory) {
    if (int rc = mdb_env_create(&env_))
      return rc;
    mdb_env_set_mapsize(env_, std::size_t{1} << 40);
    if (int rc = mdb_env_open(env_, directory.c_str(), MDB_NOTLS, 0600))
      return rc;
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env_, nullptr, 0, &txn))
      return rc;
    if (int rc = mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &table_)) {
      mdb_txn_abort(txn);
      return rc;
    }
    return mdb_txn_commit(txn);
  }
  int append(std::vector<char>& value) {
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env_, nullptr, 0, &txn))
      return rc;
    ++last_;
    MDB_val key{sizeof last_, &last_};
    MDB_val data{value.size(), value.data()};
    if (int rc = mdb_put(txn, table_, &key, &data, MDB_APPEND)) {
      mdb_txn_abort(txn);
      return rc;
    }
    return mdb_txn_commit(txn);
  }

private:
  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
  std::uint64_t last_ = 0;
};

struct connection {
  socket_fd near;
  socket_fd far;
};

result<connection> connect_over_loopback() {
  socket_fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (listener.fd < 0 || bind(listener.fd, raw, size) != 0 || listen(listener.fd, 1) != 0 ||
      getsockname(listener.fd, raw, &size) != 0)
    return system_failure("cannot listen on loopback");
  connection c;
  c.near = socket_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (c.near.fd < 0 || connect(c.near.fd, raw, size) != 0)
    return system_failure("cannot connect over loopback");
  c.far = socket_fd(accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (c.far.fd < 0)
    return system_failure("cannot accept on loopback");
  int on = 1;
  for (int fd : {c.near.fd, c.far.fd})
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return c;
}

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    auto n = send(fd, data, size, MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool read_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    auto n = read(fd, data, size);
    if (n <= 0)
      return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

} // namespace

result<raw_figures> raw_fdatasync(const std::filesystem::path& directory, std::size_t bytes,
                                  std::chrono::milliseconds duration) {
  auto place = scratch_directory::make(directory);
  if (!place)
    return place.error();
  socket_fd file(open((place->path() / "file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (file.fd < 0)
    return system_failure("cannot write a file");
  std::vector<char> data(bytes, 'x');
  error failed;
  auto figures = measure(duration, 1, bytes, [&] {
    if (write(file.fd, data.data(), data.size()) == static_cast<ssize_t>(data.size()) &&
        fdatasync(file.fd) == 0)
      return true;
    failed = system_failure("fdatasync");
    return false;
  });
  if (failed)
    return failed;
  return figures;
}

result<raw_figures> raw_commit(const std::filesystem::path& directory, std::size_t messages,
                               std::size_t bytes, std::chrono::milliseconds duration) {
  auto place = scratch_directory::make(directory);
  if (!place)
    return place.error();
  bare_store store;
  std::vector<char> value((messages * bytes + 7) / 8 * 8, 'x');
  std::uint64_t written = 0;
  int rc = store.open(place->path());
  // Room for what the time allows at 1 ms a commit, or for all.
  auto room = static_cast<std::uint64_t>(duration.count()) * (value.size() + pages_per_commit * 4096);
  if (auto failed = write_ahead(place->path(), std::min(room, most_written + most_written / 4)))
    return failed;
  auto figures = measure(duration, messages, bytes, [&] {
    if (rc == 0 && written < most_written)
      rc = store.append(value);
    else
      return false;
    written += value.size();
    return rc == 0;
  });
  if (rc != 0)
    return error{errc::storage_failed, std::string("bare LMDB: ") + mdb_strerror(rc),
                 "see whether the disk has room"};
  return figures;
}

raw_figures raw_memcpy(std::size_t bytes, std::chrono::milliseconds duration) {
  // Above what caches hold, as the bytes of a broker are.
  constexpr std::size_t span = 128u << 20;
  bytes = std::min(bytes, span);
  std::vector<char> from(span, 'x');
  std::vector<char> to(span, 'y');
  std::size_t at = 0;
  auto blocks = std::max<std::size_t>(1, (1u << 20) / bytes);
  auto figures = measure(duration, blocks, bytes, [&] {
    for (std::size_t i = 0; i < blocks; ++i) {
      std::memcpy(to.data() + at, from.data() + at, bytes);
      at = at + 2 * bytes <= span ? at + bytes : 0;
    }
    asm volatile("" : : "g"(to.data()) : "memory"); // or the copies are optimised away
    return true;
  });
  return figures;
}

result<raw_figures> raw_round_trip(std::size_t bytes, std::chrono::milliseconds duration) {
  auto c = connect_over_loopback();
  if (!c)
    return c.error();
  std::thread echo([fd = c->far.fd, bytes] {
    std::vector<char> data(bytes);
    while (read_all(fd, data.data(), bytes) && write_all(fd, data.data(), bytes)) {
    }
  });
  std::vector<char> data(bytes, 'x');
  auto figures = measure(duration, 1, bytes, [&] {
    return write_all(c->near.fd, data.data(), bytes) && read_all(c->near.fd, data.data(), bytes);
  });
  shutdown(c->near.fd, SHUT_RDWR);
  echo.join();
  return figures;
}

result<raw_figures> raw_stream(std::size_t bytes, std::chrono::milliseconds duration) {
  auto c = connect_over_loopback();
  if (!c)
    return c.error();
  std::thread sink([fd = c->far.fd] {
    std::vector<char> data(256u << 10);
    while (read(fd, data.data(), data.size()) > 0) {
    }
  });
  constexpr std::size_t block = 64u << 10;
  std::vector<char> data(block, 'x');
  // One write of 64 KiB is so many messages: the limit is the connection, not the system call per message.
  auto figures = measure(duration, 1, block, [&] { return write_all(c->near.fd, data.data(), block); });
  figures.per_s = figures.mb_per_s * 1e6 / static_cast<double>(bytes);
  shutdown(c->near.fd, SHUT_WR);
  sink.join();
  return figures;
}

} // namespace troupe::cli
