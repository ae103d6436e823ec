#pragma once

#include "troupe/catalog.hpp"
#include "troupe/error.hpp"
#include "troupe/ids.hpp"

#include <vector>

namespace troupe {

struct node_context;

/// Subscription state of a group that is gone, in one queue.
struct leftover {
  group_id group;
  queue_id queue;
};

/// What the CATALOG starts with.
struct catalog_start {
  catalog_entry definitions;
  catalog_ids last;
  std::vector<queue_id> orphaned_queues;
  std::vector<leftover> leftovers;
};

/// Reads the definitions from shard 0 and finds what was left of topics and groups that are gone: a crash
/// came between the removal of a definition and that of its data. Blocks; for the thread that starts a node.
result<catalog_start> load_catalog(const node_context& ctx);

} // namespace troupe
