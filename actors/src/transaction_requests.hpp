#pragma once

#include "catalog_self.hpp"
#include "factories.hpp"

#include "troupe/catalog.hpp"
#include "troupe/wire_transactions.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <cstddef>

namespace troupe {

/// What clients ask of transactions, but for deciding about their own. Part of the CATALOG, in its thread: it
/// knows the topics of queues.
class transaction_requests {
public:
  static constexpr std::size_t most_requests = 64;

  /// `definitions` outlives it.
  transaction_requests(catalog_self::pointer self, context_ptr ctx, const catalog& definitions)
      : self_(self), ctx_(std::move(ctx)), definitions_(definitions) {}

  transactions_route route() const;
  /// One shard after the other; a page may be short of what was asked for, and is not the last for that.
  caf::result<transactions_page> list(const list_transactions& r);
  /// The TRANSACTIONS of its shard does it.
  caf::result<decided_by_hand> decide(const decide_by_hand& d);
  topics_found topics_of(const topics_request& r) const;

private:
  std::string topic_of(queue_id queue) const;
  transactions_page page_of(const open_found& found) const;

  catalog_self::pointer self_;
  context_ptr ctx_;
  const catalog& definitions_;
  std::size_t under_way_ = 0;
};

} // namespace troupe
