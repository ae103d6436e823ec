#pragma once

#include "transactions_parts.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

namespace troupe {

/// Transactions of several messages: those whose home is this shard, and what homes elsewhere decided about
/// messages of this one. Part of TRANSACTIONS, in its thread. Of a decision other shards hear once at once,
/// and again, when its row is due, as long as one has not confirmed.
class home_transactions {
public:
  /// Requests of clients under way.
  static constexpr std::size_t most_requests = 256;
  /// Decisions on their way to other shards; those beyond wait until they are due.
  static constexpr std::size_t most_spreading = 64;
  /// When others are told again.
  static constexpr milliseconds spread_again = std::chrono::seconds{5};

  using finish = std::function<void(const result<transaction_state>&)>;

  explicit home_transactions(transactions_parts& parts) : parts_(parts) {}

  /// Tells who has not confirmed when this TRANSACTIONS starts.
  void start();
  void begin(const begin_transaction& b, caf::actor client, const std::function<void(timestamp)>& due);
  void seal(const seal_transaction& s, caf::actor client, const std::function<void(timestamp)>& due);
  /// A seal is on its way to the STORE: what is only begun by now may be prepared in a moment, and must not
  /// be rolled back for its age.
  bool is_sealing(log_index transaction) const { return sealing_.contains(transaction); }
  void decide(const decide_transaction& d, caf::actor client);
  /// Decides about a row of this shard as an operator, or a check, says: these have bounds of their own.
  void decide(log_index transaction, bool commit, finish done);
  /// The shards that have not confirmed hear of it once more.
  void spread_again_for(log_index transaction);
  /// What a home says about messages of this shard.
  caf::result<bool> decide_here(const decide_part& p);

private:
  struct wanted {
    log_index transaction;
    bool commit = false;
    std::vector<message_id> messages;
    std::vector<settle_guard> guard;
  };
  bool full() const { return under_way_ >= most_requests; }
  error check(const decide_transaction& d) const;
  void decide(wanted w, const finish& done);
  result<decide_entry> entry_for(const wanted& w, const std::vector<message_id>& messages) const;
  void spread(log_index transaction, bool commit, const std::vector<message_id>& messages);
  void spread_to(log_index transaction, shard_id shard, decide_part part);
  void confirmed(log_index transaction, shard_id shard);

  transactions_parts& parts_;
  std::size_t under_way_ = 0;
  std::multiset<log_index> sealing_;
  /// Shards that are being told.
  std::set<std::pair<log_index, shard_id>> spreading_;
};

} // namespace troupe
