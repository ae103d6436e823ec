#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

/// Integers in stored keys (big-endian, so that they sort) and values (little-endian).
namespace troupe {

template <class T> constexpr T byte_swapped(T x) {
  static_assert(std::is_unsigned_v<T>);
  T y = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    y = static_cast<T>((y << 8) | ((x >> (8 * i)) & 0xff));
  return y;
}

template <class T> T load_le(const char* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return std::endian::native == std::endian::little ? x : byte_swapped(x);
}

template <class T> void store_le(char* at, T x) {
  if constexpr (std::endian::native != std::endian::little)
    x = byte_swapped(x);
  std::memcpy(at, &x, sizeof x);
}

template <class T> T load_be(const char* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return std::endian::native == std::endian::big ? x : byte_swapped(x);
}

template <class T> void store_be(char* at, T x) {
  if constexpr (std::endian::native != std::endian::big)
    x = byte_swapped(x);
  std::memcpy(at, &x, sizeof x);
}

/// A 64-bit number in a value's head; the value reaches that far.
inline std::uint64_t number_at(std::span<const char> value, std::size_t at) {
  return load_le<std::uint64_t>(value.data() + at);
}

/// Bytes of a key or of a small value, with a fixed size.
template <std::size_t N> using fixed_bytes = std::array<char, N>;

} // namespace troupe
