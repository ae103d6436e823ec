#include "sql_expr.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::sql {

namespace {

/// How tightly an operator binds: the grammar's levels.
enum level {
  or_level = 1,
  and_level,
  not_level,
  equal_level,
  compare_level,
  sum_level,
  product_level,
  sign_level,
  value_level
};

level level_of(const expr& e) {
  switch (e.what) {
  case op::or_:
    return or_level;
  case op::and_:
    return and_level;
  case op::not_:
    return not_level;
  case op::equal:
  case op::is_null:
    return equal_level;
  case op::add:
  case op::subtract:
    return sum_level;
  case op::multiply:
  case op::divide:
    return product_level;
  case op::negate:
    return sign_level;
  default:
    return e.what < op::equal ? value_level : compare_level;
  }
}

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote)
      out += c;
    out += c;
  }
  return out + quote;
}

std::string print_real(double d) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, d).ptr;
  std::string out{digits, end};
  // Without either it would be read as a whole number.
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

std::string print_literal(const literal_value& v) {
  if (const auto* truth = std::get_if<bool>(&v))
    return *truth ? "TRUE" : "FALSE";
  if (const auto* whole = std::get_if<std::int64_t>(&v))
    return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&v))
    return print_real(*real);
  if (const auto* text = std::get_if<std::string>(&v))
    return quoted(*text, '\'');
  return "NULL";
}

std::string print_pattern(const std::string& pattern) {
  const bool escapes = pattern.find_first_of("%_") != std::string::npos;
  std::string out;
  for (const char c : pattern) {
    if (escapes && (c == '%' || c == '_' || c == '\\'))
      out += '\\';
    out += c == any_run ? '%' : c == any_one ? '_' : c;
  }
  return quoted(out, '\'') + (escapes ? " ESCAPE '\\'" : "");
}

std::string print_at(const expr& e, level least);

std::string print_list(const expr& e, std::string_view between, std::size_t from, level least) {
  std::string out;
  for (auto i = from; i < e.args.size(); ++i)
    out.append(i > from ? between : std::string_view{}).append(print_at(*e.args[i], least));
  return out;
}

/// The operator of two operands; empty when it is none.
std::string_view sign_of(const expr& e) {
  switch (e.what) {
  case op::add:
    return " + ";
  case op::subtract:
    return " - ";
  case op::multiply:
    return " * ";
  case op::divide:
    return " / ";
  case op::equal:
    return e.negated ? " <> " : " = ";
  case op::less:
    return " < ";
  case op::at_most:
    return " <= ";
  case op::more:
    return " > ";
  case op::at_least:
    return " >= ";
  default:
    return {};
  }
}

std::string_view word_of(op what) {
  switch (what) {
  case op::between:
    return "BETWEEN ";
  case op::in:
    return "IN (";
  case op::like:
    return "LIKE ";
  case op::contains:
    return "CONTAINS ";
  case op::starts_with:
    return "STARTSWITH ";
  default:
    return "ENDSWITH ";
  }
}

std::string print_predicate(const expr& e) {
  auto out = print_at(*e.args[0], sum_level) + (e.negated ? " NOT " : " ");
  out += word_of(e.what);
  if (e.what == op::between)
    return out + print_list(e, " AND ", 1, sum_level);
  if (e.what == op::in)
    return out + print_list(e, ", ", 1, sum_level) + ")";
  if (e.what == op::like)
    return out + print_pattern(std::get<std::string>(e.args[1]->literal));
  return out + print_at(*e.args[1], value_level);
}

std::string print_bare(const expr& e) {
  if (const auto sign = sign_of(e); !sign.empty()) {
    const auto own = level_of(e);
    return print_at(*e.args[0], own).append(sign).append(print_at(*e.args[1], static_cast<level>(own + 1)));
  }
  switch (e.what) {
  case op::constant:
    return print_literal(e.literal);
  case op::property:
    return needs_quotes(e.name) ? quoted(e.name, '"') : e.name;
  case op::tag:
    return "tag";
  case op::keys:
    return "keys";
  case op::priority:
    return "priority";
  case op::born:
    return "born";
  case op::attempt:
    return "attempt";
  case op::negate: {
    const auto of = print_at(*e.args[0], sign_level);
    return (of.starts_with('-') ? "- " : "-") + of; // two in a row would begin a comment
  }
  case op::is_null:
    return print_at(*e.args[0], equal_level) + (e.negated ? " IS NOT NULL" : " IS NULL");
  case op::not_:
    return "NOT " + print_at(*e.args[0], not_level);
  case op::and_:
    return print_list(e, " AND ", 0, not_level);
  case op::or_:
    return print_list(e, " OR ", 0, and_level);
  default:
    return print_predicate(e);
  }
}

std::string print_at(const expr& e, level least) {
  return level_of(e) < least ? "(" + print_bare(e) + ")" : print_bare(e);
}

} // namespace

std::string print(const expr& e) { return print_bare(e); }

bool is_reserved(std::string_view name) {
  constexpr std::string_view words[] = {"AND",   "BETWEEN", "CONTAINS",   "ENDSWITH", "ESCAPE",
                                        "FALSE", "IN",      "IS",         "LIKE",     "NOT",
                                        "NULL",  "OR",      "STARTSWITH", "TRUE"};
  std::string upper{name};
  for (auto& c : upper)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  return std::find(std::begin(words), std::end(words), upper) != std::end(words);
}

bool needs_quotes(std::string_view name) {
  const auto first = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
  };
  const auto other = [&](char c) { return first(c) || (c >= '0' && c <= '9'); };
  return name.empty() || !first(name[0]) || !std::all_of(name.begin(), name.end(), other) ||
         is_reserved(name) || make_name(name, 0)->what != op::property;
}

} // namespace troupe::sql
