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
  header.count = data[0] | (data[1] << 8);
  header.size = static_cast<std::uint32_t>(bytes.bytes().size());
  header.crc = troupe::crc32c(bytes.bytes());
  if (auto reader = troupe::batch_reader::open(header, bytes.as_block()))
    troupe::test::walk(*reader);
  return 0;
}
