#include "index_block.hpp"

#include "bytes.hpp"
#include "lmdb.hpp"
#include "varint.hpp"

namespace troupe {

namespace {

// The head of a block, 56 bytes; then the runs.
constexpr std::size_t first_at = 0;
constexpr std::size_t next_at = 8;
constexpr std::size_t start_bytes_at = 16;
constexpr std::size_t end_bytes_at = 24;
constexpr std::size_t last_index_at = 32;
constexpr std::size_t last_time_at = 40;
constexpr std::size_t count_at = 48;
constexpr std::size_t head_size = 56;

constexpr const char* doing = "reading a queue's index";

/// Added to the lane of a run that lists.
constexpr std::uint16_t lists_flag = 0x100;
/// And to that, of a run whose list has runs in other queues, too.
constexpr std::uint16_t shared_flag = 0x200;

std::uint16_t count_of(std::span<const char> value) {
  return load_le<std::uint16_t>(value.data() + count_at);
}

void check_head(std::span<const char> value) {
  require(value.size() >= head_size && count_of(value) <= index_block::capacity, doing);
  require(number_at(value, first_at) <= number_at(value, next_at) &&
              number_at(value, start_bytes_at) <= number_at(value, end_bytes_at),
          doing);
}

void write_head(char* out, std::uint64_t first, std::uint64_t next, std::uint64_t start_bytes,
                std::uint64_t end_bytes) {
  store_le(out + first_at, first);
  store_le(out + next_at, next);
  store_le(out + start_bytes_at, start_bytes);
  store_le(out + end_bytes_at, end_bytes);
}

/// Log index and time are distances to the run before; of the first run they are whole.
void put_run(std::vector<char>& out, const queue_run& run, std::uint64_t index_before,
             std::uint64_t time_before) {
  put_varint(out, run.index.value - index_before);
  put_varint(out, run.first_ordinal);
  put_varint(out, run.count);
  put_varint(out, static_cast<std::uint64_t>(to_unix_ms(run.time)) - time_before);
  put_varint(out, run.bytes);
  put_varint(out, run.lane | (run.lists ? lists_flag : 0u) | (run.shared ? shared_flag : 0u));
}

} // namespace

index_block index_block::after(queue_offset next, std::uint64_t end_bytes) {
  index_block b;
  b.first_ = b.next_ = next;
  b.start_bytes_ = b.end_bytes_ = end_bytes;
  return b;
}

index_block index_block::of(std::span<const queue_run> runs) {
  index_block b;
  b.first_ = runs.front().base;
  b.next_ = runs.back().next();
  b.start_bytes_ = runs.front().end_bytes - runs.front().bytes;
  b.end_bytes_ = runs.back().end_bytes;
  b.runs_.assign(runs.begin(), runs.end());
  return b;
}

void index_block::encode(std::vector<char>& out) const {
  out.assign(head_size, 0);
  write_head(out.data(), first_.value, next_.value, start_bytes_, end_bytes_);
  std::uint64_t index = 0, time = 0;
  for (const auto& run : runs_) {
    put_run(out, run, index, time);
    index = run.index.value;
    time = static_cast<std::uint64_t>(to_unix_ms(run.time));
  }
  store_le(out.data() + last_index_at, index);
  store_le(out.data() + last_time_at, time);
  store_le(out.data() + count_at, static_cast<std::uint16_t>(runs_.size()));
}

index_block index_block::decode(std::span<const char> value) {
  check_head(value);
  auto b = after(queue_offset{number_at(value, first_at)}, number_at(value, start_bytes_at));
  std::uint64_t index = 0, time = 0;
  auto rest = value.subspan(head_size);
  const auto count = count_of(value);
  b.runs_.reserve(count);
  for (std::uint16_t i = 0; i < count; ++i) {
    queue_run run;
    run.base = b.next_;
    run.index = log_index{index += take_varint(rest, doing)};
    run.first_ordinal = take_small<std::uint32_t>(rest, doing);
    run.count = take_small<std::uint32_t>(rest, doing);
    run.time = from_unix_ms(static_cast<std::int64_t>(time += take_varint(rest, doing)));
    run.bytes = take_small<std::uint32_t>(rest, doing);
    const auto lane = take_small<std::uint16_t>(rest, doing);
    require(lane < 2 * shared_flag && (lane & lists_flag || !(lane & shared_flag)), doing);
    run.lane = static_cast<std::uint8_t>(lane);
    run.lists = lane & lists_flag;
    run.shared = lane & shared_flag;
    run.end_bytes = b.end_bytes_ += run.bytes;
    b.next_ = run.next();
    require(run.count > 0 && b.next_ > run.base, doing);
    b.runs_.push_back(run);
  }
  require(rest.empty() && b.next_.value == number_at(value, next_at) &&
              b.end_bytes_ == number_at(value, end_bytes_at),
          doing);
  require(index == number_at(value, last_index_at) && time == number_at(value, last_time_at), doing);
  return b;
}

block_tail::block_tail() : value_(head_size) {}

block_tail::block_tail(std::span<const char> value) : value_(value.begin(), value.end()) {
  check_head(value);
}

queue_offset block_tail::first() const { return queue_offset{number_at(value_, first_at)}; }
queue_offset block_tail::next() const { return queue_offset{number_at(value_, next_at)}; }
std::uint64_t block_tail::end_bytes() const { return number_at(value_, end_bytes_at); }
bool block_tail::full() const { return count_of(value_) == index_block::capacity; }
bool block_tail::empty() const { return count_of(value_) == 0; }

void block_tail::append(queue_run& run) {
  run.base = next();
  run.end_bytes = end_bytes() + run.bytes;
  put_run(value_, run, number_at(value_, last_index_at), number_at(value_, last_time_at));
  store_le(value_.data() + next_at, run.next().value);
  store_le(value_.data() + end_bytes_at, run.end_bytes);
  store_le(value_.data() + last_index_at, run.index.value);
  store_le(value_.data() + last_time_at, static_cast<std::uint64_t>(to_unix_ms(run.time)));
  store_le(value_.data() + count_at, static_cast<std::uint16_t>(count_of(value_) + 1));
}

void block_tail::restart() {
  const auto at = next().value, bytes = end_bytes();
  value_.assign(head_size, 0);
  write_head(value_.data(), at, at, bytes, bytes);
}

} // namespace troupe
