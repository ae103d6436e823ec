#pragma once

#include "factories.hpp"

#include "actors/deterministic.hpp"
#include "temporary_directory.hpp"

#include "troupe/batch.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace troupe::test {

/// What a producer sends and a QUEUE passes on.
using producer_probe = probe<published, route>;
using queue_probe = probe<visible>;

/// A batch of messages with these bodies.
batch make_batch(std::uint64_t producer, std::uint64_t sequence, const std::vector<std::string>& bodies,
                 std::uint32_t epoch = 1);
/// The bodies of stored batches, in order.
std::vector<std::string> bodies(const std::vector<stored_batch>& batches);

/// A log that can be told to fail, in front of a real one.
struct log_faults {
  /// Answered by the next appends, as often as `times`; no_space only to those that publish.
  error what;
  int times = 0;
  /// Answered to what would remove progress, as long as it is set.
  error drops;
  int calls = 0;
  /// Proposals of each call that went through.
  std::vector<std::size_t> sizes;
};

/// A shard in a temporary directory with its STORE, READER and RETENTION, in a deterministic actor system.
class publish_fixture : public testing::Test {
protected:
  publish_fixture() : publish_fixture(shard_options{}) {}
  explicit publish_fixture(const shard_options& options, const producer_limits& producers = {},
                           std::uint64_t key_memory = 256u << 20);
  ~publish_fixture() override;

  /// Actor time and wall clock pass together.
  void advance(milliseconds step);
  void run() { world_.run(); }

  topic_definition topic_of(std::uint32_t queues, topic_options options = {},
                            std::uint32_t first_id = 1) const;
  append_request request(std::uint32_t queue, batch b, const producer_probe& producer,
                         const queue_probe& queue_handle, durability wanted = durability::durable);
  publish publish_of(queue_id queue, batch b, durability wanted = durability::durable) const;
  /// The queue's messages as they are in the store.
  std::vector<std::string> stored(queue_id queue) const;

  temporary_directory dir_;
  timestamp now_ = from_unix_ms(1'700'000'000'000);
  std::shared_ptr<log_faults> faults_ = std::make_shared<log_faults>();
  std::vector<error> failures_;
  std::vector<std::string> logged_;
  /// Of all commits.
  std::vector<std::string> steps_;
  deterministic world_;
  std::shared_ptr<node_context> ctx_;
};

} // namespace troupe::test
