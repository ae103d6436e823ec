#include "jsonl.hpp"

#include "text.hpp"

#include "troupe/units.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace troupe::cli {

namespace {

using nlohmann::json;

error wrong(const std::string& why) {
  return {errc::invalid_argument, why,
          "a line is an object with any of body, body_base64, keys, tag, properties, order_key, priority, "
          "delay, at, "
          "ttl"};
}

error take_text(const json& value, const std::string& name, std::string& to) {
  if (!value.is_string())
    return wrong("'" + name + "' is " + value.type_name() + ", not a string");
  to = value.get<std::string>();
  return {};
}

error take_base64(const json& value, message& m) {
  std::string text;
  if (auto err = take_text(value, "body_base64", text))
    return err;
  auto body = base64_decode(text);
  if (!body)
    return wrong("'body_base64' is not base64 (RFC 4648, padded, without white space)");
  m.body = std::move(*body);
  return {};
}

error take_keys(const json& value, message& m) {
  if (!value.is_array())
    return wrong(std::string("'keys' is ") + value.type_name() + ", not an array of strings");
  m.keys.clear();
  for (const auto& key : value)
    if (auto err = take_text(key, "keys", m.keys.emplace_back()))
      return err;
  return {};
}

error take_properties(const json& value, message& m) {
  if (!value.is_object())
    return wrong(std::string("'properties' is ") + value.type_name() + ", not an object of strings");
  m.properties.clear();
  for (const auto& [name, text] : value.items()) {
    auto& property = m.properties.emplace_back(name, "");
    if (auto err = take_text(text, "properties." + name, property.second))
      return err;
  }
  return {};
}

error take_priority(const json& value, message& m) {
  if (!value.is_number_integer() || value < 0 || value > 9)
    return wrong("'priority' is not a whole number from 0 to 9");
  m.priority = value.get<std::uint8_t>();
  return {};
}

error take_ttl(const json& value, message& m) {
  std::string text;
  if (auto err = take_text(value, "ttl", text))
    return err;
  auto ttl = parse_duration(text);
  if (!ttl)
    return wrong("'ttl': " + ttl.error().reason);
  if (*ttl < milliseconds{1})
    return wrong("'ttl' must be at least 1ms");
  m.ttl = *ttl;
  return {};
}

using taker = std::function<error(const json&, message&)>;

error take_delay(const json& value, message& m) {
  std::string text;
  if (auto err = take_text(value, "delay", text))
    return err;
  const auto delay = parse_duration(text);
  if (!delay)
    return wrong("'delay': " + delay.error().reason);
  if (*delay < milliseconds{1})
    return wrong("'delay' must be at least 1ms");
  m.deliver_at = from_now(*delay);
  return {};
}

/// As parse_time() has it, or Unix milliseconds as a number.
error take_at(const json& value, message& m) {
  const bool number = value.is_number_integer() && value >= 0;
  std::string text = number ? value.dump() : "";
  if (!number)
    if (auto err = take_text(value, "at", text))
      return err;
  const auto at = parse_time(text);
  if (!at)
    return wrong("'at': " + at.error().reason);
  m.deliver_at = *at;
  return {};
}

const std::map<std::string, taker>& takers() {
  static const std::map<std::string, taker> all{
      {"body", [](const json& v, message& m) { return take_text(v, "body", m.body); }},
      {"body_base64", take_base64},
      {"keys", take_keys},
      {"tag", [](const json& v, message& m) { return take_text(v, "tag", m.tag); }},
      {"properties", take_properties},
      {"order_key", [](const json& v, message& m) { return take_text(v, "order_key", m.order_key); }},
      {"priority", take_priority},
      {"delay", take_delay},
      {"at", take_at},
      {"ttl", take_ttl}};
  return all;
}

/// Parses and sees what a parsed object no longer shows: names that were given twice, by any object.
class duplicate_finder {
public:
  json parse(std::string_view line) {
    return json::parse(line, [this](int, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start)
        seen_.emplace_back();
      else if (event == json::parse_event_t::object_end)
        seen_.pop_back();
      else if (event == json::parse_event_t::key && !seen_.back().insert(value.get<std::string>()).second)
        twice_ = value.get<std::string>();
      return true;
    });
  }
  const std::optional<std::string>& twice() const { return twice_; }

private:
  std::vector<std::set<std::string>> seen_;
  std::optional<std::string> twice_;
};

} // namespace

timestamp from_now(milliseconds delay) {
  return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) + delay;
}

result<message> parse_jsonl(std::string_view line, const message& defaults) {
  json object;
  duplicate_finder finder;
  try {
    object = finder.parse(line);
  } catch (const json::parse_error& err) {
    std::string why = err.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..." to what a person needs of it.
    if (auto at = why.find("column "); at != std::string::npos)
      why = why.substr(at);
    return wrong("not JSON: " + escape(why, 200));
  } catch (const json::out_of_range&) {
    return wrong("it has a number that is too large");
  }
  if (!object.is_object())
    return wrong(std::string("a JSON ") + object.type_name() + " instead of an object");
  if (finder.twice())
    return wrong("the field '" + escape(*finder.twice(), 80) + "' is given twice");
  if (object.contains("body") && object.contains("body_base64"))
    return wrong("both 'body' and 'body_base64' are given");
  if (object.contains("delay") && object.contains("at"))
    return wrong("both 'delay' and 'at' are given");
  message m = defaults;
  for (const auto& [name, value] : object.items()) {
    auto take = takers().find(name);
    if (take == takers().end())
      return wrong("unknown field '" + escape(name, 80) + "'");
    if (auto err = take->second(value, m))
      return err;
  }
  if (!object.contains("body") && !object.contains("body_base64") && m.body.empty())
    return wrong("neither 'body' nor 'body_base64' is given");
  return m;
}

result<std::pair<std::string, std::string>> parse_property(const std::string& text) {
  auto equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    return error{errc::invalid_argument, "'" + escape(text, 80) + "' is not NAME=VALUE",
                 "write --property NAME=VALUE, once per property"};
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

} // namespace troupe::cli
