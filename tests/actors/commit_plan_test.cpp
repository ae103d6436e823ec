#include "commit_plan.hpp"

#include "random_source.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace troupe {
namespace {

constexpr std::uint32_t kib = 1024;
constexpr timestamp now = from_unix_ms(1'700'000'000'000);

append_request batch_of(std::uint32_t queue, std::uint64_t sequence, std::uint32_t bytes) {
  append_request r;
  r.queue = queue_id{queue};
  r.data.header.producer = producer_id{1};
  r.data.header.sequence = batch_sequence{sequence};
  r.data.header.count = 1;
  r.data.header.size = bytes;
  r.data.data = block::copy_of(std::vector<char>(bytes));
  return r;
}

settle_request settle_of(std::uint32_t group, std::uint32_t ranges = 1, std::uint32_t count = 1) {
  settle_request r;
  r.section.group = group_id{group};
  r.section.ranges.assign(ranges, settle_range{.count = count});
  r.tag = group;
  return r;
}

/// "q1[1 2] q2[3]": the records of a call with the sequences of their batches; "s[..]" settles, "o5" others
/// by key.
std::string trace(const commit_call& call) {
  std::string out;
  for (std::size_t i = 0; i < call.proposals.size(); ++i) {
    if (i > 0)
      out += ' ';
    const auto& body = call.proposals[i].body;
    if (const auto* append = std::get_if<append_entry>(&body)) {
      out += 'q' + std::to_string(append->queue.value) + '[';
      for (std::size_t k = 0; k < append->batches.size(); ++k)
        out += (k > 0 ? " " : "") + std::to_string(append->batches[k].header.sequence.value);
      out += ']';
      EXPECT_EQ(std::get<std::vector<append_origin>>(call.origins[i]).size(), append->batches.size());
    } else if (const auto* settle = std::get_if<settle_entry>(&body)) {
      out += "s[";
      for (std::size_t k = 0; k < settle->sections.size(); ++k)
        out += (k > 0 ? " " : "") + std::to_string(settle->sections[k].group.value);
      out += ']';
      EXPECT_EQ(std::get<std::vector<settle_request>>(call.origins[i]).size(), settle->sections.size());
    } else {
      out += 'o' + std::to_string(std::get<std::uint64_t>(call.origins[i]));
    }
  }
  return out;
}

TEST(commit_plan, of_nothing_gives_an_empty_call) {
  commit_plan aut;
  EXPECT_TRUE(aut.empty());
  EXPECT_TRUE(aut.take(now).empty());
}

TEST(commit_plan, counts_the_rows_of_delayed_messages_and_of_what_fires) {
  commit_plan aut;
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
    auto delayed = batch_of(1, sequence, 64);
    delayed.timer_rows = 9000;
    aut.add(std::move(delayed));
  }
  EXPECT_EQ(aut.room(), 4u * (64 + 16 * kib + 9000 * 4 * kib));
  fire_entry fire{queue_id{1}, 0, std::vector<timer_row_place>(1000), {}};
  aut.add(fire, 5);
  EXPECT_EQ(trace(aut.take(now)), "o5 q1[1 2]");
  EXPECT_EQ(trace(aut.take(now)), "q1[3 4]");
  EXPECT_EQ(aut.room(), 0u);
  for (std::uint64_t key = 1; key <= 3; ++key)
    aut.add(split_entry{{}, 8192}, key);
  EXPECT_EQ(trace(aut.take(now)), "o1 o2");
  EXPECT_EQ(trace(aut.take(now)), "o3");
}

TEST(commit_plan, merges_the_batches_of_a_queue_into_one_record_in_order_of_arrival) {
  commit_plan aut;
  aut.add(batch_of(1, 1, 64));
  aut.add(batch_of(2, 2, 64));
  aut.add(batch_of(1, 3, 64));
  aut.add(batch_of(2, 4, 64));
  EXPECT_EQ(aut.bytes(), 4u * 64);
  const auto call = aut.take(now);
  EXPECT_EQ(trace(call), "q1[1 3] q2[2 4]");
  EXPECT_EQ(call.proposals[0].time, now);
  EXPECT_TRUE(aut.empty());
  EXPECT_EQ(aut.bytes(), 0u);
}

TEST(commit_plan, starts_another_record_above_256_kib) {
  commit_plan aut;
  for (std::uint64_t i = 1; i <= 5; ++i)
    aut.add(batch_of(1, i, 100 * kib));
  EXPECT_EQ(trace(aut.take(now)), "q1[1 2] q1[3 4] q1[5]");
}

TEST(commit_plan, puts_a_batch_above_256_kib_alone_and_keeps_the_order_around_it) {
  commit_plan aut;
  aut.add(batch_of(1, 1, 64));
  aut.add(batch_of(1, 2, 300 * kib));
  aut.add(batch_of(1, 3, 64));
  EXPECT_EQ(trace(aut.take(now)), "q1[1] q1[2] q1[3]");
}

TEST(commit_plan, takes_at_most_8_mib_and_leaves_the_rest_for_the_next_call_in_order) {
  commit_plan aut;
  for (std::uint64_t i = 1; i <= 5; ++i)
    aut.add(batch_of(1, i, 3 << 20));
  EXPECT_EQ(trace(aut.take(now)), "q1[1] q1[2]");
  EXPECT_EQ(aut.bytes(), 9u << 20);
  EXPECT_EQ(trace(aut.take(now)), "q1[3] q1[4]");
  EXPECT_EQ(trace(aut.take(now)), "q1[5]");
  EXPECT_TRUE(aut.empty());
}

TEST(commit_plan, takes_one_batch_however_large) {
  commit_plan aut{{.bytes = 1000}};
  aut.add(batch_of(1, 1, 5000));
  aut.add(batch_of(1, 2, 8));
  EXPECT_EQ(trace(aut.take(now)), "q1[1]");
  EXPECT_EQ(trace(aut.take(now)), "q1[2]");
}

TEST(commit_plan, an_entry_larger_than_a_commit_may_be_is_not_kept_out_by_settles) {
  commit_plan aut{{.bytes = 1000}};
  aut.add(entry_body{purge_entry{group_id{1}, queue_id{1}, std::vector<message_place>(200)}}, 77);
  aut.add(entry_body{}, 78);
  aut.add(settle_of(3));
  EXPECT_EQ(trace(aut.take(now)), "o77");
  EXPECT_EQ(trace(aut.take(now)), "s[3] o78");
  EXPECT_TRUE(aut.empty());
}

TEST(commit_plan, counts_the_rows_of_decisions_and_of_checks) {
  commit_plan aut{{.rows = 100}};
  decide_entry scattered;
  scattered.queues = {{queue_id{1}, 0, {}}};
  for (std::uint64_t i = 1; i <= 30; ++i)
    scattered.queues[0].messages.push_back({log_index{i}, 0});
  decide_entry together;
  together.queues = {{queue_id{1}, 0, {}}};
  for (std::uint32_t i = 0; i < 1000; ++i)
    together.queues[0].messages.push_back({log_index{1}, i});
  aut.add(scattered, 1); // 92 rows
  aut.add(together, 2);  // 5 rows: they lie in one
  aut.add(checked_entry{{{{queue_id{1}, log_index{1}, 0}, now}, {{queue_id{1}, log_index{2}, 0}, now}}}, 3);
  EXPECT_EQ(trace(aut.take(now)), "o1 o2");
  EXPECT_EQ(trace(aut.take(now)), "o3");
}

TEST(commit_plan, takes_at_most_20_000_rows_but_lets_batches_join_records_that_are_there) {
  commit_plan aut;
  for (std::uint32_t q = 1; q <= 20'001; ++q)
    aut.add(batch_of(q, q, 8));
  auto call = aut.take(now);
  EXPECT_EQ(call.proposals.size(), 20'000u);
  EXPECT_EQ(trace(aut.take(now)), "q20001[20001]");
}

TEST(commit_plan, puts_settles_and_other_entries_before_appends) {
  commit_plan aut;
  aut.add(batch_of(1, 1, 64));
  aut.add(entry_body{trim_entry{queue_id{1}, queue_offset{5}}}, 77);
  aut.add(settle_of(3));
  aut.add(entry_body{}, 78);
  aut.add(settle_of(4));
  EXPECT_TRUE(aut.has_settles());
  EXPECT_EQ(trace(aut.take(now)), "s[3 4] o77 o78 q1[1]");
  EXPECT_TRUE(aut.empty());
}

TEST(commit_plan, counts_the_chunks_that_a_settle_touches_as_rows) {
  commit_plan aut{{.rows = 10}};
  aut.add(settle_of(1, 3));        // 7 rows
  aut.add(settle_of(2, 1, 10240)); // 13 rows
  aut.add(settle_of(3));
  EXPECT_EQ(trace(aut.take(now)), "s[1]");
  EXPECT_EQ(trace(aut.take(now)), "s[2]");
  EXPECT_EQ(trace(aut.take(now)), "s[3]");
}

TEST(commit_plan, counts_three_rows_for_a_dead_letter_and_the_bytes_of_its_reason) {
  auto dead = [](std::uint64_t tag, std::uint32_t count, std::string why) {
    auto r = settle_of(tag);
    r.section.ranges = {
        {queue_offset{0}, count, settle_action::dead, 1, {}, dead_reason::rejected, std::move(why)}};
    return r;
  };
  commit_plan by_rows{{.rows = 100}};
  by_rows.add(dead(1, 30, {}));
  by_rows.add(dead(2, 30, {}));
  EXPECT_EQ(trace(by_rows.take(now)), "s[1]");
  EXPECT_EQ(trace(by_rows.take(now)), "s[2]");
  commit_plan by_bytes{{.bytes = 2000}};
  by_bytes.add(dead(1, 1, std::string(1000, 'x')));
  by_bytes.add(dead(2, 1, std::string(1000, 'y')));
  EXPECT_EQ(trace(by_bytes.take(now)), "s[1]");
  EXPECT_EQ(trace(by_bytes.take(now)), "s[2]");
}

TEST(commit_plan, splits_the_appends_off_a_call) {
  commit_plan aut;
  aut.add(batch_of(1, 1, 64));
  aut.add(settle_of(3));
  aut.add(batch_of(2, 2, 64));
  auto call = aut.take(now);
  auto appends = call.split_appends();
  EXPECT_EQ(trace(call), "s[3]");
  EXPECT_EQ(trace(appends), "q1[1] q2[2]");
}

TEST(commit_plan, never_loses_repeats_or_reorders_a_queues_batches) {
  test::random_source random{7};
  SCOPED_TRACE(random.describe());
  commit_plan aut{{.bytes = 20'000, .rows = 6, .record = 3'000}};
  std::map<std::uint32_t, std::uint64_t> sent;
  std::map<std::uint32_t, std::uint64_t> seen;
  auto check = [&](const commit_call& call) {
    std::uint64_t bytes = 0;
    for (const auto& p : call.proposals) {
      const auto& e = std::get<append_entry>(p.body);
      std::uint64_t record = 0;
      for (const auto& b : e.batches) {
        EXPECT_EQ(b.header.sequence.value, ++seen[e.queue.value]);
        record += b.data.size;
      }
      bytes += record;
      EXPECT_TRUE(record <= 3'000 || e.batches.size() == 1);
    }
    EXPECT_LE(call.proposals.size(), 6u);
    EXPECT_TRUE(bytes <= 20'000 || call.proposals.size() == 1);
  };
  for (int round = 0; round < 2'000; ++round) {
    for (auto n = random.below(20); n > 0; --n) {
      const auto q = static_cast<std::uint32_t>(random.between(1, 9));
      aut.add(batch_of(q, ++sent[q],
                       static_cast<std::uint32_t>(random.between(1, random.one_in(20) ? 30'000 : 800))));
    }
    check(aut.take(now));
  }
  while (!aut.empty())
    check(aut.take(now));
  EXPECT_EQ(seen, sent);
}

} // namespace
} // namespace troupe
