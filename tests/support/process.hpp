#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::test {

using namespace std::chrono_literals;

struct process_options {
  /// Added to this process's environment; TROUPE_* variables of our own environment are never inherited.
  std::vector<std::pair<std::string, std::string>> environment;
  /// Working directory; empty: ours.
  std::filesystem::path directory;
  /// Sent to standard input first. Without `keep_input` standard input ends behind it.
  std::string input;
  bool keep_input = false;
};

/// A child process under test. Its output is read all the time by a thread of this object, so it never blocks
/// on a full pipe. The destructor kills it (SIGKILL) and collects it: a failing test leaves nothing behind.
/// Every wait has a deadline. Functions may be called from one thread; signals go to the pid, which stays
/// ours until it is collected.
class process {
public:
  process(const std::filesystem::path& program, std::vector<std::string> arguments,
          process_options options = {});
  ~process();
  process(process&&) noexcept;
  process& operator=(process&&) noexcept;

  int pid() const;
  /// The next line of standard output without its end; nothing when the output ended or the deadline passed.
  std::optional<std::string> read_line(std::chrono::milliseconds deadline = 20s);
  /// Reads lines until one contains `text`; that one.
  std::optional<std::string> read_until(std::string_view text, std::chrono::milliseconds deadline = 20s);
  /// True once standard error contains `text`.
  bool wait_for_error(std::string_view text, std::chrono::milliseconds deadline = 20s);
  /// Everything on standard output / standard error so far (read_line does not take it away from here).
  std::string output() const;
  std::string errors() const;
  /// More standard input (with keep_input). False when the process reads no more, or not all of it in time.
  bool write(std::string_view text, std::chrono::milliseconds deadline = 20s);
  void close_input();
  void signal(int number);
  /// The exit code, 128 + n for death by signal n; nothing when it still runs at the deadline. All output has
  /// been read then.
  std::optional<int> wait(std::chrono::milliseconds deadline = 20s);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// How a process ended; status is empty when it had to be killed at the deadline.
struct finished {
  std::optional<int> status;
  std::string out;
  std::string err;
};
finished run(const std::filesystem::path& program, std::vector<std::string> arguments,
             process_options options = {}, std::chrono::milliseconds deadline = 30s);

} // namespace troupe::test
