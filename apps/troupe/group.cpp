#include "cli.hpp"
#include "json.hpp"
#include "text.hpp"

#include "troupe/consumer.hpp"
#include "troupe/filter.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::cli {

namespace {

/// `--to` takes offsets and times, and both may be numbers: from here on (3 March 1973) it is a time.
constexpr std::int64_t first_time_in_ms = 100'000'000'000;

/// The options of create and set: what was not given stays as it is.
struct group_settings {
  std::string name;
  std::optional<milliseconds> lease;
  std::optional<retry_schedule> retry;
  std::optional<std::uint32_t> max_unsettled;
  std::optional<std::uint64_t> max_unsettled_bytes;
  std::optional<std::uint16_t> low_share;
  std::optional<std::uint16_t> max_attempts;
  std::optional<exhausted_action> on_exhausted;
  std::optional<expired_action> on_expired;
  std::optional<milliseconds> dead_letter_retention;
  std::optional<group_mode> mode;
  std::optional<group_order> order_by;
  std::optional<std::uint32_t> order_batch;

  bool empty() const {
    return !mode && !order_by && !order_batch && !lease && !retry && !max_unsettled && !max_unsettled_bytes &&
           !low_share && !max_attempts && !on_exhausted && !on_expired && !dead_letter_retention;
  }
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
  options.max_unsettled_bytes = s.max_unsettled_bytes.value_or(options.max_unsettled_bytes);
  options.low_share = s.low_share.value_or(options.low_share);
  options.max_attempts = s.max_attempts.value_or(options.max_attempts);
  options.on_exhausted = s.on_exhausted.value_or(options.on_exhausted);
  options.on_expired = s.on_expired.value_or(options.on_expired);
  options.dead_letter_retention = s.dead_letter_retention.value_or(options.dead_letter_retention);
  options.mode = s.mode.value_or(options.mode);
  options.order_by = s.order_by.value_or(options.order_by);
  options.order_batch = s.order_batch.value_or(options.order_batch);
}

/// How often a message is tried, and what becomes of it then.
std::string attempts_of(const group_options& options) {
  if (options.max_attempts == 0)
    return "without end, rejected: " + std::string(to_string(options.on_exhausted == exhausted_action::drop
                                                                 ? exhausted_action::drop
                                                                 : exhausted_action::dead_letter));
  return "at most " + std::to_string(options.max_attempts) + ", then " +
         std::string(to_string(options.on_exhausted));
}

std::string share_of(const group_options& options) {
  return options.low_share == 0 ? "none while higher ones wait"
                                : "1 message in " + std::to_string(options.low_share);
}

std::string mode_of(const group_options& options) {
  if (options.mode != group_mode::ordered)
    return std::string(to_string(options.mode));
  std::string text = options.order_by == group_order::queue ? "ordered by queue" : "ordered by key";
  if (options.order_batch > 1)
    text += ", " + grouped(options.order_batch) + " messages at a time";
  return text;
}

std::string unsettled_of(const group_options& options) {
  return grouped(options.max_unsettled) + " messages and " + format_size(options.max_unsettled_bytes);
}

std::string expired_of(const group_info& group) {
  std::uint64_t all = 0;
  for (const auto& q : group.queues)
    all += q.expired;
  return grouped(all) + (all == 1 ? " message, " : " messages, ") +
         (group.options.on_expired == expired_action::drop ? "dropped" : "to the dead letters");
}

std::string dead_kept(const group_options& options) {
  return options.dead_letter_retention == milliseconds{0} ? "for ever"
                                                          : format_duration(options.dead_letter_retention);
}

/// "~" before what is an upper bound.
std::string lag_text(std::uint64_t lag, bool estimated) { return (estimated ? "~" : "") + grouped(lag); }

int report(context& ctx, const std::string& verb, const group_info& group) {
  if (ctx.out.json_lines)
    ctx.out.line(to_json(group));
  else
    ctx.out.text("group " + escape(group.name) + " " + verb + ": " + mode_of(group.options) + ", lease " +
                 format_duration(group.options.lease) + ", retries after " +
                 format_retry(group.options.retry) + ", attempts " + attempts_of(group.options) +
                 ", dead letters kept " + dead_kept(group.options) + ", at most " +
                 unsettled_of(group.options) + " unsettled per member\n");
  return done;
}

int create(context& ctx, const group_settings& s) {
  auto options = default_options(s.mode.value_or(group_mode::shared));
  if (s.order_by && options.mode != group_mode::ordered)
    return ctx.misuse("group create", "--order-by is for ordered groups", "add --mode ordered");
  if (s.order_batch && options.mode != group_mode::ordered)
    return ctx.misuse("group create", "--order-batch is for ordered groups", "add --mode ordered");
  apply(s, options);
  return ctx.with_client([&](client& c) {
    auto group = c.create_group(s.name, options);
    return group ? report(ctx, "created", *group)
                 : ctx.fail("creating group '" + s.name + "'", group.error());
  });
}

int set(context& ctx, const group_settings& s) {
  auto doing = "changing group '" + s.name + "'";
  if (s.empty())
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
                  std::to_string(group->members.size()), lag_text(lag_of(*group), lag_estimated(*group)),
                  format_duration(lag_time_of(*group)), topics});
    }
    ctx.out.text(rows.empty() ? "no groups yet; the first `troupe receive TOPIC --group NAME` makes one\n"
                              : rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

void print(output& out, const group_info& group) {
  out.fields({{"group", group.name + (group.paused ? " (paused)" : "")},
              {"mode", mode_of(group.options)},
              {"lease", format_duration(group.options.lease)},
              {"retries after", format_retry(group.options.retry)},
              {"attempts", attempts_of(group.options)},
              {"expired", expired_of(group)},
              {"dead letters kept", dead_kept(group.options)},
              {"max unsettled", unsettled_of(group.options) + " per member"},
              {"share of lower priorities", share_of(group.options)},
              {"lag", lag_text(lag_of(group), lag_estimated(group)) + " messages, " +
                          format_duration(lag_time_of(group)) +
                          (lag_estimated(group) ? " (~: the filter has not seen all of them)" : "")}});
  table topics({"TOPIC", "FILTER"});
  for (const auto& t : group.topics)
    topics.row({t.topic, t.filter});
  if (!topics.empty())
    out.text("\n" + topics.text(out.colour()));
  const bool broadcast = group.options.mode == group_mode::broadcast;
  table members(broadcast ? std::vector<std::string>{"MEMBER", "NODE", "SINCE", ">LAG"}
                          : std::vector<std::string>{"MEMBER", "NODE", "SINCE"});
  for (const auto& m : group.members) {
    std::vector<std::string> row{m.name, m.node.empty() ? "(away)" : m.node, format_time(m.since)};
    if (broadcast)
      row.push_back(grouped(m.lag));
    members.row(std::move(row));
  }
  out.text(members.empty() ? "\nno members at present\n" : "\n" + members.text(out.colour()));
  const auto lanes = topics_with_priorities(group);
  std::vector<std::string> head{"TOPIC",   ">QUEUE",  ">FLOOR",    ">NEXT", ">LAG",
                                ">BEHIND", ">LEASED", ">RETRYING", ">DEAD", ">EXPIRED"};
  if (!lanes.empty())
    head.insert(head.begin() + 2, ">PRIORITY");
  table queues(head);
  for (const auto& q : group.queues) {
    std::vector<std::string> row{q.topic,
                                 std::to_string(q.queue),
                                 std::to_string(q.floor.value),
                                 std::to_string(q.next.value),
                                 lag_text(lag_of(q), q.lag_estimated),
                                 format_duration(q.lag_time),
                                 grouped(q.leased),
                                 grouped(q.retrying),
                                 grouped(q.dead),
                                 grouped(q.expired)};
    if (!lanes.empty())
      row.insert(row.begin() + 2, lanes.contains(q.topic) ? std::to_string(q.priority) : "");
    queues.row(row);
  }
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

struct subscribe_settings {
  std::string name;
  std::string topic;
  std::optional<std::string> filter;
  std::optional<std::string> from;
  bool remove = false;
};

/// What does not go together, or cannot be read; `at` is where the group begins in a new topic.
error check(const subscribe_settings& s, start_position& at) {
  if (s.remove && (s.filter || s.from))
    return {errc::invalid_argument, "--remove takes neither --filter nor --from", "leave them out"};
  if (s.remove)
    return {};
  if (!s.filter)
    return {errc::invalid_argument, "neither --filter nor --remove was given",
            "--filter '*' subscribes to everything in the topic"};
  if (auto parsed = parse_filter(*s.filter); !parsed)
    return parsed.error();
  auto start = start_of(s.from.value_or("earliest"));
  if (!start)
    return start.error();
  at = *start;
  return {};
}

int subscribe(context& ctx, const subscribe_settings& s) {
  start_position start;
  if (auto wrong = check(s, start))
    return ctx.misuse("group subscribe", wrong.reason, wrong.hint);
  return ctx.with_client([&](client& c) {
    auto group = s.remove ? c.unsubscribe_group(s.name, s.topic)
                          : c.subscribe_group(s.name, {s.topic, *s.filter}, start);
    if (!group)
      return ctx.fail("changing what group '" + s.name + "' subscribes to", group.error());
    if (ctx.out.json_lines)
      ctx.out.line(to_json(*group));
    std::string all;
    for (const auto& t : group->topics)
      all += "  " + escape(t.topic) + " with filter " + escape(t.filter) + "\n";
    ctx.out.text("group " + escape(s.name) + " subscribes to\n" + all);
    return static_cast<int>(done);
  });
}

void add_subscribe(CLI::App& group, context& ctx) {
  auto [verb, s] =
      add_verb(group, ctx, "subscribe", "Adds a topic to a group, changes its filter, or ends it", subscribe);
  verb->add_option("NAME", s->name, "The group")->required();
  verb->add_option("--topic", s->topic, "The topic")->required();
  verb->add_option("--filter", s->filter,
                   "What the group gets of it: '*', tags ('a || b') or SQL92 over properties, tag, keys, "
                   "priority, born and attempt");
  verb->add_option("--from", s->from,
                   "Where it begins in a topic that is new to it: earliest (default), latest or a time");
  verb->add_flag("--remove", s->remove,
                 "End it: the group's progress and its dead letters on the topic are forgotten");
  examples(*verb,
           {"troupe group subscribe billing --topic orders --filter 'paid || refunded'",
            "troupe group subscribe billing --topic invoices --filter '*' --from latest",
            "troupe group subscribe billing --topic invoices --remove",
            "Members learn it and stay; give those that start later the same topics and filters.",
            "What waits is judged by the new filter; what the old one passed over does not come back."});
}

struct reset_settings {
  std::string name;
  std::string topic;
  std::string to;
  std::optional<std::uint32_t> queue;
  std::string member;
  bool dry_run = false;
};

result<reset_options> reset_of(const reset_settings& s) {
  reset_options options{
      .topic = s.topic, .to = {}, .offset = {}, .queue = s.queue, .dry_run = s.dry_run, .member = s.member};
  if (s.to == "earliest")
    return options;
  options.to.from = start_position::kind::latest;
  if (s.to == "latest")
    return options;
  const bool digits = !s.to.empty() && s.to.find_first_not_of("0123456789") == std::string::npos;
  auto at = parse_time(s.to);
  if (digits && (!at || to_unix_ms(*at) < first_time_in_ms)) {
    std::uint64_t offset = 0;
    const auto [end, failed] = std::from_chars(s.to.data(), s.to.data() + s.to.size(), offset);
    if (failed == std::errc{} && end == s.to.data() + s.to.size()) {
      options.offset = queue_offset{offset};
      return options;
    }
  }
  if (!at)
    return error{errc::invalid_argument,
                 "--to " + escape(s.to, 80) + " is neither earliest, latest, an offset nor a time",
                 "write a time as RFC 3339 (2024-05-01T12:30:00Z) or Unix milliseconds"};
  options.to = {start_position::kind::time, *at};
  return options;
}

json row_of(const reset_info& q, const reset_settings& s, bool lanes) {
  json row{{"topic", s.topic},   {"queue", q.queue}, {"from", q.from.value}, {"to", q.to.value},
           {"leased", q.leased}, {"moved", q.moved}, {"dry_run", s.dry_run}};
  if (!q.member.empty())
    row["member"] = q.member;
  if (lanes)
    row["priority"] = q.priority;
  return row;
}

int reset(context& ctx, const reset_settings& s) {
  auto options = reset_of(s);
  if (!options)
    return ctx.misuse("group reset", options.error().reason, options.error().hint);
  return ctx.with_client([&](client& c) {
    auto queues = c.reset_group(s.name, *options);
    if (!queues)
      return ctx.fail("resetting group '" + s.name + "'", queues.error());
    const bool lanes = std::ranges::any_of(*queues, [](const auto& q) { return q.priority > 0; });
    std::vector<std::string> columns{">QUEUE", ">FROM", ">TO", ">LEASED"};
    if (std::ranges::any_of(*queues, [](const auto& q) { return !q.member.empty(); }))
      columns.push_back("MEMBER");
    if (lanes)
      columns.insert(columns.begin() + 1, ">PRIORITY");
    table rows(columns);
    for (const auto& q : *queues) {
      if (q.moved)
        ctx.out.note(
            "queue " + std::to_string(q.queue) +
            (lanes ? ", priority " + std::to_string(q.priority) + "," : "") + " has no offset " +
            std::to_string(options->offset->value) +
            (options->offset->value < q.to.value ? " any more: the first it has is " : " yet: it ends at ") +
            std::to_string(q.to.value));
      if (ctx.out.json_lines) {
        ctx.out.line(row_of(q, s, lanes));
        continue;
      }
      std::vector<std::string> row{std::to_string(q.queue), std::to_string(q.from.value),
                                   std::to_string(q.to.value), grouped(q.leased), q.member};
      if (lanes)
        row.insert(row.begin() + 1, std::to_string(q.priority));
      rows.row(row);
    }
    ctx.out.text("group " + escape(s.name) + " on topic " + escape(s.topic) +
                 (s.dry_run ? ", if it were reset:\n" : " was reset:\n") + rows.text(ctx.out.colour()));
    return static_cast<int>(done);
  });
}

void add_reset(CLI::App& group, context& ctx) {
  auto [verb, s] = add_verb(group, ctx, "reset", "Moves a group's progress on a topic", reset);
  verb->add_option("NAME", s->name, "The group")->required();
  verb->add_option("--topic", s->topic, "A topic that it follows")->required();
  verb->add_option(
          "--to", s->to,
          "earliest, latest, an offset, or a time (the first message stored at or after it): RFC 3339 "
          "or Unix milliseconds; a number below 100000000000 is an offset")
      ->required();
  verb->add_option("--queue", s->queue, "Only this queue of the topic, with all its priorities")
      ->check(whole_number(0x7fffffff));
  verb->add_option("--member", s->member, "Of a broadcast group: only this member (default: all of them)");
  verb->add_flag("--dry-run", s->dry_run, "Say what would be done, and do nothing");
  examples(
      *verb,
      {"troupe group reset billing --topic orders --to 2024-05-01T12:30:00Z --dry-run",
       "troupe group reset billing --topic orders --to earliest",
       "troupe group reset billing --topic orders --to 1234 --queue 3",
       "Members may stay connected. What they hold at that moment (LEASED) is delivered again where",
       "it lies at or after TO; what they say of it comes too late. Attempts are forgotten.",
       "Dead letters stay, and their messages are delivered again, too, where they lie at or after TO."});
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

void add_order(CLI::App& verb, group_settings& s) {
  add_mode(verb, s.mode,
           "shared (default); ordered: one message of an order key at a time (see --order-batch), in their "
           "order in "
           "the queue, and a "
           "failure stops its key and by default comes again after 1s; or broadcast: every member gets every "
           "message, by a place of its own that is kept under its name, and what fails is passed over. Fixed "
           "since the group was created");
  verb.add_option_function<std::string>(
          "--order-by",
          [&s](const std::string& given) {
            if (given != "key" && given != "queue")
              throw CLI::ValidationError("--order-by", "must be key or queue");
            s.order_by = given == "queue" ? group_order::queue : group_order::key;
          },
          "Of an ordered group: key (default; messages without one have no order), or queue (all of its "
          "messages)")
      ->type_name("ORDER");
  verb.add_option(
          "--order-batch", s.order_batch,
          "Of an ordered group: up to so many messages of a key (or of a queue, with --order-by queue) "
          "are with one member at a time, in their order, from 1 to 1024 (1). More are faster where a "
          "key has many; the key goes on when all of them are settled")
      ->check(whole_number(0xffffffff));
}

void add_settings(CLI::App& verb, group_settings& s) {
  verb.add_option("NAME", s.name, "Letters, digits, '_', '-', '%' and '|'; at most 120")->required();
  add_duration(verb, "--lease", s.lease, "How long a consumer may hold a message without settling it (60s)");
  add_retry(verb, s.retry);
  verb.add_option("--max-unsettled", s.max_unsettled, "Messages one member may hold unsettled (1000)")
      ->check(whole_number(0xffffffff));
  add_size(
      verb, "--max-unsettled-bytes", s.max_unsettled_bytes,
      "Bytes one member may hold unsettled, as they were delivered, up to 4GiB (64MiB); one message of any "
      "size comes to one that holds nothing");
  verb.add_option(
          "--low-share", s.low_share,
          "Of topics with priorities: while both wait, one message in so many (10), from 2 to 1000, is "
          "of a lower priority; 0: strict, the highest goes first always")
      ->check(whole_number(0xffff));
  add_order(verb, s);
  verb.add_option("--max-attempts", s.max_attempts,
                  "The failure of this number is a message's last (16); 0: there is no last one")
      ->check(whole_number(0xffff));
  verb.add_option_function<std::string>(
          "--on-exhausted",
          [&s](const std::string& given) {
            for (auto action :
                 {exhausted_action::dead_letter, exhausted_action::drop, exhausted_action::block})
              if (given == to_string(action))
                s.on_exhausted = action;
            if (!s.on_exhausted)
              throw CLI::ValidationError("--on-exhausted", "must be dead-letter, drop or block");
          },
          "What becomes of it then: dead-letter (see `troupe dlq`), drop, or block (it is retried for ever). "
          "What a consumer rejects is dropped with drop, also where there is no last attempt, and else a "
          "dead letter")
      ->type_name("ACTION");
  verb.add_option_function<std::string>(
          "--on-expired",
          [&s](const std::string& given) {
            if (given != "drop" && given != "dead-letter")
              throw CLI::ValidationError("--on-expired", "must be drop or dead-letter");
            s.on_expired = given == "drop" ? expired_action::drop : expired_action::dead_letter;
          },
          "What becomes of a message whose time to live (`troupe send --ttl`) is over before it is "
          "delivered: "
          "drop (default), or dead-letter")
      ->type_name("ACTION");
  add_duration(verb, "--dead-letter-retention", s.dead_letter_retention,
               "How long dead letters are kept with their messages (30d); 0: for ever");
}

void add_changes(CLI::App& group, context& ctx) {
  auto [create_verb, made] =
      add_verb(group, ctx, "create", "Creates a group before its first member comes", create);
  add_settings(*create_verb, *made);
  examples(*create_verb,
           {"troupe group create billing", "troupe group create slow-work --lease 10m --max-unsettled 10",
            "troupe group create mail --retry 10s,1m,10m,1h",
            "troupe group create ledger --mode ordered --max-attempts 5",
            "troupe group create prices --mode ordered --order-batch 32",
            "troupe group create web-hooks --retry exponential:1s,2,10m~20%",
            "troupe group create orders --max-attempts 5 --retry 1s,10s --dead-letter-retention 90d"});

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
  auto* group = app.add_subcommand(
      "group", "Create, list, describe, change, subscribe, pause, reset and delete consumer groups");
  group->require_subcommand(1);
  add_changes(*group, ctx);
  add_reset(*group, ctx);

  auto [list_verb, unused] = add_verb(*group, ctx, "list", "Lists all groups with members and lag", list);
  examples(*list_verb, {"troupe group list", "troupe group list --json"});

  auto [describe_verb, described] =
      add_verb(*group, ctx, "describe", "Shows members, subscriptions and progress per queue", describe);
  describe_verb->add_option("NAME", described->name, "The group")->required();
  examples(*describe_verb, {"troupe group describe billing", "troupe group describe billing --json"});

  auto [delete_verb, deleted] = add_verb(*group, ctx, "delete", "Deletes a group and its progress", remove);
  delete_verb->add_option("NAME", deleted->name, "The group")->required();
  examples(*delete_verb, {"troupe group delete billing"});

  add_subscribe(*group, ctx);
}

} // namespace troupe::cli
