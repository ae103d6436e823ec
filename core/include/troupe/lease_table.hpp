#pragma once

#include "troupe/ids.hpp"
#include "troupe/settling.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace troupe {

/// The leases of one subscription: whose they are, when they end, how many messages each still has, and
/// which of them are for a suspect message. Which messages those are is the subscription's to know.
class lease_table {
public:
  struct lease {
    std::uint64_t member = 0;
    timestamp deadline{};
    /// Its offsets lie in [low, high).
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::uint64_t messages = 0;
    /// Of the delivery that are not released yet.
    std::uint64_t bytes = 0;
  };

  /// Begins a lease; it ends with its last message, or at the deadline once it is closed.
  std::uint64_t open(std::uint64_t member, timestamp deadline);
  /// Nothing is added to it any more; its messages were delivered in so many bytes. False when it has
  /// nothing: then there is no such lease.
  bool close(std::uint64_t id, std::uint64_t bytes);
  void add(std::uint64_t id, std::uint64_t first, std::uint64_t next);
  /// The lease is for a suspect message.
  void suspect(std::uint64_t id);
  /// It has so many messages less; its member has its credit back. Each takes an even share of the bytes that
  /// are left, so that all together give back exactly what was delivered.
  void release(std::uint64_t id, std::uint64_t messages);
  bool renew(std::uint64_t id, std::uint64_t member, timestamp now, timestamp deadline);

  /// Null when it has ended.
  const lease* find(std::uint64_t id) const;
  std::vector<std::uint64_t> of(std::uint64_t member) const;
  /// The member's lease of a suspect message; 0: it has none.
  std::uint64_t suspect_of(std::uint64_t member) const;
  /// A closed lease whose deadline is over.
  std::optional<std::uint64_t> over(timestamp now) const;
  std::optional<timestamp> next_end() const;

  /// Ends all; members have their credit back. Later ones are numbered above `last`, and above all before.
  void clear(std::uint64_t last);
  std::vector<troupe::release> take_releases() { return std::exchange(releases_, {}); }

private:
  void credit(const troupe::release& back);

  std::map<std::uint64_t, lease> leases_;
  std::set<std::pair<timestamp, std::uint64_t>> ends_;
  /// Members that hold a suspect message, by which lease.
  std::map<std::uint64_t, std::uint64_t> suspects_;
  std::uint64_t last_ = 0;
  std::vector<troupe::release> releases_;
};

} // namespace troupe
