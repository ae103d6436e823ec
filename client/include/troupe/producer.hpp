#pragma once

#include "troupe/client.hpp"
#include "troupe/error.hpp"
#include "troupe/message.hpp"
#include "troupe/status.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

enum class durability_level : std::uint8_t {
  /// Answered after the commit reached the disk, with offset and id.
  durable,
  /// Answered once the broker holds it; a crash of the broker may lose it, never corrupt.
  buffered,
};

struct producer_options {
  std::string topic;
  durability_level durability = durability_level::durable;
  /// Bytes of messages accepted from the program and not yet answered. A full window blocks send calls and
  /// makes try_ calls refuse with overloaded.
  std::uint32_t window = 8u << 20;
  /// A batch is sent when it has this many bytes or messages, or as soon as the line to the broker is free.
  std::uint32_t batch_bytes = 256u << 10;
  std::uint32_t batch_messages = 4096;
  /// How long a message may take from the call to its answer, over reconnects and resends, before it fails
  /// with timeout.
  milliseconds timeout{30'000};
};

/// Publishes to one topic: batches by itself, keeps order per queue and order key, sends again over
/// reconnects and broker restarts without writing anything twice. Messages with the same order key go to the
/// same queue. Those without one stay with a queue until a batch of it is sent, then the next queue has its
/// turn: so batches are large, and queues get equal numbers over time, not message by message. Thread-safe.
/// Destroying it waits for what is in flight (at most `timeout`).
class producer {
public:
  using callback = std::function<void(const result<receipt>&)>;

  /// not_found when the topic does not exist.
  static result<producer> open(const client& c, producer_options options);
  producer(producer&&) noexcept;
  producer& operator=(producer&&) noexcept;
  ~producer();

  /// Synchronous: returns when the message is durable (or held, when buffered). Blocks while the window is
  /// full.
  result<receipt> send(message m);
  /// A batch: all validated first (none is sent when one is invalid), then sent in order; one result each.
  std::vector<result<receipt>> send(std::vector<message> batch);
  /// Asynchronous. The callback runs on a thread of the client, in order per queue, must not block and must
  /// not throw.
  void send_async(message m, callback done);
  std::future<result<receipt>> send_async(message m);
  /// One-way: no answer. What the producer refuses itself (invalid, closed) is returned.
  error send_one_way(message m);
  /// As their namesakes, but refuse with overloaded (and a hint) when the window is full instead of blocking.
  error try_send_async(message m, callback done);
  error try_send_one_way(message m);

  /// Waits until everything sent so far is answered, at most `limit`.
  error flush(milliseconds limit = milliseconds{30'000});
  /// Flushes, then refuses further calls.
  error close();

  struct stats {
    std::uint64_t sent = 0;
    std::uint64_t accepted = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t failed = 0;
    std::uint64_t batches = 0;
    std::uint64_t resent_batches = 0;
    std::uint64_t reconnects = 0;
    /// Why the latest of `failed` were: all that one-way messages ever tell.
    error last_failure{};
  };
  stats statistics() const;

  struct impl;

private:
  explicit producer(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace troupe
