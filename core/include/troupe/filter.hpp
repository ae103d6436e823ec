#pragma once

#include "troupe/error.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

/// What a filter may ask of one message. Hash first: only a filter that cannot decide by it reads more.
class filter_subject {
public:
  virtual ~filter_subject() = default;
  /// short_hash of the tag; 0 without one.
  virtual std::uint32_t tag_hash() const = 0;
  virtual std::string_view tag() const = 0;
  virtual std::optional<std::string_view> property(std::string_view name) const = 0;
};

/// Which messages of a topic a group wants. Immutable, safe from every thread.
class filter {
public:
  virtual ~filter() = default;
  /// True when it wants every message: then nobody has to open a batch for it.
  virtual bool everything() const = 0;
  virtual bool matches(const filter_subject& message) const = 0;
  /// The expression in its one canonical form: equal texts mean equal filters (tags are sorted, each once).
  virtual const std::string& text() const = 0;
};

/// Reads an expression: `*` or an empty one (everything), or tags joined by `||`.
/// `invalid_argument` says where the expression breaks the rules and how to write it; `not_supported` for
/// SQL92 over properties (a later version).
result<std::shared_ptr<const filter>> parse_filter(std::string_view expression);

} // namespace troupe
