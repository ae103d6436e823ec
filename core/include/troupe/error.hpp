#pragma once

#include "troupe/ids.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace troupe {

/// Why something was refused or failed. Stable across versions and on the wire: append only.
enum class errc : std::uint8_t {
  /// Never an error's code.
  none = 0,
  /// A name, option, message or request breaks a documented rule.
  invalid_argument = 1,
  /// A size limit was exceeded; the text names the limit and its value.
  too_large = 2,
  /// No such topic, group, message or member.
  not_found = 3,
  /// The name is taken.
  already_exists = 4,
  /// A budget is used up for now; try again after `retry_after`.
  overloaded = 5,
  /// The disk or the disk budget is full; publishing resumes by itself when there is room.
  no_space = 6,
  /// The storage failed (I/O error); the shard is closed and the operator must look.
  storage_failed = 7,
  /// Stored or received bytes contradict their checksum or format.
  corrupt = 8,
  /// Not connected to the node, or the connection was lost before an answer came.
  disconnected = 9,
  /// No answer within the time the caller allowed. What was asked may still happen.
  timeout = 10,
  /// The node drains or stops, or the client was closed. An expected result.
  shutting_down = 11,
  /// The lease or generation is no longer valid: the settle was too late.
  lease_lost = 12,
  /// A batch of the producer is missing before this one; the answer carries the expected sequence.
  gap = 13,
  /// The node does not know this producer but the batch is not its first.
  unknown_producer = 14,
  /// A newer incarnation of this producer exists.
  fenced = 15,
  /// The data directory, record or peer has a format version that this program does not know.
  unknown_version = 16,
  /// The data directory is in use by another node.
  in_use = 17,
  /// The feature belongs to a later version.
  not_supported = 18,
  /// The group's members must subscribe alike; the text spells out the difference.
  inconsistent_subscription = 19,
  /// A bug: something that no input should reach.
  internal = 20,
  /// It was decided otherwise before; the text says how.
  conflict = 21,
};

/// Short, stable name of a code ("no_space"), as printed in JSON.
std::string_view to_string(errc code);

/// An error as a value: what went wrong and why (`reason`), and what to do about it (`hint`, may be empty).
struct error {
  errc code = errc::none;
  std::string reason;
  std::string hint;
  /// When it makes sense to try again; zero when waiting alone does not help.
  milliseconds retry_after{0};

  error() = default;
  error(errc c, std::string why, std::string todo = {}, milliseconds again = milliseconds{0})
      : code(c), reason(std::move(why)), hint(std::move(todo)), retry_after(again) {}
  /// True when this is an error.
  explicit operator bool() const { return code != errc::none; }
  bool operator==(const error&) const = default;
};

/// "code: reason (hint)" for people and logs.
std::string to_string(const error& err);

/// A value or an error. Callers test it before they take the value.
template <class T> class result {
public:
  result(T value) : data_(std::in_place_index<0>, std::move(value)) {}
  result(troupe::error err) : data_(std::in_place_index<1>, std::move(err)) {}

  bool has_value() const { return data_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return std::get<0>(data_); }
  const T& value() const& { return std::get<0>(data_); }
  T&& value() && { return std::get<0>(std::move(data_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const troupe::error& error() const& { return std::get<1>(data_); }
  troupe::error&& error() && { return std::get<1>(std::move(data_)); }

private:
  std::variant<T, troupe::error> data_;
};

} // namespace troupe
