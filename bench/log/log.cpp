// What a durable commit of the shard's log costs beside the same bytes in bare LMDB and in a plain file.
// README.md.

#include "scratch.hpp"

#include "troupe/shard.hpp"
#include "troupe/shard_log.hpp"

#include <lmdb.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace troupe;
using steady = std::chrono::steady_clock;

/// One kind of commit: so many queues, each with one batch of so many messages.
struct shape {
  const char* name;
  std::uint32_t queues;
  std::uint32_t messages;
  std::uint32_t size;
  std::uint64_t count() const { return std::uint64_t{queues} * messages; }
};

constexpr shape shapes[] = {
    {"1 x 100 B", 1, 1, 100},
    {"100 x 100 B", 1, 100, 100},
    {"1000 x 100 B", 1, 1000, 100},
    {"2500 x 100 B", 1, 2500, 100},
    {"4 queues, 256 KiB each of 1 KiB", 4, 250, 1024},
    {"10 queues, 100 x 100 B each", 10, 100, 100},
    {"100 queues, 10 x 100 B each", 100, 10, 100},
    {"1000 queues, 1 x 100 B each", 1000, 1, 100},
};

struct settings {
  std::filesystem::path dir = std::filesystem::temp_directory_path();
  int rounds = 15;
  int commits = 20;
  bool json = false;
  /// Only shapes whose name contains it.
  std::string only;
};

void require(bool ok, const char* what) {
  if (!ok)
    throw std::runtime_error(what);
}

/// What commits the same records in one way or another.
class contender {
public:
  virtual ~contender() = default;
  virtual void commit() = 0;
};

/// The batches of a commit; their sequences move on.
class workload {
public:
  explicit workload(const shape& s) : shape_(s) {
    message m;
    m.body.assign(s.size, 'x');
    batch_builder builder;
    for (std::uint32_t q = 0; q < s.queues; ++q) {
      for (std::uint32_t i = 0; i < s.messages; ++i)
        builder.add(m);
      auto b = builder.finish();
      b.header.producer = producer_id{1};
      b.header.epoch = producer_epoch{1};
      proposals_.push_back({from_unix_ms(1'700'000'000'000), append_entry{queue_id{q + 1}, {std::move(b)}}});
    }
  }

  std::span<const proposal> next() {
    ++sequence_;
    for (auto& p : proposals_) {
      std::get<append_entry>(p.body).batches.front().header.sequence = batch_sequence{sequence_};
      p.time += milliseconds{1};
    }
    return proposals_;
  }
  std::size_t records() const { return proposals_.size(); }
  std::size_t record_size() const { return encoded_size(proposals_.front().body); }
  const shape& kind() const { return shape_; }

private:
  shape shape_;
  std::vector<proposal> proposals_;
  std::uint64_t sequence_ = 0;
};

class plain_file final : public contender {
public:
  plain_file(const std::filesystem::path& dir, const workload& w)
      : bytes_(w.records() * w.record_size(), 'x') {
    fd_ = ::open((dir / "file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    require(fd_ >= 0, "cannot make a file");
  }
  ~plain_file() override { ::close(fd_); }
  void commit() override {
    require(::write(fd_, bytes_.data(), bytes_.size()) == static_cast<ssize_t>(bytes_.size()), "write");
    require(::fdatasync(fd_) == 0, "fdatasync");
  }

private:
  int fd_ = -1;
  std::string bytes_;
};

class bare_lmdb final : public contender {
public:
  bare_lmdb(const std::filesystem::path& dir, const workload& w)
      : records_(w.records()), record_(w.record_size(), 'x') {
    std::filesystem::create_directories(dir / "lmdb");
    require(mdb_env_create(&env_) == 0, "mdb_env_create");
    mdb_env_set_mapsize(env_, std::size_t{1} << 40);
    require(mdb_env_open(env_, (dir / "lmdb").c_str(), MDB_NOTLS, 0600) == 0, "mdb_env_open");
    MDB_txn* txn = nullptr;
    require(mdb_txn_begin(env_, nullptr, 0, &txn) == 0, "mdb_txn_begin");
    require(mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &log_) == 0, "mdb_dbi_open");
    require(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }
  ~bare_lmdb() override { mdb_env_close(env_); }
  void commit() override {
    MDB_txn* txn = nullptr;
    require(mdb_txn_begin(env_, nullptr, 0, &txn) == 0, "mdb_txn_begin");
    for (std::size_t i = 0; i < records_; ++i) {
      ++index_;
      MDB_val key{sizeof index_, &index_};
      MDB_val value{record_.size(), nullptr};
      require(mdb_put(txn, log_, &key, &value, MDB_APPEND | MDB_RESERVE) == 0, "mdb_put");
      std::memcpy(value.mv_data, record_.data(), record_.size());
    }
    require(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }

private:
  MDB_env* env_ = nullptr;
  MDB_dbi log_ = 0;
  std::size_t index_ = 0;
  std::size_t records_;
  std::string record_;
};

class shard_commit final : public contender {
public:
  shard_commit(const std::filesystem::path& dir, workload& w) : work_(w) {
    auto s = shard::open(dir, shard_options{});
    require(s.has_value(), "cannot open the shard");
    shard_ = *std::move(s);
    log_ = make_local_log(*shard_, [this](std::uint64_t, const applied& a) {
      for (const auto& v : a.verdicts)
        refused_ += v.what != batch_verdict::outcome::accepted;
    });
  }
  void commit() override {
    const auto err = log_->append(work_.next());
    require(!err && refused_ == 0, "a batch was refused");
  }

private:
  workload& work_;
  std::unique_ptr<shard> shard_;
  std::unique_ptr<shard_log> log_;
  std::uint64_t refused_ = 0;
};

using microseconds = std::vector<double>;

/// What a contender's commits cost: wall time each, CPU time and bytes handed to the file system per commit.
struct cost {
  microseconds wall;
  double cpu = 0;
  double written = 0;
};

double cpu_now() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

/// Bytes that this process ever passed to write calls.
double written_now() {
  std::ifstream io("/proc/self/io");
  std::string name;
  double value = 0;
  while (io >> name >> value)
    if (name == "wchar:")
      return value;
  return 0;
}

double quantile(microseconds sorted, double q) {
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

/// The three take turns in short rounds, so that what else happens on the disk hits all of them.
std::vector<cost> measure(std::vector<std::unique_ptr<contender>>& all, const settings& s) {
  std::vector<cost> costs(all.size());
  for (auto& c : all)
    for (int i = 0; i < 5; ++i)
      c->commit();
  for (int round = 0; round < s.rounds; ++round)
    for (std::size_t c = 0; c < all.size(); ++c) {
      const auto cpu = cpu_now(), written = written_now();
      for (int i = 0; i < s.commits; ++i) {
        const auto begin = steady::now();
        all[c]->commit();
        costs[c].wall.push_back(std::chrono::duration<double, std::micro>(steady::now() - begin).count());
      }
      costs[c].cpu += (cpu_now() - cpu) / s.commits / s.rounds;
      costs[c].written += (written_now() - written) / s.commits / s.rounds;
    }
  return costs;
}

void report(const shape& k, const std::vector<cost>& costs, std::size_t bytes, bool json) {
  static constexpr const char* names[] = {"file", "lmdb", "log"};
  const double lmdb = quantile(costs[1].wall, 0.5), log = quantile(costs[2].wall, 0.5);
  const double rate = static_cast<double>(k.count()) / log * 1e6;
  if (json) {
    nlohmann::json line = {
        {"shape", k.name}, {"bytes", bytes}, {"messages_per_second", rate}, {"of_bare_lmdb", lmdb / log}};
    for (std::size_t c = 0; c < costs.size(); ++c)
      line[names[c]] = {{"p50_us", quantile(costs[c].wall, 0.5)},
                        {"p99_us", quantile(costs[c].wall, 0.99)},
                        {"cpu_us", costs[c].cpu},
                        {"written", costs[c].written}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%s: %zu B, %.0f messages/s, %.2f of bare LMDB\n", k.name, bytes, rate, lmdb / log);
    for (std::size_t c = 0; c < costs.size(); ++c)
      std::printf("  %-5s p50 %8.0f us  p99 %8.0f us  cpu %8.0f us  written %9.0f B\n", names[c],
                  quantile(costs[c].wall, 0.5), quantile(costs[c].wall, 0.99), costs[c].cpu,
                  costs[c].written);
  }
  std::fflush(stdout);
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--json")
      s.json = true;
    else if (arg == "--dir" && i + 1 < argc)
      s.dir = argv[++i];
    else if (arg == "--rounds" && i + 1 < argc)
      s.rounds = std::max(1, std::atoi(argv[++i]));
    else if (arg == "--only" && i + 1 < argc)
      s.only = argv[++i];
    else if (arg == "--commits" && i + 1 < argc)
      s.commits = std::max(1, std::atoi(argv[++i]));
    else
      throw std::invalid_argument(
          "usage: bench_log [--dir DIR] [--rounds N] [--commits N] [--only TEXT] [--json]");
  }
  return s;
}

} // namespace

int main(int argc, char** argv) {
  try {
    const auto s = parse(argc, argv);
    for (const auto& k : shapes) {
      if (std::string(k.name).find(s.only) == std::string::npos)
        continue;
      const scratch dir(s.dir);
      workload w(k);
      std::vector<std::unique_ptr<contender>> all;
      all.push_back(std::make_unique<plain_file>(dir.path, w));
      all.push_back(std::make_unique<bare_lmdb>(dir.path, w));
      all.push_back(std::make_unique<shard_commit>(dir.path, w));
      report(k, measure(all, s), w.records() * w.record_size(), s.json);
    }
    return 0;
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
