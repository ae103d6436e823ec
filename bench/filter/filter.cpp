#include "troupe/filter.hpp"
#include "troupe/batch.hpp"

#include <benchmark/benchmark.h>

#include <stdexcept>

// What a filter costs per message. README.md says how to read the figures.

namespace {

using namespace troupe;

/// A message of a batch, as the broker shows it to a filter.
class subject final : public filter_subject {
public:
  explicit subject(const batch_reader& batch) : batch_(batch) {}
  void move_to(std::uint32_t i) { at_ = i; }
  std::uint32_t tag_hash() const override { return batch_.meta(at_).tag_hash; }
  std::string_view tag() const override { return batch_.tag(at_); }
  std::optional<std::string_view> property(std::string_view name) const override {
    return batch_.property(at_, name);
  }
  std::optional<std::string_view> next_key(std::uint32_t& cursor) const override {
    return batch_.next_key(at_, cursor);
  }
  std::uint8_t priority() const override { return batch_.meta(at_).priority; }
  timestamp born() const override { return batch_.meta(at_).born; }
  std::uint32_t attempt() const override { return 1; }

private:
  const batch_reader& batch_;
  std::uint32_t at_ = 0;
};

constexpr std::uint32_t messages = 500;

batch sample() {
  batch_builder builder;
  for (std::uint32_t i = 0; i < messages; ++i) {
    message m;
    m.body = std::string(100, 'b');
    m.born = from_unix_ms(1'714'566'600'000 + i);
    m.keys = {"order-" + std::to_string(i), "customer-7"};
    m.tag = i % 100 == 7 ? "paid" : "created";
    m.properties = {{"region", i % 2 == 0 ? "eu" : "us"},
                    {"version", "1.2.3"},
                    {"n", std::to_string(i % 100)},
                    {"price", "19.99"}};
    builder.add(m);
  }
  return builder.finish();
}

void evaluate(benchmark::State& state, const char* text) {
  const auto f = parse_filter(text);
  const auto b = sample();
  const auto reader = batch_reader::open(b.header, b.data);
  if (!f || !reader)
    throw std::runtime_error(text);
  subject s{*reader};
  std::uint64_t wanted = 0;
  for (auto _ : state)
    for (std::uint32_t i = 0; i < messages; ++i) {
      s.move_to(i);
      wanted += (*f)->matches(s) ? 1 : 0;
    }
  const auto judged = static_cast<double>(state.iterations()) * messages;
  state.counters["wanted"] = static_cast<double>(wanted) / judged;
  state.SetItemsProcessed(state.iterations() * messages);
}

void parse(benchmark::State& state, const char* text) {
  for (auto _ : state)
    benchmark::DoNotOptimize(parse_filter(text));
}

void properties_by_view(benchmark::State& state) {
  const auto b = sample();
  const auto reader = batch_reader::open(b.header, b.data);
  for (auto _ : state)
    for (std::uint32_t i = 0; i < messages; ++i)
      benchmark::DoNotOptimize(reader->at(i).properties.size());
  state.SetItemsProcessed(state.iterations() * messages);
}

constexpr const char* one_in_100 = "n = 7";
constexpr const char* four_parts =
    "price BETWEEN 10 AND 20 AND region IN ('eu', 'uk') AND version STARTSWITH '1.' AND n > 5";

BENCHMARK_CAPTURE(evaluate, tags, "paid || refunded");
BENCHMARK_CAPTURE(evaluate, tag_in_sql, "tag = 'paid'");
BENCHMARK_CAPTURE(evaluate, one_in_100, one_in_100);
BENCHMARK_CAPTURE(evaluate, text, "region = 'eu'");
BENCHMARK_CAPTURE(evaluate, absent, "other IS NOT NULL");
BENCHMARK_CAPTURE(evaluate, keys, "keys = 'customer-7'");
BENCHMARK_CAPTURE(evaluate, like, "version LIKE '%2.%'");
BENCHMARK_CAPTURE(evaluate, arithmetic, "price * 2 + 1 > 40");
BENCHMARK_CAPTURE(evaluate, four_parts, four_parts);
BENCHMARK(properties_by_view);
BENCHMARK_CAPTURE(parse, one_in_100, one_in_100);
BENCHMARK_CAPTURE(parse, four_parts, four_parts);

} // namespace

BENCHMARK_MAIN();
