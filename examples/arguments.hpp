#pragma once

#include <CLI/CLI.hpp>

#include <optional>

namespace troupe::examples {

/// Reads the command line. The exit code when the program is to end: 0 after --help, 2 for wrong usage.
inline std::optional<int> read_arguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return {};
  } catch (const CLI::ParseError& err) {
    return app.exit(err) == 0 ? 0 : 2;
  }
}

} // namespace troupe::examples
