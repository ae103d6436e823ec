#include "cli.hpp"

#include "json.hpp"
#include "text.hpp"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>
#include <exception>

namespace troupe::cli {

namespace {

constexpr auto later_group = "Not in this version";

bool is_address(const std::string& text) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size() || text.size() - colon > 6)
    return false;
  auto port = text.substr(colon + 1);
  return std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoul(port) >= 1 && std::stoul(port) <= 65535;
}

void add_globals(CLI::App& app, context& ctx) {
  auto check_address = [](const std::string& text) {
    return is_address(text) ? std::string() : "'" + escape(text, 80) + "' is not HOST:PORT";
  };
  auto& c = ctx.connection;
  app.add_option("--node", c.address, "The node to talk to, HOST:PORT")
      ->envname("TROUPE_NODE")
      ->check(check_address, "")
      ->capture_default_str();
  app.add_flag("--json", ctx.out.json_lines, "One JSON object per line on stdout, nothing else there");
  app.add_option_function<std::string>(
         "--timeout",
         [&c](const std::string& text) {
           auto value = parse_duration(text);
           if (!value)
             throw CLI::ValidationError("--timeout", value.error().reason);
           if (value->count() == 0)
             throw CLI::ValidationError("--timeout", "must be longer than 0");
           c.timeout = *value;
         },
         "How long a request may take (500ms, 10s, 5m)")
      ->default_str("10s");
  const auto* tls = "TLS, all three together";
  auto* cert =
      app.add_option("--tls-cert", c.tls.certificate, "Our certificate, PEM")->check(CLI::ExistingFile);
  auto* key = app.add_option("--tls-key", c.tls.key, "Its key, PEM")->check(CLI::ExistingFile);
  auto* ca = app.add_option("--tls-ca", c.tls.ca, "The CA that signed the node's certificate, PEM");
  ca->check(CLI::ExistingFile);
  for (auto* option : {cert, key, ca})
    option->group(tls);
  cert->needs(key)->needs(ca);
  key->needs(cert)->needs(ca);
  ca->needs(cert)->needs(key);
}

std::string verb_path(const CLI::App& app) {
  for (const auto* verb : app.get_subcommands()) {
    auto rest = verb_path(*verb);
    return rest.empty() ? verb->get_name() : verb->get_name() + " " + rest;
  }
  return {};
}

/// A wrong command line, before or after `--json` was seen.
int report_misuse(context& ctx, const CLI::App& app, const CLI::ParseError& err, bool json_lines) {
  auto verb = verb_path(app);
  bool later = dynamic_cast<const not_built_yet*>(&err) != nullptr;
  ctx.out.json_lines = json_lines;
  std::string what = err.what();
  auto unknown = app.remaining(true);
  if (err.get_name() == "RequiredError" && !unknown.empty() && what.find("subcommand") != std::string::npos)
    what = "'" + escape(unknown.front(), 80) + "' is not a verb" + (verb.empty() ? "" : " of " + verb);
  std::replace(what.begin(), what.end(), '\n', ' ');
  if (what == "A subcommand is required")
    what = "a verb is missing";
  return ctx.fail(verb.empty() ? "troupe" : verb,
                  error{later ? errc::not_supported : errc::invalid_argument, what,
                        later ? "leave it out; a later version will have it"
                              : "see `troupe " + verb + (verb.empty() ? "" : " ") + "--help`"}),
         wrong_usage;
}

bool asks_for_json(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view arg = argv[i];
    if (arg == "--")
      return false;
    if (arg == "--json" || (arg.starts_with("--json=") && arg != "--json=false"))
      return true;
  }
  return false;
}

void declare(CLI::App& app, context& ctx) {
  app.set_version_flag("--version", std::string("troupe ") + TROUPE_VERSION);
  app.fallthrough();
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  add_globals(app, ctx);
  add_topic_verbs(app, ctx);
  add_send_verb(app, ctx);
  add_request_verb(app, ctx);
  add_receive_verb(app, ctx);
  add_group_verbs(app, ctx);
  add_dlq_verbs(app, ctx);
  add_message_verbs(app, ctx);
  add_delay_verbs(app, ctx);
  add_transaction_verbs(app, ctx);
  add_node_verbs(app, ctx);
  add_config_verbs(app, ctx);
  add_bench_verbs(app, ctx);
  examples(app,
           {"troupe topic create orders --queues 8", "troupe send orders 'one book' --key order-1 --tag paid",
            "troupe receive orders --group billing --max 10", "troupe group describe billing",
            "troupe --node 127.0.0.1:7701 --json node status"});
}

} // namespace

int context::fail(const std::string& doing, const error& err) {
  out.failure(doing, err);
  return err.code == errc::not_supported ? wrong_usage : refused;
}

int context::misuse(const std::string& doing, const std::string& why, const std::string& todo) {
  out.failure(doing, {errc::invalid_argument, why, todo});
  return wrong_usage;
}

int context::print(int code) {
  const auto failed = out.flush();
  return failed && code == done ? fail("printing", failed) : code;
}

int context::with_client(const std::function<int(client&)>& work) {
  auto connected = client::connect(connection);
  if (!connected)
    return fail("connecting to " + connection.address, connected.error());
  auto code = work(*connected);
  connected->close();
  return code;
}

void examples(CLI::App& verb, const std::vector<std::string>& lines) {
  std::string text = "Examples:\n";
  for (const auto& line : lines)
    text += "  " + line + "\n";
  verb.footer(text);
}

void add_mode(CLI::App& verb, std::optional<group_mode>& value, const std::string& help) {
  verb.add_option_function<std::string>(
          "--mode",
          [&value](const std::string& given) {
            for (auto mode : {group_mode::shared, group_mode::ordered, group_mode::broadcast})
              if (given == to_string(mode))
                value = mode;
            if (!value)
              throw CLI::ValidationError("--mode", "must be shared, ordered or broadcast");
          },
          help)
      ->type_name("MODE");
}

CLI::Option* add_duration(CLI::App& verb, const std::string& name, std::optional<milliseconds>& value,
                          const std::string& text) {
  return verb
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& given) {
            auto parsed = parse_duration(given);
            if (!parsed)
              throw CLI::ValidationError(name, parsed.error().reason + "; " + parsed.error().hint);
            value = *parsed;
          },
          text)
      ->type_name("DURATION");
}

CLI::Option* add_size(CLI::App& verb, const std::string& name, std::optional<std::uint64_t>& value,
                      const std::string& text) {
  return verb
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& given) {
            auto parsed = parse_size(given);
            if (!parsed)
              throw CLI::ValidationError(name, parsed.error().reason + "; " + parsed.error().hint);
            value = *parsed;
          },
          text)
      ->type_name("SIZE");
}

CLI::Validator whole_number(std::uint64_t most) {
  return {[most](const std::string& text) -> std::string {
            std::uint64_t value = 0;
            auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
            return failed == std::errc{} && end == text.data() + text.size() && value <= most
                       ? ""
                       : "'" + escape(text, 80) + "' is not a whole number from 0 to " + std::to_string(most);
          },
          "", "whole number"};
}

CLI::Option* add_repeated(CLI::App& verb, const std::string& name, std::vector<std::string>& values,
                          const std::string& text) {
  return verb.add_option(name, values, text)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_later(CLI::App& verb, const std::string& name, const std::string& feature) {
  add_later_except(verb, name, {}, feature);
}

result<start_position> start_of(const std::string& from) {
  if (from == "earliest")
    return start_position{};
  if (from == "latest")
    return start_position{start_position::kind::latest, {}};
  auto at = parse_time(from);
  if (!at)
    return error{errc::invalid_argument,
                 "--from " + escape(from, 80) + " is neither earliest, latest nor a time",
                 "write RFC 3339 (2024-05-01T12:30:00Z) or Unix milliseconds"};
  return start_position{start_position::kind::time, *at};
}

void add_later_except(CLI::App& verb, const std::string& name, const std::vector<std::string>& same,
                      const std::string& feature) {
  verb.add_option_function<std::string>(
          name,
          [&verb, name, same, feature](const std::string& given) {
            if (std::find(same.begin(), same.end(), given) == same.end())
              throw not_built_yet(verb.get_name() + " " + name + " " + escape(given, 80) + ": " + feature +
                                  " not built yet");
          },
          feature + " not built yet")
      ->group(later_group);
}

void add_later_verb(CLI::App& app, const std::string& name, const std::string& feature) {
  auto* verb = app.add_subcommand(name, feature + " not built yet");
  verb->group(later_group);
  verb->allow_extras();
  verb->prefix_command();
  verb->fallthrough(false);
  auto path = app.get_parent() != nullptr ? app.get_name() + " " + name : name;
  verb->callback([path, feature] { throw not_built_yet("'" + path + "': " + feature + " not built yet"); });
}

int run(int argc, const char* const* argv) {
  context ctx;
  CLI::App app{"Talks to a Troupe message broker.", "troupe"};
  try {
    declare(app, ctx);
    app.parse(argc, argv);
    return ctx.action ? ctx.print(ctx.action()) : wrong_usage;
  } catch (const CLI::CallForVersion& wanted) {
    if (!asks_for_json(argc, argv))
      return app.exit(wanted);
    ctx.out.line({{"name", "troupe"}, {"version", TROUPE_VERSION}});
    return ctx.print(done);
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& err) {
    return report_misuse(ctx, app, err, asks_for_json(argc, argv));
  } catch (const std::exception& err) {
    return ctx.fail("troupe", {errc::internal, err.what(), "this is a bug; please report it"});
  }
}

} // namespace troupe::cli
