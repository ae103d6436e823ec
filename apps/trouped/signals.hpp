#pragma once

namespace trouped {

/// Waits in one place for what can end the node: SIGTERM, SIGINT, or the node itself. Made in main() before
/// any thread, so that every thread inherits the blocked signals; there is no signal handler.
class end_watch {
public:
  end_watch();
  ~end_watch();
  end_watch(const end_watch&) = delete;
  end_watch& operator=(const end_watch&) = delete;

  /// From any thread: the node wants to end.
  void node_ended();
  /// Blocks. The signal's number, or 0 when the node wants to end.
  int wait();
  /// From now on the next SIGTERM or SIGINT ends the process at once, as if nobody had ever asked for them.
  void let_signals_kill();

private:
  int signals_ = -1;
  int ended_ = -1;
};

} // namespace trouped
