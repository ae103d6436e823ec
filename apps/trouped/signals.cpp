#include "signals.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace trouped {

namespace {

sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  return set;
}

} // namespace

end_watch::end_watch() {
  auto set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer or a reader of our output that goes away is an error value.
  std::signal(SIGPIPE, SIG_IGN);
  // A limit on the size of files is one more way in which a disk is full.
  std::signal(SIGXFSZ, SIG_IGN);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  ended_ = ::eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || ended_ < 0)
    throw std::system_error(errno, std::generic_category(), "cannot wait for signals");
}

end_watch::~end_watch() {
  ::close(signals_);
  ::close(ended_);
}

void end_watch::node_ended() {
  std::uint64_t one = 1;
  // Fails only when the counter is full: then it is known already.
  [[maybe_unused]] auto n = ::write(ended_, &one, sizeof one);
}

int end_watch::wait() {
  for (;;) {
    pollfd fds[2] = {{signals_, POLLIN, 0}, {ended_, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "cannot wait for signals");
    signalfd_siginfo info{};
    if ((fds[0].revents & POLLIN) && ::read(signals_, &info, sizeof info) == sizeof info)
      return static_cast<int>(info.ssi_signo);
    if (fds[1].revents & POLLIN)
      return 0;
  }
}

void end_watch::let_signals_kill() {
  auto set = ending_signals();
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

} // namespace trouped
