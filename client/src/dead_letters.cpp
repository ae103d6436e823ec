#include "client_impl.hpp"

#include "troupe/client.hpp"
#include "troupe/delivery_frame.hpp"
#include "troupe/wire_dead.hpp"

#include <optional>
#include <utility>

namespace troupe {

namespace {

received_message to_message(const dead_status& letter, const frame_reader& at) {
  return {.id = letter.id,
          .topic = letter.topic,
          .queue = letter.number,
          .offset = letter.offset,
          .attempt = letter.attempts,
          .stored = at.stored(),
          .content = at.message().materialize()};
}

dead_letter_info to_info(const dead_status& letter) {
  return {.id = letter.id,
          .topic = letter.topic,
          .queue = letter.number,
          .offset = letter.offset,
          .reason = letter.reason,
          .attempts = letter.attempts,
          .died = from_unix_ms(letter.died),
          .detail = letter.detail,
          .message = {},
          .priority = letter.priority};
}

result<dead_letter_page> to_page(const dead_page& from) {
  dead_letter_page page;
  std::optional<frame_reader> messages;
  if (!from.frame.empty()) {
    auto opened = frame_reader::open(from.frame, {});
    if (!opened)
      return opened.error();
    messages = std::move(*opened);
  }
  for (const auto& letter : from.letters) {
    page.letters.push_back(to_info(letter));
    if (letter.message && messages && messages->next())
      page.letters.back().message = to_message(letter, *messages);
  }
  if (from.more)
    page.next = dead_letter_place{from.next.queue, from.next.id};
  return page;
}

result<std::vector<dead_letter_result>> to_results(result<dead_settled> answer) {
  if (!answer)
    return std::move(answer).error();
  std::vector<dead_letter_result> out;
  for (const auto& r : answer->results)
    out.push_back({r.id, r.code});
  return out;
}

} // namespace

result<dead_letter_page> client::dead_letters(const std::string& group, const dead_letter_query& query) {
  list_dead ask{.group = group,
                .topic = query.topic,
                .filter = query.filter,
                .ids = query.ids,
                .after = {},
                .max = query.max,
                .messages = query.messages};
  if (query.after)
    ask.after = {query.after->queue, query.after->id};
  auto page = impl_->ask<dead_page>(std::move(ask));
  if (!page)
    return std::move(page).error();
  return to_page(*page);
}

result<std::vector<dead_letter_result>> client::purge(const std::string& group,
                                                      const std::vector<message_id>& ids) {
  return to_results(impl_->ask<dead_settled>(settle_dead{group, ids, false}));
}

result<std::vector<dead_letter_result>> client::redrive(const std::string& group,
                                                        const std::vector<message_id>& ids) {
  return to_results(impl_->ask<dead_settled>(settle_dead{group, ids, true}));
}

} // namespace troupe
