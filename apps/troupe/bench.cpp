#include "bench.hpp"

#include "text.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>

namespace troupe::cli {

namespace {

constexpr std::uint64_t most_messages = 1'000'000;
constexpr std::uint64_t most_bytes = 512u << 20;

std::string random_name() {
  std::random_device source;
  std::ostringstream name;
  name << "bench-" << std::hex << getpid() << "-" << source();
  return name.str();
}

/// "RssAnon:    1234 kB" of /proc; nothing when it cannot be read.
std::optional<std::uint64_t> anonymous_memory(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:"))
      return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  return std::nullopt;
}

void put(json& object, const char* name, double value, double scale = 100) {
  if (std::isfinite(value) && value > 0)
    object[name] = std::round(value * scale) / scale;
}

std::string number(double value, int digits) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(digits);
  text << value;
  return text.str();
}

std::string summary(const bench_report& report, const bench_figures& f) {
  std::string text =
      about_rate(f.per_s()) + ", " + number(f.per_s() * static_cast<double>(report.size) / 1e6, 1) + " MB/s";
  if (f.p50_us > 0)
    text += ", p50 " + number(f.p50_us, 0) + " us, p99 " + number(f.p99_us, 0) + " us";
  if (f.raw_per_s > 0)
    text += "; raw " + about_rate(f.raw_per_s);
  if (f.raw_p50_us > 0)
    text += "; raw p50 " + number(f.raw_p50_us, 0) + " us";
  if (f.ratio > 0)
    text += "; ratio " + number(f.ratio, 2);
  for (const auto& [name, value] : f.more.items())
    text += "; " + name + " " + value.dump();
  return text;
}

} // namespace

std::uint64_t bench_settings::messages_or_default() const {
  return messages.value_or(
      std::clamp<std::uint64_t>(most_bytes / std::max<std::uint64_t>(size, 1), 1, most_messages));
}

void add_bench_options(CLI::App& verb, bench_settings& s) {
  verb.add_option("--size", s.size, "Bytes of a body, 1 to 4 MiB")
      ->check(CLI::Range(1, 4 << 20))
      ->capture_default_str();
  verb.add_option("--messages", s.messages, "How many a run takes (a million, or half a gigabyte)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40));
  verb.add_option("--queues", s.queues, "Queues of the topic")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb.add_option("--runs", s.runs, "Runs, of which the median is shown")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  verb.add_flag("--embedded", s.embedded, "With a node in this process instead of --node");
  std::error_code no_default;
  s.directory = std::filesystem::temp_directory_path(no_default).string();
  verb.add_option("--dir", s.directory,
                  "Where the raw limits are measured and an embedded node keeps its data: the file "
                  "system of the node")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  verb.add_option("--pid", s.pid, "The node's process on this machine, to read its memory and CPU");
}

result<bench_node> bench_node::open(context& ctx, const bench_settings& s) {
  bench_node b;
  b.prefix_ = random_name();
  b.out_ = &ctx.out;
  b.pid_ = s.embedded ? getpid() : s.pid;
  if (s.embedded) {
    auto place = scratch_directory::make(s.directory);
    if (!place)
      return place.error();
    b.data_ = std::make_unique<scratch_directory>(std::move(*place));
    node_config config;
    config.data = b.data_->path() / "data";
    auto started = node::start(std::move(config));
    if (!started)
      return started.error();
    b.node_ = std::move(*started);
  }
  auto connected = s.embedded ? client::attach(*b.node_, ctx.connection) : client::connect(ctx.connection);
  if (!connected)
    return connected.error();
  b.client_ = std::make_unique<client>(std::move(*connected));
  return b;
}

bench_node::~bench_node() {
  if (!client_)
    return;
  // An embedded store goes as a whole.
  if (auto err = node_ ? error{} : clean_up())
    out_->failure("bench: deleting what it made",
                  {err.code, err.reason, "delete the topics and groups whose names begin with " + prefix_});
  client_->close();
}

error bench_node::clean_up() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto gone = [&](const error& outcome) { return !outcome || outcome.code == errc::not_found; };
  const auto late = [&] { return stop_->requested() && std::chrono::steady_clock::now() > deadline; };
  for (const auto& [names, remove] :
       {std::pair{&groups_, &client::delete_group}, std::pair{&topics_, &client::delete_topic}})
    for (const auto& name : *names) {
      if (late())
        return {errc::timeout, "it takes too long after an interrupt"};
      if (auto err = (*client_.*remove)(name); !gone(err))
        return err;
    }
  return {};
}

result<std::string> bench_node::make_topic(const topic_options& options) {
  auto names = make_topics(1, options);
  if (!names)
    return names.error();
  return names->front();
}

result<std::vector<std::string>> bench_node::make_topics(std::uint32_t count, const topic_options& options) {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i)
    names.push_back(prefix_ + "-" + std::to_string(++made_));
  // One whose creation failed may be there all the same.
  topics_.insert(topics_.end(), names.begin(), names.end());
  for (const auto& topic : client_->create_topics(names, options))
    if (!topic)
      return topic.error();
  return names;
}

std::string bench_node::new_group() { return groups_.emplace_back(prefix_ + "-" + std::to_string(++made_)); }

result<std::uint64_t> bench_node::commits() {
  auto status = client_->node_status();
  if (!status)
    return status.error();
  std::uint64_t sum = 0;
  for (const auto& shard : status->shards)
    sum += shard.commits;
  return sum;
}

std::uint64_t bench_node::memory() {
  if (auto bytes = pid_ != 0 ? anonymous_memory(pid_) : std::nullopt)
    return *bytes;
  auto status = client_->node_status();
  return status ? status->rss : 0;
}

std::optional<double> bench_node::cpu_seconds() const {
  if (pid_ == 0)
    return std::nullopt;
  std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
  std::string text;
  std::getline(stat, text);
  // The name in parentheses may hold blanks; behind it utime and stime are the 12th and 13th fields.
  auto end = text.rfind(')');
  if (end == std::string::npos)
    return std::nullopt;
  std::istringstream fields(text.substr(end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

error interrupted() { return {errc::shutting_down, "interrupted before it was done"}; }

json to_json(const bench_report& report, const bench_figures& f) {
  json object{{"bench", report.name}, {"size", report.size}, {"messages", f.messages}};
  put(object, "seconds", f.seconds, 1e6);
  put(object, "per_s", f.per_s(), 10);
  put(object, "mb_per_s", f.per_s() * static_cast<double>(report.size) / 1e6);
  put(object, "p50_us", f.p50_us);
  put(object, "p99_us", f.p99_us);
  put(object, "p999_us", f.p999_us);
  put(object, "raw_per_s", f.raw_per_s, 10);
  put(object, "raw_p50_us", f.raw_p50_us);
  put(object, "ratio", f.ratio, 1000);
  object.update(f.more);
  return object;
}

int report_runs(context& ctx, const bench_report& report, std::uint32_t runs,
                const std::function<result<bench_figures>()>& run) {
  std::vector<bench_figures> all;
  for (std::uint32_t i = 0; i < runs; ++i) {
    ctx.out.progress("bench " + report.name + ": run " + std::to_string(i + 1) + " of " +
                     std::to_string(runs));
    auto figures = run();
    ctx.out.progress({});
    if (!figures)
      return ctx.fail("bench " + report.name, figures.error());
    if (runs > 1)
      ctx.out.text("run " + std::to_string(i + 1) + "  " + summary(report, *figures) + "\n");
    ctx.out.flush();
    all.push_back(std::move(*figures));
  }
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) {
    return report.by_latency ? a.p50_us < b.p50_us : a.per_s() < b.per_s();
  });
  // Of an even number the worse of the two in the middle.
  const auto& median = report.by_latency ? all[all.size() / 2] : all[(all.size() - 1) / 2];
  auto object = to_json(report, median);
  object["runs"] = runs;
  if (ctx.out.json_lines)
    ctx.out.line(object);
  else
    ctx.out.text(report.name + ", " + grouped(report.size) + " B  " + summary(report, median) + "\n");
  return done;
}

void add_bench_verbs(CLI::App& app, context& ctx) {
  auto* bench =
      app.add_subcommand("bench", "Measures the broker, each time beside the limits of the machine");
  bench->require_subcommand(1);
  add_bench_raw(*bench, ctx);
  add_bench_publish(*bench, ctx);
  add_bench_consume(*bench, ctx);
  add_bench_latency(*bench, ctx);
  add_bench_topics(*bench, ctx);
}

} // namespace troupe::cli
