#pragma once

#include "troupe/batch.hpp"
#include "troupe/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace troupe {

/// Knows which batch of a producer apply() is certain to accept next, so that a buffered one is acknowledged
/// before its commit only when nothing but a crash can lose it. Follows only producers that publish buffered;
/// whoever it does not know (yet, or any more) is answered with the commit.
class sequence_guard {
public:
  explicit sequence_guard(std::size_t max_producers = 65'536) : max_producers_(max_producers) {}

  /// A batch goes to the log, behind all that came before. True when it is sure to be accepted: never while
  /// the guard is closed.
  bool enters(queue_id queue, const batch_header& header);
  /// apply() accepted a buffered batch at this shard time.
  void accepted(queue_id queue, const batch_header& header, timestamp time);
  /// A batch was refused, by whomever: what follows it has lost its place.
  void refused(queue_id queue, const batch_header& header);

  /// While producers are about to be evicted nobody knows who will be left.
  void close() { closed_ = true; }
  void open() { closed_ = false; }
  /// Producers whose last batch was accepted before `before` may be gone.
  void evicted(timestamp before);

private:
  struct key {
    queue_id queue;
    producer_id producer;
    bool operator==(const key&) const = default;
  };
  struct hash {
    std::size_t operator()(const key& k) const {
      return std::hash<std::uint64_t>{}(k.producer.value ^ (std::uint64_t{k.queue.value} << 32));
    }
  };
  struct place {
    producer_epoch epoch;
    batch_sequence next;
    /// Shard time of the last batch that was accepted.
    timestamp time;
  };

  std::size_t max_producers_;
  bool closed_ = false;
  std::unordered_map<key, place, hash> places_;
};

} // namespace troupe
