#include "content.hpp"

#include "interrupt.hpp"
#include "jsonl.hpp"
#include "line_reader.hpp"

#include "troupe/units.hpp"

namespace troupe::cli {

std::pair<CLI::Option*, CLI::Option*> add_body(CLI::App& verb, content_settings& s, const std::string& help,
                                               const std::string& group) {
  auto* body = verb.add_option("BODY", s.body, help);
  auto* file = verb.add_option("--file", s.file, "A file whose content is the body")->group(group);
  return {body, file};
}

void add_attributes(CLI::App& verb, content_settings& s) {
  add_repeated(verb, "--key", s.keys, "A business key to find the message by; may be repeated");
  verb.add_option("--tag", s.tag, "The tag that consumers filter by");
  add_repeated(verb, "--property", s.properties, "A property; may be repeated")->type_name("NAME=VALUE");
  verb.add_option(
      "--order-key", s.order_key,
      "Messages with the same order key keep their order, in one queue; without a key the queues take "
      "turns, a batch each");
  verb.add_option("--priority", s.priority,
                  "0 (default) to 9; the highest goes first. A topic made with --priorities N, 2 to 10, "
                  "takes those below N; in another one it is a field for filters")
      ->check(whole_number(9));
  add_duration(
      verb, "--ttl", s.ttl,
      "How long it is worth delivering, from now on: 1ms to 36500d. What a group was not given by then "
      "expires for it (`troupe group create --on-expired`)")
      ->check([](const std::string& given) {
        const auto ttl = parse_duration(given);
        return ttl && *ttl < milliseconds{1} ? "must be at least 1ms" : "";
      });
}

result<message> attributes_of(const content_settings& s) {
  message m;
  m.keys = s.keys;
  m.tag = s.tag;
  m.order_key = s.order_key;
  m.priority = s.priority.value_or(0);
  m.ttl = s.ttl;
  for (const auto& text : s.properties) {
    auto property = parse_property(text);
    if (!property)
      return property.error();
    m.properties.push_back(std::move(*property));
  }
  return m;
}

result<std::string> body_of(const content_settings& s) {
  if (s.body)
    return *s.body;
  interrupt stop;
  auto file = input_file::open(s.file.empty() ? "-" : s.file);
  if (!file)
    return file.error();
  return read_all(*file, limits{}.body, stop);
}

} // namespace troupe::cli
