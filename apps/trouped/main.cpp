#include "options.hpp"
#include "serve.hpp"
#include "signals.hpp"
#include "standard_streams.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sys/resource.h>

namespace {

/// Every client costs a descriptor; the soft limit is often 1024.
void raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0)
    return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

} // namespace

int main(int argc, char** argv) {
  trouped::hold_standard_streams();
  try {
    // Before any thread: they inherit the blocked signals.
    trouped::end_watch watch;
    auto env = [](const std::string& name) -> std::optional<std::string> {
      const char* value = std::getenv(name.c_str());
      return value ? std::optional<std::string>{value} : std::nullopt;
    };
    auto read = trouped::read_options({argv + 1, argv + argc}, env);
    if (auto* leave = std::get_if<trouped::leave>(&read)) {
      std::fputs(leave->text.c_str(), leave->code == 0 ? stdout : stderr);
      return leave->code;
    }
    auto& options = std::get<trouped::options>(read);
    if (options.verify) {
      // Nothing to drain: a signal may simply end it.
      watch.let_signals_kill();
      return trouped::verify(options);
    }
    raise_descriptor_limit();
    return trouped::serve(std::move(options), watch);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "trouped: %s\n", failure.what());
    return 1;
  }
}
