#include "config_file.hpp"

#include "troupe/message.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace trouped {

namespace {

using troupe::errc;
using troupe::error;
using troupe::result;

constexpr std::string_view blanks = " \t";
constexpr auto format_hint = "a line is KEY = VALUE, for example data = \"/var/lib/troupe\"";

error wrong(std::string why, std::string hint = format_hint) {
  return {errc::invalid_argument, std::move(why), std::move(hint)};
}

/// For messages: in quotes, not too long, cut where a character ends.
std::string shown(std::string_view text) {
  constexpr std::size_t longest = 60;
  if (text.size() <= longest)
    return '"' + std::string{text} + '"';
  auto end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  return '"' + std::string{text.substr(0, end)} + "...\"";
}

void skip_blanks(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
}

std::string_view without_trailing_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

void append_utf8(std::string& to, std::uint32_t c) {
  const auto put = [&to](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (c < 0x80)
    return put(c);
  if (c < 0x800)
    put(0xc0 | c >> 6);
  else if (c < 0x10000)
    put(0xe0 | c >> 12);
  else
    put(0xf0 | c >> 18);
  if (c >= 0x10000)
    put(0x80 | (c >> 12 & 0x3f));
  if (c >= 0x800)
    put(0x80 | (c >> 6 & 0x3f));
  put(0x80 | (c & 0x3f));
}

/// Takes what follows a backslash; false when TOML has no such escape.
bool take_escape(std::string_view& rest, std::string& to) {
  constexpr std::array<std::pair<char, char>, 7> short_ones{
      {{'b', '\b'}, {'t', '\t'}, {'n', '\n'}, {'f', '\f'}, {'r', '\r'}, {'"', '"'}, {'\\', '\\'}}};
  if (rest.empty())
    return false;
  const char kind = rest.front();
  rest.remove_prefix(1);
  const auto* at = std::ranges::find(short_ones, kind, &std::pair<char, char>::first);
  if (at != short_ones.end()) {
    to += at->second;
    return true;
  }
  const std::size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits == 0 || rest.size() < digits)
    return false;
  std::uint32_t c = 0;
  const auto [end, code] = std::from_chars(rest.data(), rest.data() + digits, c, 16);
  if (code != std::errc{} || end != rest.data() + digits || c == 0 || c > 0x10ffff ||
      (c >= 0xd800 && c < 0xe000))
    return false;
  rest.remove_prefix(digits);
  append_utf8(to, c);
  return true;
}

/// Takes a text in quotes, which `rest` begins with.
result<std::string> take_quoted(std::string_view& rest) {
  const auto whole = rest;
  const char quote = rest.front();
  rest.remove_prefix(1);
  std::string text;
  while (!rest.empty() && rest.front() != quote) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c != '\\' || quote == '\'')
      text += c;
    else if (!take_escape(rest, text))
      return wrong("a \\ in " + shown(whole) + " is no escape of TOML",
                   "write \\\\ for a backslash, or the text in single quotes");
  }
  if (rest.empty())
    return wrong("the quote in " + shown(without_trailing_blanks(whole)) + " is not closed",
                 std::string{"end the value with "} + quote);
  rest.remove_prefix(1);
  return text;
}

/// Takes a value, and sees that nothing but a comment follows.
result<std::string> take_value(std::string_view& rest, const std::string& key) {
  const auto no_value = wrong(key + " has no value", "give it one, or leave the line out for the default");
  skip_blanks(rest);
  if (rest.empty() || rest.front() == '#')
    return no_value;
  std::string value;
  if (rest.front() == '"' || rest.front() == '\'') {
    auto text = take_quoted(rest);
    if (!text)
      return text.error();
    value = std::move(*text);
  } else {
    const auto end = std::min(rest.find_first_of(" \t#"), rest.size());
    value = rest.substr(0, end);
    if (value.find_first_of("\"'[]{}=,") != std::string::npos)
      return wrong(shown(without_trailing_blanks(rest)) + " is no value of " + key,
                   "write a text in quotes, a number, true or false");
    rest.remove_prefix(end);
  }
  skip_blanks(rest);
  if (!rest.empty() && rest.front() != '#')
    return wrong(shown(without_trailing_blanks(rest)) + " stands behind the value of " + key,
                 "put the whole value in quotes, or a # before a comment");
  if (value.empty())
    return no_value;
  return value;
}

/// Takes the key and the '='; `rest` begins with no blank.
result<std::string> take_key(std::string_view& rest) {
  const auto line = without_trailing_blanks(rest);
  if (line.front() == '[')
    return wrong("there is no section " + std::string{line}, "keys are the options' names, without sections");
  std::string key;
  if (line.front() == '"' || line.front() == '\'') {
    auto text = take_quoted(rest);
    if (!text)
      return text.error();
    key = std::move(*text);
  } else {
    const auto end = std::min(rest.find_first_of(" \t="), rest.size());
    key = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  skip_blanks(rest);
  if (key.empty() || rest.empty() || rest.front() != '=')
    return wrong(shown(line) + " is not KEY = VALUE");
  rest.remove_prefix(1);
  return key;
}

/// Understands a line; an empty key when it sets nothing.
result<setting> read_line(std::string_view line) {
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  if (!troupe::is_utf8(line))
    return wrong("there are bytes that are no UTF-8 text", "save the file as UTF-8");
  if (std::ranges::any_of(line, [](char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; }))
    return wrong("there is a control character", "write it as an escape, for example \\n");
  skip_blanks(line);
  setting s;
  if (line.empty() || line.front() == '#')
    return s;
  auto key = take_key(line);
  if (!key)
    return key.error();
  s.key = std::move(*key);
  auto value = take_value(line, s.key);
  if (!value)
    return value.error();
  s.value = std::move(*value);
  return s;
}

error check(const setting& s, const std::vector<setting>& before, const std::vector<known_key>& known) {
  const auto at = std::ranges::find(known, s.key, &known_key::name);
  if (at == known.end()) {
    const bool only_there = s.key == "config" || s.key == "help" || s.key == "version";
    return wrong(only_there ? s.key + " may not stand in a config file" : "there is no option " + s.key,
                 only_there ? "leave the line out; --" + s.key + " is for the command line"
                            : "keys are the options' names, without sections");
  }
  const auto twice = std::ranges::find(before, s.key, &setting::key);
  if (twice != before.end())
    return wrong(s.key + " stands in line " + std::to_string(twice->line) + " already",
                 "leave one of them out");
  if (at->flag && s.value != "true" && s.value != "false")
    return wrong(shown(s.value) + " is no value of " + s.key, "write true or false");
  return {};
}

} // namespace

std::vector<setting> read_config(std::string_view text, const std::vector<known_key>& known,
                                 config_error& wrong) {
  if (text.starts_with("\xef\xbb\xbf")) // a byte order mark, as some editors write it
    text.remove_prefix(3);
  std::vector<setting> all;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = read_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line && line->key.empty())
      continue;
    if (auto err = line ? check(*line, all, known) : line.error()) {
      wrong = {number, std::move(err)};
      return {};
    }
    line->line = number;
    all.push_back(std::move(*line));
  }
  return all;
}

} // namespace trouped
