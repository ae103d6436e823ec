#pragma once

#include "troupe/ids.hpp"
#include "troupe/transaction.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a client learns of transactions that are not over: plain values.
namespace troupe {

struct transaction_info {
  /// Of a half message that is a transaction of its own; else `transaction` is set.
  std::optional<message_id> message;
  std::optional<transaction_id> transaction;
  /// The producer group that is asked about it.
  std::string group;
  /// The application's name for a transaction of several messages; may be empty.
  std::string key;
  /// Of a half message.
  std::string topic;
  /// begun, prepared; committed or rolled back as long as a shard has not confirmed.
  transaction_state state = transaction_state::unknown;
  /// It was asked about as often as the node allows: it stays until somebody decides by hand.
  bool parked = false;
  timestamp since{};
  /// How often producers were asked.
  std::uint32_t checks = 0;
  std::uint32_t messages = 0;
};

/// Where a page ended; what is in it is the node's business.
struct transaction_place {
  shard_id shard;
  bool inside = false;
  bool checked = false;
  std::int64_t due = 0;
  queue_id queue;
  log_index index;
  std::uint32_t first = 0;
};

struct transaction_query {
  /// Empty: of all.
  std::string group;
  /// In a page, about: 1 to 1000.
  std::uint32_t max = 1000;
  /// `next` of the page before.
  std::optional<transaction_place> after;
};

/// Of each shard in the order in which they are looked at, parked ones last. May have fewer than `max`, or
/// none, and not be the last.
struct transactions_list_page {
  std::vector<transaction_info> transactions;
  /// Nothing: these were the last.
  std::optional<transaction_place> next;
};

} // namespace troupe
