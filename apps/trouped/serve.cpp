#include "serve.hpp"

#include "logging.hpp"
#include "signals.hpp"

#include <cstdio>
#include <cstring>
#include <mutex>
#include <unistd.h>
#include <utility>

namespace trouped {

namespace {

using troupe::errc;
using troupe::error;
using troupe::log_level;

/// Wrong usage, as far as only opening files could tell, is 2; what the world refused is 1.
int exit_code(const error& err) { return err.code == errc::invalid_argument ? 2 : 1; }

void report(const troupe::log_sink& sink, log_level level, std::string_view event, std::string text) {
  log(sink, {level, "trouped", event, std::move(text), {}});
}

/// Why the node ended by itself. Written by any of its threads, once.
struct ending {
  std::mutex mutex;
  error why;
};

} // namespace

int serve(options o, end_watch& watch) {
  auto sink = stderr_sink(o.level, o.format);
  ending end;
  o.node.log = sink;
  o.node.on_end = [&](const error& err) {
    {
      std::lock_guard guard{end.mutex};
      end.why = err;
    }
    watch.node_ended();
  };
  auto data = o.node.data;
  auto started = troupe::node::start(std::move(o.node));
  if (!started) {
    report(sink, log_level::error, "start_failed", to_string(started.error()));
    return exit_code(started.error());
  }
  auto node = std::move(*started);
  std::printf("trouped ready on %s data=%s\n", node->address().c_str(), data.c_str());
  std::fflush(stdout);

  int code = 0;
  if (auto number = watch.wait(); number != 0) {
    report(sink, log_level::info, "signal",
           std::string{"SIG"} + ::sigabbrev_np(number) + ": the node drains and stops");
  } else {
    std::lock_guard guard{end.mutex};
    if (end.why) {
      report(sink, log_level::error, "failed", "the node cannot go on: " + to_string(end.why));
      code = 1;
    } else {
      report(sink, log_level::info, "drained", "a client asked the node to drain; it stops");
    }
  }
  watch.let_signals_kill();
  if (auto err = node->stop()) {
    // Threads that did not end would be waited for; everything acknowledged is on the disk.
    report(sink, log_level::error, "stop_failed", to_string(err));
    std::_Exit(1);
  }
  return code;
}

int verify(const options& o) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  std::uint64_t shown = ~std::uint64_t{0};
  auto progress = [&](std::uint64_t done, std::uint64_t all) {
    auto percent = all == 0 ? 100 : done * 100 / all;
    if (!terminal || percent == shown)
      return;
    shown = percent;
    std::fprintf(stderr, "\rverifying: %3d %%, %llu of %llu entries", static_cast<int>(percent),
                 static_cast<unsigned long long>(done), static_cast<unsigned long long>(all));
  };
  auto report = troupe::verify_data(o.node.data, progress);
  if (terminal && shown != ~std::uint64_t{0})
    std::fputc('\n', stderr);
  if (!report) {
    std::fprintf(stderr, "trouped: %s\n", to_string(report.error()).c_str());
    return exit_code(report.error());
  }
  for (const auto& finding : report->findings)
    std::printf("damaged: %s\n", finding.c_str());
  std::printf("verified %llu entries in %d shard(s): %s\n", static_cast<unsigned long long>(report->entries),
              report->shards,
              report->findings.empty()
                  ? "all sound"
                  : (std::to_string(report->findings.size()) + " place(s) damaged").c_str());
  return report->findings.empty() ? 0 : 1;
}

} // namespace trouped
