#include "serve.hpp"

#include "logging.hpp"
#include "signals.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
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

/// A line on standard output, at once; false, with errno, when it takes none.
bool say(const std::string& line) {
  return std::fputs((line + '\n').c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
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
  int code = 0;
  // Whoever started it waits for this line: without it nobody would know.
  if (!say("trouped ready on " + node->address() + " data=" + data.string())) {
    report(sink, log_level::error, "no_ready_line",
           std::string{"cannot write the ready line to standard output: "} + std::strerror(errno) +
               "; it stops (see where standard output goes)");
    code = 1;
  } else if (auto number = watch.wait(); number != 0) {
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
  std::string text;
  for (const auto& finding : report->findings)
    text += "damaged: " + finding + '\n';
  text += "verified " + std::to_string(report->entries) + " entries in " + std::to_string(report->shards) +
          " shard(s): " +
          (report->findings.empty() ? "all sound"
                                    : std::to_string(report->findings.size()) + " place(s) damaged");
  if (!say(text)) {
    std::fprintf(stderr, "trouped: cannot write to standard output: %s\n", std::strerror(errno));
    return 1;
  }
  return report->findings.empty() ? 0 : 1;
}

} // namespace trouped
