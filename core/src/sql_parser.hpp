#pragma once

#include "sql_expr.hpp"

#include "troupe/error.hpp"

#include <string_view>

namespace troupe::sql {

/// Reads a condition. invalid_argument says at which column what was expected; too_large, which limit is
/// exceeded. Needs memory in proportion to the source, and a bounded stack.
result<expr_ptr> parse(std::string_view source);

} // namespace troupe::sql
