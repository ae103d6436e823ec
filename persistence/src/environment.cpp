#include "environment.hpp"

#include "guarded.hpp"
#include "page_checker.hpp"
#include "upgrade.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace troupe {

namespace fs = std::filesystem;

namespace {

/// Address space only: the map is never resized, because that would pull it away under readers.
constexpr std::size_t map_size = std::size_t{1} << 40;
/// Where sanitizers leave no terabyte of address space.
constexpr std::size_t small_map_size = std::size_t{64} << 30;
constexpr unsigned max_readers = 4096;
constexpr mode_t file_mode = 0640;
constexpr std::uintmax_t smallest_page = 4096;
constexpr std::size_t zero_chunk = std::size_t{1} << 20;

error system_error(const char* doing, int code) { return to_error(storage_error{code, doing}); }

/// Owner of a bare environment while it is being opened.
struct env_closer {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using env_ptr = std::unique_ptr<MDB_env, env_closer>;

/// An open file descriptor.
struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

/// LMDB writes lock.mdb through a map: a page that the disk has no room for would be SIGBUS. So all of it
/// gets its blocks first, and keeps them: a start on a full disk needs no new ones.
void make_room_for_readers(const fs::path& path) {
  // A slot is a cache line; the header takes less than four.
  constexpr off_t bytes = (off_t{max_readers} + 4) * 64;
  const descriptor d{::open((path / "lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, file_mode)};
  if (d.fd < 0)
    throw storage_error{errno, "opening the table of readers"};
  int code = EINTR;
  while (code == EINTR)
    code = ::posix_fallocate(d.fd, 0, bytes);
  if (code != 0)
    throw storage_error{code, "making room for the table of readers"};
}

env_ptr open_env(const fs::path& path, unsigned flags, std::size_t size) {
  if (!(flags & MDB_NOLOCK))
    make_room_for_readers(path);
  MDB_env* raw = nullptr;
  check(mdb_env_create(&raw), "creating an environment");
  env_ptr env(raw);
  check(mdb_env_set_mapsize(raw, size), "setting the map's size");
  check(mdb_env_set_maxdbs(raw, 32), "setting the number of tables");
  check(mdb_env_set_maxreaders(raw, max_readers), "setting the number of readers");
  check(mdb_env_open(raw, path.c_str(), flags | MDB_NOTLS, file_mode), "opening the environment");
  return env;
}

env_ptr open_env(const fs::path& path, unsigned flags) {
  try {
    return open_env(path, flags, map_size);
  } catch (const storage_error& e) {
    if (e.code != ENOMEM)
      throw;
    return open_env(path, flags, small_map_size);
  }
}

std::vector<std::string> check_file(const fs::path& file, bool deep) {
  const descriptor d{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (d.fd < 0)
    throw storage_error{errno, "opening the data file"};
  return page_checker(d.fd).run(deep);
}

} // namespace

error sync_directory(const fs::path& dir) {
  const descriptor d{::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (d.fd < 0 || ::fsync(d.fd) != 0)
    return system_error("syncing a directory", errno);
  return {};
}

environment::~environment() {
  if (env_)
    mdb_env_close(env_);
  if (fd_ >= 0)
    ::close(fd_);
}

error environment::inspect(const fs::path& path, const shard_options& options) {
  // LMDB would begin a new environment in an empty file, were it writable.
  if (fs::file_size(path / "data.mdb") < 2 * smallest_page)
    return {errc::corrupt, path.string() + "/data.mdb is too short for a shard",
            "restore the shard, or point --data elsewhere"};
  if (const auto found = check_file(path / "data.mdb", false); !found.empty())
    return {errc::corrupt, path.string() + "/data.mdb is damaged: " + found.front(),
            "restore the shard from a copy, or move it away to start without it"};
  const auto env = open_env(path, MDB_RDONLY | MDB_NOLOCK);
  const lmdb_txn txn(env.get(), MDB_RDONLY);
  MDB_dbi meta = 0;
  const int rc = mdb_dbi_open(txn.get(), "meta", 0, &meta);
  const error foreign{errc::corrupt, path.string() + " is not a shard of troupe: it has no format version",
                      "point --data at a directory that troupe made"};
  if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
    return foreign;
  check(rc, "opening table meta");
  const auto value = txn.get(meta, meta_format);
  if (!value)
    return foreign;
  const auto format = decode_format(*value);
  if (!format.known())
    return {errc::unknown_version,
            path.string() + " has format version " + std::to_string(format.version) +
                "; this program knows " + std::to_string(format_row::oldest) + " to " +
                std::to_string(format_row::current),
            "open the data directory with the version that wrote it"};
  if (format.shard != options.id || format.shards != options.shards)
    return {errc::invalid_argument,
            path.string() + " was made as shard " + std::to_string(format.shard.value) + " of " +
                std::to_string(format.shards) + ", not as shard " + std::to_string(options.id.value) +
                " of " + std::to_string(options.shards),
            "the number of shards is fixed when a data directory is made"};
  return {};
}

std::unique_ptr<environment> environment::open_files(const fs::path& path, const shard_options& options) {
  std::unique_ptr<environment> e(new environment);
  e->options_ = options;
  e->env_ = open_env(path, 0).release();
  int dead = 0;
  check(mdb_reader_check(e->env_, &dead), "checking the readers");
  build_ages(e->env_);
  lmdb_txn txn(e->env_, 0);
  // A directory of an older version gets the tables that it lacks, and a new version: older programs would
  // trim what dead letters hold, not read a subscription that counts, or leave `ages` behind.
  const auto version = format_version(txn);
  for (const auto& table : all_tables)
    check(mdb_dbi_open(txn.get(), table.name, table.flags | (version < table.since ? MDB_CREATE : 0),
                       &(e->tables_.*table.handle)),
          "opening a table");
  if (version != format_row::current)
    txn.put(e->tables_.meta, meta_format,
            encode(format_row{format_row::current, options.id, options.shards}));
  if (version == 0)
    txn.put(e->tables_.meta, meta_state, encode(state_row{}));
  const auto state = txn.get(e->tables_.meta, meta_state);
  if (!state)
    throw storage_error{MDB_CORRUPTED, "looking for the log's state"};
  e->last_time = to_unix_ms(decode_state(*state).time);
  MDB_stat stat{};
  check(mdb_stat(txn.get(), e->tables_.log, &stat), "asking for the page size");
  e->page_size_ = stat.ms_psize;
  txn.commit();
  e->data_file_ = path / "data.mdb";
  e->fd_ = ::open(e->data_file_.c_str(), O_WRONLY | O_CLOEXEC);
  if (e->fd_ < 0)
    throw storage_error{errno, "opening the data file"};
  return e;
}

error environment::create(const fs::path& path, const shard_options& options) {
  // Made under another name and renamed when complete, so that a crash leaves either nothing or a whole
  // shard.
  const fs::path fresh = path.string() + ".new";
  std::error_code failed;
  fs::remove_all(fresh, failed);
  if (!failed)
    fs::create_directories(fresh, failed);
  if (failed)
    return system_error("making the shard's directory", failed.value());
  {
    const auto e = open_files(fresh, options);
    if (auto err = e->write_zeros(e->file_size() + options.reserve))
      return err;
    if (::fsync(e->fd_) != 0)
      return system_error("syncing the data file", errno);
  }
  fs::remove(fresh / "lock.mdb", failed);
  if (auto err = sync_directory(fresh))
    return err;
  fs::rename(fresh, path, failed);
  if (failed)
    return system_error("naming the shard's directory", failed.value());
  if (auto err = sync_directory(path.parent_path()))
    return err;
  return sync_directory(path.parent_path().parent_path());
}

result<std::unique_ptr<environment>> environment::open(const fs::path& dir, const shard_options& options) {
  using answer = result<std::unique_ptr<environment>>;
  if (options.budget && options.budget < options.reserve + (4u << 20))
    return error{errc::invalid_argument,
                 "a budget of " + std::to_string(options.budget) +
                     " bytes leaves less than 4 MiB beside the reserve of " + std::to_string(options.reserve),
                 "raise the disk budget"};
  const fs::path path = fs::absolute(dir) / ("shard-" + std::to_string(options.id.value));
  return guarded([&]() -> answer {
    std::error_code failed;
    if (!fs::exists(path, failed)) {
      if (failed)
        return system_error("looking for the shard", failed.value());
      if (auto err = create(path, options))
        return err;
    } else if (!fs::is_regular_file(path / "data.mdb", failed)) {
      return error{errc::corrupt, path.string() + " holds no data.mdb",
                   "restore the shard, or point --data elsewhere"};
    }
    if (auto err = inspect(path, options))
      return err;
    return open_files(path, options);
  });
}

std::vector<std::string> environment::check_pages() const { return check_file(data_file_, true); }

page_usage environment::usage(MDB_txn* txn) const {
  page_usage u;
  std::uint64_t pages = 2; // the meta pages
  auto add = [&](MDB_dbi table) {
    MDB_stat stat{};
    check(mdb_stat(txn, table, &stat), "counting pages");
    pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    return stat.ms_entries;
  };
  add(0); // the free list
  add(1); // the table of tables
  for (const auto& table : all_tables) {
    const auto rows = add(tables_.*table.handle);
    if (table.handle == &tables::log)
      u.entries = rows;
  }
  MDB_envinfo info{};
  check(mdb_env_info(env_, &info), "asking for the highest page");
  u.used = pages * page_size_;
  u.high = (info.me_last_pgno + 1) * page_size_;
  return u;
}

std::uint64_t environment::file_size() const {
  struct stat s {};
  if (::fstat(fd_, &s) != 0)
    throw storage_error{errno, "asking for the file's size"};
  return static_cast<std::uint64_t>(s.st_size);
}

error environment::write_zeros(std::uint64_t bytes) {
  static const std::vector<char> zeros(zero_chunk);
  for (std::uint64_t at = file_size(); at < bytes;) {
    const auto n = std::min<std::uint64_t>(bytes - at, zeros.size());
    const auto written = ::pwrite(fd_, zeros.data(), n, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return system_error("extending the data file", written < 0 ? errno : ENOSPC);
    at += static_cast<std::uint64_t>(written);
  }
  return {};
}

error environment::allocate(std::uint64_t bytes) {
  const auto size = file_size();
  if (size >= bytes)
    return {};
  int rc = 0;
  do
    rc = ::fallocate(fd_, 0, static_cast<off_t>(size), static_cast<off_t>(bytes - size)) == 0 ? 0 : errno;
  while (rc == EINTR);
  if (rc == EOPNOTSUPP || rc == ENOSYS)
    return write_zeros(bytes);
  return rc == 0 ? error() : system_error("extending the data file", rc);
}

std::uint64_t environment::available() const {
  struct statvfs s {};
  if (::fstatvfs(fd_, &s) != 0)
    return 0;
  const auto free = static_cast<std::uint64_t>(s.f_bavail) * s.f_frsize;
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return free;
  const auto size = file_size();
  return std::min<std::uint64_t>(free, limit.rlim_cur > size ? limit.rlim_cur - size : 0);
}

} // namespace troupe
