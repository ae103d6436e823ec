#include "schemas/random_records.hpp"

#include <cstddef>
#include <cstdint>

// The input: a number of messages (2 bytes), then a batch's bytes. The checksum is made right, or nothing
// would get past it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2)
    return 0;
  troupe::test::writable_copy bytes({reinterpret_cast<const char*>(data) + 2, size - 2});
  troupe::batch_header header;
  header.count = data[0] | ((data[1] & 0x7f) << 8);
  header.size = static_cast<std::uint32_t>(bytes.bytes().size());
  header.crc = troupe::crc32c(bytes.bytes());
  // The highest bit of the count: half messages.
  if (data[1] & 0x80) {
    header.kind = troupe::batch_kind::transactional;
    (void)troupe::half_of_batch(header, bytes.bytes());
  }
  if (auto reader = troupe::batch_reader::open(header, bytes.as_block()))
    troupe::test::walk(*reader);
  return 0;
}
