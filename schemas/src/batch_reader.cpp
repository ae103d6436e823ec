#include "batch_layout.hpp"
#include "flat.hpp"

#include "troupe/batch.hpp"
#include "troupe/transaction.hpp"
#include "troupe/units.hpp"

#include "batch.capnp.h"

#include <capnp/any.h>

#include <cassert>

namespace troupe {

namespace {

error damaged(const std::string& why) { return {errc::corrupt, "the batch is damaged: " + why}; }

/// Checks what the header says about the bytes, before they are looked into.
error check_envelope(const batch_header& header, const block& data) {
  if (header.size != data.size)
    return damaged("its header says " + std::to_string(header.size) + " bytes, there are " +
                   std::to_string(data.size));
  if (header.size > max_batch_size || header.size % flat::word != 0)
    return damaged("its size of " + std::to_string(header.size) + " bytes is not possible");
  if (header.count > max_batch_count)
    return damaged("its header says " + std::to_string(header.count) + " messages");
  if ((header.count == 0) != (header.size == 0))
    return damaged("it has bytes without messages, or messages without bytes");
  if (crc32c(data.bytes()) != header.crc)
    return damaged("its checksum differs");
  return {};
}

/// The bytes of a list of `count` 8-byte numbers, or null when it is absent.
result<const char*> numbers(capnp::AnyList::Reader list, std::uint32_t count) {
  if (list.size() == 0)
    return nullptr;
  if (list.size() != count || list.getElementSize() != capnp::ElementSize::EIGHT_BYTES)
    return damaged("a list of times does not fit its messages");
  return reinterpret_cast<const char*>(list.getRawBytes().begin());
}

/// True when every number is a time between 1970 and 9999, so that sums of two never overflow.
bool plausible_times(const char* at, std::uint32_t count) {
  auto most = static_cast<std::uint64_t>(to_unix_ms(max_time));
  for (std::uint32_t i = 0; at && i < count; ++i)
    if (flat::load<std::uint64_t>(at + i * sizeof(std::uint64_t)) > most)
      return false;
  return true;
}

/// Keys: each a 2-byte length and its bytes, ending exactly at `end`.
bool well_formed_keys(const char* p, const char* end) {
  while (p != end) {
    if (end - p < 2 || end - p - 2 < flat::load<std::uint16_t>(p))
      return false;
    p += 2 + flat::load<std::uint16_t>(p);
  }
  return true;
}

/// Properties: each two 2-byte lengths, name and value, ending exactly at `end`.
bool well_formed_properties(const char* p, const char* end) {
  while (p != end) {
    if (end - p < 4 || end - p - 4 < flat::load<std::uint16_t>(p) + flat::load<std::uint16_t>(p + 2))
      return false;
    p += 4 + flat::load<std::uint16_t>(p) + flat::load<std::uint16_t>(p + 2);
  }
  return true;
}

result<half_view> half_in(schema::HalfBatch::Reader root) {
  const auto group = root.getGroup();
  const half_view half{{group.begin(), group.size()}, {shard_id{root.getHome()}, log_index{root.getBegin()}}};
  if (half.group.size() > max_transaction_name || !is_utf8(half.group))
    return damaged("the name of its producer group is too long or not UTF-8");
  return half;
}

/// Takes a message's parts out of the blob, one after the other. What they promise was checked before.
class cursor {
public:
  explicit cursor(const char* at) : at_(at) {}
  std::string_view bytes(std::size_t n) {
    std::string_view part{at_, n};
    at_ += n;
    return part;
  }
  std::uint16_t length() {
    auto n = flat::load<std::uint16_t>(at_);
    at_ += sizeof n;
    return n;
  }
  const char* position() const { return at_; }

private:
  const char* at_;
};

} // namespace

bool may_expire(std::span<const char> bytes) {
  if (bytes.size() < 2 * flat::word)
    return false;
  // The pointer to the root: kind in two bits, then a signed distance in words, words of data, pointers. What
  // is not as the builder lays it out is left to the reader.
  const auto root = flat::load<std::uint64_t>(bytes.data());
  const auto data = static_cast<std::uint16_t>(root >> 32);
  const auto pointers = static_cast<std::uint16_t>(root >> 48);
  if (static_cast<std::uint32_t>(root) != 0)
    return true;
  constexpr std::uint16_t ttls = 2; // metas, blob, ttls: in the order of their numbers
  const auto at = (std::size_t{1} + data + ttls) * flat::word;
  return pointers > ttls && at + flat::word <= bytes.size() &&
         flat::load<std::uint64_t>(bytes.data() + at) != 0;
}

batch_meta batch_reader::raw(std::uint32_t i) const {
  assert(i < count_);
  return flat::load<batch_meta>(metas_ + std::size_t{i} * stride_);
}

std::uint32_t batch_reader::end_of(std::uint32_t i) const {
  return i + 1 < count_ ? raw(i + 1).blob_begin : blob_size_;
}

timestamp batch_reader::born(const batch_meta& m, std::uint32_t i) const {
  return from_unix_ms(borns_ ? flat::load<std::int64_t>(borns_ + i * sizeof(std::int64_t))
                             : born_base_ + m.born_delta);
}

milliseconds batch_reader::ttl(std::uint32_t i) const {
  return milliseconds{ttls_ ? flat::load<std::int64_t>(ttls_ + i * sizeof(std::int64_t)) : 0};
}

timestamp batch_reader::due(std::uint32_t i) const {
  assert(i < count_);
  return from_unix_ms(dues_ ? flat::load<std::int64_t>(dues_ + i * sizeof(std::int64_t)) : 0);
}

error batch_reader::check_messages() const {
  std::uint8_t flags = 0;
  std::uint32_t begin = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    auto m = raw(i);
    auto end = end_of(i);
    if (m.blob_begin < begin || end > blob_size_ || end < m.blob_begin || end - m.blob_begin < m.attributes())
      return damaged("message " + std::to_string(i) + " lies outside");
    begin = end;
    flags |= m.flags;
    if (m.keys_length == 0 && m.properties_length == 0)
      continue;
    const auto* keys = blob_ + m.blob_begin + m.tag_length + m.order_key_length;
    const auto* properties = keys + m.keys_length;
    if (!well_formed_keys(keys, properties) ||
        !well_formed_properties(properties, properties + m.properties_length))
      return damaged("the keys or properties of message " + std::to_string(i) + " contradict their lengths");
  }
  if (raw(0).blob_begin != 0)
    return damaged("its first message does not begin the blob");
  if (flags != 0)
    return {errc::unknown_version, "the batch has a message with flags this program does not know",
            "read it with the version of the program that wrote it"};
  return {};
}

error batch_reader::check_times() const {
  auto most = to_unix_ms(max_time);
  if (born_base_ < 0 || born_base_ > most || !plausible_times(borns_, count_) ||
      !plausible_times(dues_, count_) || !plausible_times(ttls_, count_))
    return damaged("a time is not between 1970 and 9999");
  return {};
}

result<batch_reader> batch_reader::open(const batch_header& header, block data) {
  if (auto err = check_envelope(header, data))
    return err;
  batch_reader reader;
  if (!flat::aligned(data.data.get())) {
    auto memory = flat::allocate(data.size);
    std::memcpy(memory.get(), data.data.get(), data.size);
    data = block::adopt(std::move(memory), data.size);
  }
  reader.data_ = std::move(data);
  reader.count_ = header.count;
  if (header.count == 0)
    return reader;
  auto bytes = reader.data_.bytes();
  return flat::read<schema::HalfBatch>(
      bytes, "batch", [&](schema::HalfBatch::Reader root) -> result<batch_reader> {
        capnp::AnyList::Reader metas = root.getMetas();
        if (metas.size() != header.count || metas.getElementSize() != capnp::ElementSize::INLINE_COMPOSITE)
          return damaged("it has " + std::to_string(metas.size()) + " messages, its header says " +
                         std::to_string(header.count));
        auto raw = metas.getRawBytes();
        reader.metas_ = reinterpret_cast<const char*>(raw.begin());
        reader.stride_ = static_cast<std::uint32_t>(raw.size() / header.count);
        if (reader.stride_ < sizeof(batch_meta))
          return damaged("its message descriptions are too short");
        auto ttls = numbers(root.getTtls(), header.count);
        auto dues = numbers(root.getDues(), header.count);
        auto borns = numbers(root.getBorns(), header.count);
        for (auto* list : {&ttls, &dues, &borns})
          if (!*list)
            return list->error();
        reader.ttls_ = *ttls;
        reader.dues_ = *dues;
        reader.borns_ = *borns;
        reader.born_base_ = root.getBornBase();
        auto blob = root.getBlob();
        reader.blob_ = reinterpret_cast<const char*>(blob.begin());
        reader.blob_size_ = static_cast<std::uint32_t>(blob.size());
        if (auto err = reader.check_messages())
          return err;
        if (auto err = reader.check_times())
          return err;
        if (header.kind == batch_kind::transactional) {
          const auto half = half_in(root);
          if (!half)
            return half.error();
          reader.half_ = *half;
        }
        return std::move(reader);
      });
}

result<half_of> half_of_batch(const batch_header& header, std::span<const char> bytes) {
  if (header.kind != batch_kind::transactional || header.size != bytes.size() ||
      bytes.size() % flat::word != 0)
    return damaged("its messages are no half messages");
  std::shared_ptr<char[]> copy;
  if (!flat::aligned(bytes.data())) {
    copy = flat::allocate(bytes.size());
    std::memcpy(copy.get(), bytes.data(), bytes.size());
    bytes = {copy.get(), bytes.size()};
  }
  return flat::read<schema::HalfBatch>(bytes, "batch", [](schema::HalfBatch::Reader root) -> result<half_of> {
    const auto half = half_in(root);
    if (!half)
      return half.error();
    if (half->group.empty() && !half->transaction.known())
      return damaged("nobody decides about its half messages");
    return half->copy();
  });
}

message_meta batch_reader::meta(std::uint32_t i) const {
  auto m = raw(i);
  message_meta out{m.tag_hash, m.order_key_hash, m.priority, born(m, i), {}};
  // 0 says that there is none, and some keys have that hash.
  if (out.order_key_hash == 0 && m.order_key_length > 0)
    out.order_key_hash = 1;
  // Never the epoch, which means that the message does not expire: a time that long past is as good one
  // later.
  if (auto life = ttl(i); life.count() > 0)
    out.expires = std::max(out.born + life, from_unix_ms(1));
  return out;
}

std::string_view batch_reader::tag(std::uint32_t i) const {
  auto m = raw(i);
  return {blob_ + m.blob_begin, m.tag_length};
}

std::optional<std::string_view> batch_reader::property(std::uint32_t i, std::string_view name) const {
  const auto m = raw(i);
  cursor in(blob_ + m.blob_begin + m.tag_length + m.order_key_length + m.keys_length);
  for (const auto* end = in.position() + m.properties_length; in.position() != end;) {
    const auto name_length = in.length();
    const auto value_length = in.length();
    const bool found = in.bytes(name_length) == name;
    const auto value = in.bytes(value_length);
    if (found)
      return value;
  }
  return {};
}

std::optional<std::string_view> batch_reader::next_key(std::uint32_t i, std::uint32_t& at) const {
  const auto m = raw(i);
  if (at >= m.keys_length)
    return {};
  const auto* keys = blob_ + m.blob_begin + m.tag_length + m.order_key_length;
  cursor in(keys + at);
  const auto key = in.bytes(in.length());
  at = static_cast<std::uint32_t>(in.position() - keys);
  return key;
}

std::string_view batch_reader::body(std::uint32_t i) const {
  auto m = raw(i);
  auto begin = m.blob_begin + m.attributes();
  return {blob_ + begin, end_of(i) - begin};
}

message_view batch_reader::at(std::uint32_t i) const {
  auto m = raw(i);
  cursor in(blob_ + m.blob_begin);
  message_view out;
  out.tag = in.bytes(m.tag_length);
  out.order_key = in.bytes(m.order_key_length);
  auto keys_end = in.position() + m.keys_length;
  while (in.position() != keys_end)
    out.keys.push_back(in.bytes(in.length()));
  auto properties_end = keys_end + m.properties_length;
  while (in.position() != properties_end) {
    auto name_length = in.length();
    auto value_length = in.length();
    auto name = in.bytes(name_length);
    out.properties.emplace_back(name, in.bytes(value_length));
  }
  out.body = in.bytes(static_cast<std::size_t>(blob_ + end_of(i) - in.position()));
  out.priority = m.priority;
  out.born = born(m, i);
  if (auto life = ttl(i); life.count() > 0)
    out.ttl = life;
  if (const auto at = due(i); at != timestamp{})
    out.deliver_at = at;
  return out;
}

} // namespace troupe
