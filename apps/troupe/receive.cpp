#include "cli.hpp"
#include "command.hpp"
#include "interrupt.hpp"
#include "json.hpp"
#include "text.hpp"

#include "troupe/consumer.hpp"
#include "troupe/filter.hpp"
#include "troupe/requester.hpp"

#include <algorithm>

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

/// How often a wait without end looks whether a signal came.
constexpr milliseconds glance{250};
constexpr std::size_t batch = 512;
/// sysexits.h's EX_DATAERR: the data is bad and stays so.
constexpr int rejects = 65;

struct receive_settings {
  std::vector<std::string> topics;
  std::string group;
  std::string member;
  std::optional<group_mode> mode;
  std::string filter = "*";
  std::string from = "earliest";
  std::optional<std::uint64_t> max;
  std::optional<milliseconds> wait;
  std::string settle = "ack";
  std::optional<milliseconds> retry_delay;
  std::string command;
  bool reply = false;
  bool quiet = false;
};

result<consumer_options> consumer_of(const receive_settings& s) {
  auto start = start_of(s.from);
  if (!start)
    return start.error();
  auto filter = parse_filter(s.filter);
  if (!filter)
    return filter.error();
  consumer_options options;
  options.group = s.group;
  options.member = s.member;
  options.mode = s.mode;
  options.start = *start;
  for (const auto& topic : s.topics)
    options.topics.push_back({topic, s.filter});
  // Nobody else waits for messages that would only be given back.
  if (!s.command.empty())
    options.max_messages = 1;
  else if (s.max)
    options.max_messages = static_cast<std::uint32_t>(std::min<std::uint64_t>(options.max_messages, *s.max));
  return options;
}

/// One `receive`: fetches, prints or runs, settles. What is unsettled at its end goes back to the group.
class receiving {
public:
  receiving(context& ctx, const receive_settings& s, client& by, pull_consumer from, milliseconds lease)
      : ctx_(ctx), s_(s), client_(by), from_(std::move(from)), lease_(lease) {}

  int run() {
    auto failed = loop();
    // Also when it failed: others shall have what is held here.
    auto closed = from_.close();
    if (failed)
      return ctx_.fail("receiving", failed);
    if (closed)
      return ctx_.fail("giving back what was not settled", closed);
    if (!s_.quiet && !ctx_.out.json_lines)
      ctx_.out.note(counted(received_, "message") + " received");
    return done;
  }

private:
  error loop() {
    auto last = clock::now();
    while (!stop_.requested() && (!s_.max || received_ < *s_.max)) {
      auto limit = glance;
      if (s_.wait)
        limit = std::min(limit, std::chrono::ceil<milliseconds>(last + *s_.wait - clock::now()));
      auto messages = from_.fetch(how_many(), std::max(limit, milliseconds{0}));
      if (!messages)
        return messages.error();
      tell_lost();
      renew_held();
      if (messages->empty()) {
        if (s_.wait && clock::now() - last >= *s_.wait)
          break;
        continue;
      }
      auto failed = s_.command.empty() ? show(*messages) : run_each(*messages);
      if (failed)
        return failed;
      last = clock::now();
    }
    return from_.flush();
  }

  std::size_t how_many() const {
    if (!s_.command.empty())
      return 1;
    return s_.max ? static_cast<std::size_t>(std::min<std::uint64_t>(batch, *s_.max - received_)) : batch;
  }

  /// Prints, makes sure that it was written, settles: a message is acknowledged only when its reader can have
  /// it.
  error show(const std::vector<leased_message>& messages) {
    for (const auto& m : messages)
      print(m);
    if (auto err = ctx_.out.flush())
      return err;
    received_ += messages.size();
    return settle(messages);
  }

  error settle(const std::vector<leased_message>& messages) {
    if (s_.settle == "ack")
      return from_.ack(messages);
    if (s_.settle == "none") {
      held_.insert(held_.end(), messages.begin(), messages.end());
      return {};
    }
    for (const auto& m : messages) {
      if (from_.comes_again(m))
        continue; // behind one of its key that is retried
      if (auto err = s_.settle == "reject"
                         ? from_.reject(m, "receive --settle reject")
                         : from_.retry(m, s_.retry_delay.value_or(milliseconds{0}), "receive --settle retry"))
        return err;
    }
    return {};
  }

  void print(const leased_message& m) {
    if (s_.quiet || (!s_.command.empty() && !ctx_.out.json_lines))
      return;
    if (ctx_.out.json_lines)
      return ctx_.out.line(to_json(m.copy(), true));
    std::string text = escape(m.topic()) + "/" + std::to_string(m.queue()) + " @" +
                       std::to_string(m.offset().value) + "  " + troupe::to_string(m.id());
    if (m.attempt() > 1)
      text += "  attempt " + std::to_string(m.attempt());
    if (!m.tag().empty())
      text += "  [" + escape(m.tag()) + "]";
    auto content = m.content();
    if (content.priority > 0)
      text += "  priority " + std::to_string(content.priority);
    for (const auto& key : content.keys)
      text += "  key " + escape(key);
    for (const auto& [name, value] : content.properties)
      text += "  " + escape(name) + "=" + escape(value);
    // A terminal is no place for megabytes; a pipe gets all.
    text += "  " + escape(m.body(), ctx_.out.terminal() ? 1000 : std::string_view::npos) + "\n";
    ctx_.out.text(text);
  }

  /// After a reconnect: what is settled then is not to suffer from it.
  void tell_lost() {
    const auto rejoins = from_.statistics().rejoins;
    if (std::exchange(rejoins_, rejoins) == rejoins)
      return;
    if (auto lost = from_.flush())
      ctx_.out.note(lost.hint.empty() ? lost.reason : lost.reason + "; " + lost.hint);
  }

  /// The leases of what `--settle none` keeps live on while we do.
  void renew_held() {
    if (held_.empty() || clock::now() - renewed_ < lease_ / 3)
      return;
    renewed_ = clock::now();
    for (const auto& m : held_)
      from_.renew(m);
  }

  error run_each(const std::vector<leased_message>& messages) {
    for (const auto& m : messages)
      if (auto err = run_one(m))
        return err;
    return {};
  }

  error run_one(const leased_message& m) {
    print(m);
    if (auto err = ctx_.out.flush())
      return err;
    const auto name = "message " + troupe::to_string(m.id());
    command_options options{s_.command, lease_ / 3, [&] { from_.renew(m); }, {}, {}};
    if (ctx_.out.json_lines)
      options.hear = [&](std::string_view line) { ctx_.out.note(name + ": " + std::string(line)); };
    std::string answer;
    if (s_.reply)
      // One byte more than may be is enough to know that it is too long.
      options.take = [&](std::string_view bytes) {
        answer.append(bytes.substr(0, limits{}.body + 1 - answer.size()));
      };
    auto code = run_command(options, m.body(), environment_of(m.copy()), stop_);
    if (!code && code.error().code != errc::shutting_down) {
      from_.give_back(m);
      return code.error();
    }
    if (!code)
      return from_.give_back(m);
    ++received_;
    if (*code == 0)
      return s_.reply ? reply_to(m, name, std::move(answer)) : settle({m});
    const auto why = "the command ended with " + std::to_string(*code);
    ctx_.out.note(name + ": " + why + (*code == rejects ? ": rejected" : ", so it is retried"));
    return *code == rejects ? from_.reject(m, why)
                            : from_.retry(m, s_.retry_delay.value_or(milliseconds{0}), why);
  }

  /// A request that nobody waits for is done all the same.
  error reply_to(const leased_message& m, const std::string& name, std::string answer) {
    const auto failed = reply(client_, m, message{.body = std::move(answer)});
    if (!failed)
      return settle({m});
    const bool again = failed.code != errc::invalid_argument && failed.code != errc::not_found &&
                       failed.code != errc::too_large;
    const auto why = "no reply was sent: " + failed.reason;
    ctx_.out.note(name + ": " + why + (again ? ", so it is retried" : ""));
    return again ? from_.retry(m, s_.retry_delay.value_or(milliseconds{0}), why) : settle({m});
  }

  context& ctx_;
  const receive_settings& s_;
  client& client_;
  interrupt stop_;
  pull_consumer from_;
  const milliseconds lease_;
  std::uint64_t received_ = 0;
  std::uint64_t rejoins_ = 0;
  std::vector<leased_message> held_;
  clock::time_point renewed_ = clock::now();
};

int receive(context& ctx, const receive_settings& s) {
  if (s.max && *s.max == 0)
    return ctx.misuse("receive", "--max must be at least 1", "leave it out to receive without end");
  if (s.retry_delay && s.settle != "retry" && s.command.empty())
    return ctx.misuse("receive", "--retry-delay is for --settle retry and --exec",
                      "leave it out, or add one of these");
  if (s.mode == group_mode::broadcast && s.member.empty())
    return ctx.misuse("receive", "--mode broadcast needs --member NAME",
                      "the group keeps the place of each member under its name: give one that stays");
  if (!s.command.empty() && s.settle != "ack")
    return ctx.misuse(
        "receive", "--exec and --settle " + s.settle + " exclude each other",
        "the exit code of the command settles: 0 acknowledges, 65 rejects, anything else retries");
  if (s.reply && s.command.empty())
    return ctx.misuse("receive", "--reply needs --exec",
                      "the reply is what the command prints on its standard output");
  auto options = consumer_of(s);
  if (!options)
    return ctx.misuse("receive", options.error().reason, options.error().hint);
  return ctx.with_client([&](client& c) {
    auto from = pull_consumer::open(c, *options);
    if (!from)
      return ctx.fail("joining group '" + s.group + "'", from.error());
    auto group = c.describe_group(s.group);
    if (!group)
      return ctx.fail("describing group '" + s.group + "'", group.error());
    return receiving(ctx, s, c, std::move(*from), group->options.lease).run();
  });
}

} // namespace

void add_receive_verb(CLI::App& app, context& ctx) {
  auto [verb, s] =
      add_verb(app, ctx, "receive", "Receives messages as a member of a group and settles them", receive);
  verb->add_option("TOPIC", s->topics, "One topic or several")->required();
  verb->add_option("--group", s->group, "The consumer group; made when it does not exist")->required();
  verb->add_option(
      "--member", s->member,
      "Our name in the group (made of host and process by default); a broadcast group keeps our place "
      "under it");
  add_mode(
      *verb, s->mode,
      "Join only a group of this mode, and make a new one so (default: any, and shared): shared, ordered, "
      "or broadcast, in which every member gets every message");
  verb->add_option(
          "--filter", s->filter,
          "Which messages: '*', tags joined by '||', or SQL92 over properties, tag, keys, priority, born and "
          "attempt; the broker passes over the others")
      ->capture_default_str();
  verb->add_option("--from", s->from, "Where a new group begins: earliest, latest or a time")
      ->capture_default_str();
  verb->add_option("--max", s->max, "End after so many messages")->check(whole_number());
  add_duration(*verb, "--wait", s->wait,
               "End when nothing came for so long (default: go on; Ctrl-C ends it)");
  verb->add_option("--settle", s->settle,
                   "ack: they are done; retry: they come again; reject: to the dead letters; none: they go "
                   "back to the group at the end, "
                   "as many as "
                   "the group lets one member hold")
      ->check([](const std::string& value) -> std::string {
        const bool known = value == "ack" || value == "retry" || value == "reject" || value == "none";
        return known ? "" : "must be ack, retry, reject or none";
      })
      ->capture_default_str();
  add_duration(*verb, "--retry-delay", s->retry_delay,
               "Pause before a retried message comes again, from 10ms to 24h (the group's own)")
      ->check([](const std::string& given) {
        const auto pause = parse_duration(given);
        return pause && (*pause < retry_schedule::shortest || *pause > retry_schedule::longest)
                   ? "must be from 10ms to 24h; leave it out for the group's own"
                   : "";
      });
  verb->add_option(
          "--exec", s->command,
          "Run this for each message: the body on its stdin, the rest in TROUPE_ID, TROUPE_TOPIC, "
          "TROUPE_TAG, "
          "TROUPE_KEYS, TROUPE_PROPERTIES, ...; exit code 0 acknowledges, 65 rejects, anything else retries")
      ->check([](const std::string& given) {
        return given.find_first_not_of(" \t\n") == std::string::npos
                   ? "an empty command would acknowledge every message; name one, or leave --exec out"
                   : "";
      });
  verb->add_flag("--reply", s->reply,
                 "With --exec: what the command prints on stdout is the reply to a request (`troupe "
                 "request`); to a message that asks for none nothing is sent");
  verb->add_flag("--quiet", s->quiet, "Print errors only");
  examples(*verb, {"troupe receive orders --group billing",
                   "troupe receive orders --group audit --filter 'paid || refunded' --from latest",
                   "troupe receive orders --group big --filter \"price > 100 AND region IN ('eu', 'us')\"",
                   "troupe receive orders --group peek --max 10 --wait 1s --settle none",
                   "troupe receive orders --group mail --exec 'sendmail \"$TROUPE_PROPERTY_to\"'",
                   "troupe receive prices --group caches --mode broadcast --member $(hostname)",
                   "troupe receive questions --group desk --exec 'tr a-z A-Z' --reply",
                   "troupe --json receive orders --group copy --wait 5s | jq .body",
                   "Output is written out after each delivery; a message is acknowledged after that."});
}

} // namespace troupe::cli
