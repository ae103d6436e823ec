#pragma once

#include "troupe/group_actor.hpp"
#include "troupe/subscription.hpp"
#include "troupe/wire.hpp"

#include <caf/actor.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe {

/// One SUBSCRIPTION's settles on their way to the STORE: at most one write under way, and everything that
/// comes meanwhile goes with the next. Settles are idempotent, so a write that is not answered is made again.
/// Decides; sends nothing.
class settle_window {
public:
  static constexpr auto answer_timeout = std::chrono::seconds{30};
  /// The pause before a write that failed is made again.
  static constexpr auto pause = std::chrono::seconds{1};
  /// Runs in one write.
  static constexpr std::size_t most_runs = 4096;
  /// Confirmations that may wait for the next writes.
  static constexpr std::size_t most_waiting = 1024;

  /// A consumer that settled.
  struct settler {
    caf::actor consumer;
    /// Not 0: it wants to hear when its settles are durable; else only when they are not.
    std::uint64_t tag = 0;
    std::uint32_t refused = 0;
    errc code = errc::none;
  };
  struct news {
    caf::actor consumer;
    settled what;
  };
  struct write {
    std::uint64_t tag = 0;
    std::vector<settle_range> ranges;
    /// Somebody waits for it.
    bool now = false;
  };

  explicit settle_window(queue_id queue) : queue_(queue) {}

  /// Takes in what a consumer wants of messages that it holds. Adds to `out` what it has to hear at once: one
  /// that wants no confirmation hears of what was refused, and why.
  void settle(const settle_part& p, subscription& core, timestamp now, std::vector<news>& out);
  /// False when too many wait: this one will not hear when its settles, which are written like all others,
  /// are durable.
  bool add(settler who);
  /// Takes the next write out of `core`, when it is time for one. Adds to `out` who had to wait for nothing.
  std::optional<write> begin(subscription& core, timestamp now, std::vector<news>& out);
  /// The write of this tag is durable, or was not made because of `code`: then `core` has it back. False when
  /// the answer is too late to count.
  bool end(std::uint64_t tag, errc code, subscription& core, timestamp now, std::vector<news>& out);
  /// Gives up the write under way when its time is over.
  void expire(subscription& core, timestamp now, std::vector<news>& out);
  /// Everybody who waits hears this; nothing is under way any more.
  void abandon(errc code, std::vector<news>& out);

  /// Set for good once the STORE said that it takes nothing any more.
  errc closed() const { return closed_; }
  std::optional<timestamp> next_deadline(const subscription& core) const;

private:
  struct under_way {
    std::uint64_t tag = 0;
    timestamp deadline{};
    std::vector<progress> runs;
    std::vector<settler> settlers;
  };
  static bool settle_one(const settle_item& item, subscription& core, settler& who, timestamp now);
  void tell(std::vector<settler> all, errc code, std::vector<news>& out) const;
  void failed(errc code, subscription& core, timestamp now, std::vector<news>& out);

  queue_id queue_;
  std::vector<settler> waiting_;
  std::optional<under_way> write_;
  std::optional<timestamp> not_before_;
  std::uint64_t last_tag_ = 0;
  errc closed_ = errc::none;
};

} // namespace troupe
