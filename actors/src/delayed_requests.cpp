#include "delayed_requests.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto reader_timeout = 10s;
/// The TIMER's own limit for the STORE, and some more.
constexpr auto timer_timeout = 65s;

error overloaded() {
  return {errc::overloaded,
          std::to_string(delayed_requests::most_requests) + " requests for delayed messages are under way",
          "ask again", 100ms};
}

} // namespace

struct delayed_requests::page_round {
  std::uint32_t max = 0;
  std::vector<delayed_message> found;
  bool more = false;
  std::size_t missing = 0;
  caf::error failed;
  caf::typed_response_promise<delayed_page> promise;
};

caf::result<delayed_page> delayed_requests::list(const list_delayed& r) {
  if (r.max == 0 || r.max > list_delayed::most)
    return to_caf({errc::invalid_argument,
                   std::to_string(r.max) + " delayed messages are asked for; one request takes 1 to " +
                       std::to_string(list_delayed::most),
                   "ask several times"});
  if (under_way_ >= most_requests)
    return to_caf(overloaded());
  delayed_request ask{{}, {}, r.max};
  if (r.after != 0)
    ask.after = delayed_message{from_unix_ms(r.after), r.after_id, queue_id{~std::uint32_t{0}}};
  if (!r.topic.empty()) {
    const auto* topic = definitions_.topic(r.topic);
    if (!topic)
      return to_caf({errc::not_found, "there is no topic " + r.topic, "see: troupe topic list"});
    for (const auto& range : topic->queues)
      for (std::uint32_t i = 0; i < range.count; ++i)
        ask.queues.push_back(queue_id{range.first.value + i});
    std::ranges::sort(ask.queues);
  }
  auto round = std::make_shared<page_round>();
  round->max = r.max;
  round->missing = ctx_->readers.size();
  round->promise = self_->make_response_promise<delayed_page>();
  ++under_way_;
  for (const auto& reader : ctx_->readers)
    self_->request(reader, reader_timeout, ask)
        .then(
            [this, round](const delayed_found& found) {
              add(*round, found);
              came(round, {});
            },
            [this, round](const caf::error& err) { came(round, err); });
  return round->promise;
}

void delayed_requests::add(page_round& round, const delayed_found& found) const {
  round.found.insert(round.found.end(), found.messages.begin(), found.messages.end());
  round.more = round.more || found.messages.size() == round.max;
}

void delayed_requests::came(const std::shared_ptr<page_round>& round, const caf::error& failed) {
  if (failed && !round->failed)
    round->failed = failed;
  if (--round->missing > 0)
    return;
  --under_way_;
  if (round->failed)
    return static_cast<void>(round->promise.deliver(round->failed));
  std::ranges::sort(round->found);
  if (round->found.size() > round->max) {
    round->more = true;
    round->found.resize(round->max);
  }
  delayed_page page{{}, round->more};
  for (const auto& m : round->found) {
    // A topic that was deleted: its queues are about to be dropped.
    const auto place = definitions_.find(m.queue);
    page.messages.push_back({m.id, place ? place->topic->name : std::string{}, to_unix_ms(m.due)});
  }
  round->promise.deliver(std::move(page));
}

caf::result<cancelled_delayed> delayed_requests::cancel(const cancel_delayed& r) {
  if (r.id.shard.value >= ctx_->timers.size())
    return to_caf({errc::not_found,
                   "there is no message " + to_string(r.id) + ": this node has no shard " +
                       std::to_string(r.id.shard.value),
                   "check the id; it ends where it was made"});
  if (under_way_ >= most_requests)
    return to_caf(overloaded());
  auto promise = self_->make_response_promise<cancelled_delayed>();
  ++under_way_;
  self_->request(ctx_->timers[r.id.shard.value], timer_timeout, cancel_timer{{r.id.index, r.id.ordinal}})
      .then(
          [this, promise, id = r.id](const cancelled_timer& done) mutable {
            --under_way_;
            const auto place = definitions_.find(done.queue);
            if (!place)
              return static_cast<void>(promise.deliver(
                  to_caf({errc::not_found, "message " + to_string(id) + " went with its topic",
                          "see: troupe topic list"})));
            promise.deliver(
                cancelled_delayed{{id, place->topic->name, to_unix_ms(done.due)}, done.cancelled});
          },
          [this, promise](caf::error& err) mutable {
            --under_way_;
            promise.deliver(std::move(err));
          });
  return promise;
}

} // namespace troupe
