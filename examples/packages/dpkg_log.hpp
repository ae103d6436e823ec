#pragma once

#include <troupe/message.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What dpkg writes into its log, as messages. See dpkg(1), --log: a line is one of
///   YYYY-MM-DD HH:MM:SS startup TYPE COMMAND
///   YYYY-MM-DD HH:MM:SS status STATE PACKAGE VERSION
///   YYYY-MM-DD HH:MM:SS ACTION PACKAGE OLD-VERSION NEW-VERSION
///   YYYY-MM-DD HH:MM:SS conffile FILE DECISION
/// with PACKAGE as name:architecture.
namespace packages {

/// One event as a message: key and order key are the package, so that its events stay in order; the tag is
/// the action (install, upgrade, remove, purge, configure, trigproc, disappear, status), the properties are
/// `state` and `version` or `old` and `new`, born is the time in the log (local time), the body is the line.
/// Nothing for lines that concern no package (startup, conffile) and for lines that are none of dpkg's.
std::optional<troupe::message> parse_line(std::string_view line);
/// True for lines that parse_line() leaves out because they concern no package.
bool concerns_no_package(std::string_view line);

/// dpkg.log and its rotated siblings (dpkg.log.1, dpkg.log.2.gz, ...) in a directory, the oldest first.
std::vector<std::filesystem::path> log_files(const std::filesystem::path& directory);

/// Calls `take` for each line of a file, compressed with gzip or not. Empty, or why it could not be read to
/// its end.
std::string for_each_line(const std::filesystem::path& file,
                          const std::function<void(std::string_view)>& take);

} // namespace packages
