#include "cli.hpp"
#include "json.hpp"
#include "pace.hpp"
#include "text.hpp"

#include "troupe/dead_letters.hpp"
#include "troupe/filter.hpp"

#include <algorithm>
#include <functional>

namespace troupe::cli {

namespace {

/// Letters in one request.
constexpr std::uint32_t most_at_once = 1000;
/// With --rate, so many parts of a second between two requests at most.
constexpr double requests_per_second = 10;

struct list_settings {
  std::string group;
  std::string topic;
  std::string filter = "*";
  std::optional<std::uint64_t> max;
};
struct show_settings {
  std::string group;
  std::string id;
};
/// Which dead letters, and how they are dealt with.
struct settle_settings {
  std::string group;
  std::vector<std::string> ids;
  bool all = false;
  std::optional<std::string> filter;
  std::string topic;
  std::optional<double> rate;
  bool dry_run = false;
};

/// Before anything is asked of the node.
error check_filter(const std::string& text) {
  const auto parsed = parse_filter(text);
  return parsed ? error{} : parsed.error();
}

const error not_an_id(const std::string& id) {
  return {errc::invalid_argument, "'" + escape(id, 80) + "' is not a message id",
          "an id is three numbers, SHARD-INDEX-ORDINAL, as `dlq list` prints it"};
}

// -- list and show
// ------------------------------------------------------------------------------------------------

/// Goes through all pages until `use` has had enough.
error each_page(client& c, const std::string& group, dead_letter_query query,
                const std::function<bool(const dead_letter_page&)>& use) {
  for (;;) {
    auto page = c.dead_letters(group, query);
    if (!page)
      return page.error();
    if (!use(*page) || !page->next)
      return {};
    query.after = page->next;
  }
}

int list(context& ctx, const list_settings& s) {
  if (s.max && *s.max == 0)
    return ctx.misuse("dlq list", "--max must be at least 1", "leave it out to list all");
  if (auto wrong = check_filter(s.filter))
    return ctx.misuse("dlq list", wrong.reason, wrong.hint);
  const auto most = s.max.value_or(~std::uint64_t{0});
  dead_letter_query query{.topic = s.topic, .filter = s.filter};
  query.messages = ctx.out.json_lines;
  query.max = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(most, 1, most_at_once));
  return ctx.with_client([&](client& c) {
    std::uint64_t shown = 0;
    error closed;
    table rows({"ID", "TOPIC", ">QUEUE", "DIED", ">ATTEMPTS", "REASON", "DETAIL"});
    auto failed = each_page(c, s.group, query, [&](const dead_letter_page& page) {
      for (const auto& letter : page.letters) {
        if (shown == most)
          return false;
        ++shown;
        if (ctx.out.json_lines)
          ctx.out.line(to_json(letter, s.group));
        else
          rows.row({troupe::to_string(letter.id), letter.topic, std::to_string(letter.queue),
                    format_time(letter.died), std::to_string(letter.attempts),
                    std::string(troupe::to_string(letter.reason)), escape(letter.detail, 200)});
      }
      ctx.out.progress(counted(shown, "dead letter"));
      closed = ctx.out.flush();
      return shown < most && !closed;
    });
    ctx.out.progress("");
    if (failed)
      return ctx.fail("listing the dead letters of group '" + s.group + "'", failed);
    ctx.out.text(rows.empty() ? "group " + escape(s.group) + " has no dead letters" +
                                    (s.topic.empty() && s.filter == "*" ? "\n" : " of these\n")
                              : rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

void print(output& out, const dead_letter_info& letter, const std::string& group) {
  std::vector<std::pair<std::string, std::string>> values{
      {"id", troupe::to_string(letter.id)},
      {"group", group},
      {"topic", letter.topic},
      {"queue", std::to_string(letter.queue)},
      {"offset", std::to_string(letter.offset.value)},
      {"died", format_time(letter.died)},
      {"reason", std::string(troupe::to_string(letter.reason))},
      {"attempts", std::to_string(letter.attempts)},
      {"detail", letter.detail}};
  if (!letter.message) {
    out.fields(values);
    return out.text("\nits message is damaged and cannot be read\n");
  }
  const auto& m = letter.message->content;
  if (m.priority > 0)
    values.emplace_back("priority", std::to_string(m.priority));
  for (const auto& key : m.keys)
    values.emplace_back("key", key);
  if (!m.tag.empty())
    values.emplace_back("tag", m.tag);
  if (!m.order_key.empty())
    values.emplace_back("order key", m.order_key);
  for (const auto& [name, value] : m.properties)
    values.emplace_back("property", name + " = " + value);
  values.emplace_back("born", format_time(m.born));
  values.emplace_back("stored", format_time(letter.message->stored));
  values.emplace_back("bytes", grouped(m.body.size()));
  out.fields(values);
  // A terminal is no place for megabytes; a pipe gets all.
  out.text("\n" + escape(m.body, out.terminal() ? 4096 : std::string_view::npos) + "\n");
}

int show(context& ctx, const show_settings& s) {
  const auto id = parse_message_id(s.id);
  if (!id) {
    const auto err = not_an_id(s.id);
    return ctx.misuse("dlq show", err.reason, err.hint);
  }
  return ctx.with_client([&](client& c) {
    dead_letter_query query;
    query.ids = {*id};
    query.messages = true;
    auto page = c.dead_letters(s.group, query);
    const auto doing = "showing dead letter " + s.id + " of group '" + s.group + "'";
    if (!page)
      return ctx.fail(doing, page.error());
    if (page->letters.empty())
      return ctx.fail(doing, {errc::not_found, "message " + s.id + " is no dead letter of the group",
                              "see: troupe dlq list " + s.group});
    ctx.out.json_lines ? ctx.out.line(to_json(page->letters.front(), s.group))
                       : print(ctx.out, page->letters.front(), s.group);
    return static_cast<int>(done);
  });
}

// -- purge and redrive
// ------------------------------------------------------------------------------------------------

/// Settles dead letters chunk by chunk and tells what became of each.
class settling {
public:
  settling(context& ctx, const settle_settings& s, client& c, bool redrive)
      : ctx_(ctx), s_(s), client_(c), redrive_(redrive), pace_(s.rate) {}

  /// False when it is to end: a signal, or the broker cannot.
  bool take(const std::vector<message_id>& ids) {
    const auto chunk = s_.rate
                           ? std::clamp<std::size_t>(static_cast<std::size_t>(*s_.rate / requests_per_second),
                                                     1, most_at_once)
                           : std::size_t{most_at_once};
    for (std::size_t at = 0; at < ids.size() && !failed_; at += chunk) {
      const auto end = std::min(at + chunk, ids.size());
      const std::vector<message_id> part(ids.begin() + static_cast<std::ptrdiff_t>(at),
                                         ids.begin() + static_cast<std::ptrdiff_t>(end));
      if (!s_.dry_run)
        pace_.wait(stop_, part.size());
      if (stop_.requested())
        return false;
      settle(part);
      ctx_.out.progress(counted(done_, "dead letter") + " " + verb());
    }
    return !failed_;
  }

  int end(const error& listing) {
    ctx_.out.progress("");
    const auto doing =
        std::string(redrive_ ? "redriving" : "purging") + " dead letters of group '" + s_.group + "'";
    const auto why = failed_ ? failed_ : listing ? listing : incomplete();
    if (done_ > 0 || !why)
      ctx_.out.text(counted(done_, "dead letter") + (s_.dry_run ? " would be " : " ") + verb() +
                    (gone_ > 0 ? "; " + grouped(gone_) + " no longer there" : "") + "\n");
    return why ? ctx_.fail(doing, why) : done;
  }

private:
  /// Why not all is done that was asked for, though nothing failed.
  error incomplete() const {
    if (stop_.requested())
      return {errc::shutting_down, "interrupted; what was " + verb() + " stays so",
              "run it again for the rest"};
    // With --all, whoever purges has what he wants when a letter is gone.
    if (gone_ > 0 && (redrive_ || !s_.ids.empty()))
      return {errc::not_found,
              grouped(gone_) + " of the messages " +
                  (gone_ == 1 ? "is no dead letter" : "are no dead letters") + " of the group (any more)",
              "see: troupe dlq list " + s_.group};
    return {};
  }
  std::string verb() const { return redrive_ ? "redriven" : "purged"; }

  void settle(const std::vector<message_id>& ids) {
    if (s_.dry_run) {
      for (const auto& id : ids)
        tell({id, errc::none});
      return;
    }
    auto results = redrive_ ? client_.redrive(s_.group, ids) : client_.purge(s_.group, ids);
    if (!results) {
      failed_ = results.error();
      return;
    }
    for (const auto& r : *results)
      tell(r);
  }

  void tell(const dead_letter_result& r) {
    if (r.code == errc::none)
      ++done_;
    else if (r.code == errc::not_found)
      ++gone_;
    else if (!failed_)
      failed_ = {r.code, "message " + troupe::to_string(r.id) + " could not be " + verb(), "try again"};
    if (!ctx_.out.json_lines)
      return;
    json line{
        {"id", troupe::to_string(r.id)}, {"group", s_.group}, {verb(), r.code == errc::none && !s_.dry_run}};
    if (r.code != errc::none)
      line["error"] = to_string(r.code);
    if (s_.dry_run)
      line["dry_run"] = true;
    ctx_.out.line(line);
  }

  context& ctx_;
  const settle_settings& s_;
  client& client_;
  const bool redrive_;
  interrupt stop_;
  pace pace_;
  std::uint64_t done_ = 0;
  std::uint64_t gone_ = 0;
  error failed_;
};

/// What was asked for by ids: with a dry run those that there are.
error settle_ids(client& c, const settle_settings& s, std::vector<message_id> ids, settling& work) {
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  if (!s.dry_run) {
    work.take(ids);
    return {};
  }
  for (std::size_t at = 0; at < ids.size(); at += most_at_once) {
    dead_letter_query query;
    query.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(at),
                     ids.begin() + static_cast<std::ptrdiff_t>(std::min(at + most_at_once, ids.size())));
    auto page = c.dead_letters(s.group, query);
    if (!page)
      return page.error();
    std::vector<message_id> there;
    for (const auto& letter : page->letters)
      there.push_back(letter.id);
    work.take(there);
  }
  return {};
}

int settle(context& ctx, const settle_settings& s, bool redrive) {
  const std::string verb = redrive ? "dlq redrive" : "dlq purge";
  const bool chosen = s.all || s.filter.has_value();
  if (s.ids.empty() && !chosen)
    return ctx.misuse(verb, "which dead letters is not said",
                      "give --id once or more, --filter, or --all; see `troupe dlq list " + s.group + "`");
  if (!s.ids.empty() && (chosen || !s.topic.empty()))
    return ctx.misuse(verb, "--id excludes --all, --filter and --topic", "give one or the other");
  if (s.rate && !(*s.rate > 0 && *s.rate <= 1e9))
    return ctx.misuse(verb, "--rate must be above 0 and at most 1000000000",
                      "messages per second, such as --rate 100; leave it out for no limit");
  std::vector<message_id> ids;
  for (const auto& text : s.ids) {
    const auto id = parse_message_id(text);
    if (!id) {
      const auto err = not_an_id(text);
      return ctx.misuse(verb, err.reason, err.hint);
    }
    ids.push_back(*id);
  }
  const auto filter = s.filter.value_or("*");
  if (auto wrong = check_filter(filter))
    return ctx.misuse(verb, wrong.reason, wrong.hint);
  return ctx.with_client([&](client& c) {
    settling work(ctx, s, c, redrive);
    if (!ids.empty())
      return work.end(settle_ids(c, s, std::move(ids), work));
    dead_letter_query query{.topic = s.topic, .filter = filter};
    return work.end(each_page(c, s.group, query, [&](const dead_letter_page& page) {
      std::vector<message_id> found;
      for (const auto& letter : page.letters)
        found.push_back(letter.id);
      return work.take(found);
    }));
  });
}

int purge(context& ctx, const settle_settings& s) { return settle(ctx, s, false); }
int redrive(context& ctx, const settle_settings& s) { return settle(ctx, s, true); }

void add_choice(CLI::App& verb, settle_settings& s) {
  verb.add_option("GROUP", s.group, "The group")->required();
  add_repeated(verb, "--id", s.ids, "This one; may be given several times");
  verb.add_flag("--all", s.all, "All of them");
  verb.add_option("--filter", s.filter,
                  "Those that match: tags, or SQL92 (`attempt` is the number of attempts made)");
  verb.add_option("--topic", s.topic, "With --all or --filter: only those of this topic");
  verb.add_flag("--dry-run", s.dry_run, "Say which, and do nothing");
}

} // namespace

void add_dlq_verbs(CLI::App& app, context& ctx) {
  auto* dlq = app.add_subcommand("dlq", "List, show, redrive and purge the dead letters of a group");
  dlq->require_subcommand(1);

  auto [list_verb, l] = add_verb(*dlq, ctx, "list", "Lists the messages that a group gave up", list);
  list_verb->add_option("GROUP", l->group, "The group")->required();
  list_verb->add_option("--topic", l->topic, "Only those of this topic");
  list_verb->add_option("--filter", l->filter, "Only those that match: tags, or SQL92")
      ->capture_default_str();
  list_verb->add_option("--max", l->max, "At most so many")->check(whole_number());
  examples(*list_verb,
           {"troupe dlq list billing", "troupe dlq list billing --filter \"region = 'eu'\" --max 20",
            "troupe --json dlq list billing | jq -r .body",
            "Dead letters keep their message, whatever the retention of its topic, until they are",
            "redriven or purged, or the group's own --dead-letter-retention (30d) is over."});

  auto [show_verb, shown] = add_verb(*dlq, ctx, "show", "Shows a dead letter with its message", show);
  show_verb->add_option("GROUP", shown->group, "The group")->required();
  show_verb->add_option("ID", shown->id, "SHARD-INDEX-ORDINAL, as `dlq list` prints it")->required();
  examples(*show_verb, {"troupe dlq show billing 0-42-0"});

  auto [redrive_verb, redriven] =
      add_verb(*dlq, ctx, "redrive", "Delivers dead letters to their group again", redrive);
  add_choice(*redrive_verb, *redriven);
  redrive_verb->add_option("--rate", redriven->rate, "At most so many messages per second");
  examples(*redrive_verb,
           {"troupe dlq redrive billing --id 0-42-0", "troupe dlq redrive billing --all --rate 100",
            "troupe dlq redrive billing --filter \"customer = '7'\" --dry-run",
            "A redriven message stands at the end of its own queue, for this group only. It keeps its id,",
            "begins with its first attempt, and may die again."});

  auto [purge_verb, purged] = add_verb(*dlq, ctx, "purge", "Forgets dead letters for good", purge);
  add_choice(*purge_verb, *purged);
  examples(*purge_verb, {"troupe dlq purge billing --id 0-42-0", "troupe dlq purge billing --all --dry-run"});
}

} // namespace troupe::cli
