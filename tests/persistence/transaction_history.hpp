#pragma once

#include "random_source.hpp"
#include "shard_model.hpp"

#include "troupe/shard.hpp"

#include <cstdint>
#include <vector>

namespace troupe::test {

/// Random half messages and steps of transactions that fit the state the model is in, with every kind of
/// mistake among them.
class transaction_history {
public:
  transaction_history(random_source& random, const shard_model& model, std::uint32_t queues,
                      std::uint32_t groups)
      : random_(random), model_(model), queues_(queues), groups_(groups) {}

  half_of whose();
  entry_body step(std::int64_t now);

private:
  queue_id queue() { return queue_id{static_cast<std::uint32_t>(random_.between(1, queues_))}; }
  group_id group() { return group_id{static_cast<std::uint32_t>(random_.between(1, groups_))}; }
  /// A transaction that began here, in whatever state; or one of another shard.
  transaction_id transaction();
  timestamp later();
  std::vector<message_id> elsewhere();
  /// About half messages of one transaction, or some that are their own, most of them undecided.
  decide_entry decision();

  random_source& random_;
  const shard_model& model_;
  std::uint32_t queues_;
  std::uint32_t groups_;
  std::int64_t time_ = 0;
};

/// What is undecided is what the model says, and what it is asked about when; and each half message by its
/// id.
void expect_transactions(const shard& s, const shard_model& m, random_source& random);

} // namespace troupe::test
