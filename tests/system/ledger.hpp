#pragma once

#include "troupe/client.hpp"
#include "troupe/ids.hpp"
#include "troupe/producer.hpp"
#include "troupe/status.hpp"

#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The books that a test keeps of what it published, and how it looks for it afterwards.
namespace troupe::test {

/// What a message's body says of it.
struct label {
  std::uint32_t producer = 0;
  /// Unique per producer.
  std::uint64_t serial = 0;
  /// The order key, and the message's number among those of this producer and key. Numbers ascend.
  std::uint32_t key = 0;
  std::uint64_t key_serial = 0;
  auto operator<=>(const label&) const = default;
};
/// A message with this label, its order key, and a body of about `size` bytes.
message to_message(const label& what, std::size_t size);
/// Throws when the body is not one of to_message().
label label_of(std::string_view body);

struct place {
  std::uint32_t queue = 0;
  std::uint64_t offset = 0;
  message_id id;
  auto operator<=>(const place&) const = default;
};
std::string to_string(const place& p);

struct found_message {
  label what;
  place where;
};

/// What producers were told. Thread-safe.
class ledger {
public:
  void answered(const label& what, const result<receipt>& answer);

  std::uint64_t acknowledged() const;
  /// Messages with an error for an answer: they may be stored or not. The first error's text.
  std::uint64_t failed() const;
  std::string first_failure() const;
  /// True when everything acknowledged is among these.
  bool covered_by(const std::set<label>& seen) const;

  /// Fails the test unless: every acknowledged message is found once, at the place its receipt named; nothing
  /// is found twice; every queue's offsets are dense from 0; ids are unique; the messages of one producer and
  /// key are in one queue in the order in which they were sent.
  void expect_exactly_once(const std::vector<found_message>& found) const;

private:
  mutable std::mutex mutex_;
  std::map<label, place> told_;
  std::uint64_t failed_ = 0;
  std::string first_failure_;
};

/// Everything in a topic, read by a consumer of a group that is new. Throws when it does not come.
std::vector<found_message> read_by_consumer(client& c, const std::string& topic, const std::string& group);
/// Everything in a topic, read by the store's own reader from the directory of a node that does not run.
std::vector<found_message> read_by_store(const std::filesystem::path& data, const std::string& topic);

} // namespace troupe::test
