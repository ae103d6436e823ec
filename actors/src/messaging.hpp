#pragma once

#include <caf/abstract_actor.hpp>
#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/message_id.hpp>

#include <utility>

namespace troupe {

/// True when the current message comes from an actor of this node: what handlers marked INTERNAL insist on.
template <class Self> bool from_here(Self* self) {
  const auto& sender = self->current_sender();
  return sender != nullptr && sender->node() == self->node();
}

/// Sends to a handle whose type is not known (a PRODUCER, a watcher): CAF's own send() refuses that from a
/// typed actor. Nothing happens when there is no actor behind the handle. `self` is the sender.
template <class Self, class Message> void tell(Self* self, const caf::actor& to, Message&& what) {
  if (to)
    caf::actor_cast<caf::abstract_actor*>(to)->eq_impl(caf::make_message_id(), self->ctrl(), self->context(),
                                                       std::forward<Message>(what));
}

} // namespace troupe
