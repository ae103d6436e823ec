#pragma once

#include <caf/fwd.hpp>
#include <caf/io/middleman_actor.hpp>

namespace troupe {

/// A middleman actor for plain TCP whose connections are checked before CAF sees them: a stranger can neither
/// end the process with a crafted header nor make it allocate more than 64 KiB before the handshake, or 16
/// MiB in one message after it. Same protocol as caf::io::middleman().actor_handle() (publish, connect,
/// close). The caller ends it (send_exit) before the actor system goes. Call it from the thread that made the
/// system, after loading the middleman.
caf::io::middleman_actor spawn_guarded_middleman(caf::actor_system& sys);

} // namespace troupe
