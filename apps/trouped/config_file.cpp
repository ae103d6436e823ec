#include "config_file.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace trouped {

namespace {

using troupe::errc;
using troupe::error;
using troupe::result;

/// toml++ 3.3 recurses once per dot of a key and has no limit (its pull request 242 brought one). A key of
/// ours has no dot, and what stands in texts and comments stays far below this.
constexpr auto most_dots = 1000;

error wrong(std::string why, std::string hint) {
  return {errc::invalid_argument, std::move(why), std::move(hint)};
}

std::string type_of(const toml::node& value) {
  std::ostringstream text;
  text << value.type();
  return std::move(text).str();
}

/// Why there is no option of this name.
error unknown(const std::string& key, const toml::node& value) {
  constexpr auto hint = "keys are the options' names, without sections";
  if (key == "config" || key == "help" || key == "version")
    return wrong(key + " may not stand in a config file",
                 "leave the line out; --" + key + " is for the command line");
  // Such a name could be anything, also what a terminal obeys.
  constexpr std::size_t longest = 60;
  constexpr auto plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  if (key.empty() || key.size() > longest || key.find_first_not_of(plain) != std::string::npos)
    return wrong("there is no such option", hint);
  return wrong(value.is_table() ? "there is no section [" + key + "]" : "there is no option " + key, hint);
}

/// The value as the command line has it, or why `key` may not have it.
result<std::string> text_of(const std::string& key, const toml::node& value,
                            const std::vector<known_key>& known) {
  const auto option = std::ranges::find(known, key, &known_key::name);
  if (option == known.end())
    return unknown(key, value);
  if (option->flag && value.is_boolean())
    return std::string{*value.value<bool>() ? "true" : "false"};
  if (option->flag || !(value.is_string() || value.is_integer()))
    return wrong(key + " takes no " + type_of(value), option->flag
                                                          ? "write true or false, without quotes"
                                                          : "write a text in quotes, or a whole number");
  if (value.is_integer())
    return std::to_string(*value.value<std::int64_t>());
  auto text = *value.value<std::string>();
  if (text.empty())
    return wrong(key + " has no value", "give it one, or leave the line out for the default");
  // No option needs one, and a refusal that quotes the value must not move the terminal.
  if (std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return wrong(key + " has a control character in its value", "leave it out");
  return text;
}

} // namespace

std::vector<setting> read_config(std::string_view text, const std::vector<known_key>& known,
                                 config_error& wrong_at) {
  if (std::ranges::count(text, '.') > most_dots) {
    wrong_at = {0, wrong("it has more than " + std::to_string(most_dots) +
                             " dots, which could be a key that is nested too deeply to be read",
                         "write fewer, also in comments")};
    return {};
  }
  std::vector<setting> all;
  try {
    for (const auto& [key, value] : toml::parse(text)) {
      const std::size_t line = key.source().begin.line;
      auto read = text_of(std::string{key.str()}, value, known);
      if (read)
        all.push_back({std::string{key.str()}, std::move(*read), line});
      else if (!wrong_at.why || line < wrong_at.line)
        wrong_at = {line, read.error()};
    }
  } catch (const toml::parse_error& err) {
    const auto& at = err.source().begin;
    wrong_at = {
        at.line,
        wrong("no TOML at column " + std::to_string(at.column) + ": " + std::string{err.description()},
              "a line is KEY = VALUE, a text in quotes that close on its line: data = \"/var/lib/troupe\"")};
  }
  if (wrong_at.why)
    return {};
  std::ranges::sort(all, {}, &setting::line);
  return all;
}

} // namespace trouped
