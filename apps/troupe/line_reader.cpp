#include "line_reader.hpp"

#include "text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::cli {

namespace {

constexpr std::size_t read_size = 64 << 10;

error cannot_read(const std::string& name, int number) {
  return {errc::invalid_argument, "cannot read " + name + ": " + std::strerror(number),
          "check the path and its permissions"};
}

/// Bytes read into `to`; 0 at the end of the file and when a signal came.
result<std::size_t> read_some(int fd, const std::string& name, char* to, std::size_t size,
                              const interrupt& stop) {
  while (!stop.requested()) {
    std::array<pollfd, 2> ready{pollfd{fd, POLLIN, 0}, pollfd{stop.fd(), POLLIN, 0}};
    if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR)
      return cannot_read(name, errno);
    if (ready[0].revents == 0)
      continue;
    auto n = read(fd, to, size);
    if (n >= 0)
      return static_cast<std::size_t>(n);
    if (errno != EINTR && errno != EAGAIN)
      return cannot_read(name, errno);
  }
  return std::size_t{0};
}

} // namespace

result<input_file> input_file::open(const std::string& path) {
  if (path == "-")
    return input_file(STDIN_FILENO, "standard input");
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return cannot_read("'" + path + "'", errno);
  return input_file(fd, "'" + path + "'");
}

input_file::input_file(input_file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}

input_file& input_file::operator=(input_file&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(name_, other.name_);
  return *this;
}

input_file::~input_file() {
  if (fd_ > STDIN_FILENO)
    close(fd_);
}

result<std::string> read_all(const input_file& from, std::size_t limit, const interrupt& stop) {
  std::string all;
  while (true) {
    auto old = all.size();
    all.resize(old + read_size);
    auto n = read_some(from.fd(), from.name(), all.data() + old, read_size, stop);
    if (!n)
      return n.error();
    all.resize(old + *n);
    if (stop.requested())
      return error{errc::shutting_down, "interrupted while reading " + from.name()};
    if (all.size() > limit)
      return error{errc::too_large,
                   from.name() + " has more than " + grouped(limit) + " bytes, the limit of a body",
                   "send it in parts, or a reference to it"};
    if (*n == 0)
      return all;
  }
}

result<std::optional<std::string_view>> line_reader::next() {
  while (true) {
    auto newline = buffer_.find('\n', searched_);
    bool complete = newline != std::string::npos;
    auto end = complete ? newline : buffer_.size();
    if (end - begin_ > longest_)
      return error{errc::too_large,
                   "line " + std::to_string(number_ + 1) + " of " + from_.name() + " has more than " +
                       grouped(longest_) + " bytes",
                   "shorten it, or send it with --file"};
    if (complete || (ended_ && begin_ < buffer_.size())) {
      auto line = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = searched_ = complete ? newline + 1 : end;
      ++number_;
      return std::optional(line);
    }
    if (ended_)
      return std::optional<std::string_view>();
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched_ = buffer_.size();
    buffer_.resize(searched_ + read_size);
    auto n = read_some(from_.fd(), from_.name(), buffer_.data() + searched_, read_size, stop_);
    buffer_.resize(searched_ + (n ? *n : 0));
    if (!n)
      return n.error();
    if (stop_.requested())
      return std::optional<std::string_view>();
    ended_ = *n == 0;
  }
}

} // namespace troupe::cli
