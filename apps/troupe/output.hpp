#pragma once

#include "troupe/error.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// Fields in the order in which they are put in.
using json = nlohmann::ordered_json;

/// What a program is told by its exit code.
enum exit_code : int {
  done = 0,
  /// The broker refused, or it could not be done.
  refused = 1,
  wrong_usage = 2,
};

/// Rows of text with aligned columns. Cells are escaped; columns of numbers stand right.
class table {
public:
  /// A header that begins with '>' makes its column stand right.
  explicit table(std::vector<std::string> headers);
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// One line per row, the header first (bold where `colour`), each ended.
  std::string text(bool colour) const;

private:
  std::vector<std::string> headers_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

/// What the program prints: results on stdout, diagnostics on stderr. With `json` stdout holds one JSON
/// object per line and nothing else. Stdout is buffered until flush(), which every verb calls where a reader
/// may wait for the line, and the program at its end. It is written in whole lines, many in one write(2), so
/// that several processes can append to one file. One thread at a time prints results; errors and notes may
/// come from another.
class output {
public:
  /// Results go to this file descriptor.
  explicit output(int to = STDOUT_FILENO);

  bool json_lines = false;
  /// Colour on stdout: for people on a terminal, unless NO_COLOR is set.
  bool colour() const { return !json_lines && colour_; }
  /// Stdout is a terminal.
  bool terminal() const { return terminal_; }

  /// One object, one line. Text in it that is no UTF-8 gets replacement characters.
  void line(const json& object);
  /// For people; nothing with `json`. The caller has escaped what came from outside.
  void text(std::string_view text);
  /// `label: value` lines, aligned.
  void fields(const std::vector<std::pair<std::string, std::string>>& values);
  /// Makes what was printed visible. An error when stdout cannot take it, then and from then on: no_space
  /// when its disk is full, else invalid_argument (a closed pipe, say).
  error flush();

  /// One error on stderr: what was tried, why it failed and what to do. As a JSON object with `json`,
  /// together with `extra`.
  void failure(const std::string& doing, const error& err, const json& extra = json::object());
  /// A remark on stderr; an object with `note` with `json`.
  void note(std::string_view text);
  /// How far long work is, on stderr when that is a terminal and people read; at most five times a second.
  /// Empty: done.
  void progress(std::string_view text);

private:
  void put(std::string_view text);
  /// Writes so many bytes of what waits.
  void write_out(std::size_t size);
  void clear_progress();

  const int to_;
  /// Printed and not yet written.
  std::string waiting_;
  bool terminal_ = false;
  bool colour_ = false;
  /// Guards stderr and what stands there.
  std::mutex errors_;
  bool progress_shown_ = false;
  /// The errno of the first thing that stdout did not take.
  int failure_ = 0;
  std::chrono::steady_clock::time_point last_progress_{};
};

/// The error object of `--json`.
json to_json(const error& err);

} // namespace troupe::cli
