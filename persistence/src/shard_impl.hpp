#pragma once

#include "environment.hpp"

#include "troupe/shard.hpp"

namespace troupe {

/// The insides of a shard; logs reach them as friends.
struct shard::impl {
  std::unique_ptr<environment> env;

  shard_id id() const { return env->options().id; }
};

} // namespace troupe
