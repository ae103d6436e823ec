#pragma once

#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <cstddef>
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
  /// One key after the other, nothing behind the last; `cursor` is 0 for the first and then the subject's
  /// own.
  virtual std::optional<std::string_view> next_key(std::uint32_t& cursor) const = 0;
  virtual std::uint8_t priority() const = 0;
  /// When the program made it.
  virtual timestamp born() const = 0;
  /// 1 when it was never delivered before.
  virtual std::uint32_t attempt() const = 0;
};

/// Which messages of a topic a group wants. Immutable, safe from every thread.
class filter {
public:
  virtual ~filter() = default;
  /// True when it wants every message: then nobody has to open a batch for it.
  virtual bool everything() const = 0;
  virtual bool matches(const filter_subject& message) const = 0;
  /// The expression in its one canonical form: equal texts mean equal filters. Tags, what AND and OR join and
  /// the items of an IN are sorted, each once; what is constant is computed. Reading it gives the same text
  /// again.
  virtual const std::string& text() const = 0;
};

/// Bytes of a filter of tags, and of one in SQL92.
inline constexpr std::size_t max_tag_filter = 64u << 10;
inline constexpr std::size_t max_sql_filter = 8u << 10;
/// Bytes of the filters of all topics that a group subscribes to, together.
inline constexpr std::size_t max_filters_of_group = 1u << 20;
/// Operands and operators of a filter in SQL92; the items of an IN count.
inline constexpr std::size_t max_sql_parts = 1024;

/// Reads an expression: `*` or an empty one (everything), names joined by `||` (tags), anything else SQL92
/// over properties and system fields (docs/filters.md has the language). `invalid_argument` says at which
/// column it breaks the rules and what was expected there; `too_large`, which limit is exceeded.
result<std::shared_ptr<const filter>> parse_filter(std::string_view expression);

} // namespace troupe
