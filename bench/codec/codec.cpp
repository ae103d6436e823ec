#include "troupe/batch.hpp"
#include "troupe/entry.hpp"

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

// What a batch costs. README.md says how to read the figures.

namespace {

using namespace troupe;

/// A message with its body only, or with all attributes that programs commonly set.
message sample(std::size_t body, bool attributes) {
  message m;
  m.body = std::string(body, 'b');
  m.born = from_unix_ms(1'714'566'600'000);
  if (attributes) {
    m.keys = {"order-4711"};
    m.tag = "created";
    m.order_key = "customer-7";
    m.properties = {{"region", "eu"}, {"version", "1.2.3"}};
  }
  return m;
}

batch build(const message& m, std::size_t count) {
  batch_builder builder;
  for (std::size_t i = 0; i < count; ++i)
    builder.add(m);
  return builder.finish();
}

/// Arguments: bytes of a body, messages in a batch, 1 for messages with attributes.
message sample(const benchmark::State& state) {
  return sample(static_cast<std::size_t>(state.range(0)), state.range(2) != 0);
}

void count_messages(benchmark::State& state, std::size_t bytes) {
  state.SetItemsProcessed(state.iterations() * state.range(1));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void build_batch(benchmark::State& state) {
  auto m = sample(state);
  batch_builder builder;
  std::size_t bytes = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(1); ++i)
      builder.add(m);
    auto b = builder.finish();
    bytes = b.header.size;
    benchmark::DoNotOptimize(b.data.data.get());
  }
  count_messages(state, bytes);
}

void open_batch(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    auto reader = batch_reader::open(b.header, b.data);
    benchmark::DoNotOptimize(reader);
  }
  count_messages(state, b.header.size);
}

void open_and_read_batch(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    auto reader = batch_reader::open(b.header, b.data);
    for (std::uint32_t i = 0; i < reader->count(); ++i)
      benchmark::DoNotOptimize(reader->at(i));
  }
  count_messages(state, b.header.size);
}

void scan_metas(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)));
  auto reader = batch_reader::open(b.header, b.data);
  for (auto _ : state)
    for (std::uint32_t i = 0; i < reader->count(); ++i)
      benchmark::DoNotOptimize(reader->meta(i));
  count_messages(state, b.header.size);
}

void checksum(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)));
  for (auto _ : state)
    benchmark::DoNotOptimize(crc32c(b.data.bytes()));
  count_messages(state, b.header.size);
}

/// An append entry of 8 such batches into memory that is already there, as the store does it.
void encode_append(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)) / 8);
  entry_body body = append_entry{queue_id{1}, std::vector<batch>(8, b)};
  std::vector<std::uint64_t> memory(encoded_size(body) / 8);
  std::span<char> out(reinterpret_cast<char*>(memory.data()), memory.size() * 8);
  for (auto _ : state) {
    encode({.term = 1, .index = log_index{1}}, body, out);
    benchmark::ClobberMemory();
  }
  count_messages(state, out.size());
}

/// A settle of as many single offsets, the worst case.
void encode_settle(benchmark::State& state) {
  settle_section section{group_id{1}, queue_id{1}, 0, generation{1}, {}};
  for (std::int64_t i = 0; i < state.range(1); ++i)
    section.ranges.push_back({queue_offset{static_cast<std::uint64_t>(2 * i)}, 1, settle_action::ack, 0, {}});
  entry_body body = settle_entry{{section}};
  std::vector<std::uint64_t> memory(encoded_size(body) / 8);
  std::span<char> out(reinterpret_cast<char*>(memory.data()), memory.size() * 8);
  for (auto _ : state) {
    benchmark::DoNotOptimize(encoded_size(body));
    encode({.term = 1, .index = log_index{1}}, body, out);
    benchmark::ClobberMemory();
  }
  count_messages(state, out.size());
}

/// The floor under everything that moves bytes.
void copy_bytes(benchmark::State& state) {
  auto b = build(sample(state), static_cast<std::size_t>(state.range(1)));
  std::vector<char> to(b.header.size);
  for (auto _ : state) {
    std::memcpy(to.data(), b.data.data.get(), to.size());
    benchmark::ClobberMemory();
  }
  count_messages(state, b.header.size);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"body", "messages", "attributes"});
  for (std::int64_t messages : {1, 500})
    for (std::int64_t body : {100, 1024})
      b->Args({body, messages, 0});
  b->Args({100, 500, 1});
}

void large_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"body", "messages", "attributes"});
  b->Args({100, 2000, 0})->Args({1024, 2000, 0});
}

BENCHMARK(build_batch)->Apply(shapes);
BENCHMARK(open_batch)->Apply(shapes);
BENCHMARK(open_and_read_batch)->Apply(shapes);
BENCHMARK(scan_metas)->Apply(shapes);
BENCHMARK(checksum)->Apply(shapes);
BENCHMARK(copy_bytes)->Apply(shapes);
BENCHMARK(encode_append)->Apply(large_shapes);
BENCHMARK(encode_settle)->Apply(large_shapes);

} // namespace

BENCHMARK_MAIN();
