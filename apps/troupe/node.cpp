#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

namespace troupe::cli {

namespace {

struct nothing {};

void print(output& out, const node_info& node) {
  out.fields(
      {{"node", node.name},
       {"version", node.version},
       {"state", node.state},
       {"listens on", node.listen},
       {"data", node.data},
       {"up for", format_duration(std::chrono::duration_cast<std::chrono::seconds>(node.uptime))},
       {"topics", grouped(node.topics)},
       {"groups", grouped(node.groups)},
       {"connections", grouped(node.connections)},
       {"memory", about_bytes(static_cast<double>(node.rss))},
       {"disk", about_bytes(static_cast<double>(node.disk_used)) + " used, " +
                    about_bytes(static_cast<double>(node.disk_free)) + " free, budget " +
                    (node.disk_budget == 0 ? "none" : about_bytes(static_cast<double>(node.disk_budget)))}});
  table rows({">SHARD", ">ENTRIES", ">FIRST", ">LAST", ">FILE", ">COMMITS", ">P50 US", ">P99 US"});
  for (const auto& s : node.shards)
    rows.row({std::to_string(s.shard.value), grouped(s.entries), std::to_string(s.first.value),
              std::to_string(s.last.value), about_bytes(static_cast<double>(s.file)), grouped(s.commits),
              grouped(s.commit_p50_us), grouped(s.commit_p99_us)});
  out.text("\n" + rows.text(out.colour()));
}

int status(context& ctx, const nothing&) {
  return ctx.with_client([&](client& c) {
    auto node = c.node_status();
    if (!node)
      return ctx.fail("asking for the node's status", node.error());
    ctx.out.json_lines ? ctx.out.line(to_json(*node)) : print(ctx.out, *node);
    return static_cast<int>(done);
  });
}

int drain(context& ctx, const nothing&) {
  return ctx.with_client([&](client& c) {
    if (auto err = c.drain())
      return ctx.fail("draining the node", err);
    if (ctx.out.json_lines)
      ctx.out.line({{"state", "draining"}});
    else
      ctx.out.text("the node drains: it finishes its commits, answers what waits and stops\n");
    return static_cast<int>(done);
  });
}

} // namespace

void add_node_verbs(CLI::App& app, context& ctx) {
  auto* node = app.add_subcommand("node", "Look at a node, or stop it");
  node->require_subcommand(1);
  auto [status_verb, unused] =
      add_verb(*node, ctx, "status", "Shows what the node holds and how it fares", status);
  examples(*status_verb, {"troupe node status", "troupe --node 10.0.0.5:7700 --json node status"});
  auto [drain_verb, unused_too] =
      add_verb(*node, ctx, "drain", "Finishes what runs and stops the node", drain);
  examples(*drain_verb, {"troupe node drain"});
}

} // namespace troupe::cli
