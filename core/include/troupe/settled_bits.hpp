#pragma once

#include "troupe/range_map.hpp"

#include <bitset>
#include <cstdint>
#include <unordered_map>

namespace troupe {

/// Which offsets at or above a floor are settled. A chunk of 1024 offsets that is settled in part costs 128
/// bytes, however it is settled; runs of whole chunks cost one node. The floor itself is never settled.
class settled_bits {
public:
  explicit settled_bits(std::uint64_t floor = 0) : floor_(floor) {}

  std::uint64_t floor() const { return floor_; }
  /// Offsets above the floor.
  std::uint64_t count() const { return count_; }
  bool contains(std::uint64_t at) const;
  /// Moves the floor when [first, next) reaches it.
  void add(std::uint64_t first, std::uint64_t next);
  /// The first offset at or above `at` that is not settled.
  std::uint64_t next_open(std::uint64_t at) const;
  /// The first offset in [at, next) that is settled, else `next`.
  std::uint64_t next_settled(std::uint64_t at, std::uint64_t next) const;
  /// Chunks that are settled in part.
  std::size_t chunks() const { return partial_.size(); }

private:
  static constexpr std::uint64_t chunk = 1024;
  using bits = std::bitset<chunk>;

  void add_bits(std::uint64_t number, std::uint64_t first, std::uint64_t next);
  void add_full(std::uint64_t first, std::uint64_t next);
  void move_floor(std::uint64_t to);

  std::uint64_t floor_;
  std::uint64_t count_ = 0;
  std::unordered_map<std::uint64_t, bits> partial_;
  /// Numbers of whole chunks.
  offset_set full_;
};

} // namespace troupe
