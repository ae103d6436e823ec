#pragma once

#include "catalog_self.hpp"
#include "factories.hpp"

#include "troupe/catalog.hpp"
#include "troupe/wire_delayed.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace troupe {

/// What clients ask of delayed messages. Part of the CATALOG, in its thread: it knows the topics of queues.
class delayed_requests {
public:
  static constexpr std::size_t most_requests = 64;

  /// `definitions` outlives it.
  delayed_requests(catalog_self::pointer self, context_ptr ctx, const catalog& definitions)
      : self_(self), ctx_(std::move(ctx)), definitions_(definitions) {}

  /// Each shard's READER gives its first ones; of these the first are the answer.
  caf::result<delayed_page> list(const list_delayed& r);
  /// The TIMER of its shard does it.
  caf::result<cancelled_delayed> cancel(const cancel_delayed& r);

private:
  struct page_round;

  void add(page_round& round, const delayed_found& found) const;
  void came(const std::shared_ptr<page_round>& round, const caf::error& failed);

  catalog_self::pointer self_;
  context_ptr ctx_;
  const catalog& definitions_;
  std::size_t under_way_ = 0;
};

} // namespace troupe
