#include "troupe/data_directory.hpp"

#include "temporary_directory.hpp"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <unistd.h>

namespace troupe {

namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct data_directory_test : testing::Test {
  test::temporary_directory scratch;
  fs::path path = scratch / "data";

  static void write(const fs::path& file, const std::string& text) { std::ofstream{file} << text; }
  static std::string read(const fs::path& file) {
    std::ifstream in{file};
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  /// Every file's contents, by path.
  std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> result;
    for (const auto& entry : fs::recursive_directory_iterator{path})
      result[entry.path()] = entry.is_regular_file() ? read(entry.path()) : "";
    return result;
  }
  /// What the shards leave behind when they are made.
  void make_shards(int n) {
    for (int i = 0; i < n; ++i) {
      fs::create_directories(path / ("shard-" + std::to_string(i)));
      write(path / ("shard-" + std::to_string(i)) / "data.mdb", "x");
    }
  }
  void make(std::uint16_t shards) {
    auto dir = data_directory::open(path, shards);
    ASSERT_TRUE(dir) << to_string(dir.error());
    make_shards(shards);
    ASSERT_FALSE(dir->complete());
  }
};

TEST_F(data_directory_test, a_new_directory_keeps_its_identity_and_number_of_shards) {
  std::string identity;
  {
    auto dir = data_directory::open(path, 2);
    ASSERT_TRUE(dir) << to_string(dir.error());
    EXPECT_EQ(dir->shards(), 2);
    identity = dir->identity();
    make_shards(2);
    EXPECT_FALSE(dir->complete());
  }
  auto again = data_directory::open(path);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(again->shards(), 2);
  EXPECT_EQ(again->identity(), identity);
  EXPECT_EQ(identity.size(), 32u);
}

TEST_F(data_directory_test, another_number_of_shards_is_refused_with_the_reason) {
  make(2);
  auto other = data_directory::open(path, 3);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::invalid_argument);
  EXPECT_THAT(other.error().reason, HasSubstr("2 shard(s), not 3"));
  EXPECT_TRUE(data_directory::open(path, 2));
  EXPECT_EQ(data_directory::open(scratch / "many", 65).error().code, errc::invalid_argument);
}

TEST_F(data_directory_test, a_second_opening_is_refused_and_names_the_process) {
  auto first = data_directory::open(path, 1);
  ASSERT_TRUE(first);
  auto second = data_directory::open(path, 1);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::in_use);
  EXPECT_THAT(second.error().reason, HasSubstr("process id " + std::to_string(::getpid())));
}

TEST_F(data_directory_test, an_unknown_format_version_is_refused_and_nothing_is_touched) {
  make(1);
  write(path / "meta", "troupe data directory\nformat = 2\nsomething = new\n");
  fs::remove(path / "LOCK");
  auto before = everything();
  auto dir = data_directory::open(path);
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, errc::unknown_version);
  EXPECT_THAT(dir.error().reason, HasSubstr("version 2"));
  EXPECT_EQ(everything(), before);
}

TEST_F(data_directory_test, a_damaged_meta_is_refused) {
  make(1);
  auto good = read(path / "meta");
  for (const std::string& bad :
       {std::string{}, std::string{"x"}, good + "more", good.substr(0, good.size() - 5),
        "troupe data directory\nformat = -1\n" + good, std::string{"troupe data directory\nformat ="}}) {
    write(path / "meta", bad);
    EXPECT_EQ(data_directory::open(path).error().code, errc::corrupt) << bad;
  }
}

TEST_F(data_directory_test, a_missing_shard_is_no_empty_one) {
  make(2);
  fs::remove_all(path / "shard-1");
  auto dir = data_directory::open(path);
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, errc::corrupt);
  EXPECT_THAT(dir.error().reason, HasSubstr("shard-1 is missing"));
}

TEST_F(data_directory_test, a_creation_that_was_cut_short_is_made_anew_with_what_is_asked_for_now) {
  for (std::uint16_t asked : {0, 1, 2, 5}) {
    fs::remove_all(path);
    std::string identity;
    {
      auto dir = data_directory::open(path, 3);
      ASSERT_TRUE(dir);
      identity = dir->identity();
      make_shards(2);
      fs::create_directories(path / "shard-2.new");
      write(path / "shard-2.new" / "data.mdb", "half");
      EXPECT_EQ(dir->complete().code, errc::corrupt);
    }
    const int made = std::max<int>(asked, 1);
    {
      auto dir = data_directory::open(path, asked);
      ASSERT_TRUE(dir) << asked << to_string(dir.error());
      EXPECT_EQ(dir->shards(), made);
      EXPECT_NE(dir->identity(), identity);
      EXPECT_FALSE(fs::exists(path / "shard-0")) << "nothing of the first attempt is left";
      EXPECT_FALSE(fs::exists(path / "shard-2.new"));
      make_shards(made);
      EXPECT_FALSE(dir->complete());
    }
    EXPECT_EQ(data_directory::open(path)->shards(), made);
  }
}

TEST_F(data_directory_test, a_creation_that_was_cut_short_while_meta_was_written_is_made_anew) {
  std::string whole;
  {
    auto dir = data_directory::open(path, 3);
    ASSERT_TRUE(dir);
    whole = read(path / "meta.new");
  }
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write(path / "meta.new", whole.substr(0, size));
    auto dir = data_directory::open(path);
    ASSERT_TRUE(dir) << size << to_string(dir.error());
    EXPECT_EQ(dir->shards(), 1);
  }
}

TEST_F(data_directory_test, only_the_shards_of_a_creation_that_was_cut_short_are_removed) {
  { ASSERT_TRUE(data_directory::open(path, 3)); }
  make_shards(1);
  write(path / "shard-0.txt", "dear");
  write(path / "shard-", "all");
  write(path / "letters", "!");
  { ASSERT_TRUE(data_directory::open(path)); }
  EXPECT_FALSE(fs::exists(path / "shard-0"));
  EXPECT_EQ(read(path / "shard-0.txt") + read(path / "shard-") + read(path / "letters"), "dearall!");
  // Without a meta.new that a node wrote, even a shard is somebody else's.
  write(path / "meta.new", "x");
  make_shards(1);
  auto before = everything();
  EXPECT_EQ(data_directory::open(path).error().code, errc::invalid_argument);
  EXPECT_EQ(everything(), before);
}

TEST_F(data_directory_test, a_complete_directory_without_its_meta_is_left_alone) {
  make(2);
  fs::remove(path / "meta");
  auto before = everything();
  EXPECT_EQ(data_directory::open(path).error().code, errc::invalid_argument);
  EXPECT_EQ(everything(), before);
}

TEST_F(data_directory_test, what_was_never_completed_says_so_when_it_must_exist) {
  { ASSERT_TRUE(data_directory::open(path, 3)); }
  auto before = everything();
  auto dir = data_directory::open_existing(path);
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, errc::not_found);
  EXPECT_THAT(dir.error().reason, HasSubstr("never completed"));
  EXPECT_EQ(everything(), before);
}

TEST_F(data_directory_test, a_directory_with_other_things_in_it_is_refused_and_left_alone) {
  fs::create_directories(path);
  write(path / "letter.txt", "dear");
  auto dir = data_directory::open(path, 1);
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, errc::invalid_argument);
  EXPECT_THAT(dir.error().reason, HasSubstr("letter.txt"));
  EXPECT_FALSE(fs::exists(path / "meta.new"));
  write(scratch / "file", "x");
  EXPECT_EQ(data_directory::open(scratch / "file").error().code, errc::invalid_argument);
}

TEST_F(data_directory_test, what_must_exist_is_not_made) {
  EXPECT_EQ(data_directory::open_existing(path).error().code, errc::not_found);
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(data_directory_test, what_is_somebody_elses_is_not_touched) {
  fs::create_directories(path);
  write(path / "letters", "dear all");
  auto before = everything();
  auto dir = data_directory::open(path);
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, errc::invalid_argument);
  EXPECT_EQ(everything(), before);
}

TEST_F(data_directory_test, the_lock_ends_with_its_owner_and_shows_no_process_then) {
  make(1);
  EXPECT_EQ(read(path / "LOCK"), std::string(15, ' ') + "\n");
  auto dir = data_directory::open(path);
  ASSERT_TRUE(dir);
  auto owner = std::to_string(::getpid());
  EXPECT_EQ(read(path / "LOCK"), owner + std::string(15 - owner.size(), ' ') + "\n");
}

} // namespace

} // namespace troupe
