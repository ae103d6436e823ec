#include "cli.hpp"
#include "text.hpp"

// The node's own options: what is checked here is what `trouped --config` will say.
#include <options.hpp>

#include <arpa/inet.h>

#include <array>
#include <filesystem>

namespace troupe::cli {

namespace {

struct show_settings {
  std::string file;
};
struct check_settings {
  std::string file;
};

/// What trouped makes of a file, or why it refuses it. `with_data` stands in for a data directory.
std::variant<trouped::options, trouped::leave> read(const std::string& file, bool with_data) {
  std::vector<std::string> arguments;
  if (!file.empty())
    arguments = {"--config", file};
  if (with_data)
    arguments.insert(arguments.end(), {"--data", "DIR"});
  return trouped::read_options(arguments, [](const std::string&) { return std::nullopt; });
}

/// trouped's text ("trouped: where: why", then hints on lines of their own) as an error.
error error_of(const trouped::leave& refusal) {
  auto text = refusal.text;
  constexpr std::string_view program = "trouped: ";
  if (text.starts_with(program))
    text.erase(0, program.size());
  auto end = text.find('\n');
  error err{errc::invalid_argument, text.substr(0, end)};
  auto rest = end == std::string::npos ? "" : text.substr(end + 1);
  err.hint = rest.substr(0, rest.find('\n'));
  err.hint.erase(0, err.hint.find_first_not_of(' '));
  return err;
}

/// Understood options; a file may leave the data directory to the command line.
struct configuration {
  trouped::options options;
  bool names_data = true;
};
result<configuration> load(const std::string& file) {
  if (std::error_code failed; !file.empty() && !std::filesystem::is_regular_file(file, failed))
    return error{errc::invalid_argument, "it is not a regular file and can be read only once",
                 "name a file on a disk; trouped --config takes others too"};
  auto whole = read(file, false);
  if (auto* options = std::get_if<trouped::options>(&whole))
    return configuration{std::move(*options), true};
  auto without_data = read(file, true);
  if (auto* options = std::get_if<trouped::options>(&without_data))
    return configuration{std::move(*options), false};
  return error_of(std::get<trouped::leave>(without_data));
}

/// Names and values of all options, as the file spells them. Numbers and booleans stand bare in JSON.
std::vector<std::pair<std::string, json>> values_of(const configuration& c) {
  constexpr std::array levels{"trace", "debug", "info", "warning", "error", "off"};
  const auto& n = c.options.node;
  auto host = n.host.find(':') == std::string::npos ? n.host : "[" + n.host + "]";
  std::vector<std::pair<std::string, json>> values;
  if (c.names_data)
    values.emplace_back("data", n.data.string());
  values.emplace_back("listen", host + ":" + std::to_string(n.port));
  values.emplace_back("shards", n.shards);
  values.emplace_back("disk-budget", format_size(n.disk_budget));
  values.emplace_back("in-flight", format_size(n.in_flight));
  values.emplace_back("tail-cache", format_size(n.tail_cache));
  values.emplace_back("max-delay", format_duration(n.max_delay));
  values.emplace_back("transaction-check-after", format_duration(n.transaction_checks.after));
  values.emplace_back("transaction-check-every", format_duration(n.transaction_checks.every));
  values.emplace_back("transaction-max-checks", n.transaction_checks.most);
  values.emplace_back("transaction-timeout", format_duration(n.transaction_checks.gathering));
  values.emplace_back("max-producers", n.max_producers);
  values.emplace_back("producer-memory", format_duration(n.producer_memory));
  values.emplace_back("key-memory", format_size(n.key_memory));
  values.emplace_back("tls-cert", n.tls_certificate.string());
  values.emplace_back("tls-key", n.tls_key.string());
  values.emplace_back("tls-ca", n.tls_ca.string());
  values.emplace_back("name", n.name);
  values.emplace_back("log-level", levels.at(static_cast<std::size_t>(c.options.level)));
  values.emplace_back("log-format", c.options.format == trouped::log_format::json ? "json" : "text");
  values.emplace_back("verify", c.options.verify);
  return values;
}

/// True for an address in numbers that is not loopback. Names are looked up only when the node starts.
bool is_exposed(const std::string& host) {
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1)
    return ntohl(four.s_addr) >> 24 != 127;
  in6_addr six{};
  return inet_pton(AF_INET6, host.c_str(), &six) == 1 && !IN6_IS_ADDR_LOOPBACK(&six);
}

int show(context& ctx, const show_settings& s) {
  auto configuration = load(s.file);
  if (!configuration)
    return ctx.fail("reading the configuration", configuration.error());
  auto object = json::object();
  std::string text;
  for (const auto& [name, value] : values_of(*configuration)) {
    object[name] = value;
    // An empty text is the same as nothing, which TOML has no word for. JSON's strings are TOML's basic
    // strings.
    bool absent = value.is_string() && value.get<std::string>().empty();
    text += (absent ? "# " : "") + name + " = " + value.dump() + "\n";
  }
  if (!configuration->names_data)
    text = "# data = \"DIR\"   (required, here or as --data)\n" + text;
  ctx.out.json_lines ? ctx.out.line(object) : ctx.out.text(text);
  return done;
}

int check(context& ctx, const check_settings& s) {
  auto configuration = load(s.file);
  if (!configuration)
    return ctx.fail("checking '" + s.file + "'", configuration.error());
  const auto& node = configuration->options.node;
  if (is_exposed(node.host) && node.tls_ca.empty())
    return ctx.fail("checking '" + s.file + "'",
                    {errc::invalid_argument,
                     "listen: " + node.host +
                         " is not loopback, and no TLS files are given: whoever reaches it has all rights",
                     "give tls-cert, tls-key and tls-ca, or listen on 127.0.0.1"});
  if (ctx.out.json_lines)
    ctx.out.line({{"file", s.file}, {"valid", true}});
  else
    ctx.out.text(escape(s.file) + ": trouped takes it" +
                 (configuration->names_data ? "" : "; it names no data directory, so start it with --data") +
                 "\n");
  return done;
}

} // namespace

void add_config_verbs(CLI::App& app, context& ctx) {
  auto* config = app.add_subcommand("config", "Look at configuration files of trouped");
  config->require_subcommand(1);
  auto [show_verb, shown] = add_verb(
      *config, ctx, "show", "Prints every option as a file has it: the defaults, or those of a file", show);
  show_verb->add_option("FILE", shown->file, "A config file; without it, the defaults")
      ->check(CLI::ExistingFile);
  examples(*show_verb, {"troupe config show > trouped.toml", "troupe config show trouped.toml"});
  auto [check_verb, checked] =
      add_verb(*config, ctx, "check", "Says whether trouped will take a file, or why not", check);
  check_verb->add_option("FILE", checked->file, "The config file")->required()->check(CLI::ExistingFile);
  examples(*check_verb, {"troupe config check /etc/trouped.toml"});
}

} // namespace troupe::cli
