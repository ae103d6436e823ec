#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

#include "troupe/open_transactions.hpp"

#include <algorithm>

namespace troupe::cli {

namespace {

/// Transactions in one request.
constexpr std::uint32_t most_at_once = 1000;

struct list_settings {
  std::string group;
  std::optional<std::uint64_t> max;
};
struct decide_settings {
  std::string id;
};

int list(context& ctx, const list_settings& s) {
  if (s.max && *s.max == 0)
    return ctx.misuse("transaction list", "--max must be at least 1", "leave it out to list all");
  const auto most = s.max.value_or(~std::uint64_t{0});
  transaction_query query;
  query.group = s.group;
  return ctx.with_client([&](client& c) {
    std::uint64_t shown = 0;
    table rows({"ID", "GROUP", "STATE", "SINCE", "CHECKS", "MESSAGES", "TOPIC", "KEY"});
    do {
      query.max = static_cast<std::uint32_t>(std::min<std::uint64_t>(most - shown, most_at_once));
      auto page = c.list_transactions(query);
      if (!page) {
        ctx.out.progress("");
        return ctx.fail("listing transactions", page.error());
      }
      for (const auto& t : page->transactions) {
        if (shown == most)
          break;
        ++shown;
        if (ctx.out.json_lines)
          ctx.out.line(to_json(t));
        else
          rows.row({id_of(t), t.group, std::string{state_of(t)}, format_time(t.since),
                    std::to_string(t.checks), std::to_string(t.messages), t.topic, t.key});
      }
      query.after = page->next;
      ctx.out.progress(counted(shown, "transaction"));
    } while (query.after && shown < most && !ctx.out.flush());
    ctx.out.progress("");
    ctx.out.text(rows.empty() ? "no transaction is undecided\n" : rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

int decide(context& ctx, const decide_settings& s, bool commit) {
  const auto half = parse_message_id(s.id);
  const auto whole = parse_transaction_id(s.id);
  const auto* verb = commit ? "commit" : "rollback";
  if (!half && !whole)
    return ctx.misuse("transaction " + std::string{verb}, "'" + escape(s.id, 80) + "' is not an id",
                      "of a half message it is three numbers, SHARD-INDEX-ORDINAL, of a transaction of "
                      "several messages two, SHARD-INDEX, as `transaction list` prints it");
  return ctx.with_client([&](client& c) {
    auto answer = half ? (commit ? c.commit_transaction(*half) : c.rollback_transaction(*half))
                       : (commit ? c.commit_transaction(*whole) : c.rollback_transaction(*whole));
    if (!answer)
      return ctx.fail((commit ? "committing transaction " : "rolling back transaction ") + s.id,
                      answer.error());
    if (ctx.out.json_lines)
      ctx.out.line({{"id", s.id}, {"state", troupe::to_string(*answer)}});
    else
      ctx.out.text("transaction " + s.id + " is " +
                   (commit ? "committed: consumers get it\n" : "rolled back: nobody gets it\n"));
    return static_cast<int>(done);
  });
}

int commit(context& ctx, const decide_settings& s) { return decide(ctx, s, true); }
int rollback(context& ctx, const decide_settings& s) { return decide(ctx, s, false); }

} // namespace

void add_transaction_verbs(CLI::App& app, context& ctx) {
  auto* family =
      app.add_subcommand("transaction", "Look at transactions that nobody decided, and decide by hand");
  family->require_subcommand(1);
  auto [list_verb, l] =
      add_verb(*family, ctx, "list",
               "Lists what is undecided: half messages, and transactions of several messages. Producers of "
               "the group are asked about each (`trouped --transaction-check-after`); one that was asked "
               "about too often is parked, and stays until it is decided by hand",
               list);
  list_verb->add_option("--group", l->group, "Only those of this producer group");
  list_verb->add_option("--max", l->max, "At most so many")->check(whole_number());
  examples(*list_verb, {"troupe transaction list", "troupe transaction list --group shop --json"});
  const std::string about = ". Exit code 1 when it was decided otherwise before: the first decision stands";
  auto [commit_verb, c] =
      add_verb(*family, ctx, "commit",
               "Makes the messages of a transaction visible, as its producer would" + about, commit);
  auto [rollback_verb, r] =
      add_verb(*family, ctx, "rollback", "Forgets the messages of a transaction" + about, rollback);
  const auto* what = "As `transaction list` and `send --transaction leave` print it: SHARD-INDEX-ORDINAL of "
                     "a half message, or SHARD-INDEX";
  commit_verb->add_option("ID", c->id, what)->required();
  rollback_verb->add_option("ID", r->id, what)->required();
  examples(*commit_verb, {"troupe transaction commit 0-42-0"});
  examples(*rollback_verb, {"troupe transaction rollback 0-42"});
}

} // namespace troupe::cli
