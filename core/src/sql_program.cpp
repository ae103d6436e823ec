#include "sql_program.hpp"

#include "sql_expr.hpp"

#include "troupe/units.hpp"

#include <algorithm>
#include <bit>

namespace troupe::sql {

namespace {

tri ordered(op what, const value& left, const value& right) {
  const auto which = order(left, right);
  if (!which)
    return tri::unknown;
  switch (what) {
  case op::less:
    return to_tri(*which < 0);
  case op::at_most:
    return to_tri(*which <= 0);
  case op::more:
    return to_tri(*which > 0);
  default:
    return to_tri(*which >= 0);
  }
}

bool looks_into(op what) { return what == op::contains || what == op::starts_with || what == op::ends_with; }

/// RocketMQ's rule: an empty part is nowhere.
bool found(op what, std::string_view part, std::string_view text) {
  if (part.empty())
    return false;
  return what == op::contains      ? text.find(part) != std::string_view::npos
         : what == op::starts_with ? text.starts_with(part)
                                   : text.ends_with(part);
}

} // namespace

program::program(const expr& root) {
  nodes_.emplace_back();
  fill(0, root);
}

void program::fill(std::size_t at, const expr& e) {
  node n;
  n.what = e.what;
  n.negated = e.negated;
  n.first = static_cast<std::uint32_t>(nodes_.size());
  n.count = static_cast<std::uint32_t>(e.args.size());
  if (e.what == op::constant) {
    const auto v = view_of(e.literal);
    n.kind = static_cast<std::uint8_t>(v.index());
    if (const auto* truth = std::get_if<bool>(&v))
      n.data = *truth;
    else if (const auto* whole = std::get_if<std::int64_t>(&v))
      n.data = static_cast<std::uint64_t>(*whole);
    else if (const auto* real = std::get_if<double>(&v))
      n.data = std::bit_cast<std::uint64_t>(*real);
  }
  if (const auto text = text_of(e); !text.empty()) {
    n.data = texts_.size();
    n.size = static_cast<std::uint32_t>(text.size());
    texts_ += text;
  }
  nodes_[at] = n;
  nodes_.resize(nodes_.size() + n.count);
  for (std::uint32_t i = 0; i < n.count; ++i)
    fill(n.first + i, *e.args[i]);
}

std::string_view program::text(const node& n) const {
  return std::string_view{texts_.data() + n.data, n.size};
}

value program::constant(const node& n) const {
  switch (n.kind) {
  case 1:
    return n.data != 0;
  case 2:
    return static_cast<std::int64_t>(n.data);
  case 3:
    return std::bit_cast<double>(n.data);
  case 4:
    return text(n);
  default:
    return {};
  }
}

value program::get(const node& n, const filter_subject& s) const {
  switch (n.what) {
  case op::constant:
    return constant(n);
  case op::property: {
    const auto found = s.property(text(n));
    return found ? value{*found} : value{};
  }
  case op::tag: {
    const auto tag = s.tag();
    return tag.empty() ? value{} : value{tag};
  }
  case op::priority:
    return std::int64_t{s.priority()};
  case op::born:
    return to_unix_ms(s.born());
  case op::attempt:
    return std::int64_t{s.attempt()};
  case op::negate:
    return negate(get(child(n, 0), s));
  case op::add:
  case op::subtract:
  case op::multiply:
  case op::divide: {
    const auto which = static_cast<arithmetic>(static_cast<int>(n.what) - static_cast<int>(op::add));
    return calculate(which, get(child(n, 0), s), get(child(n, 1), s));
  }
  default: {
    const auto t = condition(n, s);
    return t == tri::unknown ? value{} : value{t == tri::yes};
  }
  }
}

tri program::condition(const node& n, const filter_subject& s) const {
  switch (n.what) {
  case op::constant:
    return n.kind == 1 ? to_tri(n.data != 0) : tri::unknown;
  case op::not_:
    return !condition(child(n, 0), s);
  case op::and_:
    return all_of(n, s);
  case op::or_:
    return any_of(n, s);
  default:
    return predicate(n, s);
  }
}

tri program::all_of(const node& n, const filter_subject& s) const {
  auto all = tri::yes;
  for (std::uint32_t i = 0; i < n.count && all != tri::no; ++i)
    all = std::min(all, condition(child(n, i), s));
  return all;
}

tri program::any_of(const node& n, const filter_subject& s) const {
  auto any = tri::no;
  for (std::uint32_t i = 0; i < n.count && any != tri::yes; ++i)
    any = std::max(any, condition(child(n, i), s));
  return any;
}

/// A condition on a value, its negation included: what is unknown is so negated, too. Looking into what is
/// absent, or for nothing, is false both ways, as in RocketMQ.
tri program::predicate(const node& n, const filter_subject& s) const {
  const auto& subject = child(n, 0);
  if (looks_into(n.what) && child(n, 1).size == 0)
    return tri::no;
  const auto said = subject.what == op::keys ? any_key(n, s) : holds(n, get(subject, s), s);
  if (said == tri::unknown)
    return looks_into(n.what) ? tri::no : said;
  return n.negated ? !said : said;
}

/// Holds when it holds for one of the keys. Unknown without any.
tri program::any_key(const node& n, const filter_subject& s) const {
  std::uint32_t cursor = 0;
  auto key = s.next_key(cursor);
  if (n.what == op::is_null)
    return to_tri(!key);
  if (!key)
    return tri::unknown;
  auto any = tri::no;
  for (; key && any != tri::yes; key = s.next_key(cursor))
    any = std::max(any, holds(n, *key, s));
  return any;
}

tri program::holds(const node& n, const value& left, const filter_subject& s) const {
  switch (n.what) {
  case op::equal:
    return equal(left, get(child(n, 1), s));
  case op::between:
    return std::min(ordered(op::at_least, left, get(child(n, 1), s)),
                    ordered(op::at_most, left, get(child(n, 2), s)));
  case op::in:
    return one_of(n, left);
  case op::is_null:
    return to_tri(std::holds_alternative<std::monostate>(left));
  case op::like:
  case op::contains:
  case op::starts_with:
  case op::ends_with: {
    const auto* in = std::get_if<std::string_view>(&left);
    const auto part = text(child(n, 1));
    return !in ? tri::unknown : to_tri(n.what == op::like ? like(*in, part) : found(n.what, part, *in));
  }
  default:
    return ordered(n.what, left, get(child(n, 1), s));
  }
}

/// The texts come first, in order.
tri program::one_of(const node& n, const value& left) const {
  const auto first = nodes_.begin() + n.first + 1;
  const auto end = first + (n.count - 1);
  const auto numbers = std::partition_point(first, end, [](const node& x) { return x.kind == 4; });
  auto any = std::holds_alternative<std::monostate>(left) ? tri::unknown : tri::no;
  if (const auto* wanted = std::get_if<std::string_view>(&left)) {
    const auto at = std::lower_bound(first, numbers, *wanted,
                                     [this](const node& x, std::string_view w) { return text(x) < w; });
    if (at != numbers && text(*at) == *wanted)
      return tri::yes;
  }
  for (auto x = numbers; x != end && any != tri::yes; ++x)
    any = std::max(any, equal(left, constant(*x)));
  return any;
}

} // namespace troupe::sql
