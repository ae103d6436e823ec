#include "troupe/retry_policy.hpp"

#include "troupe/units.hpp"

#include <algorithm>
#include <charconv>

namespace troupe {

namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

constexpr std::string_view growing = "exponential:";
constexpr std::uint32_t min_factor = 110;
constexpr std::uint32_t max_factor = 10'000;
constexpr std::uint8_t max_jitter = 50;
constexpr const char* how_to_write =
    "write a list like 10s,30s,1m, or exponential:1s,2,10m; add ~20% for jitter";

error wrong(std::string_view text, const std::string& why) {
  // What was typed may be a file; a name of what is wrong is enough.
  return {errc::invalid_argument, "retry policy '" + std::string(text.substr(0, 80)) + "': " + why,
          how_to_write};
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    return {};
  return value;
}

/// "2", "1.5" and "1.25" as hundredths.
std::optional<std::uint32_t> hundredths(std::string_view text) {
  const auto point = text.find('.');
  const auto whole = number(text.substr(0, point));
  if (!whole || *whole > max_factor)
    return {};
  if (point == std::string_view::npos)
    return *whole * 100;
  const auto digits = text.substr(point + 1);
  const auto part = number(digits);
  if (!part || digits.size() > 2)
    return {};
  return *whole * 100 + *part * (digits.size() == 1 ? 10 : 1);
}

std::string format_factor(std::uint32_t factor) {
  auto text = std::to_string(factor / 100);
  if (const auto rest = factor % 100; rest > 0) {
    text += '.' + std::string(rest < 10 ? "0" : "") + std::to_string(rest);
    if (text.back() == '0')
      text.pop_back();
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos)
      return parts;
    text.remove_prefix(comma + 1);
  }
}

error read_steps(std::string_view whole, std::string_view text, retry_schedule& into) {
  into.steps.clear();
  for (const auto part : split(text)) {
    const auto pause = parse_duration(part);
    if (!pause)
      return wrong(whole, pause.error().reason);
    into.steps.push_back(*pause);
  }
  return {};
}

error read_growing(std::string_view whole, std::string_view text, retry_schedule& into) {
  const auto parts = split(text);
  if (parts.size() != 3)
    return wrong(whole, "exponential: is followed by the first pause, the factor and the longest pause");
  const auto initial = parse_duration(parts[0]);
  if (!initial)
    return wrong(whole, initial.error().reason);
  const auto factor = hundredths(parts[1]);
  if (!factor)
    return wrong(whole, "the factor '" + std::string(parts[1].substr(0, 20)) +
                            "' is no number with at most two decimals");
  const auto maximum = parse_duration(parts[2]);
  if (!maximum)
    return wrong(whole, maximum.error().reason);
  into.steps.clear();
  into.initial = *initial;
  into.factor = *factor;
  into.maximum = *maximum;
  return {};
}

error check(const char* what, milliseconds pause) {
  if (pause >= retry_schedule::shortest && pause <= retry_schedule::longest)
    return {};
  return {errc::invalid_argument,
          std::string(what) + " is " + format_duration(pause) + "; it must be from " +
              format_duration(retry_schedule::shortest) + " to " + format_duration(retry_schedule::longest),
          how_to_write};
}

/// Well spread 64 bits of three numbers (the finalizer of splitmix64 by Steele, Lea and Flood).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

} // namespace

std::vector<milliseconds> retry_schedule::rocketmq_steps() {
  return {10s, 30s, 1min, 2min, 3min, 4min, 5min, 6min, 7min, 8min, 9min, 10min, 20min, 30min, 1h, 2h};
}

error validate(const retry_schedule& s) {
  if (s.jitter > max_jitter)
    return {errc::invalid_argument,
            "the jitter of the retry policy is " + std::to_string(s.jitter) + "%; it must be at most " +
                std::to_string(max_jitter) + "%",
            how_to_write};
  if (s.steps.size() > retry_schedule::most_steps)
    return {errc::invalid_argument,
            "the retry policy has " + std::to_string(s.steps.size()) + " pauses; it must be at most " +
                std::to_string(retry_schedule::most_steps),
            "the last one repeats; or let them grow: exponential:1s,2,10m"};
  for (auto pause : s.steps)
    if (auto err = check("a pause of the retry policy", pause))
      return err;
  if (!s.steps.empty()) {
    if (s.initial == milliseconds{0} && s.factor == 0 && s.maximum == milliseconds{0})
      return {};
    return {errc::invalid_argument, "the retry policy has both a list of pauses and growing ones",
            "leave the list empty, or the first pause, the factor and the longest pause at 0"};
  }
  if (auto err = check("the first pause of the retry policy", s.initial))
    return err;
  if (auto err = check("the longest pause of the retry policy", s.maximum))
    return err;
  if (s.maximum < s.initial)
    return {errc::invalid_argument,
            "the longest pause of the retry policy, " + format_duration(s.maximum) +
                ", is shorter than its first, " + format_duration(s.initial),
            "give a longer one, or a shorter first one"};
  if (s.factor < min_factor || s.factor > max_factor)
    return {errc::invalid_argument,
            "the factor of the retry policy is " + format_factor(s.factor) + "; it must be from " +
                format_factor(min_factor) + " to " + format_factor(max_factor),
            how_to_write};
  return {};
}

result<retry_schedule> parse_retry(std::string_view text) {
  retry_schedule s;
  auto pauses = text;
  if (const auto tilde = text.find('~'); tilde != std::string_view::npos) {
    pauses = text.substr(0, tilde);
    auto percent = text.substr(tilde + 1);
    const auto value = percent.ends_with('%') ? number(percent.substr(0, percent.size() - 1)) : std::nullopt;
    if (!value || *value > 100)
      return wrong(text, "what follows '~' is the jitter, a whole number of percent like ~20%");
    s.jitter = static_cast<std::uint8_t>(*value);
  }
  error err;
  if (pauses.starts_with(growing))
    err = read_growing(text, pauses.substr(growing.size()), s);
  else if (pauses != "default")
    err = read_steps(text, pauses, s);
  if (err)
    return err;
  return s;
}

std::string format_retry(const retry_schedule& s) {
  std::string text;
  if (s.steps.empty())
    text = std::string(growing) + format_duration(s.initial) + ',' + format_factor(s.factor) + ',' +
           format_duration(s.maximum);
  for (auto pause : s.steps)
    text += (text.empty() ? "" : ",") + format_duration(pause);
  if (s.jitter > 0)
    text += '~' + std::to_string(s.jitter) + '%';
  return text;
}

milliseconds pause_after(const retry_schedule& s, std::uint16_t failures) {
  const std::size_t before = failures > 0 ? failures - 1u : 0u;
  if (!s.steps.empty())
    return s.steps[std::min(before, s.steps.size() - 1)];
  // In microseconds, so that the smallest factor makes the shortest pause longer, too. It ends soon: each
  // turn makes it longer by a tenth at least, or it is the longest.
  auto pause = microseconds{s.initial}.count();
  const auto longest = microseconds{s.maximum}.count();
  for (std::size_t i = 0; i < before && pause < longest && s.factor > 100; ++i)
    pause = std::min(longest, pause / 100 * s.factor + pause % 100 * s.factor / 100);
  return std::chrono::duration_cast<milliseconds>(microseconds{std::min(pause, longest)});
}

std::vector<milliseconds> pauses_of(const retry_schedule& s, std::size_t most) {
  std::vector<milliseconds> pauses;
  const auto last = s.steps.empty() ? s.maximum : s.steps.back();
  const auto all = s.steps.empty() ? most : std::min(most, s.steps.size());
  while (pauses.size() < all) {
    pauses.push_back(pause_after(s, static_cast<std::uint16_t>(pauses.size() + 1)));
    if (s.steps.empty() && pauses.back() >= last)
      break;
  }
  return pauses;
}

retry_decision scheduled_retry::decide(const failed_message& m) const {
  auto pause = pause_after(schedule_, m.failures);
  if (const auto span = pause.count() * schedule_.jitter / 100; span > 0) {
    const auto chance = mix(mix(mix(m.queue.value) ^ m.offset.value) ^ m.failures);
    pause +=
        milliseconds{static_cast<std::int64_t>(chance % static_cast<std::uint64_t>(2 * span + 1)) - span};
  }
  return {.again = true, .delay = std::max(pause, milliseconds{1})};
}

} // namespace troupe
