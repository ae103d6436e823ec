#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

namespace troupe::cli {

namespace {

/// The options of create and set: what was not given stays as it is.
struct group_settings {
  std::string name;
  std::optional<milliseconds> lease;
  std::optional<retry_schedule> retry;
  std::optional<std::uint32_t> max_unsettled;
};
struct group_name_only {
  std::string name;
};
struct nothing {};

void apply(const group_settings& s, group_options& options) {
  options.lease = s.lease.value_or(options.lease);
  if (s.retry)
    options.retry = *s.retry;
  options.max_unsettled = s.max_unsettled.value_or(options.max_unsettled);
}

int report(context& ctx, const std::string& verb, const group_info& group) {
  if (ctx.out.json_lines)
    ctx.out.line(to_json(group));
  else
    ctx.out.text("group " + escape(group.name) + " " + verb + ": lease " +
                 format_duration(group.options.lease) + ", retries after " +
                 format_retry(group.options.retry) + ", at most " + grouped(group.options.max_unsettled) +
                 " unsettled messages per member\n");
  return done;
}

int create(context& ctx, const group_settings& s) {
  group_options options;
  apply(s, options);
  return ctx.with_client([&](client& c) {
    auto group = c.create_group(s.name, options);
    return group ? report(ctx, "created", *group)
                 : ctx.fail("creating group '" + s.name + "'", group.error());
  });
}

int set(context& ctx, const group_settings& s) {
  auto doing = "changing group '" + s.name + "'";
  if (!s.lease && !s.retry && !s.max_unsettled)
    return ctx.misuse("group set", "nothing to change was given",
                      "name at least one option; see `troupe group set --help`");
  return ctx.with_client([&](client& c) {
    auto before = c.describe_group(s.name);
    if (!before)
      return ctx.fail(doing, before.error());
    auto options = before->options;
    apply(s, options);
    auto group = c.set_group(s.name, options);
    return group ? report(ctx, "changed", *group) : ctx.fail(doing, group.error());
  });
}

int pause(context& ctx, const std::string& name, bool paused) {
  return ctx.with_client([&](client& c) {
    auto group = c.pause_group(name, paused);
    if (!group)
      return ctx.fail((paused ? "pausing group '" : "resuming group '") + name + "'", group.error());
    if (ctx.out.json_lines)
      ctx.out.line(to_json(*group));
    else
      ctx.out.text(
          "group " + escape(name) +
          (paused ? " paused: its members get nothing more until `troupe group resume " + escape(name) + "`\n"
                  : " resumed\n"));
    return static_cast<int>(done);
  });
}

int pause(context& ctx, const group_name_only& s) { return pause(ctx, s.name, true); }
int resume(context& ctx, const group_name_only& s) { return pause(ctx, s.name, false); }

int list(context& ctx, const nothing&) {
  return ctx.with_client([&](client& c) {
    auto names = c.list_groups();
    if (!names)
      return ctx.fail("listing groups", names.error());
    table rows({"NAME", "MODE", ">MEMBERS", ">LAG", ">BEHIND", "TOPICS"});
    for (const auto& name : *names) {
      auto group = c.describe_group(name);
      if (!group && group.error().code == errc::not_found)
        continue; // deleted since the list was made
      if (!group)
        return ctx.fail("describing group '" + name + "'", group.error());
      std::string topics;
      for (const auto& t : group->topics)
        topics += (topics.empty() ? "" : ", ") + t.topic;
      if (ctx.out.json_lines)
        ctx.out.line(to_json(*group));
      else
        rows.row({group->name, std::string(to_string(group->options.mode)),
                  std::to_string(group->members.size()), grouped(lag_of(*group)),
                  format_duration(lag_time_of(*group)), topics});
    }
    ctx.out.text(rows.empty() ? "no groups yet; the first `troupe receive TOPIC --group NAME` makes one\n"
                              : rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

void print(output& out, const group_info& group) {
  out.fields({{"group", group.name + (group.paused ? " (paused)" : "")},
              {"mode", std::string(to_string(group.options.mode))},
              {"lease", format_duration(group.options.lease)},
              {"retries after", format_retry(group.options.retry)},
              {"max unsettled", grouped(group.options.max_unsettled) + " per member"},
              {"lag", grouped(lag_of(group)) + " messages, " + format_duration(lag_time_of(group))}});
  table topics({"TOPIC", "FILTER"});
  for (const auto& t : group.topics)
    topics.row({t.topic, t.filter});
  if (!topics.empty())
    out.text("\n" + topics.text(out.colour()));
  table members({"MEMBER", "NODE", "SINCE"});
  for (const auto& m : group.members)
    members.row({m.name, m.node, format_time(m.since)});
  out.text(members.empty() ? "\nno members at present\n" : "\n" + members.text(out.colour()));
  table queues({"TOPIC", ">QUEUE", ">FLOOR", ">NEXT", ">LAG", ">BEHIND", ">LEASED", ">RETRYING"});
  for (const auto& q : group.queues)
    queues.row({q.topic, std::to_string(q.queue), std::to_string(q.floor.value), std::to_string(q.next.value),
                grouped(lag_of(q)), format_duration(q.lag_time), grouped(q.leased), grouped(q.retrying)});
  if (!queues.empty())
    out.text("\n" + queues.text(out.colour()));
}

int describe(context& ctx, const group_name_only& s) {
  return ctx.with_client([&](client& c) {
    auto group = c.describe_group(s.name);
    if (!group)
      return ctx.fail("describing group '" + s.name + "'", group.error());
    ctx.out.json_lines ? ctx.out.line(to_json(*group)) : print(ctx.out, *group);
    return static_cast<int>(done);
  });
}

int remove(context& ctx, const group_name_only& s) {
  return ctx.with_client([&](client& c) {
    if (auto err = c.delete_group(s.name))
      return ctx.fail("deleting group '" + s.name + "'", err);
    if (ctx.out.json_lines)
      ctx.out.line({{"name", s.name}, {"deleted", true}});
    else
      ctx.out.text("group " + escape(s.name) + " deleted\n");
    return static_cast<int>(done);
  });
}

void add_retry(CLI::App& verb, std::optional<retry_schedule>& value) {
  verb.add_option_function<std::string>(
          "--retry",
          [&value](const std::string& given) {
            auto parsed = parse_retry(given);
            if (!parsed)
              throw CLI::ValidationError("--retry", parsed.error().reason + "; " + parsed.error().hint);
            value = *parsed;
          },
          "Pauses before a failed message comes again: a list (10s,30s,1m; the last one repeats), "
          "exponential:FIRST,FACTOR,LONGEST (exponential:1s,2,10m), or default (RocketMQ's 16 steps, 10s to "
          "2h); from 10ms to 24h each. A jitter at the end, ~20%, spreads what failed together")
      ->type_name("POLICY");
}

void add_settings(CLI::App& verb, group_settings& s) {
  verb.add_option("NAME", s.name, "Letters, digits, '_', '-', '%' and '|'; at most 120")->required();
  add_duration(verb, "--lease", s.lease, "How long a consumer may hold a message without settling it (60s)");
  add_retry(verb, s.retry);
  verb.add_option("--max-unsettled", s.max_unsettled, "Messages one member may hold unsettled (1000)")
      ->check(whole_number(0xffffffff));
  add_later_except(verb, "--mode", {"shared"}, "ordered and broadcast groups are");
  add_later(verb, "--order-by", "ordered groups are");
  add_later(verb, "--max-attempts", "dead-letter queues are");
  add_later(verb, "--on-exhausted", "dead-letter queues are");
  add_later(verb, "--dead-letter-retention", "dead-letter queues are");
}

void add_changes(CLI::App& group, context& ctx) {
  auto [create_verb, made] =
      add_verb(group, ctx, "create", "Creates a group before its first member comes", create);
  add_settings(*create_verb, *made);
  examples(
      *create_verb,
      {"troupe group create billing", "troupe group create slow-work --lease 10m --max-unsettled 10",
       "troupe group create mail --retry 10s,1m,10m,1h",
       "troupe group create web-hooks --retry exponential:1s,2,10m~20%",
       "Without attempts to count them up to, a failed message is retried after the last pause for ever."});

  auto [set_verb, changes] = add_verb(group, ctx, "set", "Changes the given options of a group", set);
  add_settings(*set_verb, *changes);
  examples(*set_verb, {"troupe group set mail --retry 30s,5m", "troupe group set mail --retry default",
                       "troupe group set slow-work --lease 30m",
                       "Members need not join again. What waits for a retry already keeps its time."});

  auto [pause_verb, paused] =
      add_verb(group, ctx, "pause", "Delivers nothing more to the members of a group", pause);
  pause_verb->add_option("NAME", paused->name, "The group")->required();
  examples(*pause_verb, {"troupe group pause billing",
                         "What members hold is theirs to settle. It stays paused when the node restarts."});

  auto [resume_verb, resumed] = add_verb(group, ctx, "resume", "Delivers again", resume);
  resume_verb->add_option("NAME", resumed->name, "The group")->required();
  examples(*resume_verb, {"troupe group resume billing"});
}

} // namespace

void add_group_verbs(CLI::App& app, context& ctx) {
  auto* group =
      app.add_subcommand("group", "Create, list, describe, change, pause and delete consumer groups");
  group->require_subcommand(1);
  add_changes(*group, ctx);

  auto [list_verb, unused] = add_verb(*group, ctx, "list", "Lists all groups with members and lag", list);
  examples(*list_verb, {"troupe group list", "troupe group list --json"});

  auto [describe_verb, described] =
      add_verb(*group, ctx, "describe", "Shows members, subscriptions and progress per queue", describe);
  describe_verb->add_option("NAME", described->name, "The group")->required();
  examples(*describe_verb, {"troupe group describe billing", "troupe group describe billing --json"});

  auto [delete_verb, deleted] = add_verb(*group, ctx, "delete", "Deletes a group and its progress", remove);
  delete_verb->add_option("NAME", deleted->name, "The group")->required();
  examples(*delete_verb, {"troupe group delete billing"});

  add_later_verb(*group, "reset", "resetting a group's progress is");
  add_later_verb(*group, "subscribe", "changing a subscription for all members is");
}

} // namespace troupe::cli
