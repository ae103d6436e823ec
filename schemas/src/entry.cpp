#include "troupe/entry.hpp"

#include "crc32c_chain.hpp"
#include "entry_body.hpp"
#include "entry_layout.hpp"
#include "flat.hpp"

#include <algorithm>
#include <limits>

namespace troupe {

namespace {

namespace at = entry_layout;
namespace record = entry_layout::record;
using flat::load;
using flat::store;

error damaged(const std::string& why) { return after_reading("the entry", impossible(why)); }

error newer(const std::string& what) { return after_reading("the entry", not_known(what)); }

/// Kinds that have a number but belong to later versions are unknown as well.
bool known(entry_kind kind) {
  switch (kind) {
  case entry_kind::noop:
  case entry_kind::append:
  case entry_kind::settle:
  case entry_kind::define:
  case entry_kind::trim:
  case entry_kind::drop_queue:
  case entry_kind::reset:
  case entry_kind::redrive:
  case entry_kind::purge:
  case entry_kind::fire:
  case entry_kind::split:
  case entry_kind::cancel:
  case entry_kind::evict:
  case entry_kind::forget_keys:
  case entry_kind::transaction:
    return true;
  default:
    return false;
  }
}

std::size_t directory_end(std::size_t batches) { return entry_header::size + batches * record::size; }

/// The checksum of the first `covered` bytes, with its own field as zeros.
std::uint32_t checksum(std::span<const char> bytes, std::size_t covered) {
  static constexpr char zeros[sizeof(std::uint32_t)] = {};
  return crc32c_chain{}
      .add(bytes.first(at::crc_at))
      .add(zeros)
      .add(bytes.subspan(at::covered_at, covered - at::covered_at))
      .value();
}

void write_header(const entry_header& header, std::size_t covered, char* out) {
  store(out + at::magic_at, entry_header::magic);
  store(out + at::version_at, entry_header::version);
  store(out + at::kind_at, header.kind);
  store(out + at::term_at, header.term);
  store(out + at::index_at, header.index.value);
  store(out + at::time_at, to_unix_ms(header.time));
  store(out + at::length_at, header.length);
  store(out + at::batches_at, header.batches);
  store(out + at::queue_at, header.queue.value);
  store(out + at::crc_at, std::uint32_t{0});
  store(out + at::covered_at, static_cast<std::uint32_t>(covered));
  store(out + at::window_at, static_cast<std::uint32_t>(header.window.count()));
}

void write_record(const batch_header& header, std::uint32_t begin, std::uint32_t first_ordinal, char* out) {
  std::memset(out, 0, record::size);
  store(out + record::producer_at, header.producer.value);
  store(out + record::sequence_at, header.sequence.value);
  store(out + record::epoch_at, header.epoch.value);
  store(out + record::count_at, header.count);
  store(out + record::size_at, header.size);
  store(out + record::crc_at, header.crc);
  store(out + record::begin_at, begin);
  store(out + record::first_ordinal_at, first_ordinal);
  store(out + record::lane_at, header.lane);
  store(out + record::kind_at, header.kind);
}

/// Directory and batches of an append, behind the header.
void write_append(const append_entry& entry, std::span<char> out) {
  auto* to = out.data() + entry_header::size;
  auto begin = static_cast<std::uint32_t>(directory_end(entry.batches.size()));
  std::uint32_t ordinal = 0;
  for (std::size_t i = 0; i < entry.batches.size(); ++i) {
    const auto& b = entry.batches[i];
    if (!entry.ordinals.empty())
      ordinal = entry.ordinals[i];
    write_record(b.header, begin, ordinal, to);
    if (!b.data.empty())
      std::memcpy(out.data() + begin, b.data.data.get(), b.data.size);
    to += record::size;
    begin += b.data.size;
    ordinal += b.header.count;
  }
}

/// What the header says about lengths, before anything behind it is looked at.
error check_lengths(std::span<const char> bytes) {
  if (bytes.size() < entry_header::size)
    return damaged("it has " + std::to_string(bytes.size()) + " bytes, less than a header");
  auto length = load<std::uint32_t>(bytes.data() + at::length_at);
  if (length != bytes.size() || length % flat::word != 0)
    return damaged("its header says " + std::to_string(length) + " bytes, there are " +
                   std::to_string(bytes.size()));
  auto covered = load<std::uint32_t>(bytes.data() + at::covered_at);
  if (covered < entry_header::size || covered > length)
    return damaged("its checksum covers " + std::to_string(covered) + " bytes");
  return {};
}

/// What the header says about its kind; its checksum was right.
error check_kind(const entry_header& header, std::uint32_t covered) {
  if (!known(header.kind))
    return newer("kind " + std::to_string(static_cast<unsigned>(header.kind)));
  bool is_append = header.kind == entry_kind::append;
  auto wanted = is_append ? directory_end(header.batches) : std::size_t{header.length};
  if (covered != wanted || (!is_append && (header.batches != 0 || header.queue.value != 0)))
    return damaged("its header contradicts its kind");
  if (header.index.value == 0 || !is_stored_time(header.time))
    return damaged("its index or time is not possible");
  return {};
}

batch_header read_record(const char* from) {
  batch_header header;
  header.producer = producer_id{load<std::uint64_t>(from + record::producer_at)};
  header.sequence = batch_sequence{load<std::uint64_t>(from + record::sequence_at)};
  header.epoch = producer_epoch{load<std::uint32_t>(from + record::epoch_at)};
  header.count = load<std::uint32_t>(from + record::count_at);
  header.size = load<std::uint32_t>(from + record::size_at);
  header.crc = load<std::uint32_t>(from + record::crc_at);
  header.lane = load<std::uint8_t>(from + record::lane_at);
  header.kind = static_cast<batch_kind>(load<std::uint8_t>(from + record::kind_at));
  return header;
}

/// One record against its place: batches follow one another without gaps, ordinals ascend.
error check_record(const batch_place& place, const char* from, std::uint64_t begin, std::uint64_t ordinal,
                   std::uint32_t length) {
  const auto& header = place.header;
  static constexpr char zeros[record::size - record::reserved_at] = {};
  if (std::memcmp(from + record::reserved_at, zeros, sizeof zeros) != 0)
    return newer("a longer batch record");
  if (auto o = flat::check(header))
    return after_reading("the entry", o);
  if (place.at != begin || begin + header.size > length)
    return damaged("a batch does not lie where it should");
  if (place.first_ordinal < ordinal ||
      place.first_ordinal > std::numeric_limits<std::uint32_t>::max() - header.count)
    return damaged("the ordinals of its messages do not ascend");
  return {};
}

} // namespace

entry_kind kind_of(const entry_body& body) {
  static constexpr entry_kind kinds[] = {
      entry_kind::noop,        entry_kind::append,      entry_kind::settle,      entry_kind::define,
      entry_kind::trim,        entry_kind::drop_queue,  entry_kind::reset,       entry_kind::redrive,
      entry_kind::purge,       entry_kind::fire,        entry_kind::split,       entry_kind::cancel,
      entry_kind::evict,       entry_kind::forget_keys, entry_kind::transaction, entry_kind::transaction,
      entry_kind::transaction, entry_kind::transaction, entry_kind::transaction, entry_kind::transaction};
  static_assert(std::size(kinds) == std::variant_size_v<entry_body>);
  return kinds[body.index()];
}

error validate(const proposal& p) {
  if (!is_stored_time(p.time))
    return {errc::invalid_argument, "the proposal's time is not between 1970 and 9999",
            "set the machine's clock"};
  if (auto o = flat::check_body(p.body))
    return {errc::invalid_argument, "the proposal could not be read again: " + o.why};
  return {};
}

std::size_t encoded_size(const entry_body& body) {
  const auto* append = std::get_if<append_entry>(&body);
  if (!append)
    return entry_header::size + flat::body_size(body);
  auto size = directory_end(append->batches.size());
  for (const auto& b : append->batches)
    size += b.data.size;
  return size;
}

void encode(entry_header header, const entry_body& body, std::span<char> out) {
  const auto* append = std::get_if<append_entry>(&body);
  header.kind = kind_of(body);
  header.length = static_cast<std::uint32_t>(out.size());
  header.batches = append ? static_cast<std::uint32_t>(append->batches.size()) : 0;
  header.queue = append ? append->queue : queue_id{};
  header.window = append ? append->window : milliseconds{0};
  auto covered = append ? directory_end(append->batches.size()) : out.size();
  if (append) {
    write_append(*append, out);
  } else {
    auto rest = out.subspan(entry_header::size);
    std::fill(rest.begin(), rest.end(), '\0');
    flat::write_body(body, rest);
  }
  write_header(header, covered, out.data());
  store(out.data() + at::crc_at, checksum(out, covered));
}

result<entry_header> decode_header(std::span<const char> bytes) {
  // The magic, then the version, before anything whose place another version may have changed.
  if (bytes.size() < at::version_at + sizeof(std::uint16_t) ||
      load<std::uint32_t>(bytes.data() + at::magic_at) != entry_header::magic)
    return damaged("it does not begin as an entry does");
  if (auto version = load<std::uint16_t>(bytes.data() + at::version_at); version != entry_header::version)
    return newer("format version " + std::to_string(version));
  if (auto err = check_lengths(bytes))
    return err;
  auto covered = load<std::uint32_t>(bytes.data() + at::covered_at);
  entry_header header;
  header.kind = load<entry_kind>(bytes.data() + at::kind_at);
  header.term = load<std::uint64_t>(bytes.data() + at::term_at);
  header.index = log_index{load<std::uint64_t>(bytes.data() + at::index_at)};
  header.time = from_unix_ms(load<std::int64_t>(bytes.data() + at::time_at));
  header.length = load<std::uint32_t>(bytes.data() + at::length_at);
  header.batches = load<std::uint32_t>(bytes.data() + at::batches_at);
  header.queue = queue_id{load<std::uint32_t>(bytes.data() + at::queue_at)};
  header.crc = load<std::uint32_t>(bytes.data() + at::crc_at);
  if (checksum(bytes, covered) != header.crc)
    return damaged("the checksum of its header differs");
  const auto window = load<std::uint32_t>(bytes.data() + at::window_at);
  if (window != 0 && header.kind != entry_kind::append)
    return newer("a longer header");
  header.window = milliseconds{window};
  if (auto err = check_kind(header, covered))
    return err;
  return header;
}

result<std::vector<batch_place>> decode_directory(const entry_header& header, std::span<const char> bytes) {
  if (header.length != bytes.size() || directory_end(header.batches) > bytes.size())
    return damaged("its directory is longer than the entry");
  std::vector<batch_place> places(header.batches);
  std::uint64_t begin = directory_end(header.batches), ordinal = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto* from = bytes.data() + directory_end(i);
    auto& place = places[i];
    place.header = read_record(from);
    place.at = load<std::uint32_t>(from + record::begin_at);
    place.first_ordinal = load<std::uint32_t>(from + record::first_ordinal_at);
    if (auto err = check_record(place, from, begin, ordinal, header.length))
      return err;
    begin += place.header.size;
    ordinal = std::uint64_t{place.first_ordinal} + place.header.count;
  }
  if (begin != bytes.size())
    return damaged("there are bytes behind its last batch");
  return places;
}

result<entry_body> decode_body(const entry_header& header, block bytes) {
  auto checked = decode_header(bytes.bytes());
  if (!checked)
    return checked.error();
  if (*checked != header)
    return damaged("its header is not the one it was read with");
  if (header.kind == entry_kind::append) {
    auto places = decode_directory(header, bytes.bytes());
    if (!places)
      return places.error();
    append_entry entry{header.queue, {}, header.window};
    entry.batches.reserve(places->size());
    std::uint32_t ordinal = 0;
    bool gaps = false;
    for (const auto& place : *places) {
      entry.batches.push_back({place.header, bytes.slice(place.at, place.header.size)});
      entry.ordinals.push_back(place.first_ordinal);
      gaps = gaps || place.first_ordinal != ordinal;
      ordinal = place.first_ordinal + place.header.count;
    }
    if (!gaps)
      entry.ordinals.clear();
    return entry_body{std::move(entry)};
  }
  auto rest = bytes.slice(entry_header::size, bytes.size - entry_header::size);
  if (flat::aligned(rest.data.get()))
    return flat::read_body(header.kind, rest.bytes());
  auto copy = flat::allocate(rest.size);
  std::memcpy(copy.get(), rest.data.get(), rest.size);
  return flat::read_body(header.kind, {copy.get(), rest.size});
}

} // namespace troupe
