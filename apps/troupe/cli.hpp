#pragma once

#include "output.hpp"

#include "troupe/client.hpp"
#include "troupe/units.hpp"

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// The command line `troupe`: one file per family of verbs. A verb declares its options and what to do;
/// main() parses, then does that one thing.
namespace troupe::cli {

/// What every verb works with.
struct context {
  client_options connection;
  output out;
  /// What the parsed command line asks for; gives the exit code.
  std::function<int()> action;

  /// Prints why something did not work; gives the exit code for it.
  int fail(const std::string& doing, const error& err);
  /// Wrong usage that parsing could not see.
  int misuse(const std::string& doing, const std::string& why, const std::string& todo);
  /// Writes out what was printed; the exit code, which is another when that fails.
  int print(int code);
  /// Connects and hands the client over; says so when it cannot.
  int with_client(const std::function<int(client&)>& work);
};

/// A verb of a later version, or an option of one: exit 2 and a text that names it.
class not_built_yet : public CLI::ParseError {
public:
  explicit not_built_yet(const std::string& what)
      : ParseError("not_built_yet", what, CLI::ExitCodes::ValidationError) {}
};

/// Adds a verb with its own options type: `work` gets them after parsing.
template <class Options>
std::pair<CLI::App*, std::shared_ptr<Options>> add_verb(CLI::App& app, context& ctx, const std::string& name,
                                                        const std::string& text,
                                                        int (*work)(context&, const Options&)) {
  auto* verb = app.add_subcommand(name, text);
  auto options = std::make_shared<Options>();
  verb->callback(
      [&ctx, options, work] { ctx.action = [&ctx, options, work] { return work(ctx, *options); }; });
  return {verb, options};
}

/// Examples under a verb's help, one per line: the command, two or more blanks, what it does.
void examples(CLI::App& verb, const std::vector<std::string>& lines);

/// The value of a `--from`: earliest, latest or a time.
result<start_position> start_of(const std::string& from);

/// --mode: shared, ordered or broadcast.
void add_mode(CLI::App& verb, std::optional<group_mode>& value, const std::string& help);

// Options with units. What cannot be parsed is wrong usage, with the reason.
CLI::Option* add_duration(CLI::App& verb, const std::string& name, std::optional<milliseconds>& value,
                          const std::string& text);
CLI::Option* add_size(CLI::App& verb, const std::string& name, std::optional<std::uint64_t>& value,
                      const std::string& text);
/// For check(): a whole number that is not negative and fits into `most`. CLI11 alone lets -1 through to an
/// optional unsigned number.
CLI::Validator whole_number(std::uint64_t most = ~std::uint64_t{0});
/// An option that may be given several times, one value each.
CLI::Option* add_repeated(CLI::App& verb, const std::string& name, std::vector<std::string>& values,
                          const std::string& text);

/// An option of a later version: named in the help of that group, refused when given.
void add_later(CLI::App& verb, const std::string& name, const std::string& feature);
/// As add_later, but a value that says what this version does anyway is taken.
void add_later_except(CLI::App& verb, const std::string& name, const std::vector<std::string>& same,
                      const std::string& feature);
/// A verb of a later version.
void add_later_verb(CLI::App& app, const std::string& name, const std::string& feature);

void add_topic_verbs(CLI::App& app, context& ctx);
void add_send_verb(CLI::App& app, context& ctx);
void add_request_verb(CLI::App& app, context& ctx);
void add_receive_verb(CLI::App& app, context& ctx);
void add_group_verbs(CLI::App& app, context& ctx);
void add_dlq_verbs(CLI::App& app, context& ctx);
void add_message_verbs(CLI::App& app, context& ctx);
void add_delay_verbs(CLI::App& app, context& ctx);
void add_transaction_verbs(CLI::App& app, context& ctx);
void add_node_verbs(CLI::App& app, context& ctx);
void add_config_verbs(CLI::App& app, context& ctx);
void add_bench_verbs(CLI::App& app, context& ctx);

/// The whole program but for the process: parses, does, gives the exit code. Throws nothing.
int run(int argc, const char* const* argv);

} // namespace troupe::cli
