#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

enum class log_level : std::uint8_t { trace = 0, debug = 1, info = 2, warning = 3, error = 4, off = 5 };

/// One thing that a part of a node has to say. `component` and `event` are stable names, meant for programs;
/// the text is for people.
struct log_event {
  log_level level = log_level::info;
  std::string_view component;
  std::string_view event;
  std::string text;
  std::vector<std::pair<std::string, std::string>> fields;
};

/// Takes events from any thread at any time, must not throw and must not block for long. Nothing on a hot
/// path logs above debug. Empty: nobody listens.
using log_sink = std::function<void(const log_event&)>;

inline void log(const log_sink& sink, log_event event) {
  if (sink)
    sink(event);
}

} // namespace troupe
