#pragma once

#include "factories.hpp"

#include "troupe/delivery_frame.hpp"
#include "troupe/filter.hpp"
#include "troupe/wire_dead.hpp"

#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

/// GROUP -> DEAD LETTER: whose dead letters these are, and the queues they may come from; at start and after
/// each change.
struct dead_scope {
  struct queue {
    std::string topic;
    lane_place at;
    /// It knows the QUEUE, which hears of what is redriven.
    topic_actor owner;
  };
  group_id group;
  std::string name;
  /// Zero: they are kept for ever.
  milliseconds retention{0};
  std::map<queue_id, queue> queues;
};

/// DEAD LETTER: lists, purges and redrives the dead letters of one group, and purges those that are too old.
/// Owned by its GROUP, which passes requests on.
using dead_letter_actor = caf::typed_actor<
    // `invalid_argument` (filter, max, too many ids), not_found (topic), `overloaded` when 64 requests are
    // under way. What died or was settled while it ran may be in it or not.
    caf::replies_to<list_dead>::with<dead_page>,
    // Durable when answered, message by message: others may be done when one cannot be.
    caf::replies_to<settle_dead>::with<dead_settled>,
    // INTERNAL
    caf::reacts_to<dead_scope>>;

using dead_sweep_atom = caf::atom_constant<caf::atom("sweep")>;

/// The DEAD LETTER with what it says to itself.
using dead_letter_impl = dead_letter_actor::extend<
    // INTERNAL: look for those that are too old.
    caf::reacts_to<dead_sweep_atom, std::uint64_t>>;

/// Invariant: a request is answered once all its questions to READERs and STOREs are; at most one sweep and
/// one timer for it are under way.
class dead_letters {
public:
  static inline const char* name = "dead_letter";
  static constexpr std::size_t most_requests = 64;
  /// Letters that one request looks at, whether it wants them or not.
  static constexpr std::size_t most_looked_at = 10'000;
  /// Bytes that it reads for that, a batch once for each of its letters, but for those of one answer.
  static constexpr std::uint64_t most_read = 64u << 20;
  /// Bytes of messages in a page, but for the first one.
  static constexpr std::uint64_t page_bytes = 1u << 20;

  explicit dead_letters(dead_letter_impl::pointer self) : self_(self) {}
  void init(context_ptr ctx, const group_actor& owner);

  caf::result<dead_page> list(const list_dead& r);
  caf::result<dead_settled> settle(const settle_dead& r);
  void follow(dead_scope scope);
  void sweep(std::uint64_t timer);
  void lost(const caf::down_msg& down);

private:
  struct page_round;
  struct settle_round;
  struct sweep_round;
  using places = std::vector<message_place>;

  std::vector<places> by_shard(const std::vector<message_id>& ids,
                               const std::optional<message_id>& after) const;
  void read_page(const std::shared_ptr<page_round>& round);
  void add(page_round& round, dead_found& found) const;
  void end(page_round& round, const caf::error& failed);
  void find(const std::shared_ptr<settle_round>& round, std::size_t shard, places ids);
  void change(const std::shared_ptr<settle_round>& round, queue_id queue, places messages);
  void make_sure(const std::shared_ptr<settle_round>& round, queue_id queue, places messages);
  void count(settle_round& round);
  void tell_queue(queue_id queue, queue_offset next);
  void sweep_on(const std::shared_ptr<sweep_round>& round);
  void purge_old(const std::shared_ptr<sweep_round>& round, dead_found& found);
  void arm();

  dead_letter_impl::pointer self_;
  context_ptr ctx_;
  caf::actor_addr owner_;
  dead_scope scope_;
  std::size_t requests_ = 0;
  bool sweeping_ = false;
  std::uint64_t timer_ = 0;
};

/// For a group; it ends with its GROUP.
dead_letter_actor spawn_dead_letters(caf::actor_system& sys, context_ptr ctx, group_actor owner);

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::dead_scope)
