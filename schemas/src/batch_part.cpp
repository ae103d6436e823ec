#include "troupe/batch.hpp"

namespace troupe {

std::vector<batch_part> without(const batch& b, std::span<const std::uint32_t> positions) {
  std::vector<batch_part> parts;
  const auto reader = batch_reader::open(b.header, b.data);
  if (!reader)
    return parts;
  batch_builder builder;
  std::uint32_t first = 0;
  auto finish = [&](std::uint32_t end) {
    if (!builder.empty()) {
      auto part =
          b.header.kind == batch_kind::transactional ? builder.finish(reader->half()) : builder.finish();
      part.header.producer = b.header.producer;
      part.header.epoch = b.header.epoch;
      part.header.sequence = b.header.sequence;
      part.header.lane = b.header.lane;
      part.header.kind = b.header.kind;
      parts.push_back({first, std::move(part)});
    }
    first = end + 1;
  };
  for (std::uint32_t i = 0; i < reader->count(); ++i) {
    if (!positions.empty() && positions.front() == i) {
      positions = positions.subspan(1);
      finish(i);
    } else {
      builder.add(reader->at(i));
    }
  }
  finish(reader->count());
  return parts;
}

} // namespace troupe
