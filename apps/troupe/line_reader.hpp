#pragma once

#include "interrupt.hpp"

#include "troupe/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Opens a file for reading; "-" is standard input. Closed by the destructor, unless it is standard input.
class input_file {
public:
  static result<input_file> open(const std::string& path);
  input_file(input_file&& other) noexcept;
  input_file& operator=(input_file&& other) noexcept;
  ~input_file();
  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

private:
  input_file(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  int fd_ = -1;
  std::string name_;
};

/// Everything up to the end, at most `limit` bytes: too_large when there is more (then it stops reading). An
/// interrupt ends it with shutting_down.
result<std::string> read_all(const input_file& from, std::size_t limit, const interrupt& stop);

/// Lines of a file or pipe, as they come; one buffer, however large the input is.
class line_reader {
public:
  /// A line of more than `longest` bytes is an error.
  line_reader(input_file from, std::size_t longest, const interrupt& stop)
      : from_(std::move(from)), longest_(longest), stop_(stop) {}

  /// The next line without its '\n', valid until the next call; the last one may lack it. Nothing at the end,
  /// or after an interrupt. Errors: too_large, or the file could not be read.
  result<std::optional<std::string_view>> next();
  /// The number of the last line, from 1.
  std::uint64_t number() const { return number_; }
  const std::string& name() const { return from_.name(); }

private:
  input_file from_;
  std::size_t longest_;
  const interrupt& stop_;
  std::string buffer_;
  /// [begin_, size) is unread; [begin_, searched_) has no '\n'.
  std::size_t begin_ = 0;
  std::size_t searched_ = 0;
  bool ended_ = false;
  std::uint64_t number_ = 0;
};

} // namespace troupe::cli
