#include "bulk_sender.hpp"
#include "cli.hpp"
#include "content.hpp"
#include "interrupt.hpp"
#include "json.hpp"
#include "jsonl.hpp"
#include "line_reader.hpp"
#include "pace.hpp"
#include "text.hpp"

#include "troupe/timer_buckets.hpp"
#include "troupe/transactions.hpp"
#include "troupe/units.hpp"

#include <unistd.h>

#include <algorithm>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

/// A JSON line may spell each byte of a body with six, and has other fields.
constexpr std::size_t longest_json_line = std::size_t{32} << 20;

struct send_settings : content_settings {
  std::string topic;
  std::string lines;
  std::string jsonl;
  std::string durability = "durable";
  bool one_way = false;
  bool quiet = false;
  std::optional<double> rate;
  std::optional<milliseconds> delay;
  std::optional<timestamp> at;
  std::optional<unsigned> delay_level;
  std::optional<std::string> transaction;
  std::string producer_group = "troupe";

  bool many() const { return !lines.empty() || !jsonl.empty(); }
};

/// When a message that is sent now is due.
std::optional<timestamp> due(const send_settings& s) {
  if (s.delay_level)
    return from_now(delay_of_level(*s.delay_level));
  return s.delay ? from_now(*s.delay) : s.at;
}

durability_level level_of(const send_settings& s) {
  return s.durability == "durable" ? durability_level::durable : durability_level::buffered;
}

result<producer> open_producer(context& ctx, const send_settings& s, client& c) {
  producer_options options;
  options.topic = s.topic;
  options.durability = level_of(s);
  options.timeout = ctx.connection.timeout;
  return producer::open(c, std::move(options));
}

/// Waits until every message sent is answered or out of time, which the producer counts also for those whose
/// sender asked for no answer.
error settle_all(const context& ctx, producer& to) {
  return to.flush(ctx.connection.timeout + std::chrono::seconds{2});
}

// -- transactions
// ---------------------------------------------------------------------------------------------------

result<transactions> open_transactions(context& ctx, const send_settings& s, client& c) {
  transaction_options options;
  options.group = s.producer_group;
  options.timeout = ctx.connection.timeout;
  return transactions::open(c, std::move(options));
}

/// What a message is once it was sent so.
std::string state_after(const send_settings& s) {
  if (!s.transaction)
    return {};
  const auto state = *s.transaction == "commit"     ? transaction_state::committed
                     : *s.transaction == "rollback" ? transaction_state::rolled_back
                                                    : transaction_state::prepared;
  return std::string{troupe::to_string(state)};
}

/// Each message is a transaction of its own, decided as soon as it is prepared, or left.
void send_half(transactions& to, const send_settings& s, message m, producer::callback done) {
  const auto& how = *s.transaction;
  to.prepare_async(s.topic, std::move(m), [&to, &how, done = std::move(done)](const result<receipt>& half) {
    if (!half || how == "leave")
      return done(half);
    const auto decided = [done, half](const result<transaction_state>& state) {
      done(state ? half : result<receipt>{state.error()});
    };
    how == "commit" ? to.commit_async(half->id, decided) : to.rollback_async(half->id, decided);
  });
}

// -- one message
// ----------------------------------------------------------------------------------------------------

void report(context& ctx, const send_settings& s, const receipt& r) {
  if (s.quiet)
    return;
  const auto state = state_after(s);
  if (ctx.out.json_lines) {
    auto line = to_json(r, s.durability);
    if (!state.empty())
      line["state"] = state;
    return ctx.out.line(line);
  }
  std::string place;
  if (r.placed)
    place = (r.visible       ? " offset " + std::to_string(r.offset.value)
             : state.empty() ? " delayed"
                             : " " + state) +
            " id " + troupe::to_string(r.id);
  ctx.out.text(escape(r.topic) + "/" + std::to_string(r.queue) +
               (r.priority > 0 ? " priority " + std::to_string(r.priority) : "") + place + " " +
               s.durability + (r.duplicate ? " (the broker had it already)" : "") + "\n");
}

int send_transaction(context& ctx, const send_settings& s, message m) {
  const auto doing = "sending to '" + s.topic + "' in a transaction";
  return ctx.with_client([&](client& c) {
    auto to = open_transactions(ctx, s, c);
    if (!to)
      return ctx.fail(doing, to.error());
    const auto& how = *s.transaction;
    const auto local = how == "commit"     ? decision::commit
                       : how == "rollback" ? decision::rollback
                                           : decision::unknown;
    auto r = to->send(s.topic, std::move(m), [local](const message&, const message_id&) { return local; });
    if (!r)
      return ctx.fail(doing, r.error());
    if (r->undecided)
      return ctx.fail("deciding about half message " + troupe::to_string(r->half.id), r->undecided);
    report(ctx, s, r->half);
    return static_cast<int>(done);
  });
}

int send_one(context& ctx, const send_settings& s, message m) {
  auto doing = "sending to '" + s.topic + "'";
  auto body = body_of(s);
  if (!body)
    return body.error().code == errc::invalid_argument
               ? ctx.misuse(doing, body.error().reason, body.error().hint)
               : ctx.fail(doing, body.error());
  m.body = std::move(*body);
  m.deliver_at = due(s);
  if (s.transaction)
    return send_transaction(ctx, s, std::move(m));
  return ctx.with_client([&](client& c) {
    auto to = open_producer(ctx, s, c);
    if (!to)
      return ctx.fail(doing, to.error());
    if (s.one_way) {
      if (auto err = to->send_one_way(std::move(m)))
        return ctx.fail(doing, err);
      if (auto err = settle_all(ctx, *to))
        return ctx.fail(doing, err);
      if (auto known = to->statistics(); known.failed > 0)
        return ctx.fail(doing, known.last_failure);
      if (!s.quiet && ctx.out.json_lines)
        ctx.out.line({{"topic", s.topic}, {"durability", "one-way"}});
      return static_cast<int>(done);
    }
    auto r = to->send(std::move(m));
    if (!r)
      return ctx.fail(doing, r.error());
    report(ctx, s, *r);
    return static_cast<int>(done);
  });
}

// -- many
// -----------------------------------------------------------------------------------------------------------

/// What a bad line costs: its number and reason, exit code 2. Nothing after it is sent.
struct input_end {
  int code = done;
  std::uint64_t empty_lines = 0;
};

input_end feed(context& ctx, const send_settings& s, const message& defaults, bulk_sender& to,
               const interrupt& stop) {
  input_end end;
  bool is_json = !s.jsonl.empty();
  auto misuse = [&](const error& err) {
    end.code =
        err.code == errc::not_supported ? ctx.fail("send", err) : ctx.misuse("send", err.reason, err.hint);
    return end;
  };
  auto file = input_file::open(is_json ? s.jsonl : s.lines);
  if (!file)
    return misuse(file.error());
  line_reader input(std::move(*file), is_json ? longest_json_line : limits{}.body, stop);
  pace rate(s.rate);
  auto started = clock::now();
  while (true) {
    auto line = input.next();
    if (!line)
      return misuse(line.error());
    if (!*line || stop.requested())
      return end;
    if ((*line)->empty() || (is_json && (*line)->find_first_not_of(" \t\r") == std::string_view::npos)) {
      ++end.empty_lines;
      continue;
    }
    auto usual = defaults;
    usual.deliver_at = due(s);
    auto m = is_json ? parse_jsonl(**line, usual) : result<message>(std::move(usual));
    if (!m) {
      auto err = m.error();
      err.reason = "line " + grouped(input.number()) + " of " + input.name() + ": " + err.reason;
      return misuse(err);
    }
    if (!is_json)
      m->body = **line;
    rate.wait(stop);
    if (stop.requested() || !to.push(std::move(*m), input.number()))
      return end;
    if (input.number() % 1024 == 0) {
      auto t = to.so_far();
      auto seconds = std::chrono::duration<double>(clock::now() - started).count();
      ctx.out.progress("sent " + grouped(t.sent) + ", answered " + grouped(t.accepted) + ", " +
                       about_rate(static_cast<double>(t.sent) / seconds));
    }
  }
}

void summarize(context& ctx, const send_settings& s, const bulk_sender::totals& t, double seconds) {
  if (s.quiet || (t.accepted == 0 && t.sent > 0))
    return;
  ctx.out.text("sent " + grouped(t.accepted) + " messages to " + escape(s.topic) + " (" +
               about_bytes(static_cast<double>(t.bytes)) + ") in " +
               format_duration(milliseconds(static_cast<std::int64_t>(seconds * 1000))) + ", " +
               about_rate(static_cast<double>(t.accepted) / std::max(seconds, 1e-6)) +
               (s.one_way       ? ", one-way"
                : s.transaction ? ", " + state_after(s)
                                : ", " + s.durability) +
               (t.duplicates > 0 ? "; the broker had " + grouped(t.duplicates) + " of them already" : "") +
               "\n");
}

/// Says which messages were not accepted, as far as that is known: `lost` when not all were answered.
int tell_refused(context& ctx, const bulk_sender::totals& t, const error& lost) {
  const json counts{{"failed", t.failed}, {"accepted", t.accepted}};
  if (lost)
    ctx.out.failure("waiting for the end of what was sent",
                    {lost.code,
                     lost.reason + "; of " + grouped(t.sent) + " messages " + grouped(t.failed) +
                         " are known to be refused",
                     lost.hint},
                    counts);
  else if (t.failed > 0)
    ctx.out.failure("send",
                    {t.first_failure.code,
                     grouped(t.failed) + " of " + grouped(t.sent) + " messages were not accepted; " +
                         grouped(t.accepted) + " were. The first: " + t.first_failure.reason,
                     t.first_failure.hint},
                    counts);
  return lost || t.failed > 0 ? refused : done;
}

/// The exit code; a line that could not be read counts before what was refused.
int conclude(context& ctx, const send_settings& s, const bulk_sender::totals& t, const input_end& end,
             bool stopped) {
  if (end.empty_lines > 0 && !s.lines.empty())
    ctx.out.note(grouped(end.empty_lines) + " empty lines were left out: a body cannot be empty");
  if (end.code != done) {
    ctx.out.note(counted(t.accepted, "message") + " before it accepted, nothing after it sent");
    return end.code;
  }
  if (stopped)
    return ctx.fail("send", {errc::shutting_down, "interrupted; " + grouped(t.accepted) +
                                                      " messages were accepted to '" + s.topic +
                                                      "', the rest was not sent"});
  return done;
}

/// What the producer heard of one-way messages, which were counted as accepted when it took them.
void count_refused(bulk_sender::totals& t, const producer::stats& known) {
  const auto lost = std::min(known.failed, t.accepted);
  t.accepted -= lost;
  t.failed += lost;
  if (lost > 0)
    t.first_failure = known.last_failure;
}

int send_many_transactions(context& ctx, const send_settings& s, const message& defaults) {
  return ctx.with_client([&](client& c) {
    interrupt stop(2);
    auto to = open_transactions(ctx, s, c);
    if (!to)
      return ctx.fail("sending to '" + s.topic + "' in transactions", to.error());
    const auto started = clock::now();
    const auto half = [&](message m, producer::callback answer) {
      send_half(*to, s, std::move(m), std::move(answer));
    };
    bulk_sender sender(half, ctx.out, {s.topic, level_of(s), false, s.quiet, state_after(s)});
    const auto end = feed(ctx, s, defaults, sender, stop);
    sender.finish();
    ctx.out.progress({});
    const auto totals = sender.so_far();
    if (end.code == done || totals.sent > 0)
      summarize(ctx, s, totals, std::chrono::duration<double>(clock::now() - started).count());
    const int answered = tell_refused(ctx, totals, {});
    const int read = conclude(ctx, s, totals, end, stop.requested() && answered == done);
    return read != done ? read : answered;
  });
}

int send_many(context& ctx, const send_settings& s, const message& defaults) {
  return ctx.with_client([&](client& c) {
    // The first signal: no more is sent, and what was is answered within the timeout. The second: at once.
    interrupt stop(2);
    auto to = open_producer(ctx, s, c);
    if (!to)
      return ctx.fail("sending to '" + s.topic + "'", to.error());
    auto started = clock::now();
    const auto one = [&](message m, const producer::callback& answer) {
      if (!s.one_way)
        return to->send_async(std::move(m), answer);
      auto err = to->send_one_way(std::move(m));
      receipt held;
      held.topic = s.topic;
      answer(err ? result<receipt>(err) : result<receipt>(std::move(held)));
    };
    bulk_sender sender(one, ctx.out, {s.topic, level_of(s), s.one_way, s.quiet, {}});
    auto end = feed(ctx, s, defaults, sender, stop);
    error lost = s.one_way ? settle_all(ctx, *to) : error{};
    sender.finish();
    ctx.out.progress({});
    auto totals = sender.so_far();
    if (s.one_way)
      count_refused(totals, to->statistics());
    if (end.code == done || totals.sent > 0)
      summarize(ctx, s, totals, std::chrono::duration<double>(clock::now() - started).count());
    const int answered = tell_refused(ctx, totals, lost);
    const int read = conclude(ctx, s, totals, end, stop.requested() && answered == done);
    return read != done ? read : answered;
  });
}

int send(context& ctx, const send_settings& s) {
  if (s.rate && !(*s.rate > 0 && *s.rate <= 1e9))
    return ctx.misuse("send", "--rate must be above 0 and at most 1000000000",
                      "messages per second, such as --rate 100 or --rate 0.5; leave it out for no limit");
  if (s.one_way && s.durability == "buffered")
    return ctx.misuse("send", "--one-way and --durability exclude each other",
                      "one-way has no answer; leave one out");
  if (s.transaction && (s.one_way || s.durability == "buffered"))
    return ctx.misuse("send",
                      std::string{"--transaction and "} +
                          (s.one_way ? "--one-way" : "--durability buffered") + " exclude each other",
                      "a transaction is always durable, and answered; leave one out");
  if (!s.transaction && s.producer_group != "troupe")
    return ctx.misuse("send", "--producer-group means nothing without --transaction",
                      "add --transaction commit, rollback or leave");
  auto m = attributes_of(s);
  if (!m)
    return ctx.misuse("send", m.error().reason, m.error().hint);
  if (s.transaction && s.many())
    return send_many_transactions(ctx, s, *m);
  return s.many() ? send_many(ctx, s, *m) : send_one(ctx, s, std::move(*m));
}

void add_sources(CLI::App& verb, send_settings& s) {
  const auto* group = "What to send";
  const auto [body, file] =
      add_body(verb, s, "The body; without BODY, --file, --lines and --jsonl: standard input", group);
  auto* lines = verb.add_option("--lines", s.lines,
                                "Each line of a file (-: standard input) is a message; empty "
                                "lines are left out")
                    ->group(group);
  auto* jsonl = verb.add_option("--jsonl", s.jsonl,
                                "Each line of a file (-: standard input) is a JSON object with any of body, "
                                "body_base64, keys, tag, properties, order_key, priority, delay, at, ttl; a "
                                "bad line ends it with exit code 2, "
                                "what is before it is sent")
                    ->group(group);
  for (auto* a : {body, file, lines, jsonl})
    for (auto* b : {body, file, lines, jsonl})
      if (a != b)
        a->excludes(b);
}

void add_transaction(CLI::App& verb, send_settings& s) {
  const auto* group = "As a transaction";
  auto* how = verb.add_option("--transaction", s.transaction,
                              "First as a half message, durable and invisible; then commit: it becomes "
                              "visible; rollback: it is forgotten; leave: programs of the producer group are "
                              "asked about it (see troupe transaction list). Each message on its own, also "
                              "with --lines and --jsonl")
                  ->check(CLI::IsMember({"commit", "rollback", "leave"}))
                  ->group(group);
  verb.add_option("--producer-group", s.producer_group,
                  "Whose programs are asked about what nobody decided (`transaction_options::checker`)")
      ->capture_default_str()
      ->group(group);
  for (const auto* delay : {"--delay", "--at", "--delay-level"})
    how->excludes(verb.get_option(delay));
}

void add_delay(CLI::App& verb, send_settings& s) {
  const auto* group = "When it is delivered";
  auto* delay = add_duration(verb, "--delay", s.delay,
                             "So long from now; a node takes up to 40d (`trouped --max-delay`)")
                    ->check([](const std::string& given) {
                      const auto delay = parse_duration(given);
                      return delay && *delay < milliseconds{1} ? "must be at least 1ms" : "";
                    });
  auto* at =
      verb.add_option_function<std::string>(
              "--at",
              [&s](const std::string& given) {
                auto parsed = parse_time(given);
                if (!parsed)
                  throw CLI::ValidationError("--at", parsed.error().reason + "; " + parsed.error().hint);
                s.at = *parsed;
              },
              "At this time (RFC 3339 or Unix milliseconds); at once when it is over")
          ->type_name("TIME");
  auto* level =
      verb.add_option("--delay-level", s.delay_level,
                      "One of RocketMQ's 18: 1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h")
          ->check([](const std::string& given) {
            return given.size() <= 2 && !given.empty() &&
                           given.find_first_not_of("0123456789") == std::string::npos &&
                           delay_of_level(static_cast<unsigned>(std::stoul(given))) > milliseconds{0}
                       ? std::string()
                       : "'" + escape(given, 80) + "' is no level from 1 to 18";
          });
  for (auto* a : {delay, at, level}) {
    a->group(group);
    for (auto* b : {delay, at, level})
      if (a != b)
        a->excludes(b);
  }
}

} // namespace

void add_send_verb(CLI::App& app, context& ctx) {
  auto [verb, s] = add_verb(app, ctx, "send", "Publishes a message, or many", send);
  verb->add_option("TOPIC", s->topic, "Where to")->required();
  add_sources(*verb, *s);
  add_attributes(*verb, *s);
  add_delay(*verb, *s);
  verb->add_option("--durability", s->durability,
                   "durable: answered when it is on disk; buffered: once the broker holds it")
      ->check(CLI::IsMember({"durable", "buffered"}))
      ->capture_default_str();
  verb->add_flag(
      "--one-way", s->one_way,
      "Without an answer for each message; refusals that are known at the end are counted, and give exit "
      "code 1");
  verb->add_option("--rate", s->rate, "At most so many messages per second, with --lines and --jsonl");
  verb->add_flag("--quiet", s->quiet, "Print errors only");
  add_transaction(*verb, *s);
  examples(*verb, {"troupe send orders 'one book' --key order-1 --tag paid",
                   "troupe send orders 'call back' --delay 30m",
                   "troupe send orders 'one book' --transaction leave --producer-group shop",
                   "troupe send orders --file order.json", "tail -f app.log | troupe send logs --lines -",
                   R"(echo '{"body":"hi","tag":"a","properties":{"v":"1"}}' | troupe send orders --jsonl -)",
                   "troupe send orders -- '-begins with a dash'"});
}

} // namespace troupe::cli
