#pragma once

#include "output.hpp"

#include "troupe/producer.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace troupe::cli {

struct bulk_options {
  std::string topic;
  durability_level durability = durability_level::durable;
  bool one_way = false;
  /// No line per message.
  bool quiet = false;
  /// What became of the transaction that each message is; empty: it is none.
  std::string state;
};

/// Sends a message; calls back once, from any thread.
using send_function = std::function<void(message, producer::callback)>;

/// Pipelines messages and reports on them in the order in which they were given, from a
/// thread of its own: an answer is printed while the program waits for more input. Holds at most `window`
/// answers; push() waits for the oldest beyond that. Used by one thread.
class bulk_sender {
public:
  static constexpr std::size_t window = 1 << 16;

  bulk_sender(send_function send, output& out, bulk_options options);
  ~bulk_sender();
  bulk_sender(const bulk_sender&) = delete;
  bulk_sender& operator=(const bulk_sender&) = delete;

  /// Sends one message; `number` names it in errors (its line). May wait. False when sending more is of no
  /// use: an error that is not about one message, or stdout is gone.
  bool push(message m, std::uint64_t number);
  /// Waits for the answer to everything. No more push() after it.
  void finish();

  struct totals {
    std::uint64_t sent = 0;
    std::uint64_t bytes = 0;
    std::uint64_t accepted = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t failed = 0;
    error first_failure;
  };
  totals so_far() const;

private:
  struct slot {
    std::uint64_t number = 0;
    std::optional<result<receipt>> answer;
  };
  void answer(std::uint64_t position, const result<receipt>& r);
  void report_all();
  void report(const slot& s);

  const send_function send_;
  output& out_;
  const bulk_options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<slot> slots_;
  /// Position of slots_.front().
  std::uint64_t first_ = 0;
  totals totals_;
  bool finished_ = false;
  bool hopeless_ = false;
  std::thread reporter_;
};

} // namespace troupe::cli
