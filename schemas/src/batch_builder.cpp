#include "batch_layout.hpp"
#include "flat.hpp"

#include "troupe/batch.hpp"

#include "batch.capnp.h"

#include <capnp/any.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace troupe {

namespace {

/// Bytes that grow without being zeroed first.
class byte_buffer {
public:
  /// Room for `n` more bytes, which the caller fills.
  char* extend(std::size_t n) {
    if (capacity_ - size_ < n)
      grow(n);
    auto* p = memory_.get() + size_;
    size_ += n;
    return p;
  }
  std::size_t size() const { return size_; }
  const char* data() const { return memory_.get(); }
  /// Keeps the memory for the next batch, unless one large batch made it unusually big.
  void clear() {
    size_ = 0;
    if (capacity_ > keep) {
      memory_.reset();
      capacity_ = 0;
    }
  }

private:
  static constexpr std::size_t keep = 512u << 10;

  void grow(std::size_t n) {
    auto capacity = std::max<std::size_t>({capacity_ * 2, size_ + n, 4096});
    auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0)
      std::memcpy(bigger.get(), memory_.get(), size_);
    memory_ = std::move(bigger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> memory_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

char* put(char* to, std::string_view bytes) {
  if (!bytes.empty())
    std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

char* put_length(char* to, std::size_t length) {
  flat::store(to, static_cast<std::uint16_t>(length));
  return to + sizeof(std::uint16_t);
}

/// A list that only exists once some message needs it.
template <class T> class sparse_list {
public:
  void add(std::size_t position, T value) {
    if (value == 0 && values_.empty())
      return;
    values_.resize(position, 0);
    values_.push_back(value);
  }
  /// After the last message.
  void fill(std::size_t count) {
    if (!values_.empty())
      values_.resize(count, 0);
  }
  const std::vector<T>& values() const { return values_; }
  std::size_t bytes() const { return values_.size() * sizeof(T); }
  void clear() { values_.clear(); }

private:
  std::vector<T> values_;
};

/// With the pointer to the root.
template <class Root> constexpr std::size_t struct_bytes() {
  return (1 + capnp::sizeInWords<Root>()) * flat::word;
}

/// What a root has beside the messages: nothing, or whose they are.
std::size_t extra_bytes(const half_view* half) {
  return half && !half->group.empty() ? flat::padded(half->group.size() + 1) : 0;
}

void write(const half_view*, schema::Batch::Builder) {}
void write(const half_view* half, schema::HalfBatch::Builder to) {
  if (!half->group.empty())
    std::memcpy(to.initGroup(static_cast<capnp::uint>(half->group.size())).begin(), half->group.data(),
                half->group.size());
  to.setHome(half->transaction.home.value);
  to.setBegin(half->transaction.index.value);
}

} // namespace

struct batch_builder::impl {
  std::vector<batch_meta> metas;
  byte_buffer blob;
  sparse_list<std::uint64_t> ttls;
  sparse_list<std::int64_t> dues;
  /// Absolute times of birth; used when one of them is out of bornDelta's reach.
  std::vector<std::int64_t> borns;
  bool far_apart = false;

  template <class Message> void add(const Message& m);
  void add_times(timestamp born, std::optional<milliseconds> ttl, std::optional<timestamp> due);
  /// Bytes of everything but the root.
  std::size_t content_size() const;
  template <class Root> block encode(const half_view* half);
  template <class Root> batch finish(const half_view* half);
  void clear();
};

template <class Message> void batch_builder::impl::add(const Message& m) {
  std::size_t keys = 0, properties = 0;
  for (const auto& key : m.keys)
    keys += 2 + key.size();
  for (const auto& [name, value] : m.properties)
    properties += 4 + name.size() + value.size();

  batch_meta meta;
  meta.tag_hash = short_hash(m.tag);
  meta.order_key_hash = short_hash(m.order_key);
  meta.blob_begin = static_cast<std::uint32_t>(blob.size());
  meta.tag_length = static_cast<std::uint8_t>(m.tag.size());
  meta.order_key_length = static_cast<std::uint8_t>(m.order_key.size());
  meta.keys_length = static_cast<std::uint16_t>(keys);
  meta.properties_length = static_cast<std::uint16_t>(properties);
  meta.priority = m.priority;

  auto* to = blob.extend(m.tag.size() + m.order_key.size() + keys + properties + m.body.size());
  to = put(put(to, m.tag), m.order_key);
  for (const auto& key : m.keys)
    to = put(put_length(to, key.size()), key);
  for (const auto& [name, value] : m.properties)
    to = put(put(put_length(put_length(to, name.size()), value.size()), name), value);
  put(to, m.body);

  metas.push_back(meta);
  add_times(m.born, m.ttl, m.deliver_at);
}

void batch_builder::impl::add_times(timestamp born, std::optional<milliseconds> ttl,
                                    std::optional<timestamp> due) {
  auto position = metas.size() - 1;
  borns.push_back(to_unix_ms(born));
  auto delta = borns.back() - borns.front();
  if (delta < std::numeric_limits<std::int32_t>::min() || delta > std::numeric_limits<std::int32_t>::max())
    far_apart = true;
  else
    metas.back().born_delta = static_cast<std::int32_t>(delta);
  ttls.add(position, ttl ? static_cast<std::uint64_t>(std::max<std::int64_t>(ttl->count(), 1)) : 0);
  dues.add(position, due ? to_unix_ms(*due) : 0);
}

std::size_t batch_builder::impl::content_size() const {
  // The list of metas has a word in front that describes its elements.
  return flat::word + metas.size() * sizeof(batch_meta) + ttls.bytes() + dues.bytes() +
         (far_apart ? borns.size() * sizeof(std::int64_t) : 0) + flat::padded(blob.size());
}

template <class Root> block batch_builder::impl::encode(const half_view* half) {
  auto count = static_cast<capnp::uint>(metas.size());
  ttls.fill(count);
  dues.fill(count);
  auto size = struct_bytes<Root>() + extra_bytes(half) + content_size();
  auto memory = flat::allocate(size);
  // Cap'n Proto wants zeroed memory. All of the blob but its padding is written over, and it comes last.
  std::memset(memory.get(), 0, size - flat::padded(blob.size()));
  if (blob.size() > 0)
    std::memset(memory.get() + size - flat::word, 0, flat::word);

  auto all = flat::words({memory.get(), size});
  capnp::FlatMessageBuilder message(kj::arrayPtr(all.data(), all.size()));
  auto root = message.initRoot<Root>();
  root.setBornBase(far_apart ? 0 : borns.front());
  auto list = root.initMetas(count);
  // The elements are contiguous and exactly batch_meta: one copy instead of ten setters each.
  std::memcpy(capnp::AnyStruct::Builder(list[0]).getDataSection().begin(), metas.data(),
              metas.size() * sizeof(batch_meta));
  auto fill = [](auto to, const auto& values) {
    for (capnp::uint i = 0; i < to.size(); ++i)
      to.set(i, values[i]);
  };
  if (ttls.bytes() > 0)
    fill(root.initTtls(count), ttls.values());
  if (dues.bytes() > 0)
    fill(root.initDues(count), dues.values());
  if (far_apart)
    fill(root.initBorns(count), borns);
  write(half, root);
  if (blob.size() > 0)
    std::memcpy(root.initBlob(static_cast<capnp::uint>(blob.size())).begin(), blob.data(), blob.size());
  message.requireFilled();
  return block::adopt(std::move(memory), static_cast<std::uint32_t>(size));
}

template <class Root> batch batch_builder::impl::finish(const half_view* half) {
  batch out;
  if (!metas.empty()) {
    out.header.count = static_cast<std::uint32_t>(metas.size());
    out.data = encode<Root>(half);
    out.header.size = out.data.size;
    out.header.crc = crc32c(out.data.bytes());
  }
  clear();
  return out;
}

void batch_builder::impl::clear() {
  metas.clear();
  blob.clear();
  ttls.clear();
  dues.clear();
  borns.clear();
  far_apart = false;
}

batch_builder::batch_builder() : impl_(std::make_unique<impl>()) {}
batch_builder::~batch_builder() = default;
batch_builder::batch_builder(batch_builder&&) noexcept = default;
batch_builder& batch_builder::operator=(batch_builder&&) noexcept = default;

void batch_builder::add(const message& m) { impl_->add(m); }
void batch_builder::add(const message_view& m) { impl_->add(m); }

std::uint32_t batch_builder::count() const { return static_cast<std::uint32_t>(impl_->metas.size()); }
std::uint32_t batch_builder::size() const {
  return empty() ? 0 : static_cast<std::uint32_t>(struct_bytes<schema::Batch>() + impl_->content_size());
}

batch batch_builder::finish() { return impl_->finish<schema::Batch>(nullptr); }

batch batch_builder::finish(const half_view& half) {
  auto out = impl_->finish<schema::HalfBatch>(&half);
  out.header.kind = batch_kind::transactional;
  return out;
}

} // namespace troupe
