#pragma once

#include "sql_value.hpp"

#include "troupe/filter.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::sql {

enum class op : std::uint8_t {
  // values
  constant,
  property,
  tag,
  keys,
  priority,
  born,
  attempt,
  negate,
  add,
  subtract,
  multiply,
  divide,
  // conditions; all down to is_null may be negated
  equal,
  less,
  at_most,
  more,
  at_least,
  between,
  in,
  like,
  contains,
  starts_with,
  ends_with,
  is_null,
  not_,
  and_,
  or_,
};

struct expr;

/// A compiled expression: an array of nodes, those of one parent side by side, and one block of text.
/// Immutable. No evaluation allocates; its stack is bounded by the expression's depth.
class program {
public:
  explicit program(const expr& root);

  /// What a condition says of a message.
  tri test(const filter_subject& s) const { return condition(nodes_.front(), s); }
  /// What any expression is for a message; texts live as long as the message or this.
  value evaluate(const filter_subject& s) const { return get(nodes_.front(), s); }

private:
  struct node {
    op what = op::constant;
    bool negated = false;
    /// Of a constant: the alternative of `value`.
    std::uint8_t kind = 0;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    /// A number's bits, or of a text: where in texts_.
    std::uint64_t data = 0;
    std::uint32_t size = 0;
  };

  void fill(std::size_t at, const expr& e);
  tri condition(const node& n, const filter_subject& s) const;
  value get(const node& n, const filter_subject& s) const;
  value constant(const node& n) const;
  std::string_view text(const node& n) const;
  const node& child(const node& n, std::uint32_t i) const { return nodes_[n.first + i]; }
  tri all_of(const node& n, const filter_subject& s) const;
  tri any_of(const node& n, const filter_subject& s) const;
  tri predicate(const node& n, const filter_subject& s) const;
  tri any_key(const node& n, const filter_subject& s) const;
  tri holds(const node& n, const value& left, const filter_subject& s) const;
  tri one_of(const node& n, const value& left) const;

  std::vector<node> nodes_;
  std::string texts_;
};

} // namespace troupe::sql
