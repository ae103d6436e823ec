#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

namespace troupe::cli {

namespace {

struct create_settings {
  std::string name;
  std::optional<milliseconds> lease;
  std::optional<std::uint32_t> max_unsettled;
};
struct group_name_only {
  std::string name;
};
struct nothing {};

int create(context& ctx, const create_settings& s) {
  group_options options;
  options.lease = s.lease.value_or(options.lease);
  options.max_unsettled = s.max_unsettled.value_or(options.max_unsettled);
  return ctx.with_client([&](client& c) {
    auto group = c.create_group(s.name, options);
    if (!group) {
      auto why = group.error();
      // The node's hint is for all versions; this one cannot change a group.
      if (why.code == errc::already_exists)
        why.hint = "use it (see: troupe group describe " + s.name + "), or choose another name";
      return ctx.fail("creating group '" + s.name + "'", why);
    }
    if (ctx.out.json_lines)
      ctx.out.line(to_json(*group));
    else
      ctx.out.text("group " + escape(group->name) + " created: lease " +
                   format_duration(group->options.lease) + ", at most " +
                   grouped(group->options.max_unsettled) + " unsettled messages per member\n");
    return static_cast<int>(done);
  });
}

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
  out.fields({{"group", group.name},
              {"mode", std::string(to_string(group.options.mode))},
              {"lease", format_duration(group.options.lease)},
              {"retry after", format_duration(group.options.retry_delay)},
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

void add_create(CLI::App& group, context& ctx) {
  auto [verb, s] = add_verb(group, ctx, "create", "Creates a group before its first member comes", create);
  verb->add_option("NAME", s->name, "Letters, digits, '_', '-', '%' and '|'; at most 120")->required();
  add_duration(*verb, "--lease", s->lease,
               "How long a consumer may hold a message without settling it (60s)");
  verb->add_option("--max-unsettled", s->max_unsettled, "Messages one member may hold unsettled (1000)")
      ->check(whole_number(0xffffffff));
  add_later_except(*verb, "--mode", {"shared"}, "ordered and broadcast groups are");
  add_later(*verb, "--order-by", "ordered groups are");
  add_later(*verb, "--max-attempts", "retry policies are");
  add_later(*verb, "--retry", "retry policies are");
  add_later(*verb, "--on-exhausted", "retry policies are");
  add_later(*verb, "--dead-letter-retention", "dead-letter queues are");
  examples(*verb,
           {"troupe group create billing", "troupe group create slow-work --lease 10m --max-unsettled 10"});
}

} // namespace

void add_group_verbs(CLI::App& app, context& ctx) {
  auto* group = app.add_subcommand("group", "Create, list, describe and delete consumer groups");
  group->require_subcommand(1);
  add_create(*group, ctx);

  auto [list_verb, unused] = add_verb(*group, ctx, "list", "Lists all groups with members and lag", list);
  examples(*list_verb, {"troupe group list", "troupe group list --json"});

  auto [describe_verb, described] =
      add_verb(*group, ctx, "describe", "Shows members, subscriptions and progress per queue", describe);
  describe_verb->add_option("NAME", described->name, "The group")->required();
  examples(*describe_verb, {"troupe group describe billing", "troupe group describe billing --json"});

  auto [delete_verb, deleted] = add_verb(*group, ctx, "delete", "Deletes a group and its progress", remove);
  delete_verb->add_option("NAME", deleted->name, "The group")->required();
  examples(*delete_verb, {"troupe group delete billing"});

  add_later_verb(*group, "set", "changing a group is");
  add_later_verb(*group, "reset", "resetting a group's progress is");
  add_later_verb(*group, "subscribe", "changing a subscription for all members is");
  add_later_verb(*group, "pause", "pausing a group is");
  add_later_verb(*group, "resume", "pausing a group is");
}

} // namespace troupe::cli
