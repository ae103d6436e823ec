#pragma once

#include "lmdb.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

/// LEB128 numbers: seven bits a byte, least significant first.
namespace troupe {

inline void put_varint(std::vector<char>& out, std::uint64_t x) {
  for (; x >= 0x80; x >>= 7)
    out.push_back(static_cast<char>(x | 0x80));
  out.push_back(static_cast<char>(x));
}

/// Takes a number off the front; throws storage_error (MDB_CORRUPTED, `doing`) when there is none.
inline std::uint64_t take_varint(std::span<const char>& in, const char* doing) {
  std::uint64_t x = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in.empty())
      break;
    const auto byte = static_cast<unsigned char>(in.front());
    in = in.subspan(1);
    x |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return x;
  }
  throw storage_error{MDB_CORRUPTED, doing};
}

/// As take_varint, for a number that fits into Small.
template <class Small> Small take_small(std::span<const char>& in, const char* doing) {
  const auto x = take_varint(in, doing);
  require(x <= std::numeric_limits<Small>::max(), doing);
  return static_cast<Small>(x);
}

} // namespace troupe
