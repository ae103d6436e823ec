#pragma once

#include "troupe/error.hpp"
#include "troupe/log.hpp"
#include "troupe/node.hpp"

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace trouped {

enum class log_format { text, json };

/// What the node is started with: the command line, over the environment, over the config file, over the
/// defaults.
struct options {
  troupe::node_config node;
  troupe::log_level level = troupe::log_level::info;
  log_format format = log_format::text;
  /// Check the data directory instead of serving it.
  bool verify = false;
};

/// Ends the program at once: text for stdout (code 0: help or version) or for stderr (code 2: what is wrong
/// and where).
struct leave {
  int code = 0;
  std::string text;
};

/// Name and value of an environment variable; nothing when it is not set.
using environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads the arguments (without the program's name). Reads the config file, touches nothing else.
std::variant<options, leave> read_options(const std::vector<std::string>& arguments, const environment& env);

} // namespace trouped
