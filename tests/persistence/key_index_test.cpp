#include "firsts_row.hpp"
#include "key_index.hpp"
#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>

namespace troupe::test {
namespace {

constexpr queue_id queue{1};

/// Rows in a table of a closed shard, beside an index that is told of them.
class key_index_test : public testing::Test {
protected:
  void work(const std::function<void(lmdb_txn&, MDB_dbi)>& f) {
    tamper(dir_.path(), [&](lmdb_txn& txn, const tables& t) { f(txn, t.firsts); });
  }
  static void write(lmdb_txn& txn, MDB_dbi firsts, key_index& index, const first_place& at,
                    const std::vector<key_hash>& keys) {
    std::vector<first_of_key> messages;
    for (const auto& key : keys)
      messages.push_back({key, static_cast<std::uint32_t>(messages.size()), queue_offset{messages.size()}});
    std::vector<char> value;
    encode(messages, value);
    txn.put(firsts, key_of(queue, at), value);
    index.add(queue, at, keys);
  }
  static std::vector<first_place> find(const key_index& index, const key_hash& key) {
    std::vector<first_place> found;
    index.find(queue, key, found);
    return found;
  }

  scratch_directory dir_;
  shard_harness made_{log_kind::local, dir_.path(), small_shard()};
};

TEST_F(key_index_test, finds_every_key_in_its_rows_newest_first_also_when_it_was_made_anew) {
  made_.close();
  random_source random(7);
  SCOPED_TRACE(random.describe());
  std::map<key_hash, std::vector<first_place>> wanted;
  key_index index;
  work([&](lmdb_txn& txn, MDB_dbi firsts) {
    index.prepare(txn, firsts, queue);
    for (std::uint64_t i = 1; i <= 300; ++i) {
      const first_place at{from_unix_ms(static_cast<std::int64_t>(i / 3)), log_index{i}};
      std::set<key_hash> keys;
      for (auto n = random.between(1, 2000); n > 0; --n)
        keys.insert(hash_key(std::to_string(random.below(250'000))));
      write(txn, firsts, index, at, {keys.begin(), keys.end()});
      for (const auto& key : keys)
        wanted[key].insert(wanted[key].begin(), at);
    }
    key_index again;
    again.prepare(txn, firsts, queue);
    for (const auto& [key, places] : wanted) {
      ASSERT_EQ(find(index, key), places);
      ASSERT_EQ(find(again, key), places);
    }
    int false_hits = 0;
    for (int i = 0; i < 100'000; ++i)
      false_hits += !find(index, hash_key("absent" + std::to_string(i))).empty();
    EXPECT_LE(false_hits, 5);
    EXPECT_LT(index.bytes(), 300'000u * 20);
  });
}

TEST_F(key_index_test, forgets_rows_that_are_gone_and_finds_the_others) {
  made_.close();
  key_index index;
  std::vector<key_hash> keys;
  for (int i = 0; i < 200; ++i)
    keys.push_back(hash_key("k" + std::to_string(i)));
  work([&](lmdb_txn& txn, MDB_dbi firsts) {
    index.prepare(txn, firsts, queue);
    for (std::uint64_t i = 0; i < keys.size(); ++i)
      write(txn, firsts, index, {from_unix_ms(static_cast<std::int64_t>(i)), log_index{i + 1}}, {keys[i]});
    for (std::uint64_t i = 0; i < 150; ++i)
      txn.erase(firsts,
                key_of(queue, first_place{from_unix_ms(static_cast<std::int64_t>(i)), log_index{i + 1}}));
    index.prune(txn, firsts, queue);
    EXPECT_TRUE(find(index, keys[149]).empty());
    EXPECT_EQ(find(index, keys[150]).size(), 1u);
    EXPECT_EQ(find(index, keys[199]).size(), 1u);
    for (std::uint64_t i = 150; i < 200; ++i)
      txn.erase(firsts,
                key_of(queue, first_place{from_unix_ms(static_cast<std::int64_t>(i)), log_index{i + 1}}));
    index.prune(txn, firsts, queue);
    EXPECT_TRUE(find(index, keys[199]).empty());
    EXPECT_LT(index.bytes(), 2000u);
    write(txn, firsts, index, {from_unix_ms(500), log_index{500}}, {keys[3]});
    EXPECT_EQ(find(index, keys[3]).size(), 1u);
  });
}

} // namespace
} // namespace troupe::test
