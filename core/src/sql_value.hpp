#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

/// SQL92 filters: values, compiled programs, expressions as they are built, the parser.
namespace troupe::sql {

/// SQL's three truth values: AND is the least of its operands, OR the greatest.
enum class tri : std::uint8_t { no, unknown, yes };

constexpr tri operator!(tri t) { return static_cast<tri>(2 - static_cast<int>(t)); }
constexpr tri to_tri(bool b) { return b ? tri::yes : tri::no; }

/// Nothing (NULL), a truth value, a whole number, a floating one, a text (a view: who holds it is the
/// caller's affair).
using value = std::variant<std::monostate, bool, std::int64_t, double, std::string_view>;

enum class arithmetic : std::uint8_t { add, subtract, multiply, divide };

/// Reads all of `text` as a number: sign, digits, fraction, exponent. NULL when it is none, or beyond what a
/// double holds. Whole numbers beyond 64 bits are read as floating ones.
value read_number(std::string_view text);
/// Numbers as they are, texts read as numbers, everything else NULL.
value number_of(const value& v);
/// True and false in any case; nothing for other texts.
std::optional<bool> read_truth(std::string_view text);

/// A text beside a number is read as a number, beside a truth value as a truth value; unknown when it is
/// none, and when either is NULL.
tri equal(const value& left, const value& right);
/// Which of two numbers is greater; nothing when one is no number.
std::optional<std::partial_ordering> order(const value& left, const value& right);
/// Between whole numbers the result is whole (7 / 2 is 3). NULL for what is no number, for a division by zero
/// and when the result does not fit.
value calculate(arithmetic what, const value& left, const value& right);
value negate(const value& v);

/// In a pattern of like(): any run of characters, and any one. No UTF-8 text holds these bytes.
inline constexpr char any_run = '\xff';
inline constexpr char any_one = '\xfe';
/// Whether all of `text` fits the pattern. A character is one of UTF-8's.
bool like(std::string_view text, std::string_view pattern);

} // namespace troupe::sql
