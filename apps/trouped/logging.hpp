#pragma once

#include "options.hpp"

#include "troupe/ids.hpp"
#include "troupe/log.hpp"

#include <string>

namespace trouped {

/// One line without its end. Text: "TIME LEVEL component event: text name=value ..."; json: an object with
/// time (RFC 3339), level, component, event, text and each field. Control characters are escaped in both: one
/// event is one line.
std::string format(const troupe::log_event& event, log_format as, troupe::timestamp now);

/// Writes events at or above a level to standard error, from any thread.
troupe::log_sink stderr_sink(troupe::log_level level, log_format as);

} // namespace trouped
