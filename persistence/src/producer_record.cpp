#include "producer_record.hpp"

#include "bytes.hpp"
#include "lmdb.hpp"
#include "varint.hpp"

namespace troupe {

namespace {

// The head, 56 bytes; then the verdicts, oldest first.
constexpr std::size_t epoch_at = 0;
constexpr std::size_t count_at = 4;
constexpr std::size_t last_at = 8;
constexpr std::size_t time_at = 16;
constexpr std::size_t oldest_index_at = 24;
constexpr std::size_t oldest_base_at = 32;
constexpr std::size_t newest_index_at = 40;
constexpr std::size_t newest_base_at = 48;
constexpr std::size_t head_size = 56;

/// In the place of a count.
constexpr std::uint32_t delayed_with_repeats = std::uint32_t{1} << 31;

constexpr const char* doing = "reading what is known of a producer";

/// One verdict as it is stored: log index and base are distances to the verdict before.
struct stored_step {
  std::uint64_t index = 0;
  std::uint32_t ordinal = 0;
  std::uint64_t base = 0;
  std::uint32_t count = 0;
};

stored_step take_step(std::span<const char>& in) {
  stored_step s;
  s.index = take_varint(in, doing);
  s.ordinal = take_small<std::uint32_t>(in, doing);
  s.base = take_varint(in, doing);
  s.count = take_small<std::uint32_t>(in, doing);
  return s;
}

} // namespace

producer_record::producer_record(std::span<const char> value) : value_(value.begin(), value.end()) {
  require(value.size() >= head_size && count() > 0 && count() <= window && count() <= last().value, doing);
}

producer_epoch producer_record::epoch() const {
  return producer_epoch{load_le<std::uint32_t>(value_.data() + epoch_at)};
}
batch_sequence producer_record::last() const { return batch_sequence{number_at(value_, last_at)}; }
timestamp producer_record::last_time() const {
  return from_unix_ms(static_cast<std::int64_t>(number_at(value_, time_at)));
}
std::size_t producer_record::count() const { return load_le<std::uint16_t>(value_.data() + count_at); }

std::vector<stored_verdict> producer_record::verdicts() const {
  std::vector<stored_verdict> found;
  found.reserve(count());
  auto rest = std::span<const char>(value_).subspan(head_size);
  for (std::size_t i = 0; i < count(); ++i) {
    const auto s = take_step(rest);
    stored_verdict v{log_index{number_at(value_, oldest_index_at)}, s.ordinal,
                     queue_offset{number_at(value_, oldest_base_at)}, s.count};
    if (v.count >= delayed_with_repeats) {
      require(v.count == delayed_with_repeats, doing);
      v.count = 0;
      v.had_repeats = true;
    }
    // The distances of the oldest lead to one that is forgotten.
    if (i > 0) {
      v.index = log_index{found.back().index.value + s.index};
      v.base = queue_offset{found.back().base.value + s.base};
    }
    found.push_back(v);
  }
  require(rest.empty() && found.back().index.value == number_at(value_, newest_index_at) &&
              found.back().base.value == number_at(value_, newest_base_at),
          doing);
  return found;
}

std::optional<stored_verdict> producer_record::find(batch_sequence sequence) const {
  const auto age = last().value - sequence.value;
  if (age >= count())
    return std::nullopt;
  return verdicts()[count() - 1 - age];
}

void producer_record::accept(producer_epoch epoch, batch_sequence sequence, const stored_verdict& verdict,
                             timestamp time) {
  if (!known() || epoch != this->epoch()) {
    value_.assign(head_size, 0);
    store_le(value_.data() + epoch_at, epoch.value);
    store_le(value_.data() + oldest_index_at, verdict.index.value);
    store_le(value_.data() + oldest_base_at, verdict.base.value);
    store_le(value_.data() + newest_index_at, verdict.index.value);
    store_le(value_.data() + newest_base_at, verdict.base.value);
  } else if (count() == window) {
    drop_oldest();
  }
  put_varint(value_, verdict.index.value - number_at(value_, newest_index_at));
  put_varint(value_, verdict.ordinal);
  put_varint(value_, verdict.base.value - number_at(value_, newest_base_at));
  put_varint(value_, verdict.had_repeats ? delayed_with_repeats : verdict.count);
  store_le(value_.data() + count_at, static_cast<std::uint16_t>(count() + 1));
  store_le(value_.data() + last_at, sequence.value);
  store_le(value_.data() + time_at, static_cast<std::uint64_t>(to_unix_ms(time)));
  store_le(value_.data() + newest_index_at, verdict.index.value);
  store_le(value_.data() + newest_base_at, verdict.base.value);
}

void producer_record::drop_oldest() {
  auto rest = std::span<const char>(value_).subspan(head_size);
  const auto size = rest.size();
  take_step(rest);
  const auto gone = static_cast<std::ptrdiff_t>(size - rest.size());
  const auto next = take_step(rest);
  store_le(value_.data() + oldest_index_at, number_at(value_, oldest_index_at) + next.index);
  store_le(value_.data() + oldest_base_at, number_at(value_, oldest_base_at) + next.base);
  store_le(value_.data() + count_at, static_cast<std::uint16_t>(count() - 1));
  value_.erase(value_.begin() + head_size, value_.begin() + head_size + gone);
}

} // namespace troupe
