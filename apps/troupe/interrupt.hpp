#pragma once

#include <chrono>
#include <csignal>

namespace troupe::cli {

/// Catches SIGINT and SIGTERM while it lives, so that long work can end cleanly. The second signal makes
/// waiting for commands end too (see `impatient`); the `last` one ends the process at once. SIGPIPE is
/// ignored: writing to a closed pipe is an error that can be told. There may be one at a time, because
/// signals belong to the process.
class interrupt {
public:
  explicit interrupt(int last = 3);
  ~interrupt();
  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;

  /// A signal came.
  bool requested() const;
  /// A second one came: end without waiting for what still runs.
  bool impatient() const;
  /// Readable once a signal came, for poll().
  int fd() const;
  /// Waits until then, or a signal. True when a signal came.
  bool wait_until(std::chrono::steady_clock::time_point then) const;

private:
  struct sigaction old_int_ {};
  struct sigaction old_term_ {};
  struct sigaction old_pipe_ {};
};

} // namespace troupe::cli
