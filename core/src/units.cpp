#include "troupe/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>

namespace troupe {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array duration_units{unit{"d", 86'400'000}, unit{"h", 3'600'000}, unit{"m", 60'000},
                                    unit{"s", 1000}, unit{"ms", 1}};
constexpr std::array size_units{unit{"TiB", 1ull << 40}, unit{"GiB", 1ull << 30}, unit{"MiB", 1ull << 20},
                                unit{"KiB", 1ull << 10}, unit{"B", 1}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Text from outside, made safe to stand in a message: printable ASCII, not too long.
std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string out = "'";
  for (char c : text.substr(0, longest))
    out += c >= 0x20 && c < 0x7f ? c : '?';
  return out + (text.size() > longest ? "...'" : "'");
}

error malformed(std::string_view kind, std::string_view text, std::string why, std::string hint) {
  return {errc::invalid_argument, quoted(text) + " is not a " + std::string(kind) + ": " + std::move(why),
          std::move(hint)};
}

/// Splits "64KiB" into 64 and "KiB". Empty when the number is missing or does not fit.
std::optional<std::pair<std::uint64_t, std::string_view>> split(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{})
    return std::nullopt;
  return std::pair{number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

/// number * factor when it is at most `most`.
std::optional<std::uint64_t> scaled(std::uint64_t number, std::uint64_t factor, std::uint64_t most) {
  if (number > most / factor)
    return std::nullopt;
  return number * factor;
}

std::string in_largest_unit(std::uint64_t value, std::span<const unit> units) {
  auto best = std::find_if(units.begin(), units.end(), [&](const unit& u) { return value % u.factor == 0; });
  return std::to_string(value / best->factor) + std::string(best->name);
}

/// A cursor over text of fixed width, for RFC 3339.
class scanner {
public:
  explicit scanner(std::string_view text) : rest_(text) {}

  /// Exactly `digits` digits, at most `most`.
  bool number(std::size_t digits, unsigned most, unsigned& out) {
    if (rest_.size() < digits ||
        !std::all_of(rest_.begin(), rest_.begin() + static_cast<long>(digits), is_digit))
      return false;
    out = 0;
    for (char c : rest_.substr(0, digits))
      out = out * 10 + static_cast<unsigned>(c - '0');
    rest_.remove_prefix(digits);
    return out <= most;
  }
  /// One of the characters; gives which.
  char one_of(std::string_view chars) {
    if (rest_.empty() || chars.find(rest_.front()) == std::string_view::npos)
      return '\0';
    char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  /// ".250" as 250; nothing is 0. Needs at least one digit after the point.
  bool fraction(unsigned& ms) {
    ms = 0;
    if (!one_of("."))
      return true;
    unsigned place = 100;
    bool any = false;
    for (; !rest_.empty() && is_digit(rest_.front()); rest_.remove_prefix(1), place /= 10, any = true)
      ms += place * static_cast<unsigned>(rest_.front() - '0');
    return any;
  }
  bool done() const { return rest_.empty(); }

private:
  std::string_view rest_;
};

/// The zone behind the time: Z or +hh:mm, as an offset to UTC.
std::optional<std::chrono::minutes> scan_zone(scanner& in) {
  char sign = in.one_of("Zz+-");
  if (sign == 'Z' || sign == 'z')
    return std::chrono::minutes{0};
  unsigned hours = 0, minutes = 0;
  if (!sign || !in.number(2, 23, hours) || !in.one_of(":") || !in.number(2, 59, minutes))
    return std::nullopt;
  auto offset = std::chrono::minutes{hours * 60 + minutes};
  return sign == '-' ? -offset : offset;
}

std::optional<timestamp> scan_rfc3339(std::string_view text) {
  scanner in(text);
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0;
  bool shape = in.number(4, 9999, year) && in.one_of("-") && in.number(2, 12, month) && in.one_of("-") &&
               in.number(2, 31, day) && in.one_of("Tt ") && in.number(2, 23, hour) && in.one_of(":") &&
               in.number(2, 59, minute) && in.one_of(":") && in.number(2, 60, second) && in.fraction(ms);
  if (!shape)
    return std::nullopt;
  auto zone = scan_zone(in);
  std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)}, std::chrono::month{month},
                                   std::chrono::day{day}};
  if (!zone || !in.done() || !date.ok())
    return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second} + milliseconds{ms} - *zone;
}

void append_padded(std::string& out, unsigned value, std::size_t width) {
  auto digits = std::to_string(value);
  out.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

} // namespace

result<milliseconds> parse_duration(std::string_view text) {
  static constexpr auto hint = "write a whole number and a unit: 500ms, 10s, 5m, 2h or 3d";
  if (text == "0")
    return milliseconds{0};
  auto parts = split(text);
  if (!parts)
    return malformed("duration", text, "it does not begin with a whole number that fits", hint);
  auto [number, name] = *parts;
  auto found =
      std::find_if(duration_units.begin(), duration_units.end(), [n = name](auto& u) { return u.name == n; });
  if (found == duration_units.end())
    return malformed("duration", text,
                     name.empty() ? "the unit is missing" : "there is no unit " + quoted(name), hint);
  auto value = scaled(number, found->factor, static_cast<std::uint64_t>(max_duration.count()));
  if (!value)
    return malformed("duration", text, "it is longer than " + format_duration(max_duration), hint);
  return milliseconds{*value};
}

std::string format_duration(milliseconds value) {
  if (value.count() == 0)
    return "0s";
  auto magnitude = static_cast<std::uint64_t>(value.count());
  if (value.count() < 0)
    return "-" + in_largest_unit(~magnitude + 1, duration_units);
  return in_largest_unit(magnitude, duration_units);
}

result<std::uint64_t> parse_size(std::string_view text) {
  static constexpr auto hint =
      "write a whole number of bytes, or with a unit: 100B, 64KiB, 4MiB, 1GiB or 1TiB";
  auto parts = split(text);
  if (!parts)
    return malformed("size", text, "it does not begin with a whole number that fits", hint);
  auto [number, name] = *parts;
  if (name.empty())
    return number;
  auto found =
      std::find_if(size_units.begin(), size_units.end(), [n = name](auto& u) { return u.name == n; });
  if (found == size_units.end())
    return malformed("size", text, "there is no unit " + quoted(name), hint);
  auto value = scaled(number, found->factor, std::numeric_limits<std::uint64_t>::max());
  if (!value)
    return malformed("size", text, "it does not fit 64 bits", hint);
  return *value;
}

std::string format_size(std::uint64_t bytes) {
  return bytes == 0 ? "0B" : in_largest_unit(bytes, size_units);
}

result<timestamp> parse_time(std::string_view text) {
  static constexpr auto hint =
      "write RFC 3339 with a time zone, such as 2024-05-01T12:30:00Z, or milliseconds since 1970";
  std::optional<timestamp> time;
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_digit)) {
    if (auto parts = split(text); parts && parts->first <= static_cast<std::uint64_t>(to_unix_ms(max_time)))
      time = from_unix_ms(static_cast<std::int64_t>(parts->first));
    else
      return malformed("time", text, "it is after the year 9999", hint);
  } else {
    time = scan_rfc3339(text);
  }
  if (!time)
    return malformed("time", text, "it has neither form", hint);
  if (*time < timestamp{} || *time > max_time)
    return malformed("time", text, "it is not between 1970 and 9999", hint);
  return *time;
}

std::string format_time(timestamp value) {
  if (value < timestamp{} || value > max_time)
    return std::to_string(to_unix_ms(value));
  auto day = std::chrono::floor<std::chrono::days>(value);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{value - day};
  std::string out;
  append_padded(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  append_padded(out += '-', static_cast<unsigned>(date.month()), 2);
  append_padded(out += '-', static_cast<unsigned>(date.day()), 2);
  append_padded(out += 'T', static_cast<unsigned>(clock.hours().count()), 2);
  append_padded(out += ':', static_cast<unsigned>(clock.minutes().count()), 2);
  append_padded(out += ':', static_cast<unsigned>(clock.seconds().count()), 2);
  append_padded(out += '.', static_cast<unsigned>(clock.subseconds().count()), 3);
  return out + 'Z';
}

} // namespace troupe
