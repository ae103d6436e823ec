#pragma once

#include "troupe/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace trouped {

/// What a config file sets.
struct setting {
  std::string key;
  std::string value;
  /// Where its key stands, from 1.
  std::size_t line = 0;
  bool operator==(const setting&) const = default;
};

/// A key that a config file may have.
struct known_key {
  std::string name;
  /// Only true and false are its values.
  bool flag = false;
};

/// Where a config file is wrong; without a line, when it is as a whole.
struct config_error {
  std::size_t line = 0;
  troupe::error why;
};

/// Longer ones are refused.
constexpr std::size_t max_config = std::size_t{1} << 20;

/// Reads a config file in TOML, one KEY = VALUE for an option: a text in quotes or a whole number, for a flag
/// true or false. Settings are in the order of their lines. Refuses, with the line: what is no TOML (by
/// toml++'s reading, whose words are in the reason); keys that are not `known`; other types, sections
/// included; empty texts and those with control characters. Sets `wrong` then and returns none.
std::vector<setting> read_config(std::string_view text, const std::vector<known_key>& known,
                                 config_error& wrong);

} // namespace trouped
