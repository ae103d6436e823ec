#include "dpkg_log.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <memory>

namespace packages {

namespace {

constexpr std::array actions{"install", "upgrade", "remove", "purge", "configure", "trigproc", "disappear"};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    auto blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    line.remove_prefix(blank == std::string_view::npos ? line.size() : blank + 1);
  }
  return words;
}

/// "2024-05-01" and "12:30:00", local time as dpkg writes it.
std::optional<troupe::timestamp> time_of(std::string_view date, std::string_view clock) {
  std::tm parts{};
  auto text = std::string(date) + " " + std::string(clock);
  const char* end = strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &parts);
  if (end == nullptr || *end != '\0')
    return std::nullopt;
  parts.tm_isdst = -1;
  auto seconds = std::mktime(&parts);
  if (seconds < 0)
    return std::nullopt;
  return troupe::from_unix_ms(std::int64_t{1000} * seconds);
}

/// "dpkg.log" is generation 0, "dpkg.log.3.gz" is 3.
std::optional<unsigned> generation_of(std::string name) {
  if (name == "dpkg.log")
    return 0;
  if (!name.starts_with("dpkg.log."))
    return std::nullopt;
  name.erase(0, 9);
  if (name.ends_with(".gz"))
    name.resize(name.size() - 3);
  unsigned generation = 0;
  auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), generation);
  if (failed != std::errc{} || end != name.data() + name.size())
    return std::nullopt;
  return generation;
}

} // namespace

bool concerns_no_package(std::string_view line) {
  auto words = words_of(line);
  return words.size() >= 4 && time_of(words[0], words[1]) &&
         (words[2] == "startup" || words[2] == "conffile");
}

std::optional<troupe::message> parse_line(std::string_view line) {
  auto words = words_of(line);
  if (words.size() != 6)
    return std::nullopt;
  auto born = time_of(words[0], words[1]);
  bool is_status = words[2] == "status";
  if (!born || (!is_status && std::find(actions.begin(), actions.end(), words[2]) == actions.end()))
    return std::nullopt;
  auto package = std::string(words[is_status ? 4 : 3]);
  troupe::message m;
  m.body = line;
  m.keys = {package};
  m.order_key = package;
  m.tag = words[2];
  m.born = *born;
  if (is_status)
    m.properties = {{"state", std::string(words[3])}, {"version", std::string(words[5])}};
  else
    m.properties = {{"old", std::string(words[4])}, {"new", std::string(words[5])}};
  return m;
}

std::vector<std::filesystem::path> log_files(const std::filesystem::path& directory) {
  std::vector<std::pair<unsigned, std::filesystem::path>> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored))
    if (auto generation = generation_of(entry.path().filename().string()))
      found.emplace_back(*generation, entry.path());
  std::sort(found.rbegin(), found.rend());
  std::vector<std::filesystem::path> files;
  for (auto& [generation, path] : found)
    files.push_back(std::move(path));
  return files;
}

std::string for_each_line(const std::filesystem::path& file,
                          const std::function<void(std::string_view)>& take) {
  // Reads what is not compressed as it is.
  std::unique_ptr<gzFile_s, decltype(&gzclose)> in(gzopen(file.c_str(), "re"), gzclose);
  if (!in)
    return "cannot open " + file.string();
  std::array<char, 16384> buffer{};
  std::string line;
  while (gzgets(in.get(), buffer.data(), buffer.size()) != nullptr) {
    line += buffer.data();
    if (!line.ends_with('\n'))
      continue; // the line is longer than the buffer, or the last one without an end
    line.pop_back();
    take(line);
    line.clear();
  }
  if (!line.empty())
    take(line);
  int failed = Z_OK;
  const char* why = gzerror(in.get(), &failed);
  return failed == Z_OK || failed == Z_STREAM_END ? "" : "cannot read " + file.string() + ": " + why;
}

} // namespace packages
