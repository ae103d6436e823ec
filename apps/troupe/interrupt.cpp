#include "interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace troupe::cli {

namespace {

// A signal handler reaches nothing but globals.
std::atomic<int> signals_seen{0};
std::atomic<int> last_signal{3};
std::atomic<int> wake_fd{-1};

void on_signal(int number) {
  if (signals_seen.fetch_add(1) + 1 >= last_signal.load())
    _exit(128 + number);
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = write(wake_fd.load(), &one, sizeof one);
}

} // namespace

interrupt::interrupt(int last) {
  signals_seen = 0;
  last_signal = last;
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old_pipe_);
}

interrupt::~interrupt() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGPIPE, &old_pipe_, nullptr);
  close(wake_fd.exchange(-1));
}

bool interrupt::requested() const { return signals_seen.load() > 0; }

bool interrupt::impatient() const { return signals_seen.load() > 1; }

int interrupt::fd() const { return wake_fd.load(); }

bool interrupt::wait_until(std::chrono::steady_clock::time_point then) const {
  using namespace std::chrono;
  while (!requested()) {
    auto left = then - steady_clock::now();
    if (left <= steady_clock::duration::zero())
      break;
    auto ns = duration_cast<nanoseconds>(std::min<steady_clock::duration>(left, hours{1})).count();
    timespec limit{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    pollfd wake{fd(), POLLIN, 0};
    ppoll(&wake, 1, &limit, nullptr);
  }
  return requested();
}

} // namespace troupe::cli
