#pragma once

#include <cstdint>

namespace troupe {

/// One message of a batch as it lies in the list `metas` (schemas/batch.capnp). Later versions may append
/// fields, which makes the elements longer.
struct batch_meta {
  std::int32_t born_delta = 0;
  std::uint32_t tag_hash = 0;
  std::uint32_t order_key_hash = 0;
  std::uint32_t blob_begin = 0;
  std::uint8_t tag_length = 0;
  std::uint8_t order_key_length = 0;
  std::uint16_t keys_length = 0;
  std::uint16_t properties_length = 0;
  std::uint8_t priority = 0;
  std::uint8_t flags = 0;

  /// Bytes in front of the body.
  std::uint32_t attributes() const {
    return std::uint32_t{tag_length} + order_key_length + keys_length + properties_length;
  }
};
static_assert(sizeof(batch_meta) == 24);

} // namespace troupe
