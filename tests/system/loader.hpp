#pragma once

#include "ledger.hpp"
#include "random_source.hpp"

#include "troupe/producer.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <semaphore>
#include <thread>
#include <vector>

namespace troupe::test {

struct loader_options {
  /// Its name in labels.
  std::uint32_t number = 0;
  /// Bodies have up to so many bytes.
  std::size_t body = 400;
  std::uint64_t seed = 1;
};

/// A program that publishes as programs do, one after the other at random: a single synchronous send, a
/// batch, a burst of asynchronous sends. All messages are keyed. Keeps the books. One thread, until stop().
class loader {
public:
  loader(const client& c, producer_options options, loader_options own, ledger& books);
  ~loader();
  loader(const loader&) = delete;
  loader& operator=(const loader&) = delete;

  /// Sends no more and waits for all answers.
  void stop();
  producer::stats statistics() const { return to_.statistics(); }

private:
  static constexpr std::uint32_t keys = 16;
  static constexpr std::ptrdiff_t most_open = 1000;

  void work();
  label next();
  message message_for(const label& what);
  void send_one();
  void send_batch();
  void send_burst();

  ledger& books_;
  const loader_options options_;
  random_source random_;
  std::uint64_t serial_ = 0;
  std::map<std::uint32_t, std::uint64_t> key_serials_;
  std::counting_semaphore<most_open> room_{most_open};
  std::atomic<bool> stopping_{false};
  producer to_;
  std::thread thread_;
};

} // namespace troupe::test
