#include "troupe/message.hpp"

#include "troupe/units.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace troupe {

namespace {

constexpr std::size_t max_topic_name = 127;
constexpr std::size_t max_group_name = 120;

/// What RocketMQ keeps for itself (TopicValidator, MixAll), so that a bridge to it stays possible.
constexpr std::array reserved_names{
    std::string_view{"TBW102"},          std::string_view{"SCHEDULE_TOPIC_XXXX"},
    std::string_view{"BenchmarkTest"},   std::string_view{"TRANS_CHECK_MAX_TIME_TOPIC"},
    std::string_view{"SELF_TEST_TOPIC"}, std::string_view{"OFFSET_MOVED_EVENT"}};
constexpr std::array reserved_prefixes{std::string_view{"%RETRY%"}, std::string_view{"%DLQ%"},
                                       std::string_view{"RMQ_SYS_"}, std::string_view{"rmq_sys_"},
                                       std::string_view{"CID_RMQ_SYS_"}};

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '%' || c == '|' ||
         c == '_' || c == '-';
}

error check_name(const std::string& kind, std::string_view name, std::size_t longest) {
  static constexpr auto letters = "use letters, digits, '_', '-', '%' and '|'";
  if (name.empty())
    return {errc::invalid_argument, "the " + kind + " name is empty", letters};
  if (name.size() > longest)
    return {errc::too_large, "the " + kind + " name has " + std::to_string(name.size()) +
                                 " bytes; the limit is " + std::to_string(longest)};
  auto bad = std::find_if_not(name.begin(), name.end(), is_name_char);
  if (bad != name.end())
    return {errc::invalid_argument,
            "the " + kind + " name has a character that is not allowed, at position " +
                std::to_string(bad - name.begin() + 1),
            letters};
  auto is_prefix = [&](std::string_view prefix) { return name.starts_with(prefix); };
  if (std::find(reserved_names.begin(), reserved_names.end(), name) != reserved_names.end() ||
      std::any_of(reserved_prefixes.begin(), reserved_prefixes.end(), is_prefix))
    return {errc::invalid_argument, "the name '" + std::string(name) + "' is reserved",
            "choose another name"};
  return {};
}

error above(const std::string& what, std::size_t value, std::size_t limit, const char* hint,
            const char* unit = " bytes") {
  return {errc::too_large,
          what + " has " + std::to_string(value) + unit + "; the limit is " + std::to_string(limit), hint};
}

/// No limit can be above what the stored form has room for.
limits within_format(limits l) {
  const limits most;
  l.body = std::min(l.body, most.body);
  l.properties = std::min(l.properties, most.properties);
  l.tag = std::min(l.tag, most.tag);
  l.order_key = std::min(l.order_key, most.order_key);
  l.all_keys = std::min(l.all_keys, most.all_keys);
  return l;
}

error not_text(const std::string& what) {
  return {errc::invalid_argument, what + " is not valid UTF-8", "only the body may hold bytes of any kind"};
}

error check_body(const message& m, const limits& l) {
  if (m.body.empty())
    return {errc::invalid_argument, "the body is empty", "a message needs a body of at least 1 byte"};
  if (m.body.size() > l.body)
    return above("the body", m.body.size(), l.body, "send it in parts, or a reference to it");
  return {};
}

error check_tag(const message& m, const limits& l) {
  if (m.tag.size() > l.tag)
    return above("the tag", m.tag.size(), l.tag, "shorten it, or make a property of it");
  if (!is_utf8(m.tag))
    return not_text("the tag");
  auto forbidden = [](unsigned char c) { return c <= 0x20 || c == 0x7f || c == '|'; };
  if (m.tag == "*" || std::any_of(m.tag.begin(), m.tag.end(), forbidden))
    return {errc::invalid_argument, "the tag is '*' or has white space, a control character or '|'",
            "filters could not name such a tag; leave these out"};
  return {};
}

error check_keys(const message& m, const limits& l) {
  if (m.keys.size() > l.keys)
    return above("the message", m.keys.size(), l.keys, "leave some out", " keys");
  std::size_t all = 0;
  for (const auto& key : m.keys) {
    if (key.empty())
      return {errc::invalid_argument, "a key is empty", "leave empty keys out"};
    if (key.size() > l.key)
      return above("a key", key.size(), l.key, "shorten it, or give a hash of it");
    if (!is_utf8(key))
      return not_text("a key");
    all += 2 + key.size();
  }
  if (all > l.all_keys)
    return {errc::too_large, "all keys with 2 bytes each for their length have " + std::to_string(all) +
                                 " bytes; the limit is " + std::to_string(l.all_keys)};
  return {};
}

bool has_duplicates(const message& m) {
  if (m.properties.size() < 2)
    return false;
  std::vector<std::string_view> names;
  names.reserve(m.properties.size());
  for (const auto& property : m.properties)
    names.push_back(property.first);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

error check_properties(const message& m, const limits& l) {
  std::size_t all = 0;
  for (const auto& [name, value] : m.properties) {
    if (name.empty())
      return {errc::invalid_argument, "a property has no name", "give every property a name"};
    if (!is_utf8(name))
      return not_text("the name of a property");
    if (!is_utf8(value))
      return not_text("the value of property '" + (name.size() > 80 ? "..." : name) + "'");
    all += 4 + name.size() + value.size();
  }
  if (all > l.properties)
    return {errc::too_large, "all properties with 4 bytes each for their lengths have " +
                                 std::to_string(all) + " bytes; the limit is " +
                                 std::to_string(l.properties)};
  if (has_duplicates(m))
    return {errc::invalid_argument, "two properties have the same name", "give each name once"};
  return {};
}

error check_times(const message& m) {
  if (m.born < timestamp{} || m.born > max_time)
    return {errc::invalid_argument, "the message's own time (born) is not between 1970 and 9999"};
  if (m.ttl && (*m.ttl < milliseconds{1} || *m.ttl > max_duration))
    return {errc::invalid_argument, "the time to live is " + format_duration(*m.ttl) +
                                        "; it must be from 1ms to " + format_duration(max_duration)};
  if (m.deliver_at && (*m.deliver_at < timestamp{} || *m.deliver_at > max_time))
    return {errc::invalid_argument, "the message is due before 1970 or after 9999"};
  return {};
}

} // namespace

message message_view::materialize() const {
  message m;
  m.body = body;
  m.tag = tag;
  m.order_key = order_key;
  m.priority = priority;
  m.born = born;
  m.ttl = ttl;
  m.deliver_at = deliver_at;
  m.keys.assign(keys.begin(), keys.end());
  m.properties.assign(properties.begin(), properties.end());
  return m;
}

error validate(const message& m, const limits& wanted) {
  auto l = within_format(wanted);
  if (auto err = check_body(m, l))
    return err;
  if (auto err = check_tag(m, l))
    return err;
  if (m.order_key.size() > l.order_key)
    return above("the order key", m.order_key.size(), l.order_key,
                 "give a hash of it, which keeps the same order");
  if (!is_utf8(m.order_key))
    return not_text("the order key");
  if (m.priority > l.priority)
    return {errc::invalid_argument, "the priority is " + std::to_string(m.priority) + "; the highest is " +
                                        std::to_string(l.priority)};
  if (auto err = check_keys(m, l))
    return err;
  if (auto err = check_properties(m, l))
    return err;
  return check_times(m);
}

error validate_topic_name(std::string_view name) { return check_name("topic", name, max_topic_name); }

error validate_group_name(std::string_view name) { return check_name("group", name, max_group_name); }

bool is_utf8(std::string_view text) {
  auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = byte(at);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || size > text.size() - at)
      return false;
    // RFC 3629, section 4: only the second byte's range depends on the first.
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(at + 1) < low || byte(at + 1) > high)
      return false;
    for (std::size_t i = 2; i < size; ++i)
      if ((byte(at + i) & 0xc0) != 0x80)
        return false;
    at += size;
  }
  return true;
}

std::uint32_t short_hash(std::string_view text) {
  if (text.empty())
    return 0;
  std::uint32_t hash = 2166136261u;
  for (unsigned char c : text)
    hash = (hash ^ c) * 16777619u;
  return hash;
}

} // namespace troupe
