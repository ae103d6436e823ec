#pragma once

#include "process.hpp"
#include "temporary_directory.hpp"

#include "troupe/client.hpp"
#include "troupe/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

/// What the tests with real processes share: a node that can be killed and started again at the same address,
/// and waiting for a condition.
namespace troupe::test {

/// The value; the end of the test with the error's text when there is none.
template <class T> T must(result<T> r) {
  if (!r)
    throw std::runtime_error(to_string(r.error()));
  return std::move(*r);
}
inline void must(const error& failed) {
  if (failed)
    throw std::runtime_error(to_string(failed));
}

/// True once the condition holds; looks at it again every few milliseconds until the deadline.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline = 60s);

/// trouped in a process of its own. It listens on a port that the system chose at the first start, and on the
/// same one at every later start.
class node_process {
public:
  explicit node_process(std::filesystem::path data, std::vector<std::string> options = {},
                        std::filesystem::path program = TROUPE_TROUPED);

  /// Starts it and waits until it is ready; throws with its log when it does not come.
  void start(process_options how = {});
  /// Starts it again and doesn't wait; only after a first start().
  void begin(process_options how = {});
  /// kill -9, and waits for its end.
  void kill();
  /// SIGTERM; its exit code, or nothing when it did not end.
  std::optional<int> stop();
  void signal(int number) { running_->signal(number); }
  bool runs() const { return running_ != nullptr; }

  const std::string& address() const { return address_; }
  const std::filesystem::path& data() const { return data_; }
  /// What it logged since its last start.
  std::string log() const { return running_->errors(); }
  process& handle() { return *running_; }
  /// Bytes of anonymous memory it has (RssAnon).
  std::uint64_t anonymous_memory() const;
  /// Its open file descriptors.
  std::size_t open_files() const;
  pid_t pid() const { return running_->pid(); }
  /// `trouped --verify` on the directory of a node that does not run.
  finished verify() const;

private:
  std::filesystem::path data_;
  std::vector<std::string> options_;
  std::filesystem::path program_;
  std::string address_;
  std::unique_ptr<process> running_;
};

/// Options that find a node again soon after it was killed.
client_options quick_options(const node_process& node, milliseconds timeout = 30s);
/// A connected client; throws when it cannot.
client connect(const node_process& node, milliseconds timeout = 30s);

/// `troupe --node ... ARGUMENTS`, still running.
process start_troupe(const node_process& node, std::vector<std::string> arguments,
                     process_options options = {});

/// True when nothing of the group is leased, waits for a retry or lies before its members.
bool all_settled(client& c, const std::string& group);
std::uint64_t leased(client& c, const std::string& group);

} // namespace troupe::test
