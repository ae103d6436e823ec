#pragma once

#include "troupe/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace trouped {

/// One line of a config file that sets something.
struct setting {
  std::string key;
  std::string value;
  /// From 1.
  std::size_t line = 0;
  bool operator==(const setting&) const = default;
};

/// A key that a config file may have.
struct known_key {
  std::string name;
  /// Only true and false are its values.
  bool flag = false;
};

/// Where a config file is wrong.
struct config_error {
  std::size_t line = 0;
  troupe::error why;
};

/// Longer ones are refused.
constexpr std::size_t max_config = std::size_t{1} << 20;

/// Reads a config file: lines of KEY = VALUE in TOML, with comments and blank lines between them. A value is
/// a text in quotes ("..." with TOML's escapes, '...' without), or bare (a number, true, false, a word).
/// Refuses, with the line: what is no UTF-8 or has control characters; keys that are not `known`, or there
/// twice; sections; values that are missing, empty or not closed, and whatever follows one.
std::vector<setting> read_config(std::string_view text, const std::vector<known_key>& known,
                                 config_error& wrong);

} // namespace trouped
