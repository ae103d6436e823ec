#include "troupe/delivery_frame.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>

namespace troupe {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are written as they lie in memory");

constexpr std::uint32_t frame_magic = 0x52465254; // "TRFR"
constexpr std::uint16_t frame_version = 1;
constexpr std::uint32_t flag_repacked = 1;
/// Copying a small batch whole is cheaper than choosing from it.
constexpr std::uint32_t small_batch = 2048;

struct frame_head {
  std::uint32_t magic = frame_magic;
  std::uint16_t version = frame_version;
  std::uint16_t zero = 0;
  std::uint32_t segments = 0;
  std::uint32_t messages = 0;
};
static_assert(sizeof(frame_head) == 16);

struct segment_head {
  std::uint64_t base = 0;
  std::uint64_t index = 0;
  std::int64_t stored = 0;
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  std::uint32_t epoch = 0;
  std::uint32_t first_ordinal = 0;
  std::uint32_t count = 0;
  std::uint32_t size = 0;
  std::uint32_t crc = 0;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t picked = 0;
  std::uint16_t attempts = 0;
  std::uint8_t lane = 0;
  std::uint8_t kind = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(segment_head) == 80);

constexpr std::uint64_t padded(std::uint64_t n) { return (n + 7) & ~std::uint64_t{7}; }

template <class T> T load(const char* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return x;
}

/// A segment as it is written: its batch may be another one than it came with.
struct packed {
  segment_head head;
  std::vector<std::uint32_t> positions;
  block data;
};

bool worth_repacking(const batch_header& batch, std::uint32_t n) {
  return batch.size > small_batch && std::uint64_t{n} * 2 < batch.count;
}

/// Only the messages that are meant, as a batch of their own; nothing when the batch cannot be read: then it
/// goes out as it is, and the consumer finds what is wrong.
std::optional<batch> repack(const delivery_segment& s, const std::vector<std::uint32_t>& positions,
                            batch_builder& builder) {
  auto reader = batch_reader::open(s.header, s.data);
  if (!reader || (!positions.empty() && positions.back() >= reader->count()))
    return {};
  for (auto p : positions)
    builder.add(reader->at(p));
  auto b = builder.finish();
  b.header.producer = s.header.producer;
  b.header.epoch = s.header.epoch;
  b.header.sequence = s.header.sequence;
  b.header.lane = s.header.lane;
  b.header.kind = s.header.kind;
  return b;
}

packed prepare(const delivery_segment& s, batch_builder& builder) {
  packed p{.positions = s.picked, .data = s.data};
  auto header = s.header;
  if (worth_repacking(s.header, s.size())) {
    auto positions = s.picked;
    for (auto i = s.from; s.picked.empty() && i < s.to; ++i)
      positions.push_back(i);
    if (auto b = repack(s, positions, builder)) {
      header = b->header;
      p = {.positions = std::move(positions), .data = std::move(b->data)};
      p.head.flags = flag_repacked;
    }
  }
  p.head.base = s.base.value;
  p.head.index = s.index.value;
  p.head.stored = to_unix_ms(s.stored);
  p.head.producer = header.producer.value;
  p.head.sequence = header.sequence.value;
  p.head.epoch = header.epoch.value;
  p.head.first_ordinal = s.first_ordinal;
  p.head.count = header.count;
  p.head.size = header.size;
  p.head.crc = header.crc;
  p.head.from = s.from;
  p.head.to = s.to;
  p.head.picked = static_cast<std::uint32_t>(p.positions.size());
  p.head.attempts = s.attempts;
  p.head.lane = header.lane;
  p.head.kind = static_cast<std::uint8_t>(header.kind);
  return p;
}

error not_a_frame(const std::string& why) {
  return {errc::corrupt, "the delivery is damaged: " + why, "the messages come again when their lease ends"};
}

} // namespace

std::uint64_t frame_size::of(const batch_header& batch, std::uint32_t n) {
  const auto positions = padded(std::uint64_t{n} * sizeof(std::uint32_t));
  if (!worth_repacking(batch, n))
    return sizeof(segment_head) + positions + batch.size;
  return sizeof(segment_head) + positions + padded(std::uint64_t{batch.size} * n / batch.count) + padded(1);
}

block pack_frame(const std::vector<delivery_segment>& segments) {
  batch_builder builder;
  std::vector<packed> parts;
  parts.reserve(segments.size());
  frame_head head;
  std::uint64_t size = sizeof head;
  for (const auto& s : segments) {
    if (s.size() == 0)
      continue;
    parts.push_back(prepare(s, builder));
    size += sizeof(segment_head) + padded(parts.back().head.picked * sizeof(std::uint32_t)) +
            padded(parts.back().data.size);
    head.messages += s.size();
  }
  head.segments = static_cast<std::uint32_t>(parts.size());
  auto mem = std::make_shared_for_overwrite<char[]>(size);
  auto* at = mem.get();
  const auto put = [&](const void* bytes, std::size_t n) {
    if (n > 0)
      std::memcpy(at, bytes, n);
    std::memset(at + n, 0, padded(n) - n);
    at += padded(n);
  };
  put(&head, sizeof head);
  for (const auto& p : parts) {
    put(&p.head, sizeof p.head);
    put(p.positions.data(), p.positions.size() * sizeof(std::uint32_t));
    put(p.data.data.get(), p.data.size);
  }
  return block::adopt(std::move(mem), static_cast<std::uint32_t>(size));
}

result<frame_reader> frame_reader::open(block frame, shard_id shard) {
  if (frame.size < sizeof(frame_head))
    return not_a_frame("it has only " + std::to_string(frame.size) + " bytes");
  const auto head = load<frame_head>(frame.data.get());
  if (head.magic != frame_magic)
    return not_a_frame("it does not begin as one");
  if (head.version != frame_version || head.zero != 0)
    return error{errc::unknown_version,
                 "the delivery has format version " + std::to_string(head.version) + "; this program knows " +
                     std::to_string(frame_version),
                 "use a client of the node's version"};
  if (head.segments > frame.size / sizeof(segment_head))
    return not_a_frame("it cannot hold " + std::to_string(head.segments) + " segments");
  frame_reader reader{shard};
  reader.segments_.reserve(head.segments);
  std::uint32_t at = sizeof head;
  for (std::uint32_t i = 0; i < head.segments; ++i)
    if (auto err = reader.add_segment(frame, at))
      return err;
  if (at != frame.size)
    return not_a_frame("something follows its last segment");
  if (reader.messages_ != head.messages)
    return not_a_frame("its segments hold " + std::to_string(reader.messages_) + " messages instead of " +
                       std::to_string(head.messages));
  return reader;
}

error frame_reader::add_segment(const block& frame, std::uint32_t& at) {
  if (frame.size - at < sizeof(segment_head))
    return not_a_frame("it ends within a segment");
  const auto head = load<segment_head>(frame.data.get() + at);
  at += sizeof head;
  const auto positions = padded(std::uint64_t{head.picked} * sizeof(std::uint32_t));
  if (positions + padded(head.size) > frame.size - at)
    return not_a_frame("a segment is longer than what is left");
  const bool repacked = head.flags == flag_repacked;
  if (head.flags > flag_repacked || head.kind > static_cast<std::uint8_t>(batch_kind::transactional))
    return not_a_frame("a segment has flags or a kind that mean nothing");
  const auto* picked = head.picked > 0 ? frame.data.get() + at : nullptr;
  at += static_cast<std::uint32_t>(positions);
  const batch_header header{producer_id{head.producer},
                            producer_epoch{head.epoch},
                            batch_sequence{head.sequence},
                            head.count,
                            head.size,
                            head.crc,
                            head.lane,
                            static_cast<batch_kind>(head.kind)};
  auto messages = batch_reader::open(header, frame.slice(at, head.size));
  if (!messages)
    return messages.error();
  at += static_cast<std::uint32_t>(padded(head.size));

  const auto count = picked ? head.picked : head.to - head.from;
  if ((!picked && (head.from >= head.to || head.to > head.count)) || count > head.count ||
      (repacked && head.picked != head.count))
    return not_a_frame("a segment means messages that its batch does not have");
  for (std::uint32_t i = 0, before = 0; picked && i < count; ++i) {
    const auto p = load<std::uint32_t>(picked + i * sizeof(std::uint32_t));
    if ((i > 0 && p <= before) || p >= (repacked ? max_batch_count : head.count))
      return not_a_frame("a segment's positions do not ascend within its batch");
    before = p;
  }
  if (messages_ + count < count || head.base >> 62 != 0)
    return not_a_frame("its offsets are impossible");
  segments_.push_back({std::move(*messages), queue_offset{head.base}, log_index{head.index},
                       head.first_ordinal, head.attempts, repacked, from_unix_ms(head.stored), picked,
                       head.from, count, messages_});
  messages_ += count;
  return {};
}

bool frame_reader::next_segment() {
  if (segment_ == segments_.size())
    return false;
  ++segment_; // no segment is empty
  at_ = 0;
  return segment_ < segments_.size();
}

std::uint32_t frame_reader::place::original() const {
  return in->picked ? load<std::uint32_t>(in->picked + at * sizeof(std::uint32_t)) : in->from + at;
}

frame_reader::place frame_reader::find(std::uint32_t i) const {
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), i,
                                      [](std::uint32_t n, const segment& s) { return n < s.before; });
  const auto& s = *std::prev(after);
  return {&s, i - s.before};
}

result<std::vector<delivered>> unpack_frame(const block& frame, shard_id shard) {
  auto reader = frame_reader::open(frame, shard);
  if (!reader)
    return reader.error();
  std::vector<delivered> all;
  all.reserve(reader->size());
  bool sorted = true;
  while (reader->next()) {
    const auto offset = reader->offset();
    sorted = sorted && (all.empty() || all.back().offset < offset);
    all.push_back({offset, reader->id(), reader->attempts(), reader->stored(), reader->message()});
  }
  if (!sorted)
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
  return all;
}

} // namespace troupe
