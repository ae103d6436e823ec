#pragma once

#include "troupe/message.hpp"

#include <cstdint>
#include <string_view>

namespace troupe {

/// What a router may ask of a message.
struct route_subject {
  std::string_view order_key;
  std::string_view tag;
};

/// Chooses the queue of a message. One instance belongs to one producer and topic; not thread-safe.
class router {
public:
  virtual ~router() = default;
  /// A queue number below `queues` (at least 1). The same order key must give the same queue for as long as
  /// `queues` stays.
  virtual std::uint32_t pick(const route_subject& subject, std::uint32_t queues) = 0;
};

/// The queue of an order key: its hash, mixed (FNV-1a's low bits are weak), scaled to the number of queues.
constexpr std::uint32_t queue_of_hash(std::uint32_t hash, std::uint32_t queues) {
  std::uint32_t x = hash;
  x = (x ^ (x >> 16)) * 0x85ebca6bu; // the finalizer of MurmurHash3 (Appleby)
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  x ^= x >> 16;
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(x) * queues) >> 32);
}

/// RocketMQ's two usual selectors in one: messages with an order key go by its hash, the others round robin.
class key_or_round_robin final : public router {
public:
  /// `start`: the queue number that the round begins with, so that many producers don't march in step.
  explicit key_or_round_robin(std::uint32_t start = 0) : next_(start) {}
  std::uint32_t pick(const route_subject& subject, std::uint32_t queues) override {
    if (!subject.order_key.empty())
      return queue_of_hash(short_hash(subject.order_key), queues);
    return next_++ % queues;
  }

private:
  std::uint32_t next_;
};

} // namespace troupe
