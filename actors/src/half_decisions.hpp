#pragma once

#include "transactions_parts.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace troupe {

/// Decides about half messages that are transactions of their own, many at a time: what comes while the STORE
/// is busy goes as one entry. Part of TRANSACTIONS, in its thread.
///
/// Invariant: what waits is either in `waiting_` or in one of the `under_way_` entries; a flush is under way
/// whenever something waits that could be proposed.
class half_decisions {
public:
  /// Messages that wait to be decided; beyond, clients are told `overloaded`.
  static constexpr std::size_t most_waiting = 65'536;
  /// Entries with the STORE at a time: enough for it never to wait for us.
  static constexpr std::size_t most_entries = 4;

  explicit half_decisions(transactions_parts& parts) : parts_(parts) {}

  /// Answers `client` when all of them are decided.
  void add(const decide_halves& d, caf::actor client);
  void flush();

private:
  /// Who asked for some, and what is known of them.
  struct asked {
    caf::actor client;
    decided_halves answer;
    std::size_t open = 0;
    error failed;
  };
  struct waiting {
    message_place message;
    std::shared_ptr<asked> who;
    std::uint32_t slot = 0;
  };
  using slice = std::vector<waiting>;

  error check(const decide_halves& d) const;
  void wait_for(const std::vector<message_id>& messages, bool commit, const std::shared_ptr<asked>& who,
                std::uint32_t first);
  void arm();
  slice take(std::deque<waiting>& from) const;
  void propose(bool commit, slice messages);
  void decided(const slice& messages, const std::vector<message_place>& order, const applied& outcome);
  void failed(const slice& messages, const error& why);
  transaction_state state_of(message_place message) const;
  void answer(const waiting& w, transaction_state state);
  void put(const waiting& w);

  transactions_parts& parts_;
  /// Rollbacks, commits.
  std::array<std::deque<waiting>, 2> waiting_;
  /// In turn, so that neither starves.
  bool commits_first_ = false;
  std::size_t under_way_ = 0;
  bool armed_ = false;
};

} // namespace troupe
