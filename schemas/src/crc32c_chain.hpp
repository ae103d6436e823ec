#pragma once

#include <cstdint>
#include <span>

namespace troupe {

/// CRC-32C of several runs of bytes as if they were one.
class crc32c_chain {
public:
  crc32c_chain& add(std::span<const char> bytes);
  std::uint32_t value() const { return ~state_; }

private:
  std::uint32_t state_ = 0xffffffffu;
};

} // namespace troupe
