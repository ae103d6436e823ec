#include "troupe/batch.hpp"

#include "crc32c_chain.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace troupe {

crc32c_chain& crc32c_chain::add(std::span<const char> bytes) {
  // ISA-L takes int lengths and, though it only reads, a pointer to mutable bytes.
  constexpr std::size_t most = 1u << 30;
  while (!bytes.empty()) {
    auto part = bytes.first(std::min(bytes.size(), most));
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(part.data()));
    state_ = crc32_iscsi(data, static_cast<int>(part.size()), state_);
    bytes = bytes.subspan(part.size());
  }
  return *this;
}

std::uint32_t crc32c(std::span<const char> bytes) { return crc32c_chain{}.add(bytes).value(); }

} // namespace troupe
