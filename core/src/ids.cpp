#include "troupe/ids.hpp"

#include <charconv>

namespace troupe {

namespace {

/// Takes a decimal number without sign or leading zeros off the front of `text`.
template <class Number> bool take_number(std::string_view& text, Number& out) {
  if (text.empty() || text.front() < '0' || text.front() > '9')
    return false;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  auto length = static_cast<std::size_t>(end - text.data());
  if (ec != std::errc{} || (length > 1 && text.front() == '0'))
    return false;
  text.remove_prefix(length);
  return true;
}

bool take_dash(std::string_view& text) {
  if (text.empty() || text.front() != '-')
    return false;
  text.remove_prefix(1);
  return true;
}

} // namespace

std::string to_string(const message_id& id) {
  return std::to_string(id.shard.value) + '-' + std::to_string(id.index.value) + '-' +
         std::to_string(id.ordinal);
}

std::optional<message_id> parse_message_id(std::string_view text) {
  message_id id;
  // One text per id: the log begins at index 1, and leading zeros are no part of the form.
  if (take_number(text, id.shard.value) && take_dash(text) && take_number(text, id.index.value) &&
      take_dash(text) && take_number(text, id.ordinal) && text.empty() && id.index.value > 0)
    return id;
  return std::nullopt;
}

std::string to_string(const transaction_id& id) {
  return std::to_string(id.home.value) + '-' + std::to_string(id.index.value);
}

std::optional<transaction_id> parse_transaction_id(std::string_view text) {
  transaction_id id;
  if (take_number(text, id.home.value) && take_dash(text) && take_number(text, id.index.value) &&
      text.empty() && id.known())
    return id;
  return std::nullopt;
}

} // namespace troupe
