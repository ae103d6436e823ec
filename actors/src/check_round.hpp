#pragma once

#include "home_transactions.hpp"
#include "transactions_parts.hpp"

#include "troupe/transaction_checks.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Looks at what is due: counts a check of it, durably, then asks; or decides where nobody needs to be asked.
/// Part of TRANSACTIONS, in its thread. One round at a time.
class check_round {
public:
  /// Messages that one round looks at, about; of those that were asked about before, and of the others. So
  /// their rows fit into one checked_entry.
  static constexpr std::size_t messages_a_round = max_listed_messages / 2;
  /// Bytes of messages in one question.
  static constexpr std::size_t most_question = 1u << 20;

  /// Of a round: everything was done that could be, something must wait for a program that is slow, or why it
  /// failed.
  enum class ending : std::uint8_t { done, busy, failed };
  using finish = std::function<void(ending, const error&)>;

  check_round(transactions_parts& parts, home_transactions& home) : parts_(parts), home_(home) {}

  caf::result<bool> expect(const expect_checks& e);
  void answered(const caf::actor_addr& who, std::uint32_t cost);
  void lost(const caf::actor_addr& who);

  /// `due`: what checks_due() found.
  void run(const std::vector<open_transaction>& due, finish done);

private:
  struct question {
    std::uint64_t member = 0;
    std::string group;
    checked_item item;
    queue_id queue;
  };
  /// What a round comes to, and how much of it is not answered.
  struct plan {
    checked_entry checked;
    std::map<std::pair<transaction_id, bool>, std::vector<message_place>> decisions;
    std::vector<log_index> rollbacks;
    std::vector<log_index> spreads;
    std::vector<question> questions;
    bool busy = false;
    std::size_t missing = 1;
    error failed;
    finish done;
  };
  using plan_ptr = std::shared_ptr<plan>;

  void add(plan& p, const open_transaction& t);
  void add_in_doubt(plan& p, const open_transaction& t);
  void count(plan& p, const open_transaction& t, timestamp next);
  /// False: nobody has room for any of it now.
  bool ask(plan& p, const open_transaction& t);
  bool ask(plan& p, const open_transaction& t, checked_item item);
  void decide(const plan_ptr& p);
  void one_done(const plan_ptr& p, const error& failed);
  void find_topics(const plan_ptr& p);
  void send(std::vector<question>& questions, const std::vector<std::string>& topics);

  transactions_parts& parts_;
  home_transactions& home_;
  checker_groups groups_;
  std::unordered_map<std::uint64_t, caf::actor> handles_;
  std::unordered_map<caf::actor_addr, std::uint64_t> numbers_;
  std::uint64_t last_number_ = 0;
};

} // namespace troupe
