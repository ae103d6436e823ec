#pragma once

#include <caf/abstract_actor.hpp>
#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/message_id.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/system_messages.hpp>

#include <utility>

namespace troupe {

/// True when the current message comes from an actor of this node: what handlers marked INTERNAL insist on.
template <class Self> bool from_here(Self* self) {
  const auto& sender = self->current_sender();
  return sender != nullptr && sender->node() == self->node();
}

/// True for an exit that comes from this node: a peer has no say in when our actors end.
template <class Self> bool exit_from_here(Self* self, const caf::exit_msg& e) {
  return self->current_sender() ? from_here(self) : e.source.node() == self->node();
}

/// What every actor does whose handle may leave the node: refuses messages it does not know without printing
/// them, ignores errors and `down_msg` that nobody asked for, and ends only by an exit from here. Comes
/// before the actor's own handlers.
template <class Self> void ignore_strangers(Self* self) {
  self->set_default_handler(caf::drop);
  self->set_error_handler([](caf::error&) {});
  self->set_down_handler([](caf::down_msg&) {});
  self->set_exit_handler([self](caf::exit_msg& e) {
    if (e.reason && exit_from_here(self, e))
      self->quit(e.reason);
  });
}

/// Sends to a handle whose type is not known (a PRODUCER, a watcher): CAF's own send() refuses that from a
/// typed actor. Nothing happens when there is no actor behind the handle. `self` is the sender.
template <class Self, class Message> void tell(Self* self, const caf::actor& to, Message&& what) {
  if (to)
    caf::actor_cast<caf::abstract_actor*>(to)->eq_impl(caf::make_message_id(), self->ctrl(), self->context(),
                                                       std::forward<Message>(what));
}

} // namespace troupe
