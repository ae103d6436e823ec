#include "half_row.hpp"

#include "varint.hpp"

#include "troupe/message.hpp"

#include <algorithm>
#include <string>

namespace troupe {

namespace {

constexpr const char* doing = "reading half messages";

// The head of a row, 24 bytes; then the spans, then the bits.
constexpr std::size_t since_at = 0;
constexpr std::size_t next_check_at = 8;
constexpr std::size_t undecided_at = 16;
constexpr std::size_t checks_at = 20;
constexpr std::size_t spans_at = 22;
constexpr std::size_t head_size = 24;

constexpr std::size_t messages_a_byte = 4;

constexpr std::size_t bytes_of_bits(std::size_t messages) {
  return (messages + messages_a_byte - 1) / messages_a_byte;
}

timestamp time_at(std::span<const char> value, std::size_t at) {
  const auto ms = number_at(value, at);
  require(ms <= static_cast<std::uint64_t>(to_unix_ms(max_time)), doing);
  return from_unix_ms(static_cast<std::int64_t>(ms));
}

/// The place is a distance to the end of the span before (the first one's: to 0). A group of the same name as
/// the one before is not repeated.
void put_span(std::vector<char>& out, const half_span& span, const half_span* before) {
  put_varint(out, span.first - (before ? before->end() : 0));
  put_varint(out, span.count);
  if (before && before->whose.group == span.whose.group) {
    put_varint(out, 0);
  } else {
    put_varint(out, span.whose.group.size() + 1);
    out.insert(out.end(), span.whose.group.begin(), span.whose.group.end());
  }
  put_varint(out, span.whose.transaction.index.value);
  if (span.whose.transaction.known())
    put_varint(out, span.whose.transaction.home.value);
}

half_span take_span(std::span<const char>& in, const half_span* before) {
  half_span span;
  const auto first = (before ? before->end() : 0) + take_small<std::uint32_t>(in, doing);
  span.count = take_small<std::uint32_t>(in, doing);
  require(span.count > 0 && first + span.count <= ~std::uint32_t{0}, doing);
  span.first = static_cast<std::uint32_t>(first);
  const auto length = take_small<std::uint16_t>(in, doing);
  require(length <= in.size() + 1 && length <= max_transaction_name + 1 && (length > 0 || before), doing);
  if (length > 0) {
    span.whose.group.assign(in.begin(), in.begin() + (length - 1));
    in = in.subspan(length - 1u);
  } else {
    span.whose.group = before->whose.group;
  }
  span.whose.transaction.index = log_index{take_varint(in, doing)};
  if (span.whose.transaction.known())
    span.whose.transaction.home = shard_id{take_small<std::uint16_t>(in, doing)};
  require(is_utf8(span.whose.group) && (span.whose.transaction.known() || !span.whose.group.empty()), doing);
  return span;
}

} // namespace

half_row half_row::decode(std::span<const char> value) {
  require(value.size() >= head_size, doing);
  half_row row;
  row.since = time_at(value, since_at);
  row.next_check = time_at(value, next_check_at);
  row.undecided_ = load_le<std::uint32_t>(value.data() + undecided_at);
  row.checks = load_le<std::uint16_t>(value.data() + checks_at);
  const auto spans = load_le<std::uint16_t>(value.data() + spans_at);
  require(spans > 0 && (row.checks > 0 || row.next_check == timestamp{}), doing);
  auto rest = value.subspan(head_size);
  row.spans_.reserve(spans);
  for (std::uint16_t i = 0; i < spans; ++i)
    row.spans_.push_back(take_span(rest, i ? &row.spans_.back() : nullptr));
  std::uint64_t messages = 0;
  for (const auto& span : row.spans_)
    messages += span.count;
  require(messages <= rest.size() * messages_a_byte && bytes_of_bits(messages) == rest.size(), doing);
  row.place_spans();
  row.bits_.assign(rest.begin(), rest.end());
  std::uint32_t undecided = 0;
  for (std::uint32_t i = 0; i < messages; ++i) {
    require(row.bits(i) < 3, doing);
    undecided += row.bits(i) == 0;
  }
  require(undecided == row.undecided_, doing);
  for (std::uint32_t i = static_cast<std::uint32_t>(messages); i < row.bits_.size() * messages_a_byte; ++i)
    require(row.bits(i) == 0, doing);
  return row;
}

void half_row::encode(std::vector<char>& out) const {
  out.assign(head_size, 0);
  store_le(out.data() + since_at, static_cast<std::uint64_t>(to_unix_ms(since)));
  store_le(out.data() + next_check_at, static_cast<std::uint64_t>(to_unix_ms(next_check)));
  store_le(out.data() + undecided_at, undecided_);
  store_le(out.data() + checks_at, checks);
  store_le(out.data() + spans_at, static_cast<std::uint16_t>(spans_.size()));
  for (std::size_t i = 0; i < spans_.size(); ++i)
    put_span(out, spans_[i], i ? &spans_[i - 1] : nullptr);
  out.insert(out.end(), bits_.begin(), bits_.end());
}

void half_row::place_spans() {
  starts_.assign(1, 0);
  for (const auto& span : spans_)
    starts_.push_back(starts_.back() + span.count);
}

unsigned half_row::bits(std::uint32_t at) const {
  return static_cast<unsigned char>(bits_[at / messages_a_byte]) >> (at % messages_a_byte * 2) & 3u;
}

std::optional<half_row::position> half_row::find(std::uint32_t ordinal) const {
  const auto after = std::ranges::upper_bound(spans_, ordinal, {}, &half_span::first);
  if (after == spans_.begin())
    return std::nullopt;
  const auto& span = *(after - 1);
  if (ordinal >= span.end())
    return std::nullopt;
  return position{&span, starts_[static_cast<std::size_t>(&span - spans_.data())] + ordinal - span.first};
}

transaction_state half_row::state(position p) const {
  static constexpr transaction_state states[] = {transaction_state::prepared, transaction_state::committed,
                                                 transaction_state::rolled_back};
  return states[bits(p.at)];
}

void half_row::decide(position p, bool commit) {
  bits_[p.at / messages_a_byte] |= static_cast<char>((commit ? 1 : 2) << (p.at % messages_a_byte * 2));
  --undecided_;
}

std::vector<message_place> half_row::undecided(const half_span& span, log_index index) const {
  std::vector<message_place> found;
  auto at = starts_[static_cast<std::size_t>(&span - spans_.data())];
  for (std::uint32_t i = 0; i < span.count; ++i, ++at)
    if (bits(at) == 0)
      found.push_back({index, span.first + i});
  return found;
}

half_row half_row::take(std::vector<half_span>& spans, timestamp since) {
  half_row row;
  row.since = since;
  std::vector<char> bytes(head_size);
  std::size_t taken = 0, messages = 0;
  for (; taken < spans.size(); ++taken) {
    auto& span = spans[taken];
    const auto before = bytes.size();
    put_span(bytes, span, row.spans_.empty() ? nullptr : &row.spans_.back());
    // A count that is cut is never longer than the whole one.
    const auto most = bytes.size() < max_size ? (max_size - bytes.size()) * messages_a_byte : 0;
    if (most <= messages && !row.spans_.empty()) {
      bytes.resize(before);
      break;
    }
    const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(span.count, most - messages));
    row.spans_.push_back({span.first, count, span.whose});
    messages += count;
    if (count < span.count) {
      span.first += count;
      span.count -= count;
      break;
    }
  }
  spans.erase(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(taken));
  row.place_spans();
  row.bits_.assign(bytes_of_bits(messages), 0);
  row.undecided_ = static_cast<std::uint32_t>(messages);
  return row;
}

half_key key_of(const check_place& row) {
  half_key key;
  store_be(key.data(), row.queue.value);
  store_be(key.data() + 4, row.index.value);
  store_be(key.data() + 12, row.first);
  return key;
}

half_entry_key half_rows_of(queue_id queue, log_index index) {
  half_entry_key key;
  store_be(key.data(), queue.value);
  store_be(key.data() + 4, index.value);
  return key;
}

check_place half_place(std::span<const char> key) {
  require(key.size() == std::tuple_size_v<half_key>, doing);
  return {queue_id{load_be<std::uint32_t>(key.data())}, log_index{load_be<std::uint64_t>(key.data() + 4)},
          load_be<std::uint32_t>(key.data() + 12)};
}

std::optional<std::pair<check_place, half_row>> find_half_row(const lmdb_txn& txn, const tables& t,
                                                              queue_id queue, message_place message) {
  lmdb_cursor rows(txn, t.halves);
  const bool more = message.ordinal == ~std::uint32_t{0}
                        ? rows.seek_before(half_rows_of(queue, log_index{message.index.value + 1}))
                        : rows.seek_before(key_of({queue, message.index, message.ordinal + 1}));
  if (!more)
    return std::nullopt;
  const auto place = half_place(rows.key());
  if (place.queue != queue || place.index != message.index)
    return std::nullopt;
  auto row = half_row::decode(rows.value());
  require(row.first() == place.first, doing);
  if (!row.find(message.ordinal))
    return std::nullopt;
  return std::pair(place, std::move(row));
}

void add_half(std::vector<half_span>& spans, std::uint32_t first, std::uint32_t count, const half_of& whose) {
  if (!spans.empty() && spans.back().end() == first && spans.back().whose == whose)
    spans.back().count += count;
  else
    spans.push_back({first, count, whose});
}

} // namespace troupe
