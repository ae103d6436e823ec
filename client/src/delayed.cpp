#include "client_impl.hpp"

#include "troupe/client.hpp"
#include "troupe/wire_delayed.hpp"

#include <utility>

namespace troupe {

namespace {

delayed_info to_info(const delayed_status& m) { return {m.id, m.topic, from_unix_ms(m.deliver_at)}; }

} // namespace

result<delayed_messages_page> client::delayed(const delayed_query& query) {
  list_delayed ask{.topic = query.topic, .after_id = {}, .max = query.max};
  if (query.after) {
    ask.after = to_unix_ms(query.after->deliver_at);
    ask.after_id = query.after->id;
  }
  const auto found = impl_->ask<delayed_page>(std::move(ask));
  if (!found)
    return found.error();
  delayed_messages_page page;
  for (const auto& m : found->messages)
    page.messages.push_back(to_info(m));
  if (found->more && !page.messages.empty())
    page.next = page.messages.back();
  // Of a topic that was deleted, and what waits in it is on its way out.
  std::erase_if(page.messages, [](const delayed_info& m) { return m.topic.empty(); });
  return page;
}

result<cancel_result> client::cancel_delayed(const message_id& id) {
  const auto answer = impl_->ask<cancelled_delayed>(troupe::cancel_delayed{id});
  if (!answer)
    return answer.error();
  return cancel_result{to_info(answer->message), answer->cancelled};
}

} // namespace troupe
