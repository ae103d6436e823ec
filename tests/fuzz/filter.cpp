#include "filtered_message.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

// The input: a filter, tags or SQL92.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  static const test::filtered_message message = [] {
    test::filtered_message m;
    m.tag_text = "paid";
    m.key_list = {"a", "order-1"};
    m.properties = {{"a", "1"}, {"b", "text"}, {"price", "10.5"}, {"region", "eu"}};
    return m;
  }();
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  auto read = parse_filter(text);
  if (!read) {
    // Every refusal says what and why.
    if (read.error().reason.empty() || read.error().code == errc::internal)
      std::abort();
    return 0;
  }
  // What is accepted can be kept by its canonical text, which means the same.
  auto again = parse_filter((*read)->text());
  if (!again || (*again)->text() != (*read)->text() ||
      (*again)->matches(message) != (*read)->matches(message))
    std::abort();
  return 0;
}
