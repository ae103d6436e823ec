#include "bench.hpp"
#include "text.hpp"

#include <algorithm>

namespace troupe::cli {

namespace {

struct raw_settings {
  std::uint64_t size = 100;
  std::uint64_t commit = 1000;
  std::uint32_t runs = 3;
  std::string directory;
  std::optional<milliseconds> duration;
};

struct raw_limit {
  std::string name;
  std::string text;
  std::size_t bytes;
  std::function<result<raw_figures>()> measure;
};

result<raw_figures> median_of(std::uint32_t runs, const std::function<result<raw_figures>()>& measure) {
  std::vector<raw_figures> all;
  for (std::uint32_t i = 0; i < runs; ++i) {
    auto figures = measure();
    if (!figures)
      return figures.error();
    all.push_back(*figures);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.per_s < b.per_s; });
  return all[(all.size() - 1) / 2];
}

bench_figures as_bench(const raw_limit& limit, const raw_figures& raw) {
  bench_figures f;
  f.seconds = raw.seconds;
  f.messages = static_cast<std::uint64_t>(raw.per_s * raw.seconds);
  f.p50_us = raw.p50_us;
  f.p99_us = raw.p99_us;
  f.p999_us = raw.p999_us;
  f.more["measures"] = limit.text;
  return f;
}

int raw(context& ctx, const raw_settings& s) {
  auto time = s.duration.value_or(milliseconds{500});
  auto size = static_cast<std::size_t>(s.size);
  auto many = static_cast<std::size_t>(s.commit);
  const std::vector<raw_limit> limits{
      {"raw-fdatasync", "append and fdatasync of one body", size,
       [&] { return raw_fdatasync(s.directory, size, time); }},
      {"raw-commit-single", "bare LMDB, one body per durable commit", size,
       [&] { return raw_commit(s.directory, 1, size, time); }},
      {"raw-commit", "bare LMDB, " + std::to_string(many) + " bodies per durable commit", size,
       [&] { return raw_commit(s.directory, many, size, time); }},
      {"raw-memcpy", "copies of one body in memory", size,
       [&] { return result<raw_figures>(raw_memcpy(size, time)); }},
      {"raw-loopback-roundtrip", "one body there and back over loopback TCP", size,
       [&] { return raw_round_trip(size, time); }},
      {"raw-loopback", "bodies one way over loopback TCP, in writes of 64 KiB", size,
       [&] { return raw_stream(size, time); }}};
  table rows({"LIMIT", ">PER S", ">MB/S", ">P50 US", ">P99 US", "MEASURES"});
  for (const auto& limit : limits) {
    ctx.out.progress("measuring " + limit.text);
    auto figures = median_of(s.runs, limit.measure);
    ctx.out.progress({});
    if (!figures)
      return ctx.fail("bench " + limit.name, figures.error());
    if (ctx.out.json_lines)
      ctx.out.line(to_json({limit.name, limit.bytes}, as_bench(limit, *figures)));
    auto tenths = [](double us) {
      return std::to_string(static_cast<std::uint64_t>(us)) + "." +
             std::to_string(static_cast<std::uint64_t>(us * 10) % 10);
    };
    rows.row({limit.name, grouped(static_cast<std::uint64_t>(figures->per_s)), tenths(figures->mb_per_s),
              tenths(figures->p50_us), tenths(figures->p99_us), limit.text});
  }
  ctx.out.text(rows.text(ctx.out.colour()));
  return done;
}

} // namespace

void add_bench_raw(CLI::App& bench, context& ctx) {
  auto [verb, s] =
      add_verb(bench, ctx, "raw", "The limits of this machine: disk, LMDB, memory, loopback", raw);
  verb->add_option("--size", s->size, "Bytes of a body")
      ->check(CLI::Range(1, 4 << 20))
      ->capture_default_str();
  verb->add_option("--commit", s->commit, "Bodies per commit of the group commit")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb->add_option("--runs", s->runs, "Runs, of which the median is shown")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  add_duration(*verb, "--duration", s->duration, "Time for each run (500ms)");
  std::error_code no_default;
  s->directory = std::filesystem::temp_directory_path(no_default).string();
  verb->add_option("--dir", s->directory, "The file system to measure")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  examples(*verb, {"troupe bench raw --dir /var/lib/troupe", "troupe bench raw --size 1024 --json"});
}

} // namespace troupe::cli
