#pragma once

#include "troupe/client.hpp"
#include "troupe/error.hpp"
#include "troupe/message.hpp"
#include "troupe/status.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

struct topic_subscription {
  std::string topic;
  /// "*", tags joined by "||", or SQL92 over properties and system fields (docs/filters.md).
  std::string filter = "*";
};

class leased_message;
/// Whether this program wants a message.
using message_predicate = std::function<bool(const leased_message&)>;

struct consumer_options {
  std::string group;
  /// Shown in `group describe`; must be unique in the group. Empty: made of host, pid and a random part. A
  /// broadcast group keeps the place of each member under its name, so there it must be given, the same at
  /// each start.
  std::string member;
  /// The group must have this mode, and gets it when it is new. Absent: a group is joined as it is, and a new
  /// one is shared.
  std::optional<group_mode> mode;
  std::vector<topic_subscription> topics;
  /// Where the group begins on queues it has never seen.
  start_position start;
  /// Messages and body bytes held in this process, handled or waiting.
  std::uint32_t max_messages = 1000;
  std::uint32_t max_bytes = 8u << 20;
  /// This process's own filter, behind the broker's: what it refuses is acknowledged and neither a handler
  /// nor fetch() sees it. For what filters on the broker cannot say, such as what the body holds. Empty:
  /// everything is wanted. An exception in it counts as a failure: the message comes again. A consumer's
  /// threads call it at the same time.
  message_predicate wanted;
};

/// A delivered message in place: views into the delivery's block, which it keeps alive. Cheap to copy.
class leased_message {
public:
  message_id id() const;
  const std::string& topic() const;
  std::uint32_t queue() const;
  queue_offset offset() const;
  /// 1 the first time it is delivered.
  std::uint32_t attempt() const;
  timestamp stored() const;
  std::string_view body() const;
  std::string_view tag() const;
  std::string_view order_key() const;
  /// Everything, properties and keys included.
  message_view content() const;
  /// An owning copy.
  received_message copy() const;

  struct impl;
  std::shared_ptr<const impl> delivery;
  std::uint32_t position = 0;
};

/// What a handler says of a message.
struct outcome {
  enum class kind : std::uint8_t { ack, retry, reject };
  kind what = kind::ack;
  /// retry: pause before it comes again; zero: the group's own.
  milliseconds delay{0};
  /// retry and reject: what went wrong, for people who look at the dead letter (1024 bytes of it are kept).
  std::string why;
  static outcome ack() { return {}; }
  static outcome retry(milliseconds after = milliseconds{0}, std::string why = {}) {
    return {kind::retry, after, std::move(why)};
  }
  /// It will never succeed: to the dead letters at once.
  static outcome reject(std::string why = {}) { return {kind::reject, milliseconds{0}, std::move(why)}; }
};

/// Receives messages of a group and settles them. Joins again by itself after reconnects.
///
/// Push: `consumer::start` with a handler that runs on `threads` threads; its answer settles the message; an
/// exception counts as retry, with its text. Leases of running handlers are renewed by themselves. In an
/// ordered group messages of one key are handled one after the other, and none behind one that failed. Pull:
/// `pull_consumer::open`, fetch, settle.
class consumer {
public:
  using handler = std::function<outcome(const leased_message&)>;
  /// Joins the group, which is made when it does not exist; waits for that at most the client's `timeout`.
  /// invalid_argument (options, a group of another mode, 0 or more than 1024 threads, no handler), not_found
  /// (topic), inconsistent_subscription, overloaded (no threads left), disconnected, timeout, shutting_down.
  static result<consumer> start(const client& c, consumer_options options, std::size_t threads, handler h);
  consumer(consumer&&) noexcept;
  consumer& operator=(consumer&&) noexcept;
  /// Stops (see there).
  ~consumer();

  /// Takes no more, waits for running handlers (at most `limit`), sends their settles, gives back what was
  /// not handled, leaves the group. Idempotent. timeout when a handler still runs or the node does not
  /// confirm the last settles, other errors as pull_consumer::flush().
  error stop(milliseconds limit = milliseconds{10'000});

  struct stats {
    std::uint64_t received = 0;
    std::uint64_t acked = 0;
    std::uint64_t retried = 0;
    std::uint64_t rejected = 0;
    std::uint64_t refused_settles = 0;
    std::uint64_t rejoins = 0;
    /// Of the acknowledged: what `consumer_options::wanted` refused.
    std::uint64_t skipped = 0;
    /// Given back without being begun, because their lease may have ended: this process was stopped or
    /// starved.
    std::uint64_t late = 0;
  };
  stats statistics() const;
  /// Why it ended by itself (group deleted, subscription refused on rejoin, client closed); no error while it
  /// runs.
  error ended() const;

private:
  struct impl;
  explicit consumer(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

/// The pull interface. One program thread at a time may fetch; settle and renew may come from any.
class pull_consumer {
public:
  /// As consumer::start().
  static result<pull_consumer> open(const client& c, consumer_options options);
  pull_consumer(pull_consumer&&) noexcept;
  pull_consumer& operator=(pull_consumer&&) noexcept;
  ~pull_consumer();

  /// Up to `max` messages: returns as soon as there is at least one, or with none after `wait` (long poll: no
  /// polling anywhere; at most a year). Leases of fetched messages are the program's to renew; of buffered
  /// ones the consumer's. Once the consumer has ended, why (see consumer::ended()); shutting_down after
  /// close().
  result<std::vector<leased_message>> fetch(std::size_t max, milliseconds wait);
  // Settling. It is noted at once and sent together with later ones; flush() makes sure. invalid_argument for
  // what fetch() did not give and for a negative delay, otherwise as fetch(). A lease that ended is no error
  // here: flush() and statistics() tell.

  /// Done: it does not come again.
  error ack(const leased_message& m);
  error ack(const std::vector<leased_message>& messages);
  /// It failed and comes again after `delay`; zero: the group's own pause. `why` is for people who look at
  /// it, should it become a dead letter.
  error retry(const leased_message& m, milliseconds delay = milliseconds{0}, std::string why = {});
  /// It will never succeed: to the dead letters at once.
  error reject(const leased_message& m, std::string why = {});
  /// Back to the group at once; no failure is recorded.
  error give_back(const leased_message& m);
  /// It went back to the group since it was fetched, and is not to be handled: its membership was lost, or,
  /// in an ordered group with a batch (`group_options::order_batch`), retry() or give_back() was called for a
  /// message before it in its key. The broker delivers it again behind that one, with the same attempt
  /// number.
  ///
  /// So whoever handles what fetch() gave, in the order in which it came and each key by one thread, asks
  /// this before each message of such a group. fetch() gives none of these. What lies behind a message that
  /// stopped can't be settled: ack(), retry() and reject() do nothing, flush() and statistics() count it as
  /// refused.
  bool comes_again(const leased_message& m) const;
  /// From now on the lease has its whole time again.
  error renew(const leased_message& m);
  /// Waits, at most `limit`, until all settles so far are durable at the broker. lease_lost when some came
  /// too late; timeout; disconnected when a connection was lost before some were confirmed: these may be
  /// durable, or their messages come again. What was lost or came too late is told by one flush only; what it
  /// could not confirm, the next one asks about again.
  error flush(milliseconds limit = milliseconds{10'000});
  /// Flushes (10 s at most, errors as there), gives back what is unsettled, leaves the group. Idempotent.
  error close();
  consumer::stats statistics() const;

private:
  struct impl;
  explicit pull_consumer(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace troupe
