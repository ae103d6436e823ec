// How fast do QUEUE and STORE take batches, without a client and without the wire? See README.md.

#include "troupe/batch.hpp"
#include "troupe/node.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <lmdb.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct run_config {
  std::uint32_t queues = 1;
  std::uint32_t body = 100;
  std::uint32_t messages = 500; // per batch
  std::uint32_t window = 32;    // batches under way per queue
  std::uint64_t batches = 4000; // in all
};

struct run_result {
  double seconds = 0;
  double cpu = 0;
  std::uint64_t commits = 0;
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
  std::uint64_t refused = 0;
};

double seconds_since(clock_type::time_point begin) {
  return std::chrono::duration<double>(clock_type::now() - begin).count();
}

double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  auto s = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return s(u.ru_utime) + s(u.ru_stime);
}

batch make_batch(const run_config& cfg) {
  batch_builder builder;
  for (std::uint32_t i = 0; i < cfg.messages; ++i)
    builder.add(message{.body = std::string(cfg.body, 'x')});
  return builder.finish();
}

/// Keeps `window` batches of each queue under way until all are stored. The bytes are the same each time:
/// only the broker works.
struct driver_state {
  run_config cfg;
  route to;
  batch data;
  std::vector<std::uint64_t> next;
  std::uint64_t sent = 0;
  std::uint64_t done = 0;
  std::uint64_t refused = 0;
};

template <class T> T ask(caf::scoped_actor& self, const caf::actor& whom, auto&&... what) {
  T result{};
  self->request(whom, std::chrono::seconds{30}, what...)
      .receive([&](T& x) { result = std::move(x); },
               [](const caf::error& e) { throw std::runtime_error(to_string(from_caf(e))); });
  return result;
}

run_result publish_all(node& n, const run_config& cfg) {
  caf::scoped_actor self{n.system()};
  static int topics = 0;
  create_topic create{.name = "bench-" + std::to_string(topics++), .options = {.queues = cfg.queues}};
  ask<topic_status>(self, n.directory(), create);
  const auto to = ask<route>(self, n.directory(), route_request{create.name});

  auto state = std::make_shared<driver_state>();
  state->cfg = cfg;
  state->to = to;
  state->data = make_batch(cfg);
  state->data.header.producer = producer_id{static_cast<std::uint64_t>(topics)};
  state->data.header.epoch = producer_epoch{1};
  state->next.assign(cfg.queues, 1);
  std::unordered_map<queue_id, std::size_t> place;
  for (std::size_t i = 0; i < to.ids.size(); ++i)
    place[to.ids[i]] = i;
  const auto waiter = caf::actor_cast<caf::actor>(self.ptr());

  auto driver =
      n.system().spawn<caf::detached>([state, place, waiter](caf::event_based_actor* me) -> caf::behavior {
        auto send_one = [state, me](std::size_t q) {
          if (state->sent == state->cfg.batches)
            return;
          ++state->sent;
          publish p{.queue = state->to.ids[q], .header = state->data.header, .data = state->data.data};
          p.header.sequence = batch_sequence{state->next[q]++};
          me->send(state->to.queues[q], std::move(p));
        };
        return {[state, send_one](drain_atom) {
                  for (std::uint32_t w = 0; w < state->cfg.window; ++w)
                    for (std::size_t q = 0; q < state->cfg.queues; ++q)
                      send_one(q);
                },
                [state, place, waiter, send_one, me](const published& p) {
                  for (const auto& r : p.results) {
                    state->refused += r.code != errc::none ? 1 : 0;
                    ++state->done;
                    send_one(place.at(r.queue));
                  }
                  if (state->done == state->cfg.batches)
                    me->send(waiter, drain_atom::value);
                }};
      });
  const auto before = n.status();
  const auto begin = clock_type::now();
  const auto cpu = cpu_seconds();
  self->send(driver, drain_atom::value);
  self->receive([](drain_atom) {});
  run_result result{.seconds = seconds_since(begin), .cpu = cpu_seconds() - cpu, .refused = state->refused};
  caf::anon_send_exit(driver, caf::exit_reason::user_shutdown);
  if (const auto after = n.status(); before && after) {
    result.commits = after->shards[0].commits - before->shards[0].commits;
    result.p50 = after->shards[0].commit_p50_us;
    result.p99 = after->shards[0].commit_p99_us;
  }
  return result;
}

/// Seconds of one bare LMDB commit with `bytes` under one key, appended; the median of `rounds`.
double raw_commit(const std::filesystem::path& dir, std::size_t bytes, int rounds) {
  std::filesystem::create_directories(dir);
  auto check = [](int rc) {
    if (rc != 0)
      throw std::runtime_error(mdb_strerror(rc));
  };
  MDB_env* env = nullptr;
  check(mdb_env_create(&env));
  check(mdb_env_set_mapsize(env, std::size_t{1} << 40));
  check(mdb_env_open(env, dir.c_str(), 0, 0600));
  const std::vector<char> value(bytes, 'x');
  std::vector<double> times;
  MDB_dbi dbi = 0;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(rounds); ++i) {
    const auto begin = clock_type::now();
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env, nullptr, 0, &txn));
    if (dbi == 0)
      check(mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &dbi));
    MDB_val k{sizeof i, &i};
    MDB_val v{value.size(), const_cast<char*>(value.data())};
    check(mdb_put(txn, dbi, &k, &v, MDB_APPEND));
    check(mdb_txn_commit(txn));
    times.push_back(seconds_since(begin));
  }
  mdb_env_close(env);
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<std::size_t>(rounds) / 2];
}

std::uint64_t number(const char* text) { return std::strtoull(text, nullptr, 10); }

} // namespace

int main(int argc, char** argv) {
  run_config cfg;
  std::filesystem::path dir = "bench-publish-data";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const auto value = number(argv[i + 1]);
    if (key == "--dir")
      dir = argv[i + 1];
    else if (key == "--queues")
      cfg.queues = static_cast<std::uint32_t>(value);
    else if (key == "--body")
      cfg.body = static_cast<std::uint32_t>(value);
    else if (key == "--messages")
      cfg.messages = static_cast<std::uint32_t>(value);
    else if (key == "--window")
      cfg.window = static_cast<std::uint32_t>(value);
    else if (key == "--batches")
      cfg.batches = value;
    else {
      std::cerr << "unknown option " << key
                << "; there are --dir --queues --body --messages (per batch) --window (batches) --batches\n";
      return 2;
    }
  }
  try {
    std::filesystem::remove_all(dir);
    auto started = node::start({.data = dir / "node", .in_flight = 256u << 20});
    if (!started)
      throw std::runtime_error(to_string(started.error()));
    auto& n = **started;
    const auto r = publish_all(n, cfg);
    if (auto err = n.stop())
      throw std::runtime_error(to_string(err));
    const auto size = make_batch(cfg).data.size;
    const auto per_commit = r.commits == 0 ? 0 : cfg.batches * size / r.commits;
    const double raw = raw_commit(dir / "raw", per_commit, 200);
    const double messages = static_cast<double>(cfg.batches * cfg.messages);
    const double rate = messages / r.seconds;
    const double raw_rate = messages / static_cast<double>(std::max<std::uint64_t>(r.commits, 1)) / raw;
    std::cout << nlohmann::json{{"queues", cfg.queues},
                                {"body", cfg.body},
                                {"messages_per_batch", cfg.messages},
                                {"messages_per_second", static_cast<std::uint64_t>(rate)},
                                {"bytes_per_second", static_cast<std::uint64_t>(rate * size / cfg.messages)},
                                {"commits", r.commits},
                                {"bytes_per_commit", per_commit},
                                {"commit_p50_us", r.p50},
                                {"commit_p99_us", r.p99},
                                {"cpu_ns_per_message", r.cpu / messages * 1e9},
                                {"cpu_us_per_batch", r.cpu / static_cast<double>(cfg.batches) * 1e6},
                                {"raw_commit_us", raw * 1e6},
                                {"share_of_raw", rate / raw_rate},
                                {"refused", r.refused}}
              << '\n';
    std::filesystem::remove_all(dir);
  } catch (const std::exception& e) {
    std::cerr << "bench_publish: " << e.what() << '\n';
    return 1;
  }
}
