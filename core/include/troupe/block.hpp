#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace troupe {

/// An immutable, reference-counted run of bytes. Copying shares; a slice keeps the whole alive.
/// Blocks that hold records start at an address that is a multiple of 8. Any thread may read and release one.
struct block {
  std::shared_ptr<const char> data;
  std::uint32_t size = 0;

  /// A new block with a copy of `bytes`.
  static block copy_of(std::span<const char> bytes) {
    auto mem = std::make_shared_for_overwrite<char[]>(bytes.size());
    if (!bytes.empty())
      std::memcpy(mem.get(), bytes.data(), bytes.size());
    return {std::shared_ptr<const char>(mem, mem.get()), static_cast<std::uint32_t>(bytes.size())};
  }
  /// Takes over a buffer of `n` bytes that was filled before.
  static block adopt(std::shared_ptr<char[]> mem, std::uint32_t n) {
    auto* p = mem.get();
    return {std::shared_ptr<const char>(std::move(mem), p), n};
  }
  /// [at, at + n) of this block; the caller keeps within `size`.
  block slice(std::uint32_t at, std::uint32_t n) const {
    return {std::shared_ptr<const char>(data, data.get() + at), n};
  }
  std::span<const char> bytes() const { return {data.get(), size}; }
  std::string_view view() const { return {data.get(), size}; }
  bool empty() const { return size == 0; }
};

} // namespace troupe
