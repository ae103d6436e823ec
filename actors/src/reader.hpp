#pragma once

#include "factories.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <deque>
#include <memory>
#include <unordered_map>

namespace troupe {

using slice_atom = caf::atom_constant<caf::atom("slice")>;

/// The READER with what it says to itself.
using reader_impl = reader_actor::extend<
    // INTERNAL: read the next slice.
    caf::reacts_to<slice_atom>>;

/// Fetches that wait: first come first served per queue, the queues in turn.
class fetch_queue {
public:
  void add(fetch f);
  /// The next queue's oldest fetch; that queue goes to the end of the line. Not when empty.
  fetch take();
  bool empty() const { return turn_.empty(); }

private:
  std::unordered_map<queue_id, std::deque<fetch>> waiting_;
  /// Queues with something waiting, each once.
  std::deque<queue_id> turn_;
};

/// Invariant: a slice message is under way exactly when fetches wait.
class reader_state {
public:
  static inline const char* name = "reader";
  /// Bytes read before the next queue has its turn.
  static constexpr std::uint32_t slice_bytes = 1u << 20;

  explicit reader_state(reader_impl::pointer self) : self_(self) {}
  void init(std::shared_ptr<shard> data) { data_ = std::move(data); }

  void add(fetch& f);
  void read_slice();
  caf::result<found_message> find(const get_message& g) const;
  caf::result<queue_extents> extents(const extents_request& r) const;
  caf::result<dead_found> dead(const dead_request& r) const;
  caf::result<delayed_found> delayed(const delayed_request& r) const;

private:
  fetched read(const fetch& f) const;
  result<dead_found> dead_of_queue(const dead_request& r) const;
  result<dead_found> dead_by_id(const dead_request& r) const;
  void add_batches(dead_found& found) const;

  reader_impl::pointer self_;
  std::shared_ptr<shard> data_;
  fetch_queue waiting_;
};

reader_impl::behavior_type reader(reader_impl::stateful_pointer<reader_state> self,
                                  std::shared_ptr<shard> data);

} // namespace troupe
