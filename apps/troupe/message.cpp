#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

namespace troupe::cli {

namespace {

struct get_settings {
  std::string id;
};

void print(output& out, const received_message& message) {
  const auto& m = message.content;
  std::vector<std::pair<std::string, std::string>> values{{"id", troupe::to_string(message.id)},
                                                          {"topic", message.topic},
                                                          {"queue", std::to_string(message.queue)}};
  if (!message.waits)
    values.emplace_back("offset", std::to_string(message.offset.value));
  else if (!m.deliver_at)
    values.emplace_back("state", "prepared: of a transaction that nobody decided");
  if (m.deliver_at)
    values.emplace_back(message.waits ? "due" : "was due", format_time(*m.deliver_at));
  for (const auto& key : m.keys)
    values.emplace_back("key", key);
  if (!m.tag.empty())
    values.emplace_back("tag", m.tag);
  if (!m.order_key.empty())
    values.emplace_back("order key", m.order_key);
  for (const auto& [name, value] : m.properties)
    values.emplace_back("property", name + " = " + value);
  values.emplace_back("born", format_time(m.born));
  values.emplace_back("stored", format_time(message.stored));
  if (m.ttl)
    values.emplace_back("expires", format_time(m.born + *m.ttl));
  values.emplace_back("bytes", grouped(m.body.size()));
  out.fields(values);
  // A terminal is no place for megabytes; a pipe gets all.
  out.text("\n" + escape(m.body, out.terminal() ? 4096 : std::string_view::npos) + "\n");
}

int get(context& ctx, const get_settings& s) {
  auto id = parse_message_id(s.id);
  if (!id)
    return ctx.misuse("message get", "'" + escape(s.id, 80) + "' is not a message id",
                      "an id is three numbers, SHARD-INDEX-ORDINAL, as `send` and `receive` print it");
  return ctx.with_client([&](client& c) {
    auto message = c.get(*id);
    if (!message)
      return ctx.fail("getting message " + s.id, message.error());
    ctx.out.json_lines ? ctx.out.line(to_json(*message, false)) : print(ctx.out, *message);
    return static_cast<int>(done);
  });
}

} // namespace

void add_message_verbs(CLI::App& app, context& ctx) {
  auto* message = app.add_subcommand("message", "Look at single messages");
  message->require_subcommand(1);
  auto [get_verb, s] = add_verb(*message, ctx, "get", "Shows a message by its id", get);
  get_verb->add_option("ID", s->id, "SHARD-INDEX-ORDINAL, as `send` and `receive` print it")->required();
  examples(*get_verb, {"troupe message get 0-42-0", "troupe message get 0-42-0 --json"});
  add_later_verb(*message, "find", "finding messages by key is");
  add_later_verb(*message, "trace", "message traces are");
}

} // namespace troupe::cli
