#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

#include "troupe/delayed.hpp"

#include <algorithm>

namespace troupe::cli {

namespace {

/// Messages in one request.
constexpr std::uint32_t most_at_once = 1000;

struct list_settings {
  std::string topic;
  std::optional<std::uint64_t> max;
};
struct cancel_settings {
  std::string id;
};

int list(context& ctx, const list_settings& s) {
  if (s.max && *s.max == 0)
    return ctx.misuse("delay list", "--max must be at least 1", "leave it out to list all");
  const auto most = s.max.value_or(~std::uint64_t{0});
  delayed_query query{.topic = s.topic, .max = 0, .after = {}};
  return ctx.with_client([&](client& c) {
    std::uint64_t shown = 0;
    table rows({"ID", "TOPIC", "DUE"});
    do {
      query.max = static_cast<std::uint32_t>(std::min<std::uint64_t>(most - shown, most_at_once));
      auto page = c.delayed(query);
      if (!page) {
        ctx.out.progress("");
        return ctx.fail("listing delayed messages", page.error());
      }
      for (const auto& m : page->messages) {
        if (ctx.out.json_lines)
          ctx.out.line(to_json(m));
        else
          rows.row({troupe::to_string(m.id), m.topic, format_time(m.deliver_at)});
      }
      shown += page->messages.size();
      query.after = page->next;
      ctx.out.progress(counted(shown, "delayed message"));
    } while (query.after && shown < most && !ctx.out.flush());
    ctx.out.progress("");
    ctx.out.text(rows.empty() ? "no message waits for its time\n" : rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

int cancel(context& ctx, const cancel_settings& s) {
  const auto id = parse_message_id(s.id);
  if (!id)
    return ctx.misuse("delay cancel", "'" + escape(s.id, 80) + "' is not a message id",
                      "an id is three numbers, SHARD-INDEX-ORDINAL, as `send` and `delay list` print it");
  return ctx.with_client([&](client& c) {
    const auto doing = "cancelling message " + s.id;
    auto answer = c.cancel_delayed(*id);
    if (!answer)
      return ctx.fail(doing, answer.error());
    const auto due = format_time(answer->message.deliver_at);
    if (!answer->cancelled)
      return ctx.fail(doing, {errc::conflict, "it was due " + due + " and is delivered: too late",
                              "see it with: troupe message get " + s.id});
    if (ctx.out.json_lines)
      ctx.out.line(to_json(answer->message));
    else
      ctx.out.text("message " + s.id + " of topic " + escape(answer->message.topic) + ", due " + due +
                   ", is cancelled\n");
    return static_cast<int>(done);
  });
}

} // namespace

void add_delay_verbs(CLI::App& app, context& ctx) {
  auto* delay = app.add_subcommand("delay", "Look at delayed messages, and cancel them");
  delay->require_subcommand(1);
  auto [list_verb, l] =
      add_verb(*delay, ctx, "list", "Lists the messages that wait for their time, the next one first", list);
  list_verb->add_option("--topic", l->topic, "Only those of this topic")->check([](const std::string& given) {
    return given.empty() ? "must name a topic; leave it out for all" : "";
  });
  list_verb->add_option("--max", l->max, "At most so many")->check(whole_number());
  examples(*list_verb, {"troupe delay list", "troupe delay list --topic orders --max 10 --json"});
  auto [cancel_verb, c] =
      add_verb(*delay, ctx, "cancel",
               "Cancels a delayed message: nobody gets it. Exit code 1 when it was delivered before", cancel);
  cancel_verb->add_option("ID", c->id, "SHARD-INDEX-ORDINAL, as `send` and `delay list` print it")
      ->required();
  examples(*cancel_verb, {"troupe delay cancel 0-42-0"});
}

} // namespace troupe::cli
