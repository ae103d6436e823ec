#pragma once

#include "troupe/error.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace troupe::cli {

/// A new directory, removed with all it holds by the destructor.
class scratch_directory {
public:
  static result<scratch_directory> make(const std::filesystem::path& in) {
    auto path = (in / "troupe-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr)
      return error{errc::invalid_argument,
                   "cannot make a directory in '" + in.string() + "': " + std::strerror(errno),
                   "choose another place with --dir"};
    return scratch_directory(path);
  }
  scratch_directory(scratch_directory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  scratch_directory& operator=(scratch_directory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~scratch_directory() {
    std::error_code ignored;
    if (!path_.empty())
      std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

private:
  explicit scratch_directory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

} // namespace troupe::cli
