#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

/// Watches, and on demand fails, what this process does to one file. This test program defines write, pwrite,
/// writev, fallocate, fdatasync, fsync and ftruncate itself (file_probe.cpp), so the calls of liblmdb.so land
/// here as well.
namespace troupe::test {

/// One call that changed the file or made changes durable.
struct file_operation {
  enum class kind {
    write,
    /// Through a descriptor with O_DSYNC: durable when it returns, alone.
    durable_write,
    /// fdatasync or fsync: everything written before is durable.
    sync,
    /// Another length of the file, longer or shorter.
    resize,
  };
  kind what = kind::write;
  std::uint64_t offset = 0; // resize: the new size
  std::string bytes;
};

/// Records while it lives. One at a time.
class file_recorder {
public:
  explicit file_recorder(const std::filesystem::path& file);
  ~file_recorder();
  file_recorder(const file_recorder&) = delete;
  file_recorder& operator=(const file_recorder&) = delete;

  /// Calls so far.
  std::size_t size() const;
  std::vector<file_operation> take();
};

/// While it lives, calls on the file fail. One at a time.
class file_fault {
public:
  enum class call { write, sync, allocate };
  struct plan {
    /// Which calls fail, with `error`; 0: writes are cut short by half. A write that fails takes fallocate
    /// along: there is no half of it, so where a write would be cut short it finds no blocks.
    call what = call::write;
    int error = 0;
    /// Calls that still succeed.
    std::uint64_t after = 0;
  };
  file_fault(const std::filesystem::path& file, plan p);
  ~file_fault();
  file_fault(const file_fault&) = delete;
  file_fault& operator=(const file_fault&) = delete;

  /// Calls that were failed.
  std::uint64_t hits() const;
};

} // namespace troupe::test
