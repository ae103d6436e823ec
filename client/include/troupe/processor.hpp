#pragma once

#include "troupe/client.hpp"
#include "troupe/consumer.hpp"
#include "troupe/error.hpp"
#include "troupe/message.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe {

struct processor_options {
  /// The consumer group whose progress this is: all processors of a group share its messages.
  std::string group;
  std::vector<topic_subscription> topics;
  /// Where the group begins on queues it has never seen.
  start_position start;
  /// Inputs of one queue, at most, whose acknowledgements and outputs become durable together, 1 to 1024.
  /// More is faster, and repeats more work after a crash.
  std::uint32_t batch = 256;
  /// How long one attempt to make outputs durable may take; then it is tried again.
  milliseconds timeout{30'000};
};

/// What the handler of a processor publishes for one input.
class outputs {
public:
  /// Outputs of one input.
  static constexpr std::size_t most = 1024;

  void send(std::string topic, message m) { messages_.emplace_back(std::move(topic), std::move(m)); }

  using list = std::vector<std::pair<std::string, message>>;
  list& messages() { return messages_; }

private:
  list messages_;
};

/// Consumes, computes and publishes, exactly once: of each input the outputs of exactly one run of the
/// handler become visible, together with its acknowledgement, in one entry of the input's shard; those in
/// other shards follow. This holds when processor or node are killed at any moment, when inputs are retried,
/// finish out of order, or come to two processors at once, and also when the handler gives something else
/// each time. What the handler does besides its outputs (files, other systems) may happen more than once.
///
/// An input of a group that is reset, and a dead letter that is redriven, is an input once more. Outputs are
/// messages of a transaction: neither delayed nor with priorities beyond their topic's; at most
/// `outputs::most` an input.
class processor {
public:
  /// ack: done, its outputs become visible. retry, reject, an exception: as of a consumer; its outputs are
  /// dropped.
  using handler = std::function<outcome(const leased_message&, outputs&)>;

  /// Joins the group with a member for each of `threads`, each of which works on inputs of its own.
  /// Errors as consumer::start(). A broadcast group is refused with invalid_argument: nobody else's run could
  /// count there.
  static result<processor> start(const client& c, processor_options options, std::size_t threads, handler h);
  processor(processor&&) noexcept;
  processor& operator=(processor&&) noexcept;
  /// Stops.
  ~processor();

  /// Takes no more, ends what is being made durable, gives the rest back. Waits for running handlers.
  /// Idempotent. Errors as consumer::stop().
  error stop();

  struct stats {
    /// Inputs whose outputs became visible, or that had none.
    std::uint64_t processed = 0;
    std::uint64_t outputs = 0;
    std::uint64_t transactions = 0;
    /// Runs that another commit of the same input was ahead of, perhaps our own whose answer was lost; nobody
    /// sees their outputs.
    std::uint64_t repeats = 0;
    std::uint64_t retried = 0;
    std::uint64_t rejected = 0;
    /// Attempts that were made again, and why the latest was.
    std::uint64_t again = 0;
    error last_failure{};
  };
  stats statistics() const;
  /// Why it ended by itself; no error while it runs.
  error ended() const;

private:
  struct impl;
  explicit processor(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace troupe
