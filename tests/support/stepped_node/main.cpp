#include "options.hpp"
#include "serve.hpp"
#include "signals.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

/// trouped that kills itself (SIGKILL) at a step: TROUPE_STEP is one of node_config::at_step, its first time
/// counts. Without it an ordinary node.
int main(int argc, char** argv) {
  trouped::end_watch watch;
  auto read = trouped::read_options({argv + 1, argv + argc},
                                    [](const std::string&) { return std::optional<std::string>{}; });
  if (auto* leave = std::get_if<trouped::leave>(&read)) {
    std::fputs(leave->text.c_str(), stderr);
    return leave->code;
  }
  auto& options = std::get<trouped::options>(read);
  if (const char* wanted = std::getenv("TROUPE_STEP"))
    options.node.at_step = [step = std::string{wanted}](std::string_view at) {
      if (at == step)
        std::raise(SIGKILL);
    };
  return trouped::serve(std::move(options), watch);
}
