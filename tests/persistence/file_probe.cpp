#include "file_probe.hpp"

#include <cerrno>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace troupe::test {

namespace {

struct file_identity {
  dev_t device = 0;
  ino_t node = 0;
  bool operator==(const file_identity&) const = default;
};

std::optional<file_identity> identity(int fd) {
  struct stat s {};
  if (::fstat(fd, &s) != 0)
    return std::nullopt;
  return file_identity{s.st_dev, s.st_ino};
}

file_identity identity(const std::filesystem::path& file) {
  struct stat s {};
  if (::stat(file.c_str(), &s) != 0)
    throw std::runtime_error("no file " + file.string());
  return {s.st_dev, s.st_ino};
}

/// What the calls below look at.
struct probe {
  std::mutex lock;
  std::optional<file_identity> recorded;
  std::vector<file_operation> operations;
  std::optional<file_identity> failing;
  file_fault::plan plan;
  std::uint64_t calls = 0;
  std::uint64_t hits = 0;

  static probe& instance() {
    static probe p;
    return p;
  }

  /// True when this call is to fail.
  bool fails(int fd, file_fault::call what) {
    const std::lock_guard guard(lock);
    if (!failing || plan.what != what || identity(fd) != failing || calls++ < plan.after)
      return false;
    ++hits;
    return true;
  }

  void record(int fd, std::uint64_t offset, const void* data, std::size_t size) {
    const std::lock_guard guard(lock);
    if (!recorded || identity(fd) != recorded)
      return;
    const bool durable = ::fcntl(fd, F_GETFL) & O_DSYNC;
    operations.push_back({durable ? file_operation::kind::durable_write : file_operation::kind::write, offset,
                          std::string(static_cast<const char*>(data), size)});
  }

  void record(int fd, file_operation::kind what, std::uint64_t size = 0) {
    const std::lock_guard guard(lock);
    if (recorded && identity(fd) == recorded)
      operations.push_back({what, size, {}});
  }
};

template <class Function> Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// Cut to half and to whole sectors, but never to nothing.
std::size_t cut(std::size_t size) { return size <= 512 ? size / 2 : size / 2 / 512 * 512; }

} // namespace

file_recorder::file_recorder(const std::filesystem::path& file) {
  auto& p = probe::instance();
  const auto id = identity(file);
  const std::lock_guard guard(p.lock);
  p.recorded = id;
  p.operations.clear();
}

file_recorder::~file_recorder() {
  auto& p = probe::instance();
  const std::lock_guard guard(p.lock);
  p.recorded.reset();
  p.operations.clear();
}

std::size_t file_recorder::size() const {
  auto& p = probe::instance();
  const std::lock_guard guard(p.lock);
  return p.operations.size();
}

std::vector<file_operation> file_recorder::take() {
  auto& p = probe::instance();
  const std::lock_guard guard(p.lock);
  return std::exchange(p.operations, {});
}

file_fault::file_fault(const std::filesystem::path& file, plan how) {
  auto& p = probe::instance();
  const auto id = identity(file);
  const std::lock_guard guard(p.lock);
  p.failing = id;
  p.plan = how;
  p.calls = p.hits = 0;
}

file_fault::~file_fault() {
  auto& p = probe::instance();
  const std::lock_guard guard(p.lock);
  p.failing.reset();
}

std::uint64_t file_fault::hits() const {
  auto& p = probe::instance();
  const std::lock_guard guard(p.lock);
  return p.hits;
}

} // namespace troupe::test

namespace {

using troupe::test::file_fault;
using troupe::test::file_operation;
using troupe::test::probe;
using troupe::test::real;

/// How much of a write of `size` bytes may happen; nothing when it fails outright (errno is set).
std::optional<std::size_t> allowed(int fd, std::size_t size) {
  auto& p = probe::instance();
  if (!p.fails(fd, file_fault::call::write))
    return size;
  if (p.plan.error == 0)
    return troupe::test::cut(size);
  errno = p.plan.error;
  return std::nullopt;
}

bool sync_allowed(int fd) {
  auto& p = probe::instance();
  if (!p.fails(fd, file_fault::call::sync))
    return true;
  errno = p.plan.error;
  return false;
}

ssize_t recorded(int fd, std::uint64_t offset, const void* data, ssize_t written) {
  const int error = errno;
  if (written > 0)
    probe::instance().record(fd, offset, data, static_cast<std::size_t>(written));
  errno = error;
  return written;
}

} // namespace

// The executable's definitions win over those of shared libraries.
extern "C" {

ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) {
  static auto* const call = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
  const auto n = allowed(fd, size);
  return n ? recorded(fd, static_cast<std::uint64_t>(offset), data, call(fd, data, *n, offset)) : -1;
}

ssize_t pwrite64(int fd, const void* data, std::size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}

ssize_t write(int fd, const void* data, std::size_t size) {
  static auto* const call = real<ssize_t(int, const void*, std::size_t)>("write");
  const auto offset = ::lseek(fd, 0, SEEK_CUR);
  const auto n = allowed(fd, size);
  return n ? recorded(fd, offset < 0 ? 0 : static_cast<std::uint64_t>(offset), data, call(fd, data, *n)) : -1;
}

ssize_t writev(int fd, const iovec* parts, int count) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return write(fd, all.data(), all.size());
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  static auto* const call = real<int(int, int, off_t, off_t)>("fallocate");
  auto& p = probe::instance();
  if (p.fails(fd, file_fault::call::allocate) || p.fails(fd, file_fault::call::write)) {
    errno = p.plan.error == 0 ? ENOSPC : p.plan.error;
    return -1;
  }
  const int answer = call(fd, mode, offset, size);
  if (answer == 0)
    p.record(fd, file_operation::kind::resize, static_cast<std::uint64_t>(offset + size));
  return answer;
}

int fallocate64(int fd, int mode, off_t offset, off_t size) { return fallocate(fd, mode, offset, size); }

int fdatasync(int fd) {
  static auto* const call = real<int(int)>("fdatasync");
  if (!sync_allowed(fd))
    return -1;
  const int answer = call(fd);
  if (answer == 0)
    probe::instance().record(fd, file_operation::kind::sync);
  return answer;
}

int fsync(int fd) {
  static auto* const call = real<int(int)>("fsync");
  if (!sync_allowed(fd))
    return -1;
  const int answer = call(fd);
  if (answer == 0)
    probe::instance().record(fd, file_operation::kind::sync);
  return answer;
}

int ftruncate(int fd, off_t size) {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  const int answer = call(fd, size);
  if (answer == 0)
    probe::instance().record(fd, file_operation::kind::resize, static_cast<std::uint64_t>(size));
  return answer;
}

} // extern "C"
