#include "options.hpp"

#include "config_file.hpp"

#include "troupe/units.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <istream>
#include <map>
#include <memory>
#include <utility>

namespace trouped {

namespace {

using troupe::errc;
using troupe::error;
using troupe::result;

constexpr auto description =
    "trouped is a Troupe node: a durable message broker in one process.\n"
    "It keeps topics in a data directory and serves clients (the command troupe, and programs with the C++ "
    "library).\n"
    "When it is ready it prints one line on standard output, and nothing else there:\n"
    "    trouped ready on HOST:PORT data=DIR\n"
    "Logs go to standard error.";

constexpr auto footer =
    "Examples:\n"
    "  trouped --data /var/lib/troupe\n"
    "  trouped --data ./data --listen 127.0.0.1:0 --shards 2 --disk-budget 20GiB\n"
    "  trouped --data ./data --listen 0.0.0.0:7700 --tls-cert node.pem --tls-key node.key --tls-ca ca.pem\n"
    "  trouped --data ./data --verify\n"
    "\n"
    "Every option can also stand in the config file, in TOML under its own name, and in the environment as "
    "TROUPE_ with\n"
    "its name in capitals (TROUPE_DATA, TROUPE_DISK_BUDGET). The command line wins over the environment, "
    "that over the file.\n"
    "  # trouped.toml\n"
    "  data = \"/var/lib/troupe\"\n"
    "  listen = \"127.0.0.1:7700\"\n"
    "  disk-budget = \"20GiB\"\n"
    "\n"
    "SIGTERM or SIGINT: what waits is committed and answered, then it exits with 0, within 5 s. A second one "
    "ends it at once;\n"
    "what was acknowledged is safe even then.\n"
    "Exit codes: 0 done; 1 it could not (in use, damaged, full, failed: the log says what); 2 wrong usage.";

/// The options as text, before they are understood.
struct texts {
  std::string data;
  std::string listen = "127.0.0.1:7700";
  std::string shards = "0";
  std::string disk_budget = "0";
  std::string in_flight = "64MiB";
  std::string tail_cache = "64MiB";
  std::string max_delay = "40d";
  std::string check_after = "6s";
  std::string check_every = "30s";
  std::string max_checks = "15";
  std::string transaction_timeout = "1m";
  std::string max_producers = "1000000";
  std::string producer_memory = "7d";
  std::string key_memory = "256MiB";
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  std::string name;
  std::string log_level = "info";
  std::string log_format = "text";
  bool verify = false;
};

void add_options(CLI::App& app, texts& t) {
  app.add_option("--data", t.data, "Data directory; made when it does not exist. Required")->type_name("DIR");
  app.add_option("--listen", t.listen,
                 "Where clients connect. Port 0: any free one. Off loopback only with --tls-*")
      ->type_name("HOST:PORT");
  app.add_option("--shards", t.shards,
                 "Shards of a new data directory, 1 to 64, fixed when it is made. 0: 1, or what it has")
      ->type_name("N");
  app.add_option("--disk-budget", t.disk_budget,
                 "Bytes the data may take on disk; beyond, publishing is refused until there is room. 0: all "
                 "there is")
      ->type_name("SIZE");
  app.add_option("--in-flight", t.in_flight,
                 "Bytes of messages on their way to the disk, over all queues; beyond, "
                 "producers are told to slow down")
      ->type_name("SIZE");
  app.add_option("--tail-cache", t.tail_cache,
                 "Bytes of newest messages kept in memory for consumers that keep up")
      ->type_name("SIZE");
  app.add_option("--max-delay", t.max_delay, "How far ahead a message may be due when it is published")
      ->type_name("DURATION");
  app.add_option("--transaction-check-after", t.check_after,
                 "How long a prepared transaction may stay undecided before a program of its producer group "
                 "is asked about it")
      ->type_name("DURATION");
  app.add_option("--transaction-check-every", t.check_every, "Time between two checks of a transaction")
      ->type_name("DURATION");
  app.add_option("--transaction-max-checks", t.max_checks,
                 "After so many it is parked: kept, listed, and decided by hand (troupe transaction)")
      ->type_name("N");
  app.add_option("--transaction-timeout", t.transaction_timeout,
                 "How long a transaction of several messages may gather them; then it is rolled back")
      ->type_name("DURATION");
  app.add_option("--max-producers", t.max_producers,
                 "Producers that each shard remembers, per queue; beyond, those that were silent for longest "
                 "are forgotten")
      ->type_name("N");
  app.add_option("--producer-memory", t.producer_memory,
                 "How long a producer is remembered after its last message; 1h or more")
      ->type_name("DURATION");
  app.add_option(
         "--key-memory", t.key_memory,
         "Memory for the keys of topics with --dedupe-key-window, 12 to 18 bytes a key in the window; "
         "beyond, their producers are told to wait")
      ->type_name("SIZE");
  app.add_option("--tls-cert", t.tls_cert, "This node's certificate, PEM")->type_name("FILE");
  app.add_option("--tls-key", t.tls_key, "Its key, PEM, without a passphrase")->type_name("FILE");
  app.add_option("--tls-ca", t.tls_ca,
                 "The private CA that signs the certificates of all peers, PEM. Every certificate of it has "
                 "all rights")
      ->type_name("FILE");
  app.add_option("--name", t.name, "Shown to clients and operators. Default: the host's name")
      ->type_name("NAME");
  app.add_option("--log-level", t.log_level, "trace, debug, info, warning, error or off")->type_name("LEVEL");
  app.add_option("--log-format", t.log_format, "text, or json: one object per line")->type_name("FORMAT");
  app.add_flag("--verify", t.verify,
               "Read and check everything in the data directory, print what is damaged, and exit: "
               "0 all is sound, 1 something is not");
  for (auto* option : app.get_options())
    option->capture_default_str();
}

std::string variable_name(const std::string& option) {
  std::string name = "TROUPE_" + option;
  std::ranges::transform(name, name.begin(), [](char c) {
    return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

/// Where a value came from, for messages.
using origins = std::map<std::string, std::string>;

leave wrong(const std::string& where, const std::string& why, const std::string& hint = {}) {
  auto text = "trouped: " + (where.empty() ? "" : where + ": ") + why + "\n";
  if (!hint.empty())
    text += "  " + hint + "\n";
  return {2, text + "  trouped --help says more\n"};
}

template <class T> result<T> read_number(const std::string& text, T most) {
  T value{};
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size() || value > most)
    return error{errc::invalid_argument,
                 '"' + text + "\" is not a whole number from 0 to " + std::to_string(most)};
  return value;
}

struct address {
  std::string host;
  std::uint16_t port = 0;
};

result<address> read_address(const std::string& text) {
  error bad{errc::invalid_argument, '"' + text + "\" is not HOST:PORT",
            "for example 127.0.0.1:7700, localhost:0 or [::1]:7700"};
  auto colon = text.rfind(':');
  if (colon == std::string::npos)
    return bad;
  auto port = read_number<std::uint16_t>(text.substr(colon + 1), 65535);
  auto host = text.substr(0, colon);
  if (!port)
    return bad;
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    return bad;
  return address{host.empty() ? "127.0.0.1" : host, *port};
}

result<troupe::log_level> read_level(const std::string& text) {
  const char* const names[] = {"trace", "debug", "info", "warning", "error", "off"};
  auto at = std::ranges::find(names, text);
  if (at == std::end(names))
    return error{errc::invalid_argument, '"' + text + "\" is not a log level",
                 "trace, debug, info, warning, error or off"};
  return static_cast<troupe::log_level>(at - std::begin(names));
}

result<log_format> read_format(const std::string& text) {
  if (text == "text")
    return log_format::text;
  if (text == "json")
    return log_format::json;
  return error{errc::invalid_argument, '"' + text + "\" is not a log format", "text or json"};
}

/// Understands the texts one after the other; keeps the first thing that is wrong.
class reader {
public:
  explicit reader(const origins& from) : from_(from) {}

  template <class T, class Target> void take(const std::string& option, result<T> value, Target& into) {
    if (value)
      into = std::move(*value);
    else if (!wrong_) {
      auto at = from_.find(option);
      wrong_ =
          wrong(at == from_.end() ? "--" + option : at->second, value.error().reason, value.error().hint);
    }
  }
  const std::optional<leave>& failed() const { return wrong_; }

private:
  const origins& from_;
  std::optional<leave> wrong_;
};

std::variant<options, leave> understand(const texts& t, const origins& from) {
  options o;
  address listen;
  reader read{from};
  read.take("listen", read_address(t.listen), listen);
  read.take("shards", read_number<std::uint16_t>(t.shards, 64), o.node.shards);
  read.take("disk-budget", troupe::parse_size(t.disk_budget), o.node.disk_budget);
  read.take("in-flight", troupe::parse_size(t.in_flight), o.node.in_flight);
  read.take("tail-cache", troupe::parse_size(t.tail_cache), o.node.tail_cache);
  read.take("max-delay", troupe::parse_duration(t.max_delay), o.node.max_delay);
  read.take("transaction-check-after", troupe::parse_duration(t.check_after),
            o.node.transaction_checks.after);
  read.take("transaction-check-every", troupe::parse_duration(t.check_every),
            o.node.transaction_checks.every);
  read.take("transaction-max-checks", read_number<std::uint32_t>(t.max_checks, 1'000'000),
            o.node.transaction_checks.most);
  read.take("transaction-timeout", troupe::parse_duration(t.transaction_timeout),
            o.node.transaction_checks.gathering);
  read.take("max-producers", read_number<std::uint64_t>(t.max_producers, 1'000'000'000),
            o.node.max_producers);
  read.take("producer-memory", troupe::parse_duration(t.producer_memory), o.node.producer_memory);
  read.take("key-memory", troupe::parse_size(t.key_memory), o.node.key_memory);
  read.take("log-level", read_level(t.log_level), o.level);
  read.take("log-format", read_format(t.log_format), o.format);
  if (read.failed())
    return *read.failed();
  o.node.data = t.data;
  o.node.host = listen.host;
  o.node.port = listen.port;
  o.node.tls_certificate = t.tls_cert;
  o.node.tls_key = t.tls_key;
  o.node.tls_ca = t.tls_ca;
  o.node.name = t.name;
  o.verify = t.verify;
  if (auto err = troupe::validate(o.node))
    return wrong(o.node.data.empty() ? "--data" : "", err.reason, err.hint);
  return o;
}

/// What was read from the config file, or what is wrong there.
struct file_contents {
  std::vector<setting> settings;
  config_error wrong;
};

/// CLI11 asks this for the config file: our reader instead of its own, which takes nearly anything.
class file_reader : public CLI::ConfigBase {
public:
  file_reader(std::vector<known_key> known, file_contents& contents)
      : known_(std::move(known)), contents_(contents) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::string text(max_config + 1, '\0');
    input.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(input.gcount()));
    if (text.size() > max_config)
      contents_.wrong.why = {errc::too_large, "it is longer than 1 MiB", "name a config file of trouped"};
    else
      contents_.settings = read_config(text, known_, contents_.wrong);
    if (contents_.wrong.why)
      throw CLI::ConfigError(contents_.wrong.why.reason);
    std::vector<CLI::ConfigItem> items;
    for (const auto& s : contents_.settings)
      items.push_back({{}, s.key, {s.value}});
    return items;
  }

private:
  std::vector<known_key> known_;
  file_contents& contents_;
};

bool may_stand_in_file(const std::string& option) {
  return option != "help" && option != "version" && option != "config";
}

std::vector<known_key> keys_of(const CLI::App& app) {
  std::vector<known_key> keys;
  for (const auto* option : app.get_options())
    if (auto name = option->get_single_name(); may_stand_in_file(name))
      keys.push_back({name, option->get_expected_min() == 0});
  return keys;
}

bool names_option(const std::string& argument, const std::string& option) {
  return argument == "--" + option || argument.starts_with("--" + option + "=");
}

} // namespace

std::variant<options, leave> read_options(const std::vector<std::string>& arguments, const environment& env) {
  CLI::App app{description, "trouped"};
  app.footer(footer);
  app.set_version_flag("--version", std::string{"trouped "} + TROUPE_VERSION);
  texts t;
  add_options(app, t);
  app.set_config("--config", "", "Config file")->type_name("FILE")->check(CLI::ExistingFile);
  file_contents file;
  app.config_formatter(std::make_shared<file_reader>(keys_of(app), file));
  // The environment comes first on the command line: then it wins over the file, and a later option over it.
  std::vector<std::string> all;
  origins from;
  for (const auto* option : app.get_options()) {
    const auto name = option->get_single_name();
    if (name == "help" || name == "version")
      continue;
    auto value = env(variable_name(name));
    if (!value || std::ranges::any_of(arguments, [&](const auto& a) { return names_option(a, name); }))
      continue;
    all.push_back("--" + name + "=" + *value);
    from[name] = "environment variable " + variable_name(name);
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::ranges::reverse(all);
  try {
    app.parse(all);
  } catch (const CLI::CallForHelp&) {
    return leave{0, app.help()};
  } catch (const CLI::CallForVersion& version) {
    return leave{0, std::string{version.what()} + "\n"};
  } catch (const CLI::ConfigError& err) {
    auto where = app.get_option("--config")->as<std::string>();
    if (file.wrong.line > 0)
      where += ":" + std::to_string(file.wrong.line);
    return wrong(where, err.what(), file.wrong.why.hint);
  } catch (const CLI::ParseError& err) {
    return wrong("", err.what());
  }
  for (const auto& [key, value, line] : file.settings)
    if (!from.contains(key) &&
        std::ranges::none_of(arguments, [&](const auto& a) { return names_option(a, key); }))
      from[key] = key + " in " + app.get_option("--config")->as<std::string>() + ":" + std::to_string(line);
  return understand(t, from);
}

} // namespace trouped
