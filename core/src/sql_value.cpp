#include "sql_value.hpp"

#include <charconv>
#include <cmath>
#include <limits>

namespace troupe::sql {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool same_word(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size())
    return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]) != lower[i])
      return false;
  return true;
}

double real_of(const value& number) {
  const auto* whole = std::get_if<std::int64_t>(&number);
  return whole ? static_cast<double>(*whole) : std::get<double>(number);
}

bool is_number(const value& v) {
  return std::holds_alternative<std::int64_t>(v) || std::holds_alternative<double>(v);
}

value finite(double d) { return std::isfinite(d) ? value{d} : value{}; }

value calculate_whole(arithmetic what, std::int64_t left, std::int64_t right) {
  std::int64_t out = 0;
  switch (what) {
  case arithmetic::add:
    return __builtin_add_overflow(left, right, &out) ? value{} : value{out};
  case arithmetic::subtract:
    return __builtin_sub_overflow(left, right, &out) ? value{} : value{out};
  case arithmetic::multiply:
    return __builtin_mul_overflow(left, right, &out) ? value{} : value{out};
  case arithmetic::divide:
    break;
  }
  const bool fits = right != 0 && !(left == std::numeric_limits<std::int64_t>::min() && right == -1);
  return fits ? value{left / right} : value{};
}

value calculate_real(arithmetic what, double left, double right) {
  switch (what) {
  case arithmetic::add:
    return finite(left + right);
  case arithmetic::subtract:
    return finite(left - right);
  case arithmetic::multiply:
    return finite(left * right);
  case arithmetic::divide:
    break;
  }
  return right == 0 ? value{} : finite(left / right);
}

/// Where the character after the one at `at` begins.
std::size_t next_character(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80)
    ++at;
  return at;
}

} // namespace

value read_number(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-')
    text.remove_prefix(1);
  const auto digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || !(is_digit(digits[0]) || digits[0] == '.'))
    return {}; // std::from_chars would take infinity and its kin
  const auto* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto r = std::from_chars(text.data(), end, whole); r.ec == std::errc{} && r.ptr == end)
    return whole;
  double real = 0;
  if (const auto r = std::from_chars(text.data(), end, real); r.ec == std::errc{} && r.ptr == end)
    return finite(real);
  return {};
}

value number_of(const value& v) {
  if (const auto* text = std::get_if<std::string_view>(&v))
    return read_number(*text);
  return is_number(v) ? v : value{};
}

std::optional<bool> read_truth(std::string_view text) {
  if (same_word(text, "true"))
    return true;
  if (same_word(text, "false"))
    return false;
  return {};
}

tri equal(const value& left, const value& right) {
  const auto* l = std::get_if<std::string_view>(&left);
  const auto* r = std::get_if<std::string_view>(&right);
  if (l && r)
    return to_tri(*l == *r);
  const auto* left_truth = std::get_if<bool>(&left);
  const auto* right_truth = std::get_if<bool>(&right);
  if (left_truth && right_truth)
    return to_tri(*left_truth == *right_truth);
  if (left_truth || right_truth) {
    const auto read = l ? read_truth(*l) : r ? read_truth(*r) : std::nullopt;
    return read ? to_tri(*read == (left_truth ? *left_truth : *right_truth)) : tri::unknown;
  }
  const auto which = order(left, right);
  return which ? to_tri(*which == 0) : tri::unknown;
}

std::optional<std::partial_ordering> order(const value& left, const value& right) {
  const auto l = number_of(left);
  const auto r = number_of(right);
  if (!is_number(l) || !is_number(r))
    return {};
  if (std::holds_alternative<std::int64_t>(l) && std::holds_alternative<std::int64_t>(r))
    return std::get<std::int64_t>(l) <=> std::get<std::int64_t>(r);
  return real_of(l) <=> real_of(r);
}

value calculate(arithmetic what, const value& left, const value& right) {
  const auto l = number_of(left);
  const auto r = number_of(right);
  if (!is_number(l) || !is_number(r))
    return {};
  if (std::holds_alternative<std::int64_t>(l) && std::holds_alternative<std::int64_t>(r))
    return calculate_whole(what, std::get<std::int64_t>(l), std::get<std::int64_t>(r));
  return calculate_real(what, real_of(l), real_of(r));
}

value negate(const value& v) {
  const auto number = number_of(v);
  if (const auto* real = std::get_if<double>(&number))
    return -*real;
  return calculate(arithmetic::subtract, std::int64_t{0}, number);
}

/// Without recursion: only the last run of any characters is ever tried at another length, because what lies
/// before it fits as early as it can.
bool like(std::string_view text, std::string_view pattern) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::optional<std::size_t> run;
  std::size_t begun = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == any_run) {
      run = p++;
      begun = t;
    } else if (p < pattern.size() && pattern[p] == any_one) {
      t = next_character(text, t);
      ++p;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++t;
      ++p;
    } else if (run) {
      p = *run + 1;
      begun = t = next_character(text, begun);
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == any_run)
    ++p;
  return p == pattern.size();
}

} // namespace troupe::sql
