#include "shard_harness.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

namespace troupe::test {
namespace {

namespace fs = std::filesystem;

/// Every file below a directory with its bytes and the time of its last change.
std::map<std::string, std::pair<std::string, fs::file_time_type>> snapshot(const fs::path& dir) {
  std::map<std::string, std::pair<std::string, fs::file_time_type>> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir))
    if (entry.is_regular_file()) {
      std::ifstream in(entry.path(), std::ios::binary);
      files[entry.path().string()] = {std::string(std::istreambuf_iterator<char>(in), {}),
                                      entry.last_write_time()};
    }
  return files;
}

TEST(opening, makes_a_shard_where_there_is_none_and_finds_it_again) {
  scratch_directory dir;
  {
    shard_harness h(log_kind::local, dir / "made", small_shard());
    h.apply(publish(1, {make_batch(1, 1, 1, 1)}));
  }
  shard_harness h(log_kind::local, dir / "made", small_shard());
  EXPECT_EQ(read_all(h.store(), queue_id{1}).size(), 1u);
  EXPECT_FALSE(fs::exists(dir / "made" / "shard-0.new"));
}

TEST(opening, has_the_reserve_written_in_the_file) {
  shard_options o = small_shard();
  o.reserve = 5u << 20;
  shard_harness h(log_kind::local, o);
  const auto s = h.store().stats();
  EXPECT_GE(s.file, s.used + o.reserve);
  EXPECT_EQ(s.file, fs::file_size(h.data_file()));
}

TEST(opening, replaces_what_a_crash_left_half_made) {
  scratch_directory dir;
  fs::create_directories(dir / "shard-0.new");
  std::ofstream(dir / "shard-0.new" / "data.mdb") << "half a page";
  shard_harness h(log_kind::local, dir.path(), small_shard());
  h.apply(publish(1, {make_batch(1, 1, 1, 1)}));
  EXPECT_FALSE(fs::exists(dir / "shard-0.new"));
}

TEST(opening, refuses_an_unknown_format_version_without_touching_anything) {
  scratch_directory dir;
  { shard_harness h(log_kind::local, dir.path(), small_shard()); }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    txn.put(t.meta, meta_format, encode(format_row{format_row::current + 1, {}, 1}));
  });
  fs::remove(dir / "shard-0" / "lock.mdb");
  const auto before = snapshot(dir.path());
  const auto s = shard::open(dir.path(), small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::unknown_version);
  EXPECT_THAT(s.error().reason, testing::HasSubstr("version " + std::to_string(format_row::current + 1)));
  EXPECT_EQ(snapshot(dir.path()), before);
}

TEST(opening, makes_the_tables_that_a_directory_of_format_version_1_lacks) {
  scratch_directory dir;
  {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    h.apply(publish(1, {make_batch(1, 1, 1, 3)}));
    h.apply(reset(1, 1, 0));
  }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    for (auto table : {t.dead, t.pins, t.timers, t.delayed, t.ages, t.firsts})
      check(mdb_drop(txn.get(), table, 1), "removing a table");
    txn.put(t.meta, meta_format, encode(format_row{1, {}, 1}));
  });
  shard_harness h(log_kind::local, dir.path(), small_shard());
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
  h.apply(settle(1, 1, 1, {dead(1)}));
  EXPECT_EQ(h.store().dead_count(queue_id{1}, group_id{1}).value(), 1u);
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
  h.close();
  // An older program would trim what the dead letter holds: it must refuse the directory from now on.
  MDB_env* env = nullptr;
  ASSERT_EQ(mdb_env_create(&env), 0);
  mdb_env_set_maxdbs(env, 32);
  ASSERT_EQ(mdb_env_open(env, (dir / "shard-0").c_str(), MDB_RDONLY | MDB_NOLOCK, 0), 0);
  {
    const lmdb_txn txn(env, MDB_RDONLY);
    MDB_dbi meta = 0;
    ASSERT_EQ(mdb_dbi_open(txn.get(), "meta", 0, &meta), 0);
    EXPECT_EQ(decode_format(txn.get(meta, meta_format).value()).version, format_row::current);
  }
  mdb_env_close(env);
}

TEST(opening, takes_keys_once_in_a_directory_of_format_version_4) {
  scratch_directory dir;
  const auto b = make_keyed_delayed(1, 1, 1, {{"a", 5000}, {"a", 5001}});
  {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    h.apply(publish(1, {b}));
  }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    check(mdb_drop(txn.get(), t.firsts, 1), "removing a table");
    txn.put(t.meta, meta_format, encode(format_row{4, {}, 1}));
  });
  shard_harness h(log_kind::local, dir.path(), small_shard());
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
  EXPECT_EQ(h.store().extent(queue_id{1}).value().delayed, 2u);
  const milliseconds window{1000};
  const auto again = h.apply(publish(1, {b}, 1000, window)).verdicts.at(0);
  EXPECT_EQ(again.what, batch_verdict::outcome::duplicate);
  EXPECT_TRUE(again.known);
  EXPECT_THAT(again.repeats, testing::IsEmpty());
  const auto first = h.apply(publish(1, {make_keyed_batch(1, 1, 2, {"a", "a"})}, 1000, window));
  EXPECT_THAT(first.verdicts.at(0).repeats, testing::SizeIs(1));
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
}

TEST(opening, finds_out_the_ages_of_producers_that_an_older_program_left) {
  scratch_directory dir;
  std::uint64_t hash = 0;
  {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    for (std::uint64_t hour = 0; hour < 20; ++hour) { // more producers than one transaction takes
      std::vector<batch> batches;
      for (std::uint64_t n = 1; n <= 1000; ++n)
        batches.push_back(make_batch((hour * 1000 + n) * 0x9e3779b97f4a7c15u, 1, 1, 0));
      h.apply(publish(1 + hour % 2, std::move(batches), static_cast<std::int64_t>(hour) * 3'600'000));
    }
    hash = h.store().table_hash().value();
  }
  tamper(dir.path(), [](lmdb_txn& txn, const tables& t) {
    check(mdb_drop(txn.get(), t.ages, 0), "emptying a table");
    // What an upgrade that was interrupted left behind, and an older program made wrong since.
    txn.put(t.ages, key_of(producer_age{99, queue_id{1}, producer_id{1}}), {});
    txn.put(t.meta, meta_format, encode(format_row{3, {}, 1}));
  });
  shard_harness h(log_kind::local, dir.path(), small_shard());
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
  EXPECT_EQ(h.store().table_hash().value(), hash);
  EXPECT_EQ(h.store().producers().value(), (producer_census{20'000, from_unix_ms(3'600'000)}));
}

TEST(opening, refuses_the_directory_of_another_shard) {
  scratch_directory dir;
  shard_options two = small_shard();
  two.shards = 2;
  { shard_harness h(log_kind::local, dir.path(), two); }
  const auto s = shard::open(dir.path(), small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::invalid_argument);
  EXPECT_THAT(s.error().reason, testing::HasSubstr("shard 0 of 2"));
}

TEST(opening, refuses_files_that_are_no_shard_without_touching_them) {
  for (const std::string& content :
       {std::string(), std::string("hello"), std::string(100000, 'x'), std::string(100000, '\0')}) {
    scratch_directory dir;
    fs::create_directories(dir / "shard-0");
    std::ofstream(dir / "shard-0" / "data.mdb", std::ios::binary) << content;
    const auto before = snapshot(dir.path());
    const auto s = shard::open(dir.path(), small_shard());
    ASSERT_FALSE(s.has_value()) << content.size();
    EXPECT_EQ(s.error().code, errc::corrupt) << to_string(s.error());
    EXPECT_EQ(snapshot(dir.path()), before);
  }
  scratch_directory dir;
  fs::create_directories(dir / "shard-0");
  EXPECT_EQ(shard::open(dir.path(), small_shard()).error().code, errc::corrupt);
}

TEST(opening, refuses_an_environment_of_another_program) {
  scratch_directory dir;
  fs::create_directories(dir / "shard-0");
  MDB_env* env = nullptr;
  ASSERT_EQ(mdb_env_create(&env), 0);
  mdb_env_set_maxdbs(env, 4);
  ASSERT_EQ(mdb_env_open(env, (dir / "shard-0").c_str(), 0, 0600), 0);
  MDB_txn* txn = nullptr;
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  MDB_dbi other = 0;
  ASSERT_EQ(mdb_dbi_open(txn, "other", MDB_CREATE, &other), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
  const auto s = shard::open(dir.path(), small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::corrupt);
  EXPECT_THAT(s.error().reason, testing::HasSubstr("not a shard"));
}

TEST(opening, says_what_the_system_said_when_the_directory_cannot_be_made) {
  scratch_directory dir;
  std::ofstream(dir / "file") << "not a directory";
  const auto s = shard::open(dir / "file", small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::storage_failed);
}

TEST(opening, refuses_a_budget_that_is_all_reserve) {
  scratch_directory dir;
  shard_options o;
  o.budget = 64u << 20;
  const auto s = shard::open(dir.path(), o);
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::invalid_argument);
}

} // namespace
} // namespace troupe::test
