#include "shard_harness.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

namespace troupe::test {
namespace {

/// Queue 1 holds one message a batch, so the batch at offset n has sequence n + 1.
class reader {
public:
  reader(const shard& s, std::uint64_t seed) : shard_(s), random_(seed) {}

  void run(const std::atomic<bool>& stop) {
    while (!stop || reads_ < 50)
      step();
  }
  const std::string& complaint() const { return complaint_; }

private:
  void step() {
    ++reads_;
    const auto e = shard_.extent(queue_id{1}).value();
    expect(e.first >= first_ && e.next >= next_, "the queue moved backwards");
    first_ = e.first;
    next_ = e.next;
    const auto from = queue_offset{random_.below(e.next.value + 1)};
    const auto read = shard_.read(queue_id{1}, from, 5000).value();
    expect(read.damaged.empty(), "something is damaged");
    auto at = read.batches.empty() ? from : read.batches.front().base;
    expect(at >= from, "reading began too early");
    for (const auto& b : read.batches) {
      expect(b.base == at && b.header.sequence.value == at.value + 1, "another message lies there");
      at = queue_offset{b.base.value + 1};
    }
    expect(read.next == at, "reading ended elsewhere");
    const auto time = shard_.last_time();
    expect(time >= time_, "shard time ran backwards");
    time_ = time;
    const auto s = shard_.subscription(group_id{1}, queue_id{1}).value();
    expect(!s || s->row.floor >= floor_, "the floor moved backwards");
    floor_ = s ? s->row.floor : floor_;
    expect(shard_.stats().used > 0, "no statistics");
  }
  void expect(bool ok, const char* what) {
    if (!ok && complaint_.empty())
      complaint_ = what;
  }

  const shard& shard_;
  random_source random_;
  std::string complaint_;
  queue_offset first_, next_, floor_;
  timestamp time_{};
  int reads_ = 0;
};

TEST(concurrent_reads, always_see_one_committed_state) {
  shard_harness h(log_kind::local);
  h.apply(reset(1, 1, 0));
  std::atomic<bool> stop = false;
  std::vector<std::unique_ptr<reader>> readers;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) {
    readers.push_back(std::make_unique<reader>(h.store(), i + 1));
    threads.emplace_back([&stop, r = readers.back().get()] { r->run(stop); });
  }
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto time = static_cast<std::int64_t>(1000 + i);
    std::vector<proposal> all{publish(1, {make_batch(1, 1, 2 * i + 1, 1, 100)}, time),
                              publish(1, {make_batch(1, 1, 2 * i + 2, 1, 3000)}, time),
                              settle(1, 1, 1, {ack(2 * i, 1)}, time)};
    if (i % 10 == 9)
      all.push_back(trim(1, i));
    EXPECT_EQ(h.append(std::move(all)), error{});
  }
  stop = true;
  for (auto& t : threads)
    t.join();
  for (const auto& r : readers)
    EXPECT_EQ(r->complaint(), "");
  EXPECT_THAT(h.store().verify({}), testing::IsEmpty());
}

} // namespace
} // namespace troupe::test
