#include "firsts_row.hpp"
#include "index_block.hpp"
#include "producer_record.hpp"
#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

namespace troupe::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// The data file of a closed shard, to be damaged.
class damaged_file {
public:
  explicit damaged_file(std::filesystem::path path) : path_(std::move(path)) {
    std::ifstream in(path_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  /// The only place of `text`; pages that are not in use may hold older copies of small records, not of big
  /// ones.
  std::size_t find(std::string_view text) const {
    const auto at = bytes_.find(text);
    EXPECT_NE(at, std::string::npos);
    EXPECT_EQ(bytes_.find(text, at + 1), std::string::npos) << "not unique";
    return at;
  }
  void flip(std::size_t at, int bit = 0) { bytes_[at] = static_cast<char>(bytes_[at] ^ (1 << bit)); }
  void write() const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes_; }
  const std::string& bytes() const { return bytes_; }

private:
  std::filesystem::path path_;
  std::string bytes_;
};

/// Three entries in queue 1: 2 batches of 2 messages, 3 of 2, 1 of 2, each message of 3000 bytes.
class damage_in_the_log : public testing::Test {
protected:
  damage_in_the_log() {
    h.apply(publish(1, {make_batch(1, 1, 1, 2, 3000), make_batch(2, 1, 1, 2, 3000)}));
    h.apply(publish(
        1, {make_batch(3, 1, 1, 2, 3000), make_batch(4, 1, 1, 2, 3000), make_batch(5, 1, 1, 2, 3000)}));
    h.apply(publish(1, {make_batch(6, 1, 1, 2, 3000)}));
  }

  void damage(const std::function<void(damaged_file&)>& how) {
    h.close();
    damaged_file file(h.data_file());
    how(file);
    file.write();
    h.reopen();
  }
  std::vector<std::uint64_t> producers(std::uint32_t step, std::vector<troupe::damage>& found) {
    std::vector<std::uint64_t> read;
    for (const auto& b : read_all(h.store(), queue_id{1}, step, &found))
      read.push_back(b.header.producer.value);
    return read;
  }

  shard_harness h{log_kind::local};
};

TEST_F(damage_in_the_log, costs_one_batch_when_it_lies_in_a_batch) {
  damage([](auto& file) { file.flip(file.find("4/1/1/1 ") + 100); });
  for (std::uint32_t step : {1u, 4000u, 1u << 20}) {
    std::vector<troupe::damage> found;
    EXPECT_THAT(producers(step, found), testing::ElementsAre(1, 2, 3, 5, 6));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].index, log_index{2});
    EXPECT_EQ(found[0].queue, queue_id{1});
    EXPECT_EQ(found[0].first, queue_offset{6});
    EXPECT_EQ(found[0].next, queue_offset{8});
    EXPECT_THAT(to_string(found[0]), HasSubstr("shard 0, log index 2, queue 1, offsets [6, 8)"));
  }
  const auto verified = h.store().verify({});
  ASSERT_EQ(verified.size(), 1u);
  EXPECT_EQ(verified[0].first, queue_offset{6});
  EXPECT_EQ(h.store().find({shard_id{}, log_index{2}, 3}).error().code, errc::corrupt);
  EXPECT_TRUE(h.store().find({shard_id{}, log_index{2}, 1}).has_value());
  EXPECT_TRUE(h.store().find({shard_id{}, log_index{2}, 4}).has_value());
}

TEST_F(damage_in_the_log, costs_its_entry_when_it_lies_in_the_directory) {
  // The directory ends where the first batch begins; 20 bytes before that lies its last record.
  damage([](auto& file) {
    const auto start = file.bytes().rfind("1TRP", file.find("3/1/1/0 "));
    file.flip(start + entry_header::size + 20);
  });
  std::vector<troupe::damage> found;
  EXPECT_THAT(producers(1u << 20, found), testing::ElementsAre(1, 2, 6));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, queue_offset{4});
  EXPECT_EQ(found[0].next, queue_offset{10});
  EXPECT_EQ(h.store().find({shard_id{}, log_index{2}, 1}).error().code, errc::corrupt);
}

TEST_F(damage_in_the_log, hinders_nobody_from_going_on) {
  damage([](auto& file) { file.flip(file.find("6/1/1/0 ")); });
  EXPECT_EQ(h.apply(publish(1, {make_batch(6, 1, 2, 1)})).verdicts.at(0).base, queue_offset{12});
  h.apply(reset(1, 1, 0));
  EXPECT_EQ(h.apply(settle(1, 1, 1, {ack(0, 13)})).subscriptions.at(0).floor, queue_offset{13});
  EXPECT_EQ(h.apply(trim(1, 12)).first, queue_offset{12});
  EXPECT_THAT(h.store().verify({}), IsEmpty());
}

TEST_F(damage_in_the_log, is_found_wherever_it_lies_in_an_entry) {
  h.close();
  const damaged_file whole(h.data_file());
  const auto start = whole.bytes().rfind("1TRP", whole.find("3/1/1/0 "));
  const auto length = std::size_t{56} + 3 * 48 + 3 * 6000; // at least
  random_source random(3);
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 300; ++i) {
    const auto at = i < 56 + 144 ? static_cast<std::size_t>(i) : random.below(length);
    const auto bit = static_cast<int>(random.below(8));
    auto file = whole;
    file.flip(start + at, bit);
    file.write();
    h.reopen();
    std::vector<troupe::damage> found;
    producers(1u << 20, found);
    EXPECT_EQ(found.size(), 1u) << "byte " << at << ", bit " << bit;
    if (!found.empty()) {
      EXPECT_EQ(found[0].index, log_index{2});
      EXPECT_GE(found[0].first, queue_offset{4});
      EXPECT_LE(found[0].next, queue_offset{10});
    }
    EXPECT_EQ(h.store().verify({}).size(), 1u) << "byte " << at << ", bit " << bit;
    h.close();
  }
}

/// Rows that contradict each other, as only a bug or a hand could make them.
class contradictions : public testing::Test {
protected:
  contradictions() {
    h.emplace(log_kind::local, dir.path(), small_shard());
    h->apply(publish(1, {make_batch(1, 1, 1, 2), make_batch(2, 1, 1, 2)}));
    h->apply(publish(1, {make_batch(1, 1, 2, 2)}));
    h->apply(publish(1, {make_batch(1, 1, 3, 2)}));
    h->apply(reset(1, 1, 0));
    h->apply(settle(1, 1, 1, {ack(2), retry(3, 1, 5)}));
    topic_definition topic;
    topic.id = topic_id{1};
    topic.name = "t";
    topic.options.queues = 1;
    topic.queues = {{queue_id{1}, 1}};
    h->apply({{}, define_entry{{topic}, {}, {}, {}}});
    EXPECT_THAT(h->store().verify({}), IsEmpty());
  }

  /// The texts of what verify() finds after the change.
  std::vector<std::string> after(const std::function<void(lmdb_txn&, const tables&)>& change) {
    h.reset();
    tamper(dir.path(), change);
    h.emplace(log_kind::local, dir.path(), small_shard());
    std::vector<std::string> texts;
    for (const auto& d : h->store().verify({}))
      texts.push_back(to_string(d));
    return texts;
  }
  /// The texts after a change of a run in the newest block.
  std::vector<std::string> after_run(std::size_t n, const std::function<void(queue_run&)>& change) {
    return after_runs([&](auto& runs) { change(runs[n]); });
  }
  std::vector<std::string> after_runs(const std::function<void(std::vector<queue_run>&)>& change) {
    return after([&](lmdb_txn& txn, const tables& t) {
      auto runs = index_block::decode(txn.get(t.tails, key_of(queue_id{1})).value()).runs();
      change(runs);
      std::vector<char> value;
      index_block::of(runs).encode(value);
      txn.put(t.tails, key_of(queue_id{1}), value);
    });
  }

  scratch_directory dir;
  std::optional<shard_harness> h;
};

TEST_F(contradictions, an_entry_is_gone) {
  EXPECT_THAT(after([](auto& txn, auto& t) { txn.erase(t.log, key_of(log_index{2})); }),
              testing::ElementsAre("shard 0, log index 2, queue 1, offsets [4, 6): the entry is missing"));
  EXPECT_THAT(h->store().read(queue_id{1}, queue_offset{4}, 1).value().damaged, testing::SizeIs(1));
}

TEST_F(contradictions, nothing_points_at_an_entry) {
  EXPECT_THAT(
      after_runs([](auto& runs) { runs.pop_back(); }),
      testing::Contains(HasSubstr("log index 3, queue 1, offsets [0, 0): nothing points at the entry")));
}

TEST_F(contradictions, offsets_are_missing) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                const auto value = txn.get(t.tails, key_of(queue_id{1})).value();
                txn.put(t.queues, key_of(queue_id{1}, queue_offset{0}),
                        std::string(value.begin(), value.end()));
              }),
              testing::Contains(HasSubstr("the offsets before it are missing")));
}

TEST_F(contradictions, a_block_lies_under_another_offset) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                const auto value = txn.get(t.tails, key_of(queue_id{1})).value();
                txn.put(t.queues, key_of(queue_id{1}, queue_offset{1}),
                        std::string(value.begin(), value.end()));
              }),
              testing::Contains(HasSubstr("reading a queue's index")));
}

TEST_F(contradictions, the_end_of_an_index_is_missing) {
  EXPECT_THAT(
      after([](auto& txn, auto& t) {
        const auto value = txn.get(t.tails, key_of(queue_id{1})).value();
        txn.put(t.queues, key_of(queue_id{7}, queue_offset{0}), std::string(value.begin(), value.end()));
      }),
      testing::ElementsAre(HasSubstr("queue 7, offsets [0, 0): the end of the queue's index is missing")));
}

TEST_F(contradictions, a_run_counts_too_many) {
  EXPECT_THAT(after_run(2, [](auto& run) { ++run.count; }),
              testing::Contains(HasSubstr("counts 3 messages")));
}

TEST_F(contradictions, a_run_has_other_bytes_than_its_batches) {
  EXPECT_THAT(after_run(2,
                        [](auto& run) {
                          run.bytes += 8;
                          run.end_bytes += 8;
                        }),
              testing::ElementsAre(HasSubstr("bytes are not the index's")));
}

TEST_F(contradictions, a_run_points_at_another_entry) {
  EXPECT_THAT(after_run(1, [](auto& run) { run.index = log_index{1}; }), testing::Not(IsEmpty()));
}

TEST_F(contradictions, a_run_points_behind_the_log) {
  EXPECT_THAT(after_run(2, [](auto& run) { run.index = log_index{50}; }),
              testing::Contains(HasSubstr("newer than the log")));
}

TEST_F(contradictions, a_run_has_another_time_than_its_entry) {
  EXPECT_THAT(after_run(0, [](auto& run) { run.time = from_unix_ms(1); }),
              testing::Contains(HasSubstr("the entry's time is not the index's")));
}

TEST_F(contradictions, a_floor_lies_behind_the_end) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                txn.put(t.subscriptions, key_of(queue_id{1}, group_id{1}, 0),
                        encode(generation{1}, queue_offset{9}));
              }),
              testing::Contains(HasSubstr("the subscription of group 1 is out of range")));
}

TEST_F(contradictions, settled_offsets_have_no_subscription) {
  EXPECT_THAT(
      after([](auto& txn, auto& t) { txn.erase(t.subscriptions, key_of(queue_id{1}, group_id{1}, 0)); }),
      testing::ElementsAre(HasSubstr("settled offsets of group 1")));
}

TEST_F(contradictions, something_behind_the_end_is_settled) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                settled_row row;
                row.settle(4, 9);
                std::vector<char> value;
                encode(row, value);
                txn.put(t.settled, key_of(queue_id{1}, group_id{1}, 0, 0), value);
              }),
              testing::ElementsAre(HasSubstr("settled offsets of group 1")));
}

TEST_F(contradictions, a_producer_is_known_for_more_than_the_queue_has) {
  EXPECT_THAT(
      after([](auto& txn, auto& t) {
        producer_record record;
        record.accept(producer_epoch{1}, batch_sequence{1}, {log_index{3}, 0, queue_offset{7}, 2}, {});
        txn.put(t.producers, key_of(queue_id{1}, producer_id{1}), record.value());
      }),
      testing::ElementsAre(HasSubstr("producer 1 contradicts")));
}

TEST_F(contradictions, a_producer_does_not_stand_among_the_ages_or_only_there) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                txn.erase(t.ages, key_of(producer_age{0, queue_id{1}, producer_id{1}}));
                txn.put(t.ages, key_of(producer_age{7, queue_id{1}, producer_id{1}}), {});
                txn.put(t.ages, key_of(producer_age{0, queue_id{9}, producer_id{5}}), {});
              }),
              testing::UnorderedElementsAre(HasSubstr("producer 1 does not stand"),
                                            HasSubstr("`ages` knows producer 5"),
                                            HasSubstr("`ages` knows producer 1")));
}

TEST(keys, that_are_not_those_of_their_messages_are_found) {
  shard_harness h{log_kind::local};
  h.apply(publish(1, {make_keyed_batch(1, 1, 1, {"a", "b"})}, 1000, milliseconds{1000}));
  h.apply(publish(1, {make_batch(1, 1, 2, 1)}, 1000));
  EXPECT_THAT(h.store().verify({}), IsEmpty());
  h.close();
  tamper(h.where(), [](lmdb_txn& txn, const tables& t) {
    auto write = [&](std::int64_t time, std::uint64_t index, std::vector<first_of_key> messages) {
      std::vector<char> value;
      encode(messages, value);
      txn.put(t.firsts, key_of(queue_id{1}, first_place{from_unix_ms(time), log_index{index}}), value);
    };
    write(1000, 1, {{hash_key("a"), 0, queue_offset{0}}, {hash_key("c"), 1, queue_offset{1}}});
    write(1000, 2, {{hash_key("a"), 0, queue_offset{2}}});
    write(1000, 9, {{hash_key("a"), 0, queue_offset{77}}});
  });
  h.reopen();
  std::vector<std::string> texts;
  for (const auto& d : h.store().verify({}))
    texts.push_back(to_string(d));
  EXPECT_THAT(texts, testing::UnorderedElementsAre(HasSubstr("a key is not that of its message"),
                                                   HasSubstr("keys stand under an entry that has none"),
                                                   HasSubstr("the keys of messages contradict the queue")));
}

TEST_F(contradictions, a_row_is_garbage) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                const std::string junk(17, 'j');
                txn.put(t.producers, key_of(queue_id{1}, producer_id{1}), junk); // and its age
                txn.put(t.tails, key_of(queue_id{3}), junk);
                txn.put(t.settled, key_of(queue_id{1}, group_id{1}, 0, 0), junk);
                txn.put(t.subscriptions, key_of(queue_id{2}, group_id{1}, 0), junk);
                txn.put(t.definitions, key_of(topic_id{1}), junk);
              }),
              testing::SizeIs(6));
}

TEST_F(contradictions, a_definition_has_an_id_that_was_never_given) {
  EXPECT_THAT(after([](auto& txn, auto& t) { txn.put(t.meta, meta_ids, encode(ids_row{})); }),
              testing::ElementsAre(HasSubstr("topic t has an id")));
}

/// One dead letter of each of two groups, and two redriven messages; offset 1 of entry 1 has left the queue.
class contradictions_of_dead_letters : public contradictions {
protected:
  contradictions_of_dead_letters() {
    h->apply(reset(2, 1, 0));
    h->apply(settle(1, 1, 1, {dead(0, 2), dead(4)}));
    h->apply(settle(2, 1, 1, {dead(1)}));
    h->apply(redrive(1, 1, {at(1, 0), at(2, 0)}));
    h->apply(trim(1, 4));
    EXPECT_THAT(h->store().verify({}), IsEmpty());
  }
};

TEST_F(contradictions_of_dead_letters, a_dead_letter_is_gone) {
  EXPECT_THAT(
      after([](auto& txn, auto& t) { txn.erase(t.dead, key_of(queue_id{1}, group_id{1}, at(1, 1))); }),
      testing::UnorderedElementsAre(
          HasSubstr("there are 0 dead letters of group 1, the count says 1"),
          HasSubstr("log index 1, queue 0, offsets [0, 0): 2 hold the entry, it is pinned 3 times")));
}

TEST_F(contradictions_of_dead_letters, a_dead_letter_is_there_that_nobody_counted) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                std::vector<char> row;
                encode(dead_row{queue_offset{5}}, row);
                txn.put(t.dead, key_of(queue_id{1}, group_id{3}, at(2, 1)), row);
              }),
              testing::UnorderedElementsAre(
                  HasSubstr("there are 1 dead letters of group 3, the count says 0"),
                  HasSubstr("log index 2, queue 0, offsets [0, 0): 2 hold the entry, it is pinned 1 times")));
}

TEST_F(contradictions_of_dead_letters, a_dead_letter_points_at_nothing) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                std::vector<char> row;
                encode(dead_row{queue_offset{5}}, row);
                txn.put(t.dead, key_of(queue_id{1}, group_id{1}, at(1, 9)), row);
                txn.put(t.dead, key_of(queue_id{1}, group_id{1}, at(70)), row);
              }),
              testing::IsSupersetOf({HasSubstr("log index 1, queue 1, offsets [0, 0): a dead letter of group "
                                               "1: the entry of a message does not hold it"),
                                     HasSubstr("a dead letter of group 1: the entry of a message is missing"),
                                     HasSubstr("log index 70, queue 0, offsets [0, 0): 1 hold the entry, it "
                                               "is pinned 0 times")}));
}

TEST_F(contradictions_of_dead_letters, a_dead_letter_died_where_the_queue_never_was) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                std::vector<char> row;
                encode(dead_row{queue_offset{50}}, row);
                txn.put(t.dead, key_of(queue_id{1}, group_id{1}, at(1, 1)), row);
              }),
              testing::ElementsAre(HasSubstr("a dead letter of group 1 lies behind the queue or the log")));
}

TEST_F(contradictions_of_dead_letters, an_entry_that_they_hold_is_gone) {
  EXPECT_THAT(after([](auto& txn, auto& t) { txn.erase(t.log, key_of(log_index{1})); }),
              testing::IsSupersetOf(
                  {HasSubstr("log index 1, queue 0, offsets [0, 0): the entry is pinned, but missing"),
                   HasSubstr("a dead letter of group 2: the entry of a message is missing"),
                   HasSubstr("offsets [8, 9): the entry of a message is missing")}));
  EXPECT_THAT(h->store().read(queue_id{1}, queue_offset{8}, 1).value().damaged, testing::SizeIs(1));
}

TEST_F(contradictions_of_dead_letters, a_batch_that_only_they_hold_is_damaged) {
  const auto texts = after([](auto& txn, auto& t) {
    const auto value = txn.get(t.log, key_of(log_index{1})).value();
    std::string entry(value.begin(), value.end());
    entry[entry.find("1/1/1/0")] ^= 1;
    txn.put(t.log, key_of(log_index{1}), entry);
  });
  EXPECT_THAT(texts, testing::IsSupersetOf({HasSubstr("a dead letter of group 1: the batch is damaged"),
                                            HasSubstr("a dead letter of group 2: the batch is damaged"),
                                            HasSubstr("offsets [8, 9): the batch is damaged")}));
}

TEST_F(contradictions_of_dead_letters, an_entry_is_pinned_that_nobody_holds) {
  EXPECT_THAT(after([](auto& txn, auto& t) { txn.put(t.pins, key_of(log_index{3}), encode_pins(1)); }),
              testing::ElementsAre(HasSubstr("log index 3, queue 0, offsets [0, 0): 0 hold the entry, it is "
                                             "pinned 1 times")));
}

TEST_F(contradictions_of_dead_letters, an_entry_that_is_held_is_not_pinned) {
  EXPECT_THAT(after([](auto& txn, auto& t) { txn.erase(t.pins, key_of(log_index{1})); }),
              testing::ElementsAre(HasSubstr("3 hold the entry, it is pinned 0 times")));
}

TEST_F(contradictions_of_dead_letters, a_list_is_not_what_the_index_says) {
  EXPECT_THAT(after_runs([](auto& runs) { runs.back().lane = 1; }),
              testing::ElementsAre(HasSubstr("its bytes or lane are not those of a list")));
  EXPECT_THAT(after_runs([](auto& runs) {
                runs.back().lane = 0;
                runs.back().time += milliseconds{1};
              }),
              testing::Contains(HasSubstr("the entry's time is not the index's")));
}

TEST_F(contradictions_of_dead_letters, a_list_is_longer_than_its_entry_or_none) {
  EXPECT_THAT(after_runs([](auto& runs) { ++runs.back().first_ordinal; }),
              testing::Contains(HasSubstr("the list that it points at differ")));
  EXPECT_THAT(after_runs([](auto& runs) { runs.back().lists = false; }),
              testing::Contains(HasSubstr("points at an entry of another kind")));
  EXPECT_THAT(after_runs([](auto& runs) { runs.front().lists = true; }),
              testing::Contains(HasSubstr("points at an entry of another kind")));
}

TEST_F(contradictions_of_dead_letters, their_rows_are_garbage) {
  EXPECT_THAT(after([](auto& txn, auto& t) {
                const std::string junk(17, 'j');
                txn.put(t.dead, key_of(queue_id{1}, group_id{1}), junk);
                txn.put(t.dead, key_of(queue_id{1}, group_id{2}, at(1, 1)), junk);
                txn.put(t.dead, std::string(11, 'k'), junk);
                txn.put(t.pins, key_of(log_index{1}), junk);
              }),
              testing::IsSupersetOf({HasSubstr("reading a count of dead letters"),
                                     HasSubstr("reading a dead letter:"),
                                     HasSubstr("reading a dead letter's key"), HasSubstr("reading pins")}));
}

TEST_F(contradictions, reports_progress_up_to_the_end) {
  std::pair<std::uint64_t, std::uint64_t> last;
  h->store().verify([&](std::uint64_t done, std::uint64_t all) { last = {done, all}; });
  EXPECT_EQ(last, (std::pair<std::uint64_t, std::uint64_t>{3, 3}));
}

} // namespace
} // namespace troupe::test
