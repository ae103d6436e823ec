// How fast do retries that are due at once come again, and how exactly does one come among a million? See
// README.md.

#include "must.hpp"

#include "troupe/consumer.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using clock_type = std::chrono::steady_clock;

struct settings {
  std::filesystem::path dir = "bench-retries-data";
  std::uint64_t messages = 1'000'000;
  std::uint64_t probes = 2'000;
  std::uint32_t queues = 4;
};

void publish(const client& c, const settings& s) {
  auto to = must(producer::open(c, {.topic = "bench"}));
  const std::string body(100, 'x');
  for (std::uint64_t n = 0; n < s.messages; ++n)
    must(to.send_one_way(message{.body = body}));
  must(to.close());
  if (to.statistics().failed > 0)
    throw std::runtime_error(to_string(to.statistics().last_failure));
}

pull_consumer join(client& c, const settings& s, const std::string& group) {
  const auto window = static_cast<std::uint32_t>(65'536 + s.probes);
  must(c.create_group(group, {.lease = std::chrono::hours{1}, .max_unsettled = window}));
  return must(pull_consumer::open(
      c, {.group = group, .topics = {{"bench"}}, .max_messages = window, .max_bytes = 32u << 20}));
}

/// Calls back with what comes until `count` messages came; says when the first did.
template <class F> clock_type::time_point take(pull_consumer& from, std::uint64_t count, F use) {
  clock_type::time_point first;
  auto last = clock_type::now();
  for (std::uint64_t done = 0; done < count;) {
    const auto got = must(from.fetch(8192, milliseconds{1000}));
    const auto now = clock_type::now();
    if (got.empty() && now - last > std::chrono::seconds{60})
      throw std::runtime_error("only " + std::to_string(done) + " of " + std::to_string(count) +
                               " messages came");
    if (got.empty())
      continue;
    if (done == 0)
      first = now;
    last = now;
    done += got.size();
    use(got, now);
  }
  return first;
}

double acknowledge_all(pull_consumer& from, std::uint64_t count) {
  const auto begin = take(from, count, [&](const auto& got, auto) { must(from.ack(got)); });
  must(from.flush(milliseconds{60'000}));
  return static_cast<double>(count) / seconds_since(begin);
}

/// Everything is put off to the same moment, later than the last is put off.
double due_at_once(client& c, const settings& s, double& late) {
  auto from = join(c, s, "at-once");
  // The pace of putting off is not known: what is put off last must not be late.
  const auto due = clock_type::now() + std::chrono::milliseconds{5'000 + s.messages / 50};
  take(from, s.messages, [&](const auto& got, auto now) {
    const auto delay = std::chrono::ceil<milliseconds>(due - now);
    for (const auto& m : got)
      must(from.retry(m, delay));
  });
  must(from.flush(milliseconds{60'000}));
  if (clock_type::now() >= due)
    throw std::runtime_error("putting the messages off took longer than they were put off for");
  const auto first = take(from, s.messages, [&](const auto& got, auto) { must(from.ack(got)); });
  must(from.flush(milliseconds{60'000}));
  late = std::chrono::duration<double, std::milli>(first - due).count();
  return static_cast<double>(s.messages) / seconds_since(due);
}

/// All but the probes wait for an hour; milliseconds that each probe came after its time, sorted. The broker
/// counts the pause from when it hears of the failure, the figures from the call: they hold the way there
/// too, which is at most `told` milliseconds.
std::vector<double> lateness(client& c, const settings& s, double& told) {
  auto from = join(c, s, "timer");
  std::vector<leased_message> probes;
  take(from, s.messages, [&](const auto& got, auto) {
    for (const auto& m : got)
      if (probes.size() < s.probes)
        probes.push_back(m);
      else
        must(from.retry(m, std::chrono::hours{1}));
  });
  must(from.flush(milliseconds{60'000}));
  std::map<message_id, clock_type::time_point> due;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    // Over ten seconds, in an order that is not that of the offsets.
    const milliseconds delay{1'000 + static_cast<std::int64_t>(i * 7'919 % 10'000)};
    due[probes[i].id()] = clock_type::now() + delay;
    must(from.retry(probes[i], delay));
  }
  const auto called = clock_type::now();
  must(from.flush(milliseconds{60'000}));
  told = seconds_since(called) * 1000;
  std::vector<double> late;
  take(from, due.size(), [&](const auto& got, auto now) {
    for (const auto& m : got)
      late.push_back(std::chrono::duration<double, std::milli>(now - due.at(m.id())).count());
    must(from.ack(got));
  });
  must(from.flush(milliseconds{60'000}));
  std::ranges::sort(late);
  return late;
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc || (key != "--dir" && key != "--messages" && key != "--probes" && key != "--queues"))
      throw std::invalid_argument("there are --dir --messages --probes --queues, each with a value");
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (key == "--dir")
      s.dir = argv[i + 1];
    else if (key == "--messages")
      s.messages = value;
    else if (key == "--probes")
      s.probes = value;
    else
      s.queues = static_cast<std::uint32_t>(value);
  }
  if (s.queues == 0 || s.probes == 0 || s.probes > 60'000 || s.messages <= s.probes)
    throw std::invalid_argument("at least one queue, 1 to 60000 probes, and more messages than probes");
  return s;
}

void run(const settings& s) {
  if (std::filesystem::exists(s.dir))
    throw std::invalid_argument(s.dir.string() + " exists: name a directory that this may make and remove");
  auto embedded = must(node::start({.data = s.dir, .host = "127.0.0.1"}));
  {
    auto c = must(client::connect({.address = embedded->address(), .timeout = milliseconds{60'000}}));
    must(c.create_topic("bench", {.queues = s.queues}));
    publish(c, s);
    auto plain = join(c, s, "plain");
    const auto baseline = acknowledge_all(plain, s.messages);
    must(plain.close());
    double first_late = 0;
    const auto again = due_at_once(c, s, first_late);
    double told = 0;
    const auto late = lateness(c, s, told);
    const auto at = [&](std::size_t per_mille) {
      return late[std::min(late.size() - 1, late.size() * per_mille / 1000)];
    };
    std::cout << nlohmann::json{{"bench", "retries"},
                                {"messages", s.messages},
                                {"queues", s.queues},
                                {"consumed_per_s", static_cast<std::uint64_t>(baseline)},
                                {"due_at_once_per_s", static_cast<std::uint64_t>(again)},
                                {"ratio", again / baseline},
                                {"first_late_ms", first_late},
                                {"probes", late.size()},
                                {"pending", s.messages - late.size()},
                                {"told_within_ms", told},
                                {"late_p50_ms", at(500)},
                                {"late_p99_ms", at(990)},
                                {"late_max_ms", late.back()}}
              << std::endl;
  }
  must(embedded->stop());
}

} // namespace

int main(int argc, char** argv) {
  try {
    const auto s = parse(argc, argv);
    run(s);
    std::filesystem::remove_all(s.dir);
  } catch (const std::invalid_argument& e) {
    std::cerr << "bench_retries: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "bench_retries: " << e.what() << '\n';
    return 1;
  }
}
