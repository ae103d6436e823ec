#include "process.hpp"

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace troupe::test {

namespace {

using clock = std::chrono::steady_clock;

/// A file descriptor that closes itself.
class handle {
public:
  handle() = default;
  explicit handle(int fd) : fd_(fd) {}
  ~handle() { reset(); }
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;
  handle(handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  handle& operator=(handle&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  int fd() const { return fd_; }
  void reset() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_ = -1;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::pair<handle, handle> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0)
    fail("pipe");
  return {handle{fds[0]}, handle{fds[1]}};
}

int left(clock::time_point until) {
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  return ms < 0 ? 0 : static_cast<int>(ms);
}

std::vector<std::string> child_environment(const process_options& options) {
  std::vector<std::string> result;
  for (char** at = environ; *at; ++at)
    if (!std::string_view{*at}.starts_with("TROUPE_"))
      result.emplace_back(*at);
  for (const auto& [name, value] : options.environment)
    result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts)
    result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

} // namespace

struct process::impl {
  int pid = -1;
  std::optional<int> status;
  handle process_fd;
  handle in;
  handle out;
  handle err;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::string out_text;
  std::string err_text;
  bool out_ended = false;
  bool err_ended = false;
  /// How much of out_text read_line has given away.
  std::size_t taken = 0;
  std::thread reader;

  ~impl() {
    if (pid > 0 && !status) {
      ::kill(pid, SIGKILL);
      int raw = 0;
      ::waitpid(pid, &raw, 0);
      std::lock_guard guard{mutex};
      status = raw;
    }
    in.reset();
    if (reader.joinable())
      reader.join();
  }

  void read_all() {
    auto take = [this](handle& from, std::string& text, bool& ended) {
      char buffer[16384];
      auto n = ::read(from.fd(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR)
        return;
      std::lock_guard guard{mutex};
      if (n > 0)
        text.append(buffer, static_cast<std::size_t>(n));
      else
        ended = true;
      changed.notify_all();
    };
    while (!out_ended || !err_ended) {
      pollfd fds[2] = {{out_ended ? -1 : out.fd(), POLLIN, 0}, {err_ended ? -1 : err.fd(), POLLIN, 0}};
      // A grandchild may hold the pipes open after the child is gone: then look for its end as well.
      auto n = ::poll(fds, 2, status_known() ? 200 : 1000);
      if (n == 0 && status_known()) {
        std::lock_guard guard{mutex};
        out_ended = err_ended = true;
        changed.notify_all();
        return;
      }
      if (fds[0].revents)
        take(out, out_text, out_ended);
      if (fds[1].revents)
        take(err, err_text, err_ended);
    }
  }

  bool status_known() const {
    std::lock_guard guard{mutex};
    return status.has_value();
  }

  template <class Predicate> bool wait_until(clock::time_point until, Predicate ready) {
    std::unique_lock lock{mutex};
    return changed.wait_until(lock, until, ready);
  }
};

process::process(const std::filesystem::path& program, std::vector<std::string> arguments,
                 process_options options)
    : impl_(std::make_unique<impl>()) {
  auto [in_read, in_write] = make_pipe();
  auto [out_read, out_write] = make_pipe();
  auto [err_read, err_write] = make_pipe();
  arguments.insert(arguments.begin(), program.string());
  auto environment = child_environment(options);
  auto argv = pointers(arguments);
  auto envp = pointers(environment);
  auto parent = ::getpid();
  auto pid = ::fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0) {
    // Only async-signal-safe calls here: other threads of the test may hold locks.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(127);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(in_read.fd(), STDIN_FILENO);
    ::dup2(out_write.fd(), STDOUT_FILENO);
    ::dup2(err_write.fd(), STDERR_FILENO);
    if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0)
      ::_exit(126);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  impl_->pid = pid;
  impl_->process_fd = handle{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  impl_->in = std::move(in_write);
  impl_->out = std::move(out_read);
  impl_->err = std::move(err_read);
  ::fcntl(impl_->in.fd(), F_SETFL, O_NONBLOCK);
  out_write.reset();
  err_write.reset();
  in_read.reset();
  impl_->reader = std::thread{[state = impl_.get()] { state->read_all(); }};
  if (!options.input.empty())
    write(options.input);
  if (!options.keep_input)
    close_input();
}

process::~process() = default;
process::process(process&&) noexcept = default;
process& process::operator=(process&&) noexcept = default;

int process::pid() const { return impl_->pid; }

std::optional<std::string> process::read_line(std::chrono::milliseconds deadline) {
  auto& s = *impl_;
  auto has_line = [&s] { return s.out_text.find('\n', s.taken) != std::string::npos || s.out_ended; };
  if (!s.wait_until(clock::now() + deadline, has_line))
    return std::nullopt;
  std::lock_guard guard{s.mutex};
  if (s.taken >= s.out_text.size())
    return std::nullopt;
  auto end = s.out_text.find('\n', s.taken);
  auto line = s.out_text.substr(s.taken, end == std::string::npos ? end : end - s.taken);
  s.taken = end == std::string::npos ? s.out_text.size() : end + 1;
  return line;
}

std::optional<std::string> process::read_until(std::string_view text, std::chrono::milliseconds deadline) {
  auto until = clock::now() + deadline;
  while (auto line = read_line(std::chrono::milliseconds{left(until)}))
    if (line->find(text) != std::string::npos)
      return line;
  return std::nullopt;
}

bool process::wait_for_error(std::string_view text, std::chrono::milliseconds deadline) {
  auto& s = *impl_;
  auto found = [&] { return s.err_text.find(text) != std::string::npos; };
  s.wait_until(clock::now() + deadline, [&] { return found() || s.err_ended; });
  std::lock_guard guard{s.mutex};
  return found();
}

std::string process::output() const {
  std::lock_guard guard{impl_->mutex};
  return impl_->out_text;
}

std::string process::errors() const {
  std::lock_guard guard{impl_->mutex};
  return impl_->err_text;
}

bool process::write(std::string_view text, std::chrono::milliseconds deadline) {
  auto until = clock::now() + deadline;
  auto fd = impl_->in.fd();
  // A reader that is gone shall be an answer, not the end of the test program.
  sigset_t pipe_signal;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  while (!text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    pollfd ready{fd, POLLOUT, 0};
    if (errno == EAGAIN && ::poll(&ready, 1, left(until)) > 0)
      continue;
    if (errno != EINTR)
      return false;
  }
  return true;
}

void process::close_input() { impl_->in.reset(); }

void process::signal(int number) {
  if (!impl_->status)
    ::kill(impl_->pid, number);
}

std::optional<int> process::wait(std::chrono::milliseconds deadline) {
  auto& s = *impl_;
  if (s.status)
    return s.status;
  auto until = clock::now() + deadline;
  pollfd ended{s.process_fd.fd(), POLLIN, 0};
  int n = 0;
  do
    n = ::poll(&ended, 1, left(until));
  while (n < 0 && errno == EINTR);
  int raw = 0;
  if (n <= 0 || ::waitpid(s.pid, &raw, 0) != s.pid)
    return std::nullopt;
  {
    std::lock_guard guard{s.mutex};
    s.status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
  }
  s.wait_until(clock::now() + 5s, [&s] { return s.out_ended && s.err_ended; });
  return s.status;
}

finished run(const std::filesystem::path& program, std::vector<std::string> arguments,
             process_options options, std::chrono::milliseconds deadline) {
  process child{program, std::move(arguments), std::move(options)};
  auto status = child.wait(deadline);
  return {status, child.output(), child.errors()};
}

} // namespace troupe::test
