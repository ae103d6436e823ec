#include "page_checker.hpp"
#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <set>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::test {
namespace {

constexpr std::size_t page = 4096;

std::vector<std::string> check(const std::filesystem::path& file, bool deep = true) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  auto found = page_checker(fd).run(deep);
  ::close(fd);
  return found;
}

/// A shard with every table filled, some of them several pages deep, and free pages.
class damaged_pages : public testing::Test {
protected:
  damaged_pages() {
    shard_harness h(log_kind::local, dir.path(), small_shard());
    file = h.data_file();
    for (std::uint64_t s = 1; s <= 40; ++s) {
      std::vector<proposal> all;
      for (std::uint32_t queue = 1; queue <= 30; ++queue)
        all.push_back(publish(queue, {make_batch(queue, 1, s, 2, s % 20 ? 60 : 3000)}));
      EXPECT_EQ(h.append(std::move(all)), error{});
    }
    for (std::uint32_t queue = 1; queue <= 30; ++queue) {
      h.apply(reset(1, queue, 0));
      h.apply(settle(1, queue, 1, {ack(5), retry(9, 1, 1)}));
      h.apply(trim(queue, 10));
    }
    h.close();
    std::ifstream in(file, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }

  void write(const std::string& bytes) { std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes; }

  /// Pages with rows and branches, and the meta pages: what LMDB walks through.
  std::vector<std::size_t> structural_pages() const {
    std::vector<std::size_t> pages{0, 1};
    for (std::size_t n = 2; (n + 1) * page <= whole.size(); ++n) {
      const auto flags = static_cast<unsigned char>(whole[n * page + 10]);
      if (flags == 1 || flags == 2)
        pages.push_back(n);
    }
    return pages;
  }

  /// Opens and verifies the file and goes on with it, in a process of its own. 0: nothing found, 1: something
  /// was, -1: that process died.
  int open_in_child() {
    const auto child = ::fork();
    if (child == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      auto s = shard::open(dir.path(), small_shard());
      if (!s || !(*s)->verify({}).empty())
        ::_exit(1);
      for (std::uint32_t queue = 1; queue <= 30; ++queue) {
        (void)(*s)->read(queue_id{queue}, queue_offset{20}, 1u << 20);
        (void)(*s)->subscription(group_id{1}, queue_id{queue});
      }
      const auto log = make_local_log(**s, [](auto, auto&) {});
      const std::vector<proposal> all{publish(3, {make_batch(99, 1, 1, 1, 5000)}),
                                      settle(1, 3, 1, {ack(0, 30)})};
      (void)log->append(all);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  scratch_directory dir;
  std::filesystem::path file;
  std::string whole;
};

TEST(pages, of_a_value_that_was_replaced_by_a_shorter_one_in_the_same_commit_are_sound) {
  shard_harness h(log_kind::local);
  h.apply(publish(1, {make_batch(7, 1, 1, 1000, 1)}));
  h.apply(reset(1, 1, 0));
  // The row of what waits for a retry takes three pages, then two.
  EXPECT_EQ(h.append({settle(1, 1, 1, {retry(1, 1, 5000, 900)}), settle(1, 1, 1, {ack(500, 400)})}), error{});
  EXPECT_THAT(check(h.data_file()), testing::IsEmpty());
  EXPECT_EQ(h.store().subscription(group_id{1}, queue_id{1}).value()->retries.size(), 500u);
}

TEST_F(damaged_pages, are_none_in_a_sound_file) {
  EXPECT_THAT(check(file), testing::IsEmpty());
  EXPECT_THAT(check(file, false), testing::IsEmpty());
  EXPECT_EQ(open_in_child(), 0);
}

TEST_F(damaged_pages, that_a_cut_file_lost_are_found_before_lmdb_reads_behind_its_end) {
  int refused = 0;
  for (std::size_t pages = 3; pages * page < whole.size() && !HasFailure(); pages += 3) {
    SCOPED_TRACE("cut to " + std::to_string(pages) + " pages");
    std::filesystem::resize_file(file, pages * page);
    const auto outcome = open_in_child();
    EXPECT_NE(outcome, -1);
    refused += outcome == 1 ? 1 : 0;
    std::ofstream(file, std::ios::binary) << whole;
  }
  EXPECT_GT(refused, 5);
  EXPECT_EQ(open_in_child(), 0);
}

TEST_F(damaged_pages, never_bring_the_program_down) {
  random_source random(17);
  SCOPED_TRACE(random.describe());
  const auto pages = structural_pages();
  ASSERT_GT(pages.size(), 30u);
  int found = 0;
  constexpr int rounds = 400;
  for (int i = 0; i < rounds; ++i) {
    // Half of them in the page's head, where a bit weighs most.
    const auto at =
        pages[random.below(i % 5 ? pages.size() : 2)] * page + random.below(random.one_in(2) ? 48 : page);
    const auto bit = random.below(8);
    auto bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    write(bytes);
    const auto outcome = open_in_child();
    EXPECT_GE(outcome, 0) << "page " << at / page << ", byte " << at % page << ", bit " << bit;
    found += outcome == 1;
  }
  EXPECT_GT(found, rounds / 4);
}

TEST_F(damaged_pages, of_the_free_list_never_bring_the_checker_down_whichever_bit_it_is) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  std::uint64_t roots[2];
  for (const std::size_t meta : {0, 1})
    std::memcpy(&roots[meta], &whole[meta * page + 16 + 24 + 40], sizeof roots[meta]);
  std::size_t found = 0;
  for (const auto root : std::set<std::uint64_t>{roots[0], roots[1]}) {
    ASSERT_LT((root + 1) * page, whole.size());
    for (std::size_t at = root * page; at < (root + 1) * page; ++at)
      for (int bit = 0; bit < 8; ++bit) {
        const char flipped = static_cast<char>(whole[at] ^ (1 << bit));
        ASSERT_EQ(::pwrite(fd, &flipped, 1, static_cast<off_t>(at)), 1);
        found += page_checker(fd).run(false).size();
        ASSERT_EQ(::pwrite(fd, &whole[at], 1, static_cast<off_t>(at)), 1);
      }
  }
  EXPECT_GT(found, 100u);
  EXPECT_THAT(page_checker(fd).run(true), testing::IsEmpty());
  ::close(fd);
}

TEST_F(damaged_pages, of_random_bytes_never_bring_the_checker_down) {
  random_source random(18);
  SCOPED_TRACE(random.describe());
  const auto pages = structural_pages();
  for (int i = 0; i < 300; ++i) {
    auto bytes = whole;
    for (auto n = random.between(1, 4); n > 0; --n) {
      const auto at = pages[random.below(pages.size())] * page + random.below(page - 64);
      const auto junk = random.bytes(random.between(1, 64));
      bytes.replace(at, junk.size(), junk);
    }
    if (random.one_in(10))
      bytes.resize(random.below(bytes.size()));
    write(bytes);
    check(file);
    check(file, false);
  }
}

TEST_F(damaged_pages, are_named) {
  // The newest meta page's root of the table of tables: a page that holds something else.
  auto bytes = whole;
  const auto newest = bytes[0 * page + 16 + 128] > bytes[1 * page + 16 + 128] ? 0 : 1;
  bytes[newest * page + 16 + 24 + 48 + 40] = static_cast<char>(bytes[newest * page + 16 + 24 + 48 + 40] ^ 4);
  write(bytes);
  EXPECT_THAT(check(file), testing::Contains(testing::HasSubstr("the table of tables")));
  const auto s = shard::open(dir.path(), small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::corrupt);
  EXPECT_THAT(s.error().reason, testing::HasSubstr("data.mdb is damaged"));
}

} // namespace
} // namespace troupe::test
