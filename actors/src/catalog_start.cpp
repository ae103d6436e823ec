#include "catalog_start.hpp"

#include "factories.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

/// Queues of deleted topics that still hold something, and progress of deleted groups and ended
/// subscriptions: a crash came between the removal of the definition and that of the data.
error find_remains(const node_context& ctx, const catalog& definitions, catalog_start& start) {
  for (std::uint32_t n = 1; n <= start.last.queue.value && n != 0; ++n) {
    const queue_id queue{n};
    const auto& data = *ctx.shards[ctx.shard_of(queue)];
    auto subscriptions = data.subscriptions(queue);
    if (!subscriptions)
      return subscriptions.error();
    auto place = definitions.find(queue);
    if (!place) {
      auto extent = data.extent(queue);
      if (!extent)
        return extent.error();
      if (extent->next.value > 0 || extent->delayed > 0 || !subscriptions->empty())
        start.orphaned_queues.push_back(queue);
      continue;
    }
    const auto follows = [&](group_id group) {
      const auto* known = definitions.group(group);
      return known && std::ranges::any_of(known->subscriptions,
                                          [&](const auto& s) { return s.topic == place->topic->id; });
    };
    for (const auto& [group, row] : *subscriptions)
      if (!follows(group))
        start.leftovers.push_back({group, queue});
  }
  return {};
}

} // namespace

result<catalog_start> load_catalog(const node_context& ctx) {
  auto loaded = ctx.shards[0]->load_definitions();
  if (!loaded)
    return loaded.error();
  catalog_start start;
  start.definitions.topics = std::move(loaded->topics);
  start.definitions.groups = std::move(loaded->groups);
  start.last = {loaded->last_topic, loaded->last_queue, loaded->last_group};
  catalog definitions;
  definitions.apply(start.definitions);
  if (auto err = find_remains(ctx, definitions, start))
    return err;
  return start;
}

} // namespace troupe
