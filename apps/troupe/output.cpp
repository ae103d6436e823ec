#include "output.hpp"

#include "text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace troupe::cli {

namespace {

constexpr std::string_view bold = "\x1b[1m";
constexpr std::string_view red = "\x1b[31m";
constexpr std::string_view plain = "\x1b[0m";

bool wants_colour(int fd) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(fd) != 0 && (no_colour == nullptr || *no_colour == '\0') &&
         (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

/// So many bytes wait at most, but for the line that makes them more.
constexpr std::size_t most_waiting = 1 << 16;

/// 0, or the errno of what failed.
int write_all(int to, std::string_view text) {
  while (!text.empty()) {
    const auto n = write(to, text.data(), text.size());
    if (n >= 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

std::string dumped(const json& object) {
  return object.dump(-1, ' ', false, nlohmann::detail::error_handler_t::replace) + "\n";
}

} // namespace

table::table(std::vector<std::string> headers) {
  for (auto& header : headers) {
    right_.push_back(header.starts_with('>'));
    headers_.push_back(header.substr(right_.back() ? 1 : 0));
  }
}

void table::row(std::vector<std::string> cells) {
  cells.resize(headers_.size());
  for (auto& cell : cells)
    cell = escape(cell);
  rows_.push_back(std::move(cells));
}

std::string table::text(bool colour) const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < headers_.size(); ++column) {
    auto widest = width(headers_[column]);
    for (const auto& row : rows_)
      widest = std::max(widest, width(row[column]));
    widths.push_back(widest);
  }
  std::string out;
  auto add = [&](const std::vector<std::string>& cells) {
    for (std::size_t column = 0; column < cells.size(); ++column) {
      bool last = column + 1 == cells.size();
      auto padding = std::string(widths[column] - width(cells[column]), ' ');
      out += right_[column] ? padding + cells[column] : last ? cells[column] : cells[column] + padding;
      out += last ? "" : "  ";
    }
    out += '\n';
  };
  out += colour ? bold : "";
  add(headers_);
  out += colour ? plain : "";
  for (const auto& row : rows_)
    add(row);
  return out;
}

output::output(int to) : to_(to), terminal_(isatty(to) != 0), colour_(wants_colour(to)) {}

void output::put(std::string_view text) {
  waiting_ += text;
  if (waiting_.size() >= most_waiting)
    write_out(waiting_.rfind('\n') + 1);
}

void output::write_out(std::size_t size) {
  if (failure_ == 0)
    failure_ = write_all(to_, std::string_view(waiting_).substr(0, size));
  waiting_.erase(0, size);
}

void output::line(const json& object) { put(dumped(object)); }

void output::text(std::string_view text) {
  if (!json_lines)
    put(text);
}

void output::fields(const std::vector<std::pair<std::string, std::string>>& values) {
  std::size_t widest = 0;
  for (const auto& [label, value] : values)
    widest = std::max(widest, label.size());
  for (const auto& [label, value] : values)
    text(label + ":" + std::string(widest - label.size() + 2, ' ') + escape(value) + "\n");
}

error output::flush() {
  write_out(waiting_.size());
  if (failure_ == 0)
    return {};
  const bool full = failure_ == ENOSPC || failure_ == EDQUOT;
  return {full ? errc::no_space : errc::invalid_argument,
          std::string("cannot write to standard output: ") + std::strerror(failure_),
          "see why the reading program ended, or where the output is written to"};
}

void output::failure(const std::string& doing, const error& err, const json& extra) {
  std::lock_guard lock(errors_);
  clear_progress();
  if (json_lines) {
    auto object = to_json(err);
    object["what"] = doing;
    object.update(extra);
    write_all(STDERR_FILENO, dumped(object));
    return;
  }
  bool colour = wants_colour(STDERR_FILENO);
  std::string text = "troupe: ";
  text += colour ? red : "";
  text += escape(doing) + ": " + escape(err.reason.empty() ? std::string(to_string(err.code)) : err.reason);
  text += colour ? plain : "";
  text += " [" + std::string(to_string(err.code)) + "]\n";
  if (!err.hint.empty())
    text += "  what to do: " + escape(err.hint) + "\n";
  if (err.retry_after.count() > 0)
    text += "  try again after " + std::to_string(err.retry_after.count()) + " ms\n";
  write_all(STDERR_FILENO, text);
}

void output::note(std::string_view text) {
  std::lock_guard lock(errors_);
  clear_progress();
  write_all(STDERR_FILENO, json_lines ? dumped({{"note", text}}) : "troupe: " + escape(text) + "\n");
}

void output::progress(std::string_view text) {
  std::lock_guard lock(errors_);
  if (text.empty())
    return clear_progress();
  auto now = std::chrono::steady_clock::now();
  if (json_lines || now - last_progress_ < std::chrono::milliseconds(200) || !wants_colour(STDERR_FILENO))
    return;
  last_progress_ = now;
  progress_shown_ = true;
  write_all(STDERR_FILENO, "\r\x1b[K" + escape(text));
}

void output::clear_progress() {
  if (std::exchange(progress_shown_, false))
    write_all(STDERR_FILENO, "\r\x1b[K");
}

json to_json(const error& err) {
  json object{{"error", to_string(err.code)}};
  if (!err.reason.empty())
    object["reason"] = err.reason;
  if (!err.hint.empty())
    object["hint"] = err.hint;
  if (err.retry_after.count() > 0)
    object["retry_after_ms"] = err.retry_after.count();
  return object;
}

} // namespace troupe::cli
