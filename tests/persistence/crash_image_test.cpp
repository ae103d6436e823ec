#include "file_probe.hpp"
#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::test {
namespace {

using kind = file_operation::kind;

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(std::string& image, const file_operation& op, std::size_t from, std::size_t to) {
  if (image.size() < op.offset + to)
    image.resize(op.offset + to);
  std::copy(op.bytes.begin() + static_cast<std::ptrdiff_t>(from),
            op.bytes.begin() + static_cast<std::ptrdiff_t>(to),
            image.begin() + static_cast<std::ptrdiff_t>(op.offset + from));
}
void put(std::string& image, const file_operation& op) {
  if (op.what == kind::resize)
    image.resize(std::max<std::size_t>(image.size(), op.offset));
  else
    put(image, op, 0, op.bytes.size());
}

/// A disk whose power may go at any moment: what was synced is there, of what was written since, anything may
/// be.
class volatile_disk {
public:
  explicit volatile_disk(std::string durable) : durable_(std::move(durable)) {}

  void happen(const file_operation& op) {
    switch (op.what) {
    case kind::write:
      pending_.push_back(op);
      break;
    case kind::durable_write:
      put(durable_, op);
      break;
    case kind::sync:
      for (const auto& p : pending_)
        put(durable_, p);
      pending_.clear();
      break;
    case kind::resize:
      ASSERT_GE(op.offset, everything().size()) << "nobody shortens a shard's file";
      pending_.push_back(op);
      break;
    }
  }

  std::string nothing_more() const { return durable_; }
  std::string everything() const { return first(pending_.size()); }
  /// The first `n` pending writes in their order.
  std::string first(std::size_t n) const {
    auto image = durable_;
    for (std::size_t i = 0; i < n; ++i)
      put(image, pending_[i]);
    return image;
  }
  /// Any subset of the pending writes.
  std::string some(random_source& random) const {
    auto image = durable_;
    for (const auto& p : pending_)
      if (random.one_in(2))
        put(image, p);
    return image;
  }
  /// Any subset of the sectors of the pending writes.
  std::string torn(random_source& random) const {
    constexpr std::size_t sector = 512;
    auto image = durable_;
    for (const auto& p : pending_) {
      if (p.what == kind::resize && random.one_in(2))
        put(image, p);
      for (std::size_t at = 0; at < p.bytes.size(); at += sector)
        if (random.one_in(2))
          put(image, p, at, std::min(at + sector, p.bytes.size()));
    }
    return image;
  }
  std::size_t pending() const { return pending_.size(); }

private:
  std::string durable_;
  std::vector<file_operation> pending_;
};

/// What was true when so many operations had happened.
struct acknowledged {
  std::size_t operations = 0;
  std::uint64_t hash = 0;
};

class crash_images : public testing::TestWithParam<std::uint64_t> {
protected:
  /// Decides about some of what is undecided.
  proposal decide(const shard& s, random_source& random) {
    std::vector<message_place> places;
    const auto open = s.open_transactions({}, 20).value();
    for (const auto& item : open)
      for (const auto& message : item.messages)
        if (!random.one_in(3) && places.size() < max_listed_messages)
          places.push_back(message);
    decide_entry e;
    e.commit = !random.one_in(3);
    e.queues = s.by_queue(places).value();
    decided += places.size();
    for (const auto& some : e.queues)
      offsets_[some.queue.value] += e.commit ? some.messages.size() : 0;
    if (e.queues.empty())
      return {{}, begin_entry{"group", "key", from_unix_ms(5000)}};
    return {{}, std::move(e)};
  }

  /// One commit of a workload that writes, settles, buries, redrives, purges, decides, trims and resets, so
  /// that pages are freed and used again.
  std::vector<proposal> commit(const shard& s, random_source& random) {
    std::vector<proposal> all;
    for (auto n = random.between(1, 4); n > 0; --n) {
      const auto queue = static_cast<std::uint32_t>(random.between(1, 3));
      const auto size = random.one_in(6) ? random.between(5000, 60000) : random.between(10, 400);
      auto& next = sequences_[queue];
      auto listed = dead_places(s, queue_id{queue}, group_id{1}, 20);
      std::erase_if(listed, [&](const auto&) { return random.one_in(2); });
      switch (random.below(listed.empty() ? 13 : 17)) { // mostly messages
      case 0:
        all.push_back(trim(queue, offsets_[queue] > 6 ? offsets_[queue] - 6 : 0));
        break;
      case 1:
        all.push_back(reset(1, queue, 0));
        ++generations_[queue];
        break;
      case 2:
      case 3:
        all.push_back(settle(
            1, queue, generations_[queue],
            {ack(random.below(offsets_[queue] + 1), 2), retry(random.below(offsets_[queue] + 1), 1, 5)}));
        break;
      case 4:
        all.push_back(settle(1, queue, generations_[queue],
                             {dead(random.below(offsets_[queue] + 1), 3, dead_reason::rejected,
                                   random.letters(random.below(1025)))}));
        break;
      case 5:
        all.push_back(decide(s, random));
        break;
      case 6:
        all.push_back(publish(queue, {make_half(1, ++next, static_cast<std::uint32_t>(random.between(1, 300)),
                                                {"group", {}}, 10)}));
        break;
      case 13:
        all.push_back(purge(1, queue, std::move(listed)));
        break;
      case 14:
      case 15:
      case 16:
        redriven += listed.size();
        all.push_back(redrive(1, queue, std::move(listed)));
        break;
      default: {
        const auto count = static_cast<std::uint32_t>(random.between(1, 5));
        all.push_back(publish(queue, {make_batch(1, 1, ++next, count, size)}));
        offsets_[queue] += count;
      }
      }
    }
    return all;
  }

  /// Opens the image. Empty when it is sound and the state after one of the commits from the last
  /// acknowledged one on; else what is wrong.
  std::string complaint(const std::string& image, std::span<const acknowledged> commits,
                        std::size_t operations, bool go_on) {
    const auto data = images_ / "shard-0" / "data.mdb";
    std::filesystem::create_directories(data.parent_path());
    std::filesystem::remove(data.parent_path() / "lock.mdb");
    std::ofstream(data, std::ios::binary | std::ios::trunc) << image;
    shard_harness h(log_kind::local, images_.path(), small_shard());
    ++opened;
    if (const auto found = h.store().verify({}); !found.empty())
      return to_string(found.front());
    const auto hash = h.store().table_hash().value();
    // The last commit acknowledged before, and the one that was under way.
    const auto next = std::ranges::find_if(commits, [&](const auto& c) { return c.operations > operations; });
    if (hash != std::prev(next)->hash && (next == commits.end() || hash != next->hash))
      return "an acknowledged commit is missing";
    if (go_on) {
      h.apply(publish(9, {make_batch(5, 1, 1, 3, 3000)}));
      if (const auto found = h.store().verify({}); !found.empty())
        return "after going on: " + to_string(found.front());
    }
    return {};
  }

  /// As complaint(), in a process of its own: such an image may also bring LMDB down.
  bool fails_in_child(const std::string& image, std::span<const acknowledged> commits,
                      std::size_t operations) {
    const auto child = ::fork();
    if (child == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      bool wrong = true;
      try {
        wrong = !complaint(image, commits, operations, false).empty();
      } catch (...) {
      }
      ::_exit(wrong ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }

  /// Runs the workload on a shard and records what it does to its file.
  void run(random_source& random, int commits_wanted) {
    shard_harness h(log_kind::local);
    start = contents(h.data_file());
    commits.push_back({0, h.store().table_hash().value()});
    file_recorder recorder(h.data_file());
    for (int i = 0; i < commits_wanted; ++i) {
      ASSERT_EQ(h.append(commit(h.store(), random)), error{});
      commits.push_back({recorder.size(), h.store().table_hash().value()});
    }
    operations = recorder.take();
    ASSERT_EQ(operations.size(), commits.back().operations);
  }

  std::string start;
  std::vector<acknowledged> commits;
  std::vector<file_operation> operations;

  scratch_directory images_;
  std::map<std::uint32_t, std::uint64_t> sequences_;
  std::map<std::uint32_t, std::uint64_t> offsets_;
  std::map<std::uint32_t, std::uint64_t> generations_;
  std::size_t opened = 0;
  std::size_t redriven = 0;
  std::size_t decided = 0;
};

INSTANTIATE_TEST_SUITE_P(seeds, crash_images, testing::Values(1, 2, 3));

TEST_P(crash_images, open_with_everything_acknowledged_wherever_the_power_went) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  random_source random(GetParam());
  run(random, 60);
  EXPECT_THAT(operations, testing::Contains(testing::Field(&file_operation::what, kind::sync)));
  EXPECT_THAT(operations, testing::Contains(testing::Field(&file_operation::what, kind::durable_write)));
  EXPECT_THAT(operations, testing::Contains(testing::Field(&file_operation::what, kind::resize)));

  volatile_disk disk(start);
  std::size_t in_flight = 0;
  for (std::size_t at = 0; at <= operations.size() && !HasFailure(); ++at) {
    SCOPED_TRACE("after " + std::to_string(at) + " operations");
    if (at)
      disk.happen(operations[at - 1]);
    auto check = [&](const std::string& image) {
      EXPECT_EQ(complaint(image, commits, at, random.one_in(20)), "");
    };
    check(disk.nothing_more());
    if (disk.pending() == 0)
      continue;
    ++in_flight;
    check(disk.everything());
    check(disk.first(random.below(disk.pending())));
    check(disk.some(random));
    check(disk.torn(random));
  }
  EXPECT_GT(in_flight, 60u);
  EXPECT_GT(redriven, 0u);
  EXPECT_GT(decided, 0u);
  RecordProperty("images", std::to_string(opened));
}

// The two below show that the test above can fail.

TEST_P(crash_images, of_a_disk_that_forgets_a_commit_are_found_out) {
  random_source random(GetParam());
  run(random, 5);
  volatile_disk disk(start);
  for (std::size_t at = 0; at < commits[4].operations; ++at)
    disk.happen(operations[at]);
  EXPECT_EQ(complaint(disk.everything(), commits, commits[4].operations, false), "");
  EXPECT_EQ(complaint(disk.everything(), commits, commits[5].operations, false),
            "an acknowledged commit is missing");
}

TEST_P(crash_images, of_a_disk_that_ignores_fdatasync_are_found_out) {
  random_source random(GetParam());
  run(random, 20);
  volatile_disk disk(start);
  for (const auto& op : operations)
    if (op.what != kind::sync)
      disk.happen(op);
  EXPECT_TRUE(fails_in_child(disk.nothing_more(), commits, operations.size()));
  EXPECT_FALSE(fails_in_child(disk.everything(), commits, operations.size()));
}

} // namespace
} // namespace troupe::test
