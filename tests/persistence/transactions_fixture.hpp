#pragma once

#include "shard_harness.hpp"

#include <gmock/gmock.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::test {

inline constexpr std::int64_t start = 1'800'000'000'000;
inline constexpr std::int64_t second = 1000;
inline constexpr milliseconds first_check{6 * second};
inline const half_of alone{"orders", {}};

/// What every shard_log makes of half messages and transactions.
class transactions : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};
  std::map<std::uint32_t, std::uint64_t> sequences;

  applied send(std::uint32_t count, const half_of& whose = alone, std::uint32_t queue = 1) {
    return h.apply(publish(queue, {make_half(queue, ++sequences[queue], count, whose)}, start));
  }
  applied step(entry_body e, std::int64_t time = start) {
    return h.apply({from_unix_ms(time), std::move(e)});
  }
  transaction_id begin(const std::string& group = "orders", const std::string& key = "") {
    return {h.store().id(), step(begin_entry{group, key, from_unix_ms(start + 6 * second)}).index};
  }
  applied seal(transaction_id t, const std::vector<message_id>& messages) {
    return step(seal_entry{t.index, from_unix_ms(start + 6 * second), messages});
  }
  decide_entry decision(const std::vector<message_place>& messages, bool commit, transaction_id t = {},
                        bool home = false) {
    decide_entry e;
    e.transaction = t;
    e.home = home;
    e.commit = commit;
    e.queues = h.store().by_queue(messages).value();
    e.next_check = from_unix_ms(start + 30 * second);
    return e;
  }
  applied commit(const std::vector<message_place>& messages, transaction_id t = {}, bool home = false) {
    return step(decision(messages, true, t, home));
  }
  applied roll_back(const std::vector<message_place>& messages, transaction_id t = {}, bool home = false) {
    return step(decision(messages, false, t, home));
  }
  static message_id id(message_place m, std::uint16_t shard = 0) {
    return {shard_id{shard}, m.index, m.ordinal};
  }
  std::vector<message_place> visible(std::uint32_t queue = 1) {
    std::vector<message_place> found;
    for (const auto& b : read_all(h.store(), queue_id{queue}))
      for (std::uint32_t i = 0; i < b.header.count; ++i)
        found.push_back({b.index, b.first_ordinal + i});
    return found;
  }
  transaction_state state(message_place m) {
    const auto found = h.store().half(m).value();
    return found ? found->state : transaction_state::unknown;
  }
  std::size_t due(std::int64_t now, std::size_t max = 1000) {
    return h.store().checks_due(from_unix_ms(now), first_check, max).value().items.size();
  }
  std::uint64_t entries() { return h.store().stats().entries; }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), testing::IsEmpty()); }
};

} // namespace troupe::test
