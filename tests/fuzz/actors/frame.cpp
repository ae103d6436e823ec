#include "troupe/delivery_frame.hpp"

#include "schemas/random_records.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

using namespace troupe;

namespace {

/// What a consumer does with a frame; a view outside of it is a bug.
void walk(const block& frame) {
  auto reader = frame_reader::open(frame, shard_id{1});
  auto all = unpack_frame(frame, shard_id{1});
  if (reader.has_value() != all.has_value())
    throw std::logic_error("reader and unpack_frame disagree");
  if (!reader)
    return;
  std::uint64_t bytes = 0;
  std::size_t n = 0;
  while (reader->next()) {
    const auto m = reader->message();
    bytes += m.body.size() + m.tag.size() + reader->body().size() + reader->offset().value;
    for (const auto& key : m.keys)
      bytes += key.empty() ? 0 : static_cast<unsigned char>(key.back());
    ++n;
  }
  if (n != reader->size() || n != all->size())
    throw std::logic_error("a frame does not have the messages it promised");
  volatile auto used = bytes;
  (void)used;
}

/// A frame of two batches; the first bytes of the input choose what is meant of them.
block valid_frame(const std::uint8_t* data, std::size_t size) {
  std::vector<delivery_segment> segments;
  for (std::size_t k = 0; k < 2; ++k) {
    std::vector<message> messages(2 + 30 * k);
    for (auto& m : messages)
      m.body.assign(1 + 100 * k, 'b');
    auto b = test::build(messages);
    delivery_segment s{b.header, queue_offset{100 * k}, log_index{1}, 0, {}, 0, {}, 0, 0, b.data};
    for (std::uint32_t i = 0; i < messages.size(); ++i)
      if (i < size && data[i] % 3 == 0)
        s.picked.push_back(i);
    segments.push_back(std::move(s));
  }
  return pack_frame(segments);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As it is, and as damage to a frame that is right, or little of it would get past the checksums.
  walk(block::copy_of({reinterpret_cast<const char*>(data), size}));
  const auto right = valid_frame(data, size);
  walk(right);
  test::writable_copy copy{right.bytes()};
  const auto heads = std::min<std::size_t>(copy.bytes().size(), 16 + 80 + 16);
  for (std::size_t i = 0; i + 5 <= size && i < 20; i += 5)
    std::memcpy(copy.bytes().data() + data[i] % (heads - 3), data + i + 1, 4);
  walk(copy.as_block());
  return 0;
}
