#pragma once

#include "sql_program.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::sql {

using literal_value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// A part of an expression as it is built. The functions below build every expression: they check types,
/// compute what is constant, and give equal expressions one form. Invariant: an expression is at most
/// `max_depth` deep, so everything that walks it may recurse.
struct expr {
  op what = op::constant;
  /// Of conditions down to is_null: the opposite is meant.
  bool negated = false;
  literal_value literal;
  /// A property's name.
  std::string name;
  std::vector<std::unique_ptr<expr>> args;
  /// Where it begins in the source, in bytes.
  std::size_t at = 0;
  std::size_t depth = 1;
};
using expr_ptr = std::unique_ptr<expr>;

inline constexpr std::size_t max_depth = 32;
/// Bytes of a pattern of LIKE and of what CONTAINS and its kin look for.
inline constexpr std::size_t max_pattern = 1024;

/// Why a place of the source is refused. The functions that build throw it, and only the parser catches it.
struct refusal {
  std::size_t at = 0;
  std::string why;
  std::string hint;
};

expr_ptr make_literal(literal_value v, std::size_t at);
/// A system field, or a property.
expr_ptr make_name(std::string_view name, std::size_t at);
expr_ptr make_property(std::string name, std::size_t at);
expr_ptr make_negative(expr_ptr x, std::size_t at);
/// + in front: only a check.
expr_ptr make_positive(expr_ptr x);
/// add, subtract, multiply, divide
expr_ptr make_arithmetic(op what, expr_ptr left, expr_ptr right);
/// equal, less, at_most, more, at_least
expr_ptr make_comparison(op what, expr_ptr left, expr_ptr right, bool negated = false);
expr_ptr make_between(expr_ptr x, expr_ptr low, expr_ptr high, bool negated);
/// Literals, texts and numbers.
expr_ptr make_in(expr_ptr x, std::vector<expr_ptr> items, bool negated);
/// `escape` may be null.
expr_ptr make_like(expr_ptr x, expr_ptr pattern, expr_ptr escape, bool negated);
/// contains, starts_with, ends_with
expr_ptr make_search(op what, expr_ptr x, expr_ptr part, bool negated);
expr_ptr make_is_null(expr_ptr x, bool negated);
expr_ptr make_not(expr_ptr x, std::size_t at);
/// and_, or_
expr_ptr make_junction(op what, expr_ptr left, expr_ptr right);
/// A property as a condition is read as a truth value.
expr_ptr make_condition(expr_ptr x);
/// Sorts what may stand in any order and leaves out what is said twice.
expr_ptr make_canonical(expr_ptr x);

/// Nodes of the expression.
std::size_t size_of(const expr& e);
/// As it would be written, with no more parentheses than it needs.
std::string print(const expr& e);
/// In any case of letters.
bool is_reserved(std::string_view name);
/// Whether a name needs quotes to mean a property.
bool needs_quotes(std::string_view name);

value view_of(const literal_value& v);
/// The text that a program keeps of a node: a property's name, a literal text.
std::string_view text_of(const expr& e);

} // namespace troupe::sql
