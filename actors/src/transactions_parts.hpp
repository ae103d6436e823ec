#pragma once

#include "factories.hpp"
#include "followed_queues.hpp"
#include "messaging.hpp"

#include "troupe/transactions_actor.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

using transactions_work_atom = caf::atom_constant<caf::atom("txwork")>;
using transactions_flush_atom = caf::atom_constant<caf::atom("txflush")>;
using transactions_forget_atom = caf::atom_constant<caf::atom("txforget")>;

/// TRANSACTIONS with what it says to itself.
using transactions_impl = transactions_actor::extend<
    // INTERNAL: look at what is due; counts armings, so that a timer that was overtaken is ignored.
    caf::reacts_to<transactions_work_atom, std::uint64_t>,
    // INTERNAL: lands behind all decisions that the mailbox held when the first of them was taken.
    caf::reacts_to<transactions_flush_atom>,
    // INTERNAL: time to forget what ended long ago.
    caf::reacts_to<transactions_forget_atom>>;

/// What the parts of a TRANSACTIONS share; each is in its thread.
struct transactions_parts {
  static constexpr auto store_timeout = std::chrono::seconds{60};
  static constexpr const char* name = "transactions";

  transactions_impl::pointer self;
  context_ptr ctx;
  shard_id id;
  followed_queues queues;
  transactions_peers peers;

  const shard& data() const { return *ctx->shards[id.value]; }
  const check_schedule& schedule() const { return ctx->checks; }
  timestamp now() const { return ctx->clock->right(self->clock().now()); }
  milliseconds monotonic() const {
    return std::chrono::duration_cast<milliseconds>(self->clock().now().time_since_epoch());
  }
  auto propose(entry_body body) const {
    return self->request(ctx->stores[id.value], store_timeout, propose_request{std::move(body)});
  }
  /// The queues in which an entry made messages visible.
  void tell(const applied& a) const {
    for (const auto& v : a.visible)
      queues.tell(self, v.queue, v.next);
  }
  void report(log_level level, std::string_view event, std::string text) const {
    log(ctx->log, {.level = level,
                   .component = name,
                   .event = event,
                   .text = std::move(text),
                   .fields = {{"shard", std::to_string(id.value)}}});
  }
};

/// An answer that travels with its error.
template <class Answer> Answer failed_answer(std::uint64_t tag, const error& why) {
  Answer a;
  a.tag = tag;
  a.code = why.code;
  a.retry_after = static_cast<std::uint32_t>(why.retry_after.count());
  a.reason = why.reason;
  a.hint = why.hint;
  return a;
}

} // namespace troupe
