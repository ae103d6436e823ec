#pragma once

#include <cstdint>
#include <string>

namespace troupe::test {

/// The same numbers on every machine for one seed: splitmix64 (Steele, Lea, Flood 2014). Tests print their
/// seed with SCOPED_TRACE(random.describe()).
class random_source {
public:
  explicit random_source(std::uint64_t seed) : seed_(seed), state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// From 0 to bound - 1; bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// From low to high, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  /// `n` arbitrary bytes.
  std::string bytes(std::size_t n) {
    std::string out(n, '\0');
    for (auto& c : out)
      c = static_cast<char>(next());
    return out;
  }
  /// `n` lower-case letters.
  std::string letters(std::size_t n) {
    std::string out(n, '\0');
    for (auto& c : out)
      c = static_cast<char>('a' + below(26));
    return out;
  }

  std::string describe() const { return "seed " + std::to_string(seed_); }

private:
  std::uint64_t seed_;
  std::uint64_t state_;
};

} // namespace troupe::test
