#include "cli.hpp"
#include "content.hpp"
#include "json.hpp"
#include "text.hpp"

#include "troupe/requester.hpp"

namespace troupe::cli {

namespace {

struct request_settings : content_settings {
  std::string topic;
  std::optional<milliseconds> wait;
};

/// The reply's body as it came: what `$(troupe request ...)` wants.
void report(context& ctx, const request_settings& s, const message& answer) {
  if (ctx.out.json_lines)
    return ctx.out.line(to_json(answer, s.topic));
  ctx.out.text(ctx.out.terminal() ? escape(answer.body) + "\n" : answer.body);
}

int request(context& ctx, const request_settings& s) {
  const auto doing = "asking over '" + s.topic + "'";
  auto m = attributes_of(s);
  if (!m)
    return ctx.misuse("request", m.error().reason, m.error().hint);
  auto body = body_of(s);
  if (!body)
    return body.error().code == errc::invalid_argument
               ? ctx.misuse(doing, body.error().reason, body.error().hint)
               : ctx.fail(doing, body.error());
  m->body = std::move(*body);
  // The whole of it takes no longer than was asked for.
  const auto wait = s.wait.value_or(ctx.connection.timeout);
  ctx.connection.timeout = std::min(ctx.connection.timeout, wait);
  return ctx.with_client([&](client& c) {
    auto by = requester::open(c, {.topic = s.topic, .timeout = ctx.connection.timeout});
    if (!by)
      return ctx.fail(doing, by.error());
    const auto answer = by->request(std::move(*m), wait);
    if (!answer)
      return ctx.fail(doing, answer.error());
    report(ctx, s, *answer);
    return static_cast<int>(done);
  });
}

} // namespace

void add_request_verb(CLI::App& app, context& ctx) {
  auto [verb, s] =
      add_verb(app, ctx, "request",
               "Publishes a message that asks, and waits for the reply of whoever consumes it", request);
  verb->add_option("TOPIC", s->topic, "Where to")->required();
  const auto [body, file] =
      add_body(*verb, *s, "The body; without BODY and --file: standard input", "What to send");
  body->excludes(file);
  add_attributes(*verb, *s);
  add_duration(*verb, "--wait", s->wait,
               "How long to wait for the reply: 1ms to 24h (default: the --timeout)")
      ->check([](const std::string& given) {
        const auto wait = parse_duration(given);
        return wait && (*wait < milliseconds{1} || *wait > std::chrono::hours{24}) ? "must be from 1ms to 24h"
                                                                                   : "";
      });
  examples(*verb, {"troupe request questions 'how many?'",
                   "troupe receive questions --group desk --exec 'wc -c' --reply    answers them",
                   "troupe request prices EURUSD --wait 2s || echo nobody answered",
                   "The reply's body is printed as it is. No reply within the time: exit code 1; nothing is "
                   "known then of what became of the request."});
}

} // namespace troupe::cli
