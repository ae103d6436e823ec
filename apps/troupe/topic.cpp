#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

namespace troupe::cli {

namespace {

/// The options of create and set: what was not given stays as it is.
struct topic_settings {
  std::string name;
  std::optional<std::uint32_t> queues;
  std::optional<std::uint8_t> priorities;
  std::optional<milliseconds> retention;
  std::optional<std::uint64_t> retention_bytes;
  std::optional<std::uint64_t> max_message;
  std::optional<milliseconds> dedupe_window;
};

struct topic_name_only {
  std::string name;
};

struct list_settings {
  bool names = false;
};

void add_settings(CLI::App& verb, topic_settings& s) {
  verb.add_option("NAME", s.name, "Letters, digits, '_', '-', '%' and '|'; at most 127")->required();
  verb.add_option("--queues", s.queues, "Number of queues, 1 to 1024 (8); it can grow, never shrink")
      ->check(whole_number(0xffffffff));
  verb.add_option("--priorities", s.priorities,
                  "Lanes per queue, 1 to 10 (1), fixed since the topic was created: of messages that wait, "
                  "those of the highest priority go first, with a share for the others (see `troupe group "
                  "create --help`)")
      ->check(whole_number(0xff));
  add_duration(verb, "--retention", s.retention,
               "How long messages are kept, consumed or not (72h); 0: for ever");
  add_size(verb, "--retention-bytes", s.retention_bytes,
           "Bytes kept per queue, of each priority for itself (0: no limit)");
  add_size(verb, "--max-message", s.max_message, "Largest body, up to 4MiB (4MiB)");
  add_later_except(verb, "--cleanup", {"delete"}, "compaction is");
  add_later_except(verb, "--key-index", {"off"}, "the key index is");
  add_duration(
      verb, "--dedupe-key-window", s.dedupe_window,
      "A message whose first key its queue had within so long is no new one: it is answered with the "
      "first one's id (0: keys mean nothing), 1s to 30d");
}

error apply(const topic_settings& s, topic_options& options) {
  if (s.max_message && *s.max_message > UINT32_MAX)
    return {errc::too_large, "--max-message " + format_size(*s.max_message) + " is above the limit of 4MiB",
            "choose at most 4MiB; send larger things in parts, or a reference to them"};
  options.queues = s.queues.value_or(options.queues);
  options.priorities = s.priorities.value_or(options.priorities);
  options.retention = s.retention.value_or(options.retention);
  options.retention_bytes = s.retention_bytes.value_or(options.retention_bytes);
  options.dedupe_window = s.dedupe_window.value_or(options.dedupe_window);
  options.max_message = static_cast<std::uint32_t>(s.max_message.value_or(options.max_message));
  return {};
}

std::string kept(const topic_options& o) {
  auto text = o.retention.count() == 0 ? std::string("for ever") : format_duration(o.retention);
  return o.retention_bytes == 0 ? text
                                : text + ", " + format_size(o.retention_bytes) + " per queue" +
                                      (o.priorities > 1 ? " and priority" : "");
}

std::string queues_and_priorities(const topic_options& o) {
  return std::to_string(o.queues) + " queues" +
         (o.priorities > 1 ? " with " + std::to_string(o.priorities) + " priorities" : "");
}

int report(context& ctx, const std::string& verb, const topic_info& topic) {
  if (ctx.out.json_lines)
    ctx.out.line(to_json(topic));
  else
    ctx.out.text("topic " + escape(topic.name) + " " + verb + ": " + queues_and_priorities(topic.options) +
                 ", kept " + kept(topic.options) + ", messages up to " +
                 format_size(topic.options.max_message) +
                 (topic.options.dedupe_window.count() > 0
                      ? ", each key once in " + format_duration(topic.options.dedupe_window)
                      : "") +
                 "\n");
  return done;
}

int create(context& ctx, const topic_settings& s) {
  topic_options options;
  if (auto err = apply(s, options))
    return ctx.fail("topic create", err);
  return ctx.with_client([&](client& c) {
    auto topic = c.create_topic(s.name, options);
    return topic ? report(ctx, "created", *topic)
                 : ctx.fail("creating topic '" + s.name + "'", topic.error());
  });
}

int set(context& ctx, const topic_settings& s) {
  auto doing = "changing topic '" + s.name + "'";
  if (!s.queues && !s.priorities && !s.retention && !s.retention_bytes && !s.max_message && !s.dedupe_window)
    return ctx.misuse("topic set", "nothing to change was given",
                      "name at least one option; see `troupe topic set --help`");
  return ctx.with_client([&](client& c) {
    auto before = c.describe_topic(s.name);
    if (!before)
      return ctx.fail(doing, before.error());
    auto options = before->options;
    if (auto err = apply(s, options))
      return ctx.fail(doing, err);
    auto topic = c.set_topic(s.name, options);
    return topic ? report(ctx, "changed", *topic) : ctx.fail(doing, topic.error());
  });
}

int list(context& ctx, const list_settings& s) {
  return ctx.with_client([&](client& c) {
    auto names = c.list_topics();
    if (!names)
      return ctx.fail("listing topics", names.error());
    table rows({"NAME", ">QUEUES", ">MESSAGES", ">BYTES", "KEPT"});
    for (const auto& name : *names) {
      if (s.names) {
        ctx.out.json_lines ? ctx.out.line({{"name", name}}) : ctx.out.text(escape(name) + "\n");
        continue;
      }
      auto topic = c.describe_topic(name);
      if (!topic && topic.error().code == errc::not_found)
        continue; // deleted since the list was made
      if (!topic)
        return ctx.fail("describing topic '" + name + "'", topic.error());
      if (ctx.out.json_lines)
        ctx.out.line(to_json(*topic));
      else
        rows.row({topic->name, std::to_string(topic->options.queues), grouped(messages_of(*topic)),
                  grouped(bytes_of(*topic)), kept(topic->options)});
    }
    if (names->empty())
      ctx.out.text("no topics yet; create one with `troupe topic create NAME`\n");
    else if (!rows.empty())
      ctx.out.text(rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

void print(output& out, const topic_info& topic) {
  const bool lanes = topic.options.priorities > 1;
  out.fields({{"topic", topic.name},
              {"queues", std::to_string(topic.options.queues)},
              {"priorities", std::to_string(topic.options.priorities)},
              {"kept", kept(topic.options)},
              {"largest message", format_size(topic.options.max_message)},
              {"each key once in", topic.options.dedupe_window.count() > 0
                                       ? format_duration(topic.options.dedupe_window)
                                       : std::string("keys mean nothing")},
              {"messages", grouped(messages_of(topic))},
              {"bytes", grouped(bytes_of(topic))},
              {"delayed", grouped(delayed_of(topic))}});
  std::vector<std::string> head{">QUEUE", ">FIRST", ">NEXT", ">MESSAGES", ">BYTES"};
  if (lanes)
    head.insert(head.begin() + 1, ">PRIORITY");
  table rows(head);
  for (const auto& q : topic.queues) {
    std::vector<std::string> row{std::to_string(q.number), std::to_string(q.first.value),
                                 std::to_string(q.next.value),
                                 grouped(q.next.value - std::min(q.first, q.next).value), grouped(q.bytes)};
    if (lanes)
      row.insert(row.begin() + 1, std::to_string(q.priority));
    rows.row(row);
  }
  out.text("\n" + rows.text(out.colour()));
}

int describe(context& ctx, const topic_name_only& s) {
  return ctx.with_client([&](client& c) {
    auto topic = c.describe_topic(s.name);
    if (!topic)
      return ctx.fail("describing topic '" + s.name + "'", topic.error());
    ctx.out.json_lines ? ctx.out.line(to_json(*topic)) : print(ctx.out, *topic);
    return static_cast<int>(done);
  });
}

int remove(context& ctx, const topic_name_only& s) {
  return ctx.with_client([&](client& c) {
    if (auto err = c.delete_topic(s.name))
      return ctx.fail("deleting topic '" + s.name + "'", err);
    if (ctx.out.json_lines)
      ctx.out.line({{"name", s.name}, {"deleted", true}});
    else
      ctx.out.text("topic " + escape(s.name) + " deleted\n");
    return static_cast<int>(done);
  });
}

} // namespace

void add_topic_verbs(CLI::App& app, context& ctx) {
  auto* topic = app.add_subcommand("topic", "Create, list, describe, change and delete topics");
  topic->require_subcommand(1);

  auto [create_verb, create_settings] = add_verb(*topic, ctx, "create", "Creates a topic", create);
  add_settings(*create_verb, *create_settings);
  examples(*create_verb,
           {"troupe topic create orders", "troupe topic create clicks --queues 32 --retention 2h",
            "troupe topic create jobs --priorities 3", "troupe topic create payments --dedupe-key-window 1d",
            "troupe topic create audit --retention 0 --retention-bytes 10GiB"});

  auto [list_verb, list_options] = add_verb(*topic, ctx, "list", "Lists all topics with their sizes", list);
  list_verb->add_flag("--names", list_options->names, "Only the names, without asking each topic");
  examples(*list_verb, {"troupe topic list", "troupe topic list --json --names"});

  auto [describe_verb, described] =
      add_verb(*topic, ctx, "describe", "Shows a topic and its queues", describe);
  describe_verb->add_option("NAME", described->name, "The topic")->required();
  examples(*describe_verb, {"troupe topic describe orders", "troupe topic describe orders --json"});

  auto [set_verb, set_settings] = add_verb(*topic, ctx, "set", "Changes the given options of a topic", set);
  add_settings(*set_verb, *set_settings);
  examples(*set_verb, {"troupe topic set orders --retention 7d", "troupe topic set orders --queues 16"});

  auto [delete_verb, deleted] =
      add_verb(*topic, ctx, "delete", "Deletes a topic with all its messages", remove);
  delete_verb->add_option("NAME", deleted->name, "The topic")->required();
  examples(*delete_verb, {"troupe topic delete orders"});
}

} // namespace troupe::cli
