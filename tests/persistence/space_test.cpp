#include "file_probe.hpp"
#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <fstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// Publishes to queue 1, in order, until it is refused or `most` batches are in.
class publisher {
public:
  explicit publisher(shard_harness& h) : h_(h) {}

  error once(std::size_t size) {
    const auto err = h_.append({publish(1, {make_batch(1, 1, next_, 1, size)})});
    next_ += err ? 0 : 1;
    return err;
  }
  error until_refused(std::size_t size, int most = 5000) {
    for (int i = 0; i < most; ++i)
      if (auto err = once(size))
        return err;
    return {};
  }
  std::uint64_t accepted() const { return next_ - 1; }

private:
  shard_harness& h_;
  std::uint64_t next_ = 1;
};

/// What must work on a disk that is full: dead letters with long texts, their redrive and their purge.
void expect_dead_letters_go_on(shard_harness& h, std::uint32_t group) {
  const queue_id queue{1};
  const auto e = h.store().extent(queue).value();
  const auto messages = e.next.value - e.first.value;
  const auto gen = h.apply(reset(group, 1, 0)).subscriptions.at(0).gen.value;
  for (std::uint64_t i = 0; i < 100; ++i)
    ASSERT_EQ(h.append({settle(group, 1, gen,
                               {dead(e.first.value + i * messages / 100, 1, dead_reason::rejected,
                                     std::string(1024, 'x'))})}),
              error{})
        << i;
  const auto places = dead_places(h.store(), queue, group_id{group}, 1000);
  ASSERT_FALSE(places.empty());
  const auto found = h.apply(redrive(group, 1, places));
  EXPECT_EQ(found.found, std::vector(places.size(), true));
  ASSERT_EQ(
      h.append({settle(group, 1, gen, {dead(found.first.value, static_cast<std::uint32_t>(places.size()))})}),
      error{});
  EXPECT_EQ(h.apply(purge(group, 1, places)).found, std::vector(places.size(), true));
}

/// What must work on a disk that is full: 200 settles, each a commit, and a new subscription.
void expect_consumers_go_on(shard_harness& h, std::uint32_t group) {
  EXPECT_EQ(h.append({reset(group, 1, 0)}), error{});
  const auto next = h.store().extent(queue_id{1}).value().next.value;
  ASSERT_GT(next, 0u);
  for (std::uint64_t i = 0; i < 200; ++i)
    ASSERT_EQ(h.append({settle(group, 1, 1, {ack(i % next), retry((i * 7) % next, 1, 5000)})}), error{}) << i;
  expect_dead_letters_go_on(h, group);
}

void trim_half(shard_harness& h) {
  const auto e = h.store().extent(queue_id{1}).value();
  const auto to = e.first.value + (e.next.value - e.first.value) / 2;
  while (!h.apply(trim(1, to)).done)
    ;
}

void expect_all_there(const shard& s, std::uint64_t last_sequence) {
  auto all = read_all(s, queue_id{1});
  std::erase_if(all, [](const stored_batch& b) { return b.only_for.value != 0; });
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().header.sequence.value, last_sequence);
  for (std::size_t i = 1; i < all.size(); ++i)
    ASSERT_EQ(all[i].header.sequence.value, all[i - 1].header.sequence.value + 1);
  EXPECT_THAT(s.verify({}), IsEmpty());
}

TEST(budget, refuses_messages_with_its_reason_and_leaves_everything_else_to_the_reserve) {
  shard_options o = small_shard();
  o.budget = 8u << 20;
  o.reserve = 1u << 20;
  shard_harness h(log_kind::local, o);
  EXPECT_EQ(h.log().admission(), error{});
  publisher p(h);
  const auto err = p.until_refused(20000);
  EXPECT_EQ(err.code, errc::no_space);
  EXPECT_THAT(err.reason, HasSubstr("the disk budget of 8388608 bytes"));
  EXPECT_THAT(err.hint, HasSubstr("budget"));
  EXPECT_GT(p.accepted(), 200u);
  expect_consumers_go_on(h, 1);
  EXPECT_LE(h.store().stats().file, o.budget);
  trim_half(h);
  EXPECT_EQ(h.log().admission(), error{});
  const auto before = p.accepted();
  EXPECT_EQ(p.until_refused(20000).code, errc::no_space);
  EXPECT_GT(p.accepted(), before + 50);
  EXPECT_LE(h.store().stats().file, o.budget);
  expect_all_there(h.store(), p.accepted());
}

TEST(budget, is_freed_by_purging_what_dead_letters_held_when_the_queue_was_trimmed) {
  shard_options o = small_shard();
  o.budget = 8u << 20;
  o.reserve = 1u << 20;
  shard_harness h(log_kind::local, o);
  publisher p(h);
  EXPECT_EQ(p.until_refused(20000).code, errc::no_space);
  h.apply(reset(1, 1, 0));
  const auto next = static_cast<std::uint32_t>(h.store().extent(queue_id{1}).value().next.value);
  EXPECT_EQ(h.append({settle(1, 1, 1, {dead(0, next)})}), error{});
  while (!h.apply(trim(1, next)).done)
    ;
  EXPECT_EQ(h.log().admission().code, errc::no_space) << "nothing that is held went";
  const auto places = dead_places(h.store(), queue_id{1}, group_id{1}, next);
  ASSERT_EQ(places.size(), next);
  const auto half = places.begin() + static_cast<std::ptrdiff_t>(places.size() / 2);
  h.apply(purge(1, 1, {places.begin(), half}));
  EXPECT_EQ(h.log().admission(), error{});
  EXPECT_THAT(h.store().verify({}), IsEmpty());
  h.apply(purge(1, 1, {half, places.end()}));
  EXPECT_EQ(h.store().stats().entries, 0u);
  EXPECT_THAT(h.store().verify({}), IsEmpty());
}

TEST(budget, is_named_by_admission_once_it_is_used_up) {
  shard_options o = small_shard();
  o.budget = 6u << 20;
  shard_harness h(log_kind::local, o);
  publisher p(h);
  p.until_refused(20000);
  p.until_refused(2000);
  p.until_refused(20);
  EXPECT_EQ(h.log().admission().code, errc::no_space);
  EXPECT_GT(h.log().admission().retry_after.count(), 0);
  h.reopen();
  EXPECT_EQ(h.log().admission().code, errc::no_space);
}

TEST(budget, refuses_a_call_as_a_whole) {
  shard_options o = small_shard();
  o.budget = 6u << 20;
  shard_harness h(log_kind::local, o);
  h.apply(reset(1, 1, 0));
  publisher p(h);
  p.until_refused(100000);
  const auto hash = h.store().table_hash().value();
  EXPECT_EQ(h.append({settle(1, 1, 1, {ack(0)}), publish(2, {make_batch(1, 1, 1, 1, 1000000)})}).code,
            errc::no_space);
  EXPECT_EQ(h.store().table_hash().value(), hash);
  EXPECT_EQ(h.append({settle(1, 1, 1, {ack(0)})}), error{});
}

TEST(budget, holds_the_file_to_1_3_times_of_it_under_mixed_sizes_and_retention) {
  shard_options o = small_shard();
  o.budget = 48u << 20;
  o.reserve = 2u << 20;
  shard_harness h(log_kind::local, o);
  random_source random(11);
  SCOPED_TRACE(random.describe());
  publisher p(h);
  std::uint64_t written = 0;
  std::uint64_t most = 0;
  while (written < 10 * o.budget) {
    const auto size = std::size_t{100} << random.below(14); // 100 B to 800 KiB
    if (!p.once(size)) {
      written += size;
      most = std::max(most, h.store().stats().file);
      continue;
    }
    const auto e = h.store().extent(queue_id{1}).value();
    h.apply(trim(1, e.first.value + std::max<std::uint64_t>(1, (e.next.value - e.first.value) / 8)));
  }
  EXPECT_LE(most, o.budget * 13 / 10);
  expect_all_there(h.store(), p.accepted());
}

TEST(failing_writes, without_room_refuse_the_commit_and_leave_the_log_usable) {
  for (std::uint64_t after = 0;; ++after) {
    shard_harness h(log_kind::local);
    publisher p(h);
    p.until_refused(3000, 20);
    h.apply(reset(1, 1, 0));
    const auto hash = h.store().table_hash().value();
    error err;
    {
      file_fault fault(h.data_file(), {.error = ENOSPC, .after = after});
      // Large enough to need new pages.
      err = h.append({publish(2, {make_batch(1, 1, 1, 1, 3u << 20)})});
      ASSERT_GT(fault.hits(), 0u) << "the last write ends the environment, and so this loop";
    }
    if (err.code == errc::storage_failed) {
      EXPECT_GT(after, 0u);
      EXPECT_EQ(h.append({settle(1, 1, 1, {ack(0, 3)})}).code, errc::storage_failed);
      h.reopen();
    }
    EXPECT_EQ(h.store().table_hash().value(), hash) << "after " << after << " writes";
    EXPECT_EQ(h.append({settle(1, 1, 1, {ack(0, 3)})}), error{});
    EXPECT_EQ(h.append({publish(2, {make_batch(1, 1, 1, 1, 3u << 20)})}), error{});
    expect_all_there(h.store(), p.accepted());
    if (err.code == errc::storage_failed)
      break;
    EXPECT_EQ(err.code, errc::no_space) << to_string(err);
  }
}

TEST(failing_writes, cut_short_by_a_full_disk_are_no_storage_failure) {
  shard_harness h(log_kind::local);
  publisher p(h);
  p.until_refused(3000, 20);
  {
    file_fault fault(h.data_file(), {.error = 0});
    EXPECT_EQ(h.append({reset(1, 1, 0)}).code, errc::no_space);
    EXPECT_GT(fault.hits(), 0u);
  }
  EXPECT_EQ(h.append({reset(1, 1, 0)}), error{});
  EXPECT_EQ(p.once(3000), error{});
  expect_all_there(h.store(), p.accepted());
}

TEST(growth, writes_zeros_where_the_file_system_sets_no_blocks_aside) {
  shard_harness h(log_kind::local);
  publisher p(h);
  const file_fault fault(h.data_file(), {.what = file_fault::call::allocate, .error = EOPNOTSUPP});
  EXPECT_EQ(p.until_refused(100'000, 20), error{});
  EXPECT_GT(fault.hits(), 0u);
  struct stat s {};
  ASSERT_EQ(::stat(h.data_file().c_str(), &s), 0);
  EXPECT_GE(s.st_blocks * 512, s.st_size) << "a hole is no reserve";
  expect_all_there(h.store(), p.accepted());
}

TEST(growth, sets_real_blocks_aside) {
  shard_harness h(log_kind::local);
  publisher p(h);
  EXPECT_EQ(p.until_refused(100'000, 20), error{});
  struct stat s {};
  ASSERT_EQ(::stat(h.data_file().c_str(), &s), 0);
  EXPECT_GE(s.st_blocks * 512, s.st_size);
}

class broken_disk : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(calls, broken_disk, testing::Bool(),
                         [](const auto& info) { return info.param ? "writes" : "syncs"; });

TEST_P(broken_disk, ends_the_log_for_good_and_loses_nothing_acknowledged) {
  shard_harness h(log_kind::local);
  publisher p(h);
  p.until_refused(3000, 20);
  const auto hash = h.store().table_hash().value();
  {
    file_fault fault(h.data_file(),
                     {.what = GetParam() ? file_fault::call::write : file_fault::call::sync, .error = EIO});
    const auto err = p.once(3000);
    EXPECT_EQ(err.code, errc::storage_failed) << to_string(err);
    EXPECT_GT(fault.hits(), 0u);
  }
  EXPECT_EQ(p.once(3000).code, errc::storage_failed);
  EXPECT_EQ(h.append({reset(1, 1, 0)}).code, errc::storage_failed);
  EXPECT_EQ(h.log().admission().code, errc::storage_failed);
  EXPECT_EQ(read_all(h.store(), queue_id{1}).size(), p.accepted());
  h.reopen();
  EXPECT_EQ(h.store().table_hash().value(), hash);
  EXPECT_EQ(p.once(3000), error{});
  expect_all_there(h.store(), p.accepted());
}

/// A small file system of its own, in memory. Needs root.
class small_disk {
public:
  explicit small_disk(const char* options) {
    mounted_ = ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, options) == 0;
  }
  ~small_disk() {
    if (mounted_)
      ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return dir_.path(); }

  /// Takes all room that is left, in files named after `name`.
  void fill(const std::string& name) {
    std::ofstream out(path() / name, std::ios::binary);
    const std::string block(4096, 'f');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush())
      ;
  }
  void free(const std::string& name) { std::filesystem::remove(path() / name); }

private:
  scratch_directory dir_;
  bool mounted_ = false;
};

#define NEEDS_DISK(disk)                                                                                     \
  if (!(disk).mounted())                                                                                     \
  GTEST_SKIP() << "mounting a small tmpfs needs root"

TEST(full_disk, refuses_messages_only_and_takes_them_again_after_trimming) {
  small_disk disk("size=24m");
  NEEDS_DISK(disk);
  shard_options o = small_shard();
  o.reserve = 2u << 20;
  shard_harness h(log_kind::local, disk.path(), o);
  publisher p(h);
  const auto err = p.until_refused(20000);
  EXPECT_EQ(err.code, errc::no_space);
  EXPECT_THAT(err.reason, HasSubstr("the file system is full"));
  disk.fill("rest");
  expect_consumers_go_on(h, 1);
  for (int round = 0; round < 5; ++round) {
    trim_half(h);
    expect_consumers_go_on(h, static_cast<std::uint32_t>(round + 2));
    EXPECT_EQ(h.log().admission(), error{});
    const auto before = p.accepted();
    EXPECT_EQ(p.until_refused(20000).code, errc::no_space);
    EXPECT_GT(p.accepted(), before + 50);
  }
  expect_consumers_go_on(h, 10);
  expect_all_there(h.store(), p.accepted());
  h.reopen();
  expect_all_there(h.store(), p.accepted());
}

TEST(full_disk, is_used_up_to_what_admission_counts_on_however_large_the_steps_of_growth) {
  small_disk disk("size=24m");
  NEEDS_DISK(disk);
  shard_options o = small_shard();
  o.reserve = 8u << 20; // steps of 1 MiB
  shard_harness h(log_kind::local, disk.path(), o);
  publisher p(h);
  const auto err = p.until_refused(20'000);
  EXPECT_EQ(err.code, errc::no_space) << to_string(err);
  // Else a batch that admission() let in, and that was acknowledged for it, would be refused by append().
  EXPECT_EQ(h.log().admission().code, errc::no_space);
  EXPECT_GT(h.store().stats().file, 23u << 20);
  expect_all_there(h.store(), p.accepted());
}

TEST(full_disk, takes_messages_again_as_soon_as_somebody_frees_room) {
  small_disk disk("size=24m");
  NEEDS_DISK(disk);
  shard_harness h(log_kind::local, disk.path(), small_shard());
  publisher p(h);
  p.until_refused(20000, 50);
  disk.fill("other");
  EXPECT_EQ(p.until_refused(20000).code, errc::no_space);
  EXPECT_EQ(h.log().admission().code, errc::no_space);
  disk.free("other");
  EXPECT_EQ(h.log().admission(), error{});
  EXPECT_EQ(p.until_refused(20000, 50), error{});
  expect_all_there(h.store(), p.accepted());
}

TEST(full_disk, with_mixed_sizes_never_stops_settles_or_trims) {
  small_disk disk("size=32m");
  NEEDS_DISK(disk);
  shard_options o = small_shard();
  o.reserve = 2u << 20;
  shard_harness h(log_kind::local, disk.path(), o);
  random_source random(5);
  SCOPED_TRACE(random.describe());
  publisher p(h);
  h.apply(publish(1, {make_batch(9, 1, 1, 1)}));
  ASSERT_EQ(h.append({reset(1, 1, 0)}), error{});
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto err = p.once(std::size_t{50} << random.below(15)); // 50 B to 800 KiB
    if (err) {
      ASSERT_EQ(err.code, errc::no_space) << to_string(err);
      ++refused;
      const auto e = h.store().extent(queue_id{1}).value();
      ASSERT_EQ(h.append({trim(1, e.first.value + 1 + random.below(e.next.value - e.first.value))}), error{});
    }
    const auto next = h.store().extent(queue_id{1}).value().next.value;
    ASSERT_EQ(h.append({settle(1, 1, 1, {ack(random.below(next)), retry(random.below(next), 1, 1)})}),
              error{});
  }
  EXPECT_GT(refused, 10);
  expect_all_there(h.store(), p.accepted());
}

TEST(full_disk, lets_a_node_open_its_shard_again_and_go_on_with_its_consumers) {
  small_disk disk("size=24m");
  NEEDS_DISK(disk);
  shard_options o = small_shard();
  o.reserve = 2u << 20;
  shard_harness h(log_kind::local, disk.path(), o);
  publisher p(h);
  EXPECT_EQ(p.until_refused(20000).code, errc::no_space);
  disk.fill("rest");
  h.reopen();
  expect_consumers_go_on(h, 1);
  expect_all_there(h.store(), p.accepted());
}

TEST(full_disk, too_small_for_the_table_of_readers_is_an_error_and_no_signal) {
  small_disk disk("size=8k");
  NEEDS_DISK(disk);
  const auto s = shard::open(disk.path(), small_shard());
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::no_space);
}

TEST(full_disk, cannot_hold_a_new_shard_and_says_so) {
  small_disk disk("size=1m");
  NEEDS_DISK(disk);
  shard_options o = small_shard();
  o.reserve = 4u << 20;
  const auto s = shard::open(disk.path(), o);
  ASSERT_FALSE(s.has_value());
  EXPECT_EQ(s.error().code, errc::no_space);
  EXPECT_FALSE(std::filesystem::exists(disk.path() / "shard-0"));
}

} // namespace
} // namespace troupe::test
