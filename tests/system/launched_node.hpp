#pragma once

#include "process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace troupe::test {

/// A trouped in a process of its own, listening on a free loopback port; killed at the end of the scope.
class launched_node {
public:
  /// Starts it and waits for its ready line; throws with what it said when none comes. It listens on
  /// 127.0.0.1:0 unless `more` says otherwise.
  explicit launched_node(const std::filesystem::path& data, std::vector<std::string> more = {},
                         process_options options = {});

  process& child() { return child_; }
  /// "HOST:PORT" out of the ready line, which is in ready().
  const std::string& address() const { return address_; }
  const std::string& ready() const { return ready_; }
  std::uint16_t port() const;

  /// SIGTERM; its exit code, or nothing when it is not there within the deadline.
  std::optional<int> terminate(std::chrono::milliseconds deadline = 10s);
  /// SIGKILL, and gone.
  void kill();

private:
  process child_;
  std::string ready_;
  std::string address_;
};

} // namespace troupe::test
