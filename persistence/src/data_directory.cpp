#include "troupe/data_directory.hpp"

#include "environment.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <optional>
#include <random>
#include <string_view>
#include <sys/file.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view title = "troupe data directory";
constexpr std::size_t max_meta = 4096;

error failed(const std::string& what, const fs::path& path, int code) {
  return {errc::storage_failed, what + ' ' + path.string() + ": " + std::strerror(code),
          "check that the directory exists, is on a healthy disk and that this user may write there"};
}

/// What `meta` says.
struct meta {
  int format = 0;
  std::uint16_t shards = 0;
  std::string identity;
};

std::string to_text(const meta& m) {
  return std::string{title} + "\nformat = " + std::to_string(m.format) +
         "\nshards = " + std::to_string(m.shards) + "\nidentity = " + m.identity + "\n";
}

/// The file's text; nothing when there is none.
result<std::optional<std::string>> read_text(const fs::path& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT)
      return std::optional<std::string>{};
    return failed("cannot read", path, errno);
  }
  std::string text(max_meta, '\0');
  auto n = ::read(fd, text.data(), text.size());
  auto code = errno;
  ::close(fd);
  if (n < 0)
    return failed("cannot read", path, code);
  text.resize(static_cast<std::size_t>(n));
  return std::optional{std::move(text)};
}

error write_text(const fs::path& path, std::string_view text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return failed("cannot write", path, errno);
  bool ok = true;
  while (ok && !text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR)
      continue;
    ok = n > 0;
    if (ok)
      text.remove_prefix(static_cast<std::size_t>(n));
  }
  ok = ok && ::fsync(fd) == 0;
  auto code = errno;
  ::close(fd);
  return ok ? error{} : failed("cannot write", path, code);
}

/// The number after "name = " on the line at the front of `text`, which it takes away; nothing when that line
/// is another.
std::optional<std::string> take_line(std::string_view& text, std::string_view name) {
  auto end = text.find('\n');
  if (end == std::string_view::npos)
    return std::nullopt;
  auto line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (name.empty())
    return std::string{line};
  auto prefix = std::string{name} + " = ";
  if (!line.starts_with(prefix))
    return std::nullopt;
  return std::string{line.substr(prefix.size())};
}

std::optional<int> number(const std::optional<std::string>& text) {
  if (!text || text->empty() || text->size() > 9 ||
      text->find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoi(*text);
}

result<meta> parse(const fs::path& path, std::string_view text) {
  error damaged{errc::corrupt, path.string() + " is not what a node wrote there",
                "restore it from a backup; the shards themselves may be sound"};
  if (take_line(text, "") != title)
    return damaged;
  auto format = number(take_line(text, "format"));
  if (!format)
    return damaged;
  if (*format != data_directory::format_version)
    return error{errc::unknown_version,
                 path.parent_path().string() + " has format version " + std::to_string(*format) +
                     "; this program knows version " + std::to_string(data_directory::format_version),
                 "use the program that made it; nothing was changed"};
  auto shards = number(take_line(text, "shards"));
  auto identity = take_line(text, "identity");
  if (!shards || *shards < 1 || *shards > data_directory::max_shards || !identity || identity->size() != 32 ||
      !text.empty())
    return damaged;
  return meta{*format, static_cast<std::uint16_t>(*shards), *identity};
}

/// What `name` in a data directory says; nothing when it does not exist.
result<std::optional<meta>> read_meta(const fs::path& dir, const char* name) {
  auto text = read_text(dir / name);
  if (!text)
    return text.error();
  if (!*text)
    return std::optional<meta>{};
  auto parsed = parse(dir / name, **text);
  if (!parsed)
    return parsed.error();
  return std::optional{std::move(*parsed)};
}

std::string draw_identity() {
  constexpr char digits[] = "0123456789abcdef";
  std::random_device source;
  std::string result;
  for (int i = 0; i < 8; ++i)
    for (auto [bits, n] = std::pair{source(), 0}; n < 4; ++n, bits >>= 4)
      result += digits[bits & 15];
  return result;
}

/// Writes who holds the lock, always as many bytes: the file keeps its block, so that a full disk does not
/// stop the next start.
bool show(int lock, std::string owner) {
  owner.resize(15, ' ');
  owner += '\n';
  return ::pwrite(lock, owner.data(), owner.size(), 0) == static_cast<ssize_t>(owner.size());
}

/// An error when a directory that is no node's yet holds something else. `ours`: further names that may be
/// there.
error check_strangers(const fs::path& dir, std::initializer_list<std::string_view> ours = {}) {
  std::error_code code;
  for (fs::directory_iterator at{dir, code}, end; !code && at != end; at.increment(code)) {
    auto name = at->path().filename().string();
    if (name != "LOCK" && name != "lost+found" && std::ranges::find(ours, name) == ours.end())
      return {errc::invalid_argument, dir.string() + " is no data directory of a node: it holds " + name,
              "name an empty or a new directory"};
  }
  return code ? failed("cannot list", dir, code.value()) : error{};
}

/// True when a node has begun to make the directory, or is making it just now.
bool begun(const fs::path& dir) {
  std::error_code unknown;
  return fs::exists(dir / "meta.new", unknown) || fs::exists(dir / "meta", unknown);
}

/// "shard-12" or "shard-12.new": what a node makes there.
bool names_shard(std::string_view name) {
  constexpr std::string_view prefix = "shard-";
  if (!name.starts_with(prefix))
    return false;
  name.remove_prefix(prefix.size());
  if (name.ends_with(".new"))
    name.remove_suffix(4);
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Removes the shards of a directory that was never completed; durable before anything else is written.
error remove_shards(const fs::path& dir) {
  std::vector<fs::path> shards;
  std::error_code code;
  for (fs::directory_iterator at{dir, code}, end; !code && at != end; at.increment(code))
    if (names_shard(at->path().filename().string()))
      shards.push_back(at->path());
  for (const auto& shard : shards)
    if (!code)
      fs::remove_all(shard, code);
  return code ? failed("cannot clear", dir, code.value()) : sync_directory(dir);
}

error other_number(std::uint16_t has, std::uint16_t wanted) {
  return {errc::invalid_argument,
          "the data directory was made for " + std::to_string(has) + " shard(s), not " +
              std::to_string(wanted) + "; the number is fixed then, because a queue's shard follows from it",
          "leave the number out, or start with a new directory"};
}

} // namespace

data_directory::data_directory(data_directory&& other) noexcept { *this = std::move(other); }

data_directory& data_directory::operator=(data_directory&& other) noexcept {
  if (this != &other) {
    unlock();
    path_ = std::move(other.path_);
    identity_ = std::move(other.identity_);
    shards_ = other.shards_;
    fresh_ = other.fresh_;
    lock_ = std::exchange(other.lock_, -1);
  }
  return *this;
}

data_directory::~data_directory() { unlock(); }

result<data_directory> data_directory::open(const fs::path& path, std::uint16_t shards) {
  return open(path, shards, true);
}

result<data_directory> data_directory::open_existing(const fs::path& path) { return open(path, 0, false); }

result<data_directory> data_directory::open(const fs::path& path, std::uint16_t shards, bool make) {
  data_directory dir;
  std::error_code code;
  dir.path_ = fs::absolute(path, code);
  auto kind = fs::status(dir.path_, code);
  if (fs::exists(kind) && !fs::is_directory(kind))
    return error{errc::invalid_argument, dir.path_.string() + " is not a directory", "name a directory"};
  // Before anything is written: a directory of another version stays as it is.
  auto known = read_meta(dir.path_, "meta");
  if (!known)
    return known.error();
  if (!*known && !make && fs::exists(dir.path_ / "meta.new", code))
    return error{errc::not_found,
                 dir.path_.string() +
                     " was never completed: its first start was cut short, so no message was "
                     "ever accepted there",
                 "start a node with it: it is made anew then"};
  if (!*known && !make)
    return error{errc::not_found, dir.path_.string() + " is no data directory of a node: it has no file meta",
                 "name the directory that a node was started with"};
  if (!*known && (fs::create_directories(dir.path_, code), code))
    return failed("cannot make", dir.path_, code.value());
  // Before the lock file too: what is somebody else's stays as it is. What was begun the lock decides:
  // another node may be making it just now.
  if (!*known && !begun(dir.path_))
    if (auto err = check_strangers(dir.path_))
      return err;
  if (auto err = dir.lock())
    return err;
  // Again, now that nobody else can be making it.
  known = read_meta(dir.path_, "meta");
  if (!known)
    return known.error();
  if (!*known) {
    if (auto err = dir.begin(shards == 0 ? 1 : shards))
      return err;
    return dir;
  }
  dir.shards_ = (*known)->shards;
  dir.identity_ = (*known)->identity;
  if (shards != 0 && shards != dir.shards_)
    return other_number(dir.shards_, shards);
  if (auto err = dir.check_shards())
    return err;
  return dir;
}

error data_directory::lock() {
  auto file = path_ / "LOCK";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    return failed("cannot open", file, errno);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    auto code = errno;
    char text[32] = {};
    auto n = ::read(lock_, text, sizeof text - 1);
    ::close(std::exchange(lock_, -1));
    if (code != EWOULDBLOCK)
      return failed("cannot lock", file, code);
    std::string pid{text, n > 0 ? static_cast<std::size_t>(n) : 0};
    pid.erase(pid.find_last_not_of(" \n") + 1);
    return {errc::in_use,
            path_.string() + " is in use by " +
                (pid.empty() ? "another process" : "the node with process id " + pid),
            "stop that one first, or name another directory"};
  }
  // The lock is what counts. On a full disk the pid may not be written: then none is shown.
  if (!show(lock_, std::to_string(::getpid())) && ::ftruncate(lock_, 0) != 0)
    errno = 0;
  return {};
}

void data_directory::unlock() noexcept {
  if (lock_ < 0)
    return;
  // Whoever holds no lock has no pid to show. When it fails the next holder overwrites it.
  show(lock_, "");
  ::close(std::exchange(lock_, -1));
}

error data_directory::begin(std::uint16_t shards) {
  if (shards > max_shards)
    return {errc::invalid_argument,
            "a node has 1 to " + std::to_string(max_shards) + " shards, not " + std::to_string(shards)};
  // Left by a node that ended while it made the directory, before it could acknowledge anything: there is
  // nothing to lose, and what is asked for now counts. No shard is made before meta.new is whole and durable,
  // so beside one that is not whole there is nothing of ours.
  auto unfinished = read_meta(path_, "meta.new");
  if (!unfinished && unfinished.error().code != errc::corrupt)
    return unfinished.error();
  const bool ours = unfinished && *unfinished;
  if (auto err = ours ? remove_shards(path_) : check_strangers(path_, {"meta.new"}))
    return err;
  identity_ = draw_identity();
  shards_ = shards;
  fresh_ = true;
  if (auto err = write_text(path_ / "meta.new", to_text({format_version, shards_, identity_})))
    return err;
  return sync_directory(path_);
}

error data_directory::complete() {
  if (!fresh_)
    return {};
  if (auto err = check_shards())
    return err;
  if (::rename((path_ / "meta.new").c_str(), (path_ / "meta").c_str()) != 0)
    return failed("cannot complete", path_, errno);
  fresh_ = false;
  if (auto err = sync_directory(path_))
    return err;
  // The directory's own entry, when it was made just now.
  return sync_directory(path_.parent_path());
}

error data_directory::check_shards() const {
  for (int n = 0; n < shards_; ++n) {
    auto shard = path_ / ("shard-" + std::to_string(n));
    std::error_code code;
    if (!fs::is_directory(shard, code) || fs::is_empty(shard, code))
      return {errc::corrupt,
              shard.string() + " is missing: the directory was made with " + std::to_string(shards_) +
                  " shard(s)",
              "restore it from a backup; starting without it would lose what was acknowledged"};
  }
  return {};
}

} // namespace troupe
