#include "schemas/random_records.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

// The input: a value of the definitions table, read as it is, and again with its checksum made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  test::writable_copy bytes({reinterpret_cast<const char*>(data), size});
  for (int pass = 0; pass < 2; ++pass) {
    // What is accepted must survive being written again, and its queues must be found.
    if (auto topic = decode_topic(bytes.bytes())) {
      auto again = decode_topic(encode(*topic));
      if (!again || *again != *topic ||
          (topic->options.queues > 0 && topic->queue(topic->options.queues - 1) == queue_id{}))
        std::abort();
    }
    if (auto group = decode_group(bytes.bytes())) {
      auto again = decode_group(encode(*group));
      if (!again || *again != *group)
        std::abort();
    }
    test::reseal_definition(bytes.bytes());
  }
  return 0;
}
