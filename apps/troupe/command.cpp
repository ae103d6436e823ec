#include "command.hpp"

#include "output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

/// A file descriptor that closes itself.
struct owned_fd {
  int fd = -1;
  owned_fd() = default;
  explicit owned_fd(int f) : fd(f) {}
  owned_fd(const owned_fd&) = delete;
  owned_fd& operator=(const owned_fd&) = delete;
  ~owned_fd() { reset(); }
  void reset() {
    if (fd >= 0)
      close(fd);
    fd = -1;
  }
};

error cannot_start(const std::string& command, int number) {
  return {errc::invalid_argument, "cannot run '" + command + "': " + std::strerror(number),
          number == E2BIG
              ? "the message's keys or properties do not fit into an environment; read the message without "
                "--exec"
              : "see whether the system has processes and files left"};
}

bool is_variable_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// Our own environment without TROUPE_ variables, then those of the message.
std::vector<std::string> merged(const std::vector<std::pair<std::string, std::string>>& ours) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (std::strncmp(*entry, "TROUPE_", 7) != 0 || std::strncmp(*entry, "TROUPE_NODE=", 12) == 0)
      all.emplace_back(*entry);
  for (const auto& [name, value] : ours)
    all.push_back(name + "=" + value);
  return all;
}

/// Starts /bin/sh -c; the child's pid, or an errno.
int start(const command_options& options, const std::vector<std::string>& environment, int input, int output,
          int errors, pid_t& pid) {
  std::vector<char*> variables;
  for (const auto& entry : environment)
    variables.push_back(const_cast<char*>(entry.c_str()));
  variables.push_back(nullptr);
  std::array<const char*, 4> arguments{"sh", "-c", options.command.c_str(), nullptr};

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  if (output >= 0)
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  if (errors >= 0)
    posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  int failed = posix_spawn(&pid, "/bin/sh", &files, &attributes, const_cast<char**>(arguments.data()),
                           variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return failed;
}

int poll_limit(clock::time_point then) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(then - clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

/// Writes what the pipe takes. False when there is nothing more to write, or nobody reads.
bool feed(int fd, std::string_view& input) {
  auto n = write(fd, input.data(), input.size());
  if (n < 0)
    return errno == EAGAIN || errno == EINTR;
  input.remove_prefix(static_cast<std::size_t>(n));
  return !input.empty();
}

/// What a command prints into a pipe, piece by piece.
class listener {
public:
  using sink = std::function<void(std::string_view)>;

  /// An errno, or 0. Without a sink nobody listens.
  int open(sink to) {
    to_ = std::move(to);
    std::array<int, 2> ends{-1, -1};
    if (to_ && pipe2(ends.data(), O_CLOEXEC) != 0)
      return errno;
    from_.fd = ends[0];
    into_.fd = ends[1];
    if (to_)
      fcntl(from_.fd, F_SETFL, O_NONBLOCK);
    return 0;
  }
  /// For the command; negative when nobody listens.
  int input() const { return into_.fd; }
  /// The command has its own now.
  void started() { into_.reset(); }
  pollfd to_poll() const { return {from_.fd, POLLIN, 0}; }

  /// Reads once, and no more when that was all.
  void hear() {
    if (!read_once())
      from_.reset();
  }
  /// What is in the pipe; somebody whom the command has left behind may go on for ever.
  void hear_rest() {
    for (int i = 0; i < 16 && from_.fd >= 0 && read_once(); ++i) {
    }
  }

private:
  bool read_once() {
    std::array<char, 4096> buffer;
    const auto n = read(from_.fd, buffer.data(), buffer.size());
    if (n > 0)
      to_(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    return n > 0;
  }

  sink to_;
  owned_fd from_;
  owned_fd into_;
};

/// Cuts what comes into lines.
class line_cutter {
public:
  explicit line_cutter(const std::function<void(std::string_view)>& hear) : hear_(hear) {}

  void add(std::string_view bytes) {
    for (char c : bytes) {
      if (c != '\n')
        line_ += c;
      if (c == '\n' || line_.size() >= longest)
        end_line();
    }
  }
  void end_line() {
    if (!line_.empty())
      hear_(std::exchange(line_, {}));
  }

private:
  static constexpr std::size_t longest = 16'384;
  const std::function<void(std::string_view)>& hear_;
  std::string line_;
};

int collect(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

std::vector<std::pair<std::string, std::string>> environment_of(const received_message& m) {
  std::string keys;
  for (const auto& key : m.content.keys)
    keys += (keys.empty() ? "" : "\n") + key;
  auto properties = json::object();
  for (const auto& [name, value] : m.content.properties)
    properties[name] = value;
  std::vector<std::pair<std::string, std::string>> all{
      {"TROUPE_ID", troupe::to_string(m.id)},
      {"TROUPE_TOPIC", m.topic},
      {"TROUPE_QUEUE", std::to_string(m.queue)},
      {"TROUPE_OFFSET", std::to_string(m.offset.value)},
      {"TROUPE_PRIORITY", std::to_string(m.content.priority)},
      {"TROUPE_ATTEMPT", std::to_string(m.attempt)},
      {"TROUPE_STORED", std::to_string(to_unix_ms(m.stored))},
      {"TROUPE_BORN", std::to_string(to_unix_ms(m.content.born))},
      {"TROUPE_TAG", m.content.tag},
      {"TROUPE_ORDER_KEY", m.content.order_key},
      {"TROUPE_KEYS", keys},
      {"TROUPE_PROPERTIES", properties.dump(-1, ' ', false, nlohmann::detail::error_handler_t::replace)}};
  for (const auto& [name, value] : m.content.properties)
    if (is_variable_name(name))
      all.emplace_back("TROUPE_PROPERTY_" + name, value);
  std::erase_if(all, [](const auto& entry) { return entry.second.find('\0') != std::string::npos; });
  return all;
}

result<int> run_command(const command_options& options, std::string_view input,
                        const std::vector<std::pair<std::string, std::string>>& environment,
                        const interrupt& stop) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    return cannot_start(options.command, errno);
  owned_fd reading(ends[0]);
  owned_fd writing(ends[1]);
  fcntl(writing.fd, F_SETFL, O_NONBLOCK);
  line_cutter lines(options.hear);
  listener said;
  listener taken;
  int failed = said.open(options.hear ? [&](std::string_view bytes) { lines.add(bytes); } : listener::sink{});
  if (failed == 0)
    failed = taken.open(options.take);
  pid_t pid = 0;
  if (failed == 0)
    failed = start(options, merged(environment), reading.fd, options.take ? taken.input() : said.input(),
                   said.input(), pid);
  if (failed != 0)
    return cannot_start(options.command, failed);
  reading.reset();
  said.started();
  taken.started();
  if (input.empty())
    writing.reset();
  // Not through <sys/pidfd.h>, which glibc 2.36 does not declare for C++.
  owned_fd ended(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  auto next = clock::now() + options.every;
  bool killed = false;
  while (true) {
    // A negative descriptor is one that poll() skips. After the first signal its own is always ready, so it
    // is left out and a second one interrupts poll() or is seen a moment later.
    std::array<pollfd, 5> ready{pollfd{ended.fd, POLLIN, 0}, pollfd{writing.fd, POLLOUT, 0},
                                pollfd{stop.requested() ? -1 : stop.fd(), POLLIN, 0}, said.to_poll(),
                                taken.to_poll()};
    poll(ready.data(), ready.size(), std::min(poll_limit(next), stop.requested() ? 100 : 60'000));
    if (ready[0].revents != 0 || ended.fd < 0)
      break;
    if (ready[3].revents != 0)
      said.hear();
    if (ready[4].revents != 0)
      taken.hear();
    if (ready[1].revents != 0 && !feed(writing.fd, input))
      writing.reset();
    if (stop.impatient() && !std::exchange(killed, true))
      kill(-pid, SIGKILL);
    if (clock::now() >= next) {
      if (options.meanwhile)
        options.meanwhile();
      next = clock::now() + options.every;
    }
  }
  auto code = collect(pid);
  said.hear_rest();
  taken.hear_rest();
  lines.end_line();
  if (killed)
    return error{errc::shutting_down, "interrupted: the command was ended before it was done"};
  return code;
}

} // namespace troupe::cli
