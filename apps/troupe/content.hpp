#pragma once

#include "cli.hpp"

#include "troupe/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {

/// What options say of a message that is to be sent.
struct content_settings {
  std::optional<std::string> body;
  std::string file;
  std::vector<std::string> keys;
  std::string tag;
  std::vector<std::string> properties;
  std::string order_key;
  std::optional<std::uint8_t> priority;
  std::optional<milliseconds> ttl;
};

/// BODY and --file.
std::pair<CLI::Option*, CLI::Option*> add_body(CLI::App& verb, content_settings& s, const std::string& help,
                                               const std::string& group);
/// --key, --tag, --property, --order-key, --priority and --ttl.
void add_attributes(CLI::App& verb, content_settings& s);

/// Everything but the body. invalid_argument.
result<message> attributes_of(const content_settings& s);
/// The body; from standard input when neither option is there. invalid_argument, and errors of reading.
result<std::string> body_of(const content_settings& s);

} // namespace troupe::cli
