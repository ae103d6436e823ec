#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace troupe {

/// Stands for a message's key where messages with equal keys are looked for: BLAKE2b (RFC 7693), 16 bytes.
/// Two keys of one value are a collision, which takes about 2^64 attempts to find on purpose; among 10^10
/// keys that nobody chose to collide one is to be expected with a probability of 10^-19.
struct key_hash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const key_hash&) const = default;
};

key_hash hash_key(std::string_view key);

} // namespace troupe
