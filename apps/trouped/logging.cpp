#include "logging.hpp"

#include "troupe/units.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <memory>

namespace trouped {

namespace {

constexpr const char* level_names[] = {"trace", "debug", "info", "warning", "error", "off"};

const char* name_of(troupe::log_level level) { return level_names[static_cast<int>(level)]; }

std::string escaped(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (unsigned char c : text) {
    if (c >= 0x20 && c != 0x7f)
      result += static_cast<char>(c);
    else
      (result += "\\x") += {digits[c >> 4], digits[c & 15]};
  }
  return result;
}

/// As it is when it cannot be misread, else in quotes.
std::string value_text(const std::string& value) {
  auto text = escaped(value);
  if (!text.empty() && text.find_first_of(" \"=") == std::string::npos)
    return text;
  std::string quoted{'"'};
  for (char c : text) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

spdlog::level::level_enum to_spdlog(troupe::log_level level) {
  switch (level) {
  case troupe::log_level::trace:
    return spdlog::level::trace;
  case troupe::log_level::debug:
    return spdlog::level::debug;
  case troupe::log_level::info:
    return spdlog::level::info;
  case troupe::log_level::warning:
    return spdlog::level::warn;
  case troupe::log_level::error:
    return spdlog::level::err;
  default:
    return spdlog::level::off;
  }
}

} // namespace

std::string format(const troupe::log_event& event, log_format as, troupe::timestamp now) {
  const auto time = troupe::format_time(now);
  if (as == log_format::text) {
    std::string level{name_of(event.level)};
    level.resize(7, ' ');
    auto line = time + ' ' + level + ' ' + escaped(event.component) + ' ' + escaped(event.event) + ": " +
                escaped(event.text);
    for (const auto& [name, value] : event.fields)
      line += ' ' + escaped(name) + '=' + value_text(value);
    return line;
  }
  nlohmann::ordered_json object{{"time", time},
                                {"level", name_of(event.level)},
                                {"component", event.component},
                                {"event", event.event},
                                {"text", event.text}};
  for (const auto& [name, value] : event.fields)
    object.emplace(name, value);
  // Bytes that are no UTF-8 come from outside: they are replaced, never a reason to lose the event.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

troupe::log_sink stderr_sink(troupe::log_level level, log_format as) {
  auto logger =
      std::make_shared<spdlog::logger>("trouped", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(to_spdlog(level));
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::trace);
  return [logger, as](const troupe::log_event& event) {
    if (!logger->should_log(to_spdlog(event.level)))
      return;
    auto now = std::chrono::floor<troupe::milliseconds>(std::chrono::system_clock::now());
    logger->log(to_spdlog(event.level), spdlog::string_view_t{format(event, as, now)});
  };
}

} // namespace trouped
