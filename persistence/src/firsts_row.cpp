#include "firsts_row.hpp"

#include <algorithm>

namespace troupe {

void encode(std::vector<first_of_key>& messages, std::vector<char>& out) {
  std::optional<queue_offset> base;
  for (const auto& m : messages)
    if (m.offset && (!base || *m.offset < *base))
      base = m.offset;
  std::ranges::sort(messages, {}, &first_of_key::key);
  out.resize(firsts_row::head + messages.size() * firsts_row::item);
  store_le(out.data(), base.value_or(queue_offset{}).value);
  char* at = out.data() + firsts_row::head;
  for (const auto& m : messages) {
    store_le(at, m.key.high);
    store_le(at + 8, m.key.low);
    store_le(at + 16, m.ordinal);
    store_le(at + 20,
             m.offset ? static_cast<std::uint32_t>(m.offset->value - base->value) : firsts_row::delayed);
    at += firsts_row::item;
  }
}

} // namespace troupe
