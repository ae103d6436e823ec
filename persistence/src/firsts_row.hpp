#pragma once

#include "bytes.hpp"
#include "lmdb.hpp"

#include "troupe/ids.hpp"
#include "troupe/key_hash.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// A message that was the first one of its key in its queue, among those of one entry.
struct first_of_key {
  key_hash key;
  std::uint32_t ordinal = 0;
  /// Nothing when it was delayed.
  std::optional<queue_offset> offset;
  auto operator<=>(const first_of_key&) const = default;
};

/// A value of `firsts`, read in place: the messages of one entry, sorted by key. Throws storage_error when
/// bytes are not what they should be.
class firsts_row {
public:
  static constexpr std::size_t head = 8;
  static constexpr std::size_t item = 24;
  /// In the place of an offset's distance to the smallest one.
  static constexpr std::uint32_t delayed = ~std::uint32_t{0};

  explicit firsts_row(std::span<const char> value) : value_(value) {
    require(value.size() > head && (value.size() - head) % item == 0, "reading the keys of messages");
  }
  std::size_t size() const { return (value_.size() - head) / item; }
  first_of_key operator[](std::size_t i) const {
    const char* at = value_.data() + head + i * item;
    first_of_key m{{load_le<std::uint64_t>(at), load_le<std::uint64_t>(at + 8)},
                   load_le<std::uint32_t>(at + 16),
                   std::nullopt};
    if (const auto distance = load_le<std::uint32_t>(at + 20); distance != delayed)
      m.offset = queue_offset{number_at(value_, 0) + distance};
    return m;
  }
  /// Binary search.
  std::optional<first_of_key> find(const key_hash& key) const {
    std::size_t low = 0, high = size();
    while (low < high) {
      const auto middle = low + (high - low) / 2;
      const auto found = (*this)[middle];
      if (found.key == key)
        return found;
      (found.key < key ? low : high) = found.key < key ? middle + 1 : middle;
    }
    return std::nullopt;
  }

private:
  std::span<const char> value_;
};

/// Messages of one entry as such a value; sorts them. There is at least one, and no key twice.
void encode(std::vector<first_of_key>& messages, std::vector<char>& out);

} // namespace troupe
