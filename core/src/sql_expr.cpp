#include "sql_expr.hpp"

#include <algorithm>
#include <utility>

namespace troupe::sql {

namespace {

enum class type { any, number, text, truth, nothing, keys };

type type_of(const expr& e) {
  constexpr type literals[] = {type::nothing, type::truth, type::number, type::number, type::text};
  if (e.what == op::constant)
    return literals[e.literal.index()];
  if (e.what == op::property || e.what == op::tag)
    return type::any;
  if (e.what == op::keys)
    return type::keys;
  return e.what <= op::divide ? type::number : type::truth;
}

std::string called(const expr& e) {
  switch (type_of(e)) {
  case type::text:
    return "a text";
  case type::truth:
    return "a condition";
  case type::nothing:
    return "NULL";
  case type::keys:
    return "the list of keys";
  default:
    return "a number";
  }
}

/// Nothing of a message: for what is constant.
class no_message final : public filter_subject {
public:
  std::uint32_t tag_hash() const override { return 0; }
  std::string_view tag() const override { return {}; }
  std::optional<std::string_view> property(std::string_view) const override { return {}; }
  std::optional<std::string_view> next_key(std::uint32_t&) const override { return {}; }
  std::uint8_t priority() const override { return 0; }
  timestamp born() const override { return {}; }
  std::uint32_t attempt() const override { return 0; }
};

bool constant(const expr_ptr& e) { return e->what == op::constant; }

template <class... Args> expr_ptr node(op what, std::size_t at, Args... args) {
  auto e = std::make_unique<expr>();
  e->what = what;
  e->at = at;
  (e->args.push_back(std::move(args)), ...);
  for (const auto& a : e->args)
    e->depth = std::max(e->depth, a->depth + 1);
  if (e->depth > max_depth)
    throw refusal{at, "the expression is more than " + std::to_string(max_depth) + " operators deep here",
                  "split it, or compute parts of it before you publish"};
  return e;
}

/// What depends on no message is computed now.
expr_ptr folded(expr_ptr e) {
  if (!std::all_of(e->args.begin(), e->args.end(), constant))
    return e;
  literal_value out;
  const program compiled{*e};
  const auto v = compiled.evaluate(no_message{});
  if (const auto* truth = std::get_if<bool>(&v))
    out = *truth;
  else if (const auto* whole = std::get_if<std::int64_t>(&v))
    out = *whole;
  else if (const auto* real = std::get_if<double>(&v))
    out = *real;
  return make_literal(std::move(out), e->at);
}

void want_number(const expr& e, std::string_view where) {
  const auto t = type_of(e);
  if (t == type::any || t == type::number)
    return;
  const auto* hint = t == type::text ? "write numbers without quotes"
                     : t == type::keys
                         ? "keys are compared by =, <>, IN, LIKE, CONTAINS, STARTSWITH, ENDSWITH"
                     : t == type::nothing ? "ask for what is absent by IS NULL"
                                          : "join conditions by AND and OR";
  throw refusal{e.at, std::string{where} + " takes numbers, and this is " + called(e), hint};
}

/// What is looked into: not a number, condition or NULL.
void want_text(const expr& e, std::string_view where) {
  const auto t = type_of(e);
  if (t == type::number || t == type::truth || t == type::nothing)
    throw refusal{e.at, std::string{where} + " looks into texts, and this is " + called(e),
                  "use a property, tag or keys"};
}

void want_value(const expr& e) {
  if (type_of(e) == type::nothing)
    throw refusal{e.at, "nothing is equal to NULL", "write IS NULL or IS NOT NULL"};
}

/// A text literal that is compared with a number is one.
void read_as_number(expr& e) {
  const auto number = read_number(std::get<std::string>(e.literal));
  if (const auto* whole = std::get_if<std::int64_t>(&number))
    e.literal = *whole;
  else if (const auto* real = std::get_if<double>(&number))
    e.literal = *real;
  else
    throw refusal{e.at, "this text is compared with a number and is none", "write a number without quotes"};
}

void check_equal(expr& left, expr& right) {
  want_value(left);
  want_value(right);
  const auto l = type_of(left);
  const auto r = type_of(right);
  const auto keys = l == type::keys ? &right : r == type::keys ? &left : nullptr;
  if (keys && keys->what != op::constant)
    throw refusal{keys->at, "the keys of a message are compared with texts only", "as in: keys = 'order-1'"};
  if (l == type::number && right.what == op::constant && r == type::text)
    return read_as_number(right);
  if (r == type::number && left.what == op::constant && l == type::text)
    return read_as_number(left);
  if (l != type::any && r != type::any && (l == type::truth) != (r == type::truth))
    throw refusal{right.at, called(right) + " is never equal to " + called(left), {}};
}

op mirrored(op what) {
  switch (what) {
  case op::less:
    return op::more;
  case op::at_most:
    return op::at_least;
  case op::more:
    return op::less;
  case op::at_least:
    return op::at_most;
  default:
    return what;
  }
}

op opposite(op what) {
  switch (what) {
  case op::less:
    return op::at_least;
  case op::at_most:
    return op::more;
  case op::more:
    return op::at_most;
  default:
    return op::less;
  }
}

bool orders(op what) { return what >= op::less && what <= op::at_least; }

bool is_text(const expr_ptr& e) { return std::holds_alternative<std::string>(e->literal); }

const std::string& text_literal(const expr& e) { return std::get<std::string>(e.literal); }

void check_pattern(const std::string& pattern, std::size_t at) {
  if (pattern.size() > max_pattern)
    throw refusal{at,
                  "this text has " + std::to_string(pattern.size()) + " bytes; the limit is " +
                      std::to_string(max_pattern),
                  "look for less"};
}

char escape_of(const expr_ptr& escape) {
  if (!escape)
    return '\0';
  const auto& text = text_literal(*escape);
  if (text.size() != 1 || text == "%" || text == "_")
    throw refusal{escape->at, "ESCAPE takes one ASCII character other than % and _", "as in: ESCAPE '\\'"};
  return text[0];
}

std::string compiled_pattern(const expr& pattern, const expr_ptr& escape) {
  const auto escapes = escape_of(escape);
  const auto& text = text_literal(pattern);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (escape && text[i] == escapes) {
      if (++i == text.size() || (text[i] != '%' && text[i] != '_' && text[i] != escapes))
        throw refusal{pattern.at, "the escape character stands before something else than %, _ or itself",
                      "write it twice to mean itself"};
      out += text[i];
    } else if (text[i] != '%') {
      out += text[i] == '_' ? any_one : text[i];
    } else if (out.empty() || out.back() != any_run) {
      out += any_run;
    }
  }
  check_pattern(out, pattern.at);
  return out;
}

} // namespace

value view_of(const literal_value& v) {
  return std::visit([](const auto& x) { return value{x}; }, v);
}

std::string_view text_of(const expr& e) {
  if (e.what == op::property)
    return e.name;
  const auto* text = std::get_if<std::string>(&e.literal);
  return e.what == op::constant && text ? std::string_view{*text} : std::string_view{};
}

std::size_t size_of(const expr& e) {
  std::size_t all = 1;
  for (const auto& a : e.args)
    all += size_of(*a);
  return all;
}

expr_ptr make_literal(literal_value v, std::size_t at) {
  auto e = node(op::constant, at);
  e->literal = std::move(v);
  return e;
}

expr_ptr make_property(std::string name, std::size_t at) {
  auto e = node(op::property, at);
  e->name = std::move(name);
  return e;
}

expr_ptr make_name(std::string_view name, std::size_t at) {
  // In capitals: RocketMQ's names.
  constexpr std::pair<std::string_view, op> fields[] = {
      {"tag", op::tag},           {"TAGS", op::tag},  {"keys", op::keys},      {"KEYS", op::keys},
      {"priority", op::priority}, {"born", op::born}, {"attempt", op::attempt}};
  for (const auto& [field, what] : fields)
    if (name == field)
      return node(what, at);
  return make_property(std::string{name}, at);
}

expr_ptr make_negative(expr_ptr x, std::size_t at) {
  want_number(*x, "-");
  auto e = folded(node(op::negate, at, std::move(x)));
  if (type_of(*e) == type::nothing)
    throw refusal{at, "this number does not fit", "whole numbers have 64 bits"};
  return e;
}

expr_ptr make_positive(expr_ptr x) {
  want_number(*x, "+");
  return x;
}

expr_ptr make_arithmetic(op what, expr_ptr left, expr_ptr right) {
  constexpr const char* signs[] = {"+", "-", "*", "/"};
  const auto* sign = signs[static_cast<int>(what) - static_cast<int>(op::add)];
  want_number(*left, sign);
  want_number(*right, sign);
  const auto at = left->at;
  auto e = folded(node(what, at, std::move(left), std::move(right)));
  if (type_of(*e) == type::nothing)
    throw refusal{at, "this divides by zero, or the result does not fit", "whole numbers have 64 bits"};
  return e;
}

expr_ptr make_comparison(op what, expr_ptr left, expr_ptr right, bool negated) {
  if (what == op::equal) {
    check_equal(*left, *right);
  } else {
    for (const auto* side : {&left, &right})
      want_number(**side, "a comparison by <, <=, > or >=");
  }
  const auto at = left->at;
  const bool swapped = !constant(right) && (constant(left) || (type_of(*right) == type::keys));
  if (swapped)
    std::swap(left, right);
  auto e = node(swapped ? mirrored(what) : what, at, std::move(left), std::move(right));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_between(expr_ptr x, expr_ptr low, expr_ptr high, bool negated) {
  for (const auto* part : {&x, &low, &high})
    want_number(**part, "BETWEEN");
  const auto which =
      constant(low) && constant(high) ? order(view_of(low->literal), view_of(high->literal)) : std::nullopt;
  if (which && *which > 0)
    throw refusal{
        low->at, "the bounds of BETWEEN are in the wrong order: " + print(*low) + " is above " + print(*high),
        "write the lower one first"};
  const auto at = x->at;
  auto e = node(op::between, at, std::move(x), std::move(low), std::move(high));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_in(expr_ptr x, std::vector<expr_ptr> items, bool negated) {
  const auto t = type_of(*x);
  if (t == type::truth || t == type::nothing)
    throw refusal{
        x->at, "IN takes a property, a system field or a number on its left, and this is " + called(*x), {}};
  for (auto& item : items)
    if (t == type::number && is_text(item))
      read_as_number(*item);
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
    return is_text(a) != is_text(b) ? is_text(a)
           : is_text(a)             ? text_literal(*a) < text_literal(*b)
                                    : print(*a) < print(*b);
  });
  items.erase(std::unique(items.begin(), items.end(),
                          [](const auto& a, const auto& b) { return a->literal == b->literal; }),
              items.end());
  const auto at = x->at;
  auto e = node(op::in, at, std::move(x));
  e->depth = std::max<std::size_t>(e->depth, 2);
  for (auto& item : items)
    e->args.push_back(std::move(item));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_like(expr_ptr x, expr_ptr pattern, expr_ptr escape, bool negated) {
  want_text(*x, "LIKE");
  pattern->literal = compiled_pattern(*pattern, escape);
  const auto at = x->at;
  auto e = node(op::like, at, std::move(x), std::move(pattern));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_search(op what, expr_ptr x, expr_ptr part, bool negated) {
  want_text(*x, what == op::contains ? "CONTAINS" : what == op::starts_with ? "STARTSWITH" : "ENDSWITH");
  check_pattern(text_literal(*part), part->at);
  const auto at = x->at;
  auto e = node(what, at, std::move(x), std::move(part));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_is_null(expr_ptr x, bool negated) {
  const auto at = x->at;
  auto e = node(op::is_null, at, std::move(x));
  e->negated = negated;
  return folded(std::move(e));
}

expr_ptr make_condition(expr_ptr x) {
  const auto t = type_of(*x);
  const auto at = x->at;
  if (t == type::truth || t == type::nothing)
    return x;
  if (t == type::any)
    return make_comparison(op::equal, std::move(x), make_literal(true, at));
  throw refusal{at, "a condition is expected here, and this is " + called(*x),
                "compare it with something, as in: price > 10"};
}

/// Says the opposite where there is a form for it. Not of a search: of what is absent it is false, negated
/// too, and so its opposite is another thing.
expr_ptr make_not(expr_ptr x, std::size_t at) {
  x = make_condition(std::move(x));
  if (x->what == op::not_)
    return std::move(x->args.front());
  if (orders(x->what)) {
    x->what = opposite(x->what);
    return x;
  }
  if (x->what == op::equal || x->what == op::between || x->what == op::in || x->what == op::like ||
      x->what == op::is_null) {
    x->negated = !x->negated;
    return x;
  }
  return folded(node(op::not_, at, std::move(x)));
}

expr_ptr make_junction(op what, expr_ptr left, expr_ptr right) {
  left = make_condition(std::move(left));
  right = make_condition(std::move(right));
  const bool decides = what == op::or_; // TRUE OR x is TRUE, FALSE AND x is FALSE; the other one says nothing
  for (auto* side : {&left, &right})
    if (const auto* truth = std::get_if<bool>(&(*side)->literal); constant(*side) && truth)
      return std::move(*truth == decides ? *side : side == &left ? right : left);
  const auto at = left->at;
  std::vector<expr_ptr> parts;
  for (auto* side : {&left, &right}) {
    if ((*side)->what != what) {
      parts.push_back(std::move(*side));
      continue;
    }
    for (auto& part : (*side)->args)
      parts.push_back(std::move(part));
  }
  auto e = node(what, at);
  for (auto& part : parts) {
    e->depth = std::max(e->depth, part->depth + 1);
    e->args.push_back(std::move(part));
  }
  if (e->depth > max_depth)
    throw refusal{at, "the expression is more than " + std::to_string(max_depth) + " operators deep here",
                  "split it, or compute parts of it before you publish"};
  return folded(std::move(e));
}

expr_ptr make_canonical(expr_ptr x) {
  for (auto& a : x->args)
    a = make_canonical(std::move(a));
  // What is negated may have a form of its own now that it is simpler.
  if (x->what == op::not_)
    return make_not(std::move(x->args.front()), x->at);
  if (x->what == op::equal && !constant(x->args[1]) && type_of(*x->args[0]) != type::keys &&
      print(*x->args[1]) < print(*x->args[0]))
    std::swap(x->args[0], x->args[1]);
  if (x->what != op::and_ && x->what != op::or_)
    return x;
  std::vector<std::pair<std::string, expr_ptr>> parts;
  for (auto& a : x->args) {
    if (a->what != x->what) {
      parts.emplace_back(print(*a), std::move(a));
      continue;
    }
    // What was an OR of equal ANDs, say, is one of them now.
    for (auto& part : a->args)
      parts.emplace_back(print(*part), std::move(part));
  }
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  x->args.clear();
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (i == 0 || parts[i].first != parts[i - 1].first)
      x->args.push_back(std::move(parts[i].second));
  return x->args.size() == 1 ? std::move(x->args.front()) : std::move(x);
}

} // namespace troupe::sql
