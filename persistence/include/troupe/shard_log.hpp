#pragma once

#include "troupe/entry.hpp"
#include "troupe/error.hpp"
#include "troupe/shard.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace troupe {

/// The seam for replication: takes proposals, in order, and applies each once it is committed. One thread.
class shard_log {
public:
  /// Called for every applied entry in log order, after it is durable. `ticket` counts the appended proposals
  /// from 0.
  using handler = std::function<void(std::uint64_t ticket, const applied& outcome)>;
  virtual ~shard_log() = default;

  /// Appends proposals. Success means they are in the log; the handler tells when each is applied (the local
  /// log calls it before append returns). On error nothing was appended: no_space leaves the log usable
  /// (settles, trims and drops may still go in, by the reserve), storage_failed ends it: every later call
  /// fails alike. At most 8 MiB or 20,000 index rows a call: the caller splits.
  virtual error append(std::span<const proposal> proposals) = 0;

  /// Why an append of about `bytes` of new messages would be refused for space, or no error. Cheap.
  virtual error admission(std::uint64_t bytes = 0) const = 0;
};

/// The log of a shard with one replica: one LMDB transaction appends, applies and commits, with one sync.
std::unique_ptr<shard_log> make_local_log(shard& s, shard_log::handler on_applied);

} // namespace troupe
