#pragma once

#include "interrupt.hpp"

#include "troupe/error.hpp"
#include "troupe/status.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

/// The environment that tells a command of its message: TROUPE_ID, TROUPE_TOPIC, TROUPE_QUEUE, TROUPE_OFFSET,
/// TROUPE_ATTEMPT, TROUPE_STORED and TROUPE_BORN (Unix milliseconds), TROUPE_TAG, TROUPE_ORDER_KEY,
/// TROUPE_KEYS (one a line), TROUPE_PROPERTIES (a JSON object) and TROUPE_PROPERTY_<NAME> for names of
/// letters, digits and '_'. A value with a zero byte, which no environment can hold, is left out; absent
/// values are empty.
std::vector<std::pair<std::string, std::string>> environment_of(const received_message& m);

struct command_options {
  /// Run by /bin/sh -c.
  std::string command;
  /// Called every so often while it runs.
  std::chrono::milliseconds every{10'000};
  std::function<void()> meanwhile;
  /// Gets what it prints on stdout and stderr, line by line, long ones in pieces; empty: they are ours.
  std::function<void(std::string_view)> hear;
  /// Gets the bytes of its stdout, in pieces; then `hear` hears its stderr only.
  std::function<void(std::string_view)> take;
};

/// Runs a command with `input` on its standard input, in a process group of its own so that a Ctrl-C meant
/// for us does not end it. Gives its exit code, or 128 + n when signal n ended it. A command that does not
/// read its input to the end is fine. An impatient interrupt kills the group and gives shutting_down. Other
/// errors: it could not be started.
result<int> run_command(const command_options& options, std::string_view input,
                        const std::vector<std::pair<std::string, std::string>>& environment,
                        const interrupt& stop);

} // namespace troupe::cli
