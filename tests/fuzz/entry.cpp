#include "schemas/random_records.hpp"

#include <cstddef>
#include <cstdint>

namespace {

using namespace troupe;

void read_all(const block& bytes) {
  auto header = decode_header(bytes.bytes());
  if (!header)
    return;
  auto body = decode_body(*header, bytes);
  if (!body)
    return;
  if (const auto* append = std::get_if<append_entry>(&*body))
    for (const auto& b : append->batches)
      if (auto reader = batch_reader::open(b.header, b.data))
        test::walk(*reader);
}

} // namespace

// The input: a log entry, read as it is, and again with its checksum made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::writable_copy bytes({reinterpret_cast<const char*>(data), size});
  read_all(bytes.as_block());
  test::reseal_entry(bytes.bytes());
  read_all(bytes.as_block());
  return 0;
}
