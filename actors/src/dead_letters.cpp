#include "dead_letters.hpp"

#include "batched_message.hpp"
#include "messaging.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto reader_timeout = 10s;
constexpr auto store_timeout = 30s;
constexpr auto topic_timeout = 10s;
/// Letters asked for at a time.
constexpr std::uint32_t most_rows = 1000;
static_assert(list_dead::most <= max_listed_messages, "one entry settles what one request names");

/// How often a group looks for letters that are too old.
milliseconds sweep_interval(milliseconds retention) {
  return std::clamp<milliseconds>(retention / 4, 1s, 1h);
}

error overloaded() {
  return {errc::overloaded,
          std::to_string(dead_letters::most_requests) +
              " requests for the dead letters of the group are under way",
          "ask again", 100ms};
}

error too_many(std::size_t n) {
  return {errc::invalid_argument,
          std::to_string(n) + " dead letters are asked for; one request takes 1 to " +
              std::to_string(list_dead::most),
          "ask several times"};
}

/// Whether the filter wants a letter. One that cannot be read is wanted by the filter that wants everything.
bool wants(const filter& f, const dead_letter& letter, const stored_batch* batch) {
  if (f.everything())
    return true;
  if (batch == nullptr)
    return false;
  auto reader = batch_reader::open(batch->header, batch->data);
  if (!reader || letter.id.ordinal - batch->first_ordinal >= reader->count())
    return false;
  batched_message subject{*reader};
  // The attempts made: the last failure was that of the last attempt.
  const auto before = static_cast<std::uint16_t>(std::max<int>(letter.attempts, 1) - 1);
  subject.move_to(letter.id.ordinal - batch->first_ordinal, before);
  return f.matches(subject);
}

delivery_segment segment_of(const dead_letter& letter, const stored_batch& b) {
  const auto at = letter.id.ordinal - b.first_ordinal;
  return {.header = b.header,
          .base = b.base,
          .index = b.index,
          .first_ordinal = b.first_ordinal,
          .stored = b.stored,
          .attempts = letter.attempts,
          .from = at,
          .to = at + 1,
          .data = b.data};
}

} // namespace

/// The places of ids behind `after`, sorted, each once; what is in no shard of ours is left out.
std::vector<dead_letters::places> dead_letters::by_shard(const std::vector<message_id>& ids,
                                                         const std::optional<message_id>& after) const {
  std::vector<places> all(ids.empty() ? 0 : ctx_->readers.size());
  for (const auto& id : ids)
    if (id.shard.value < all.size() && (!after || id > *after))
      all[id.shard.value].push_back({id.index, id.ordinal});
  for (auto& some : all) {
    std::ranges::sort(some);
    some.erase(std::ranges::unique(some).begin(), some.end());
  }
  return all;
}

struct dead_letters::page_round {
  list_dead request;
  std::shared_ptr<const filter> wanted;
  /// What to ask next: queues, or (by shard) ids.
  std::vector<queue_id> queues;
  std::vector<places> ids;
  std::size_t at = 0;
  std::optional<message_place> after;
  std::size_t looked_at = 0;
  std::uint64_t read = 0;
  dead_page page;
  std::vector<delivery_segment> segments;
  std::uint64_t bytes = 0;
  caf::typed_response_promise<dead_page> promise;

  bool full() const {
    return page.letters.size() >= request.max || bytes >= page_bytes || looked_at >= most_looked_at ||
           read >= most_read;
  }
};

struct dead_letters::settle_round {
  bool redrive = false;
  dead_settled answer;
  std::size_t missing = 1;
  caf::typed_response_promise<dead_settled> promise;

  void say(const message_id& id, errc code) {
    for (auto& r : answer.results)
      if (r.id == id)
        r.code = code;
  }
};

struct dead_letters::sweep_round {
  std::vector<queue_id> queues;
  std::size_t at = 0;
  std::optional<message_place> after;
  std::uint64_t purged = 0;
};

void dead_letters::init(context_ptr ctx, const group_actor& owner) {
  ctx_ = std::move(ctx);
  owner_ = owner.address();
  self_->monitor(owner);
}

void dead_letters::lost(const caf::down_msg& down) {
  if (down.source == owner_)
    self_->quit(caf::exit_reason::user_shutdown);
}

void dead_letters::follow(dead_scope scope) {
  const bool other = scope.retention != scope_.retention;
  scope_ = std::move(scope);
  if (other && !sweeping_)
    arm();
}

// -- lists
// ------------------------------------------------------------------------------------------------

caf::result<dead_page> dead_letters::list(const list_dead& r) {
  if (requests_ >= most_requests)
    return to_caf(overloaded());
  if (r.max == 0 || r.max > list_dead::most || r.ids.size() > list_dead::most)
    return to_caf(too_many(std::max<std::size_t>(r.max, r.ids.size())));
  auto wanted = parse_filter(r.filter);
  if (!wanted)
    return to_caf(wanted.error());
  auto round = std::make_shared<page_round>();
  bool known = r.topic.empty();
  for (const auto& [id, queue] : scope_.queues) {
    if (!r.topic.empty() && queue.topic != r.topic)
      continue;
    known = true;
    if (r.ids.empty() && id >= r.after.queue)
      round->queues.push_back(id);
  }
  if (!known)
    return to_caf({errc::not_found, "group " + scope_.name + " does not follow topic " + r.topic,
                   "see what it follows with: troupe group describe " + scope_.name});
  if (!round->queues.empty() && round->queues.front() == r.after.queue)
    round->after = message_place{r.after.id.index, r.after.id.ordinal};
  round->ids = by_shard(r.ids, r.after.queue.value == 0 ? std::nullopt : std::optional{r.after.id});
  round->request = r;
  round->wanted = std::move(*wanted);
  round->promise = self_->make_response_promise<dead_page>();
  ++requests_;
  read_page(round);
  return round->promise;
}

/// Asks for the next letters; answers when there are enough, or no others.
void dead_letters::read_page(const std::shared_ptr<page_round>& round) {
  const auto parts = std::max(round->queues.size(), round->ids.size());
  while (round->at < round->ids.size() && round->ids[round->at].empty())
    ++round->at;
  if (round->at >= parts || round->full())
    return end(*round, {});
  dead_request ask{.group = scope_.group, .max = most_rows};
  ask.messages = round->request.messages || !round->wanted->everything();
  auto shard = round->at;
  if (round->ids.empty()) {
    ask.queue = round->queues[round->at];
    ask.after = round->after;
    if (round->wanted->everything())
      ask.max = std::min<std::uint32_t>(most_rows, round->request.max);
    shard = ctx_->shard_of(ask.queue);
  } else {
    ask.ids = round->ids[round->at];
  }
  self_->request(ctx_->readers[shard], reader_timeout, std::move(ask))
      .then(
          [this, round](dead_found& found) {
            add(*round, found);
            read_page(round);
          },
          [this, round](const caf::error& err) { end(*round, err); });
}

/// What is wanted of the letters that were found, and where to go on.
void dead_letters::add(page_round& round, dead_found& found) const {
  std::size_t i = 0;
  for (; i < found.letters.size() && !round.full(); ++i) {
    auto& letter = found.letters[i];
    const auto* batch = i < found.batches.size() && found.batches[i] ? &*found.batches[i] : nullptr;
    const message_place place{letter.id.index, letter.id.ordinal};
    round.after = place;
    round.page.next = {letter.queue, letter.id};
    ++round.looked_at;
    round.read += batch != nullptr ? batch->header.size : 0;
    const auto queue = scope_.queues.find(letter.queue);
    if (queue == scope_.queues.end() || !wants(*round.wanted, letter, batch))
      continue;
    if (!round.request.topic.empty() && queue->second.topic != round.request.topic)
      continue;
    if (round.request.messages && batch != nullptr) {
      round.segments.push_back(segment_of(letter, *batch));
      round.bytes += batch->header.size / std::max(1u, batch->header.count);
    }
    round.page.letters.push_back({letter.id, queue->second.topic, queue->second.at.number, letter.offset,
                                  letter.reason, letter.attempts, to_unix_ms(letter.died),
                                  std::move(letter.detail), round.request.messages && batch != nullptr,
                                  queue->second.at.priority});
  }
  const bool rest = found.more || i < found.letters.size();
  if (!round.ids.empty())
    std::erase_if(round.ids[round.at], [&](const auto& p) { return !rest || p <= *round.after; });
  else if (!rest)
    ++round.at;
  if (!rest)
    round.after.reset();
}

void dead_letters::end(page_round& round, const caf::error& failed) {
  --requests_;
  if (failed) {
    round.promise.deliver(failed);
    return;
  }
  round.page.more = round.at < std::max(round.queues.size(), round.ids.size());
  if (round.request.messages)
    round.page.frame = pack_frame(round.segments);
  round.promise.deliver(std::move(round.page));
}

// -- purge and redrive
// ------------------------------------------------------------------------------------------------

caf::result<dead_settled> dead_letters::settle(const settle_dead& r) {
  if (requests_ >= most_requests)
    return to_caf(overloaded());
  if (r.ids.empty() || r.ids.size() > list_dead::most)
    return to_caf(too_many(r.ids.size()));
  auto round = std::make_shared<settle_round>();
  round->redrive = r.redrive;
  round->promise = self_->make_response_promise<dead_settled>();
  for (const auto& id : r.ids)
    round->answer.results.push_back({id, errc::not_found});
  auto wanted = by_shard(r.ids, std::nullopt);
  ++requests_;
  for (std::size_t shard = 0; shard < wanted.size(); ++shard)
    if (!wanted[shard].empty())
      find(round, shard, std::move(wanted[shard]));
  count(*round);
  return round->promise;
}

/// In which queues they are: what the STORE is told names one.
void dead_letters::find(const std::shared_ptr<settle_round>& round, std::size_t shard, places ids) {
  ++round->missing;
  dead_request ask{.group = scope_.group, .ids = ids, .max = most_rows};
  self_->request(ctx_->readers[shard], reader_timeout, std::move(ask))
      .then(
          [this, round](const dead_found& found) {
            std::map<queue_id, places> by_queue;
            for (const auto& letter : found.letters)
              if (scope_.queues.contains(letter.queue))
                by_queue[letter.queue].push_back({letter.id.index, letter.id.ordinal});
            for (auto& [queue, messages] : by_queue)
              change(round, queue, std::move(messages));
            count(*round);
          },
          [this, round, shard, ids](const caf::error& err) {
            for (const auto& p : ids)
              round->say({shard_id{static_cast<std::uint16_t>(shard)}, p.index, p.ordinal},
                         from_caf(err).code);
            count(*round);
          });
}

void dead_letters::change(const std::shared_ptr<settle_round>& round, queue_id queue, places messages) {
  std::ranges::sort(messages);
  ++round->missing;
  const auto shard = ctx_->shard_of(queue);
  const auto id_of = [shard](const message_place& p) {
    return message_id{shard_id{static_cast<std::uint16_t>(shard)}, p.index, p.ordinal};
  };
  entry_body body = purge_entry{scope_.group, queue, messages};
  if (round->redrive)
    body = redrive_entry{scope_.group, queue, messages};
  self_->request(ctx_->stores[shard], store_timeout, propose_request{std::move(body)})
      .then(
          [this, round, queue, messages, id_of](const applied& done) {
            for (std::size_t i = 0; i < messages.size(); ++i)
              if (i < done.found.size() && done.found[i])
                round->say(id_of(messages[i]), errc::none);
            if (round->redrive)
              tell_queue(queue, done.next);
            count(*round);
          },
          [this, round, queue, messages, id_of](const caf::error& err) {
            for (const auto& p : messages)
              round->say(id_of(p), from_caf(err).code);
            if (round->redrive && from_caf(err).code == errc::timeout)
              return make_sure(round, queue, messages);
            count(*round);
          });
}

/// The STORE took too long to answer, and may still do it: then nobody would tell the QUEUE. The same once
/// more, which comes behind the first, changes nothing that is done and says where the queue ends. The round
/// is not over before, so that there are not many of these.
void dead_letters::make_sure(const std::shared_ptr<settle_round>& round, queue_id queue, places messages) {
  propose_request again{redrive_entry{scope_.group, queue, messages}};
  self_->request(ctx_->stores[ctx_->shard_of(queue)], store_timeout, std::move(again))
      .then(
          [this, round, queue](const applied& done) {
            tell_queue(queue, done.next);
            count(*round);
          },
          [this, round, queue, messages](const caf::error& err) {
            if (from_caf(err).code == errc::timeout)
              return make_sure(round, queue, messages);
            count(*round);
          });
}

void dead_letters::count(settle_round& round) {
  if (--round.missing > 0)
    return;
  --requests_;
  round.promise.deliver(std::move(round.answer));
}

/// What is visible again stands at the queue's end; the STORE knows no QUEUE that it did not hear from. One
/// that does not run finds it when it starts.
void dead_letters::tell_queue(queue_id queue, queue_offset next) {
  const auto found = scope_.queues.find(queue);
  if (found == scope_.queues.end())
    return;
  self_
      ->request(found->second.owner, topic_timeout,
                queue_request{found->second.at.number, found->second.at.priority})
      .then(
          [this, queue, next](const queue_handle& h) {
            self_->send(h.queue, visible{.queue = queue, .batches = {}, .next = next});
          },
          [this, queue](const caf::error& err) {
            log(ctx_->log, {log_level::warning,
                            name,
                            "queue_not_told",
                            "redriven messages wait until something else is published to their queue: " +
                                to_string(from_caf(err)),
                            {{"group", scope_.name}, {"queue", std::to_string(queue.value)}}});
          });
}

// -- retention
// ------------------------------------------------------------------------------------------------

void dead_letters::arm() {
  ++timer_;
  if (scope_.retention > 0ms)
    self_->delayed_send(self_, sweep_interval(scope_.retention), dead_sweep_atom::value, timer_);
}

void dead_letters::sweep(std::uint64_t timer) {
  if (timer != timer_ || sweeping_)
    return;
  if (!ctx_->clock->trusted(self_->clock().now()))
    return arm();
  sweeping_ = true;
  auto round = std::make_shared<sweep_round>();
  for (const auto& [id, queue] : scope_.queues)
    round->queues.push_back(id);
  sweep_on(round);
}

void dead_letters::sweep_on(const std::shared_ptr<sweep_round>& round) {
  if (round->at == round->queues.size()) {
    sweeping_ = false;
    if (round->purged > 0)
      log(ctx_->log, {log_level::info,
                      name,
                      "expired",
                      std::to_string(round->purged) + " dead letters were kept long enough and are gone",
                      {{"group", scope_.name}}});
    return arm();
  }
  dead_request ask{.group = scope_.group, .queue = round->queues[round->at], .after = round->after};
  ask.max = most_rows;
  self_->request(ctx_->readers[ctx_->shard_of(ask.queue)], reader_timeout, std::move(ask))
      .then([this, round](dead_found& found) { purge_old(round, found); },
            [this, round](const caf::error&) {
              // The next sweep looks again.
              round->at = round->queues.size();
              sweep_on(round);
            });
}

void dead_letters::purge_old(const std::shared_ptr<sweep_round>& round, dead_found& found) {
  const auto queue = round->queues[round->at];
  const auto kept_since = ctx_->now() - scope_.retention;
  places old;
  for (const auto& letter : found.letters)
    if (scope_.retention > 0ms && letter.died <= kept_since)
      old.push_back({letter.id.index, letter.id.ordinal});
  if (found.more) {
    const auto& last = found.letters.back().id;
    round->after = message_place{last.index, last.ordinal};
  } else {
    ++round->at;
    round->after.reset();
  }
  if (old.empty())
    return sweep_on(round);
  round->purged += old.size();
  self_
      ->request(ctx_->stores[ctx_->shard_of(queue)], store_timeout,
                propose_request{purge_entry{scope_.group, queue, std::move(old)}})
      .then([this, round](const applied&) { sweep_on(round); },
            [this, round](const caf::error&) {
              round->at = round->queues.size();
              sweep_on(round);
            });
}

namespace {

dead_letter_impl::behavior_type dead_letter_behavior(dead_letter_impl::stateful_pointer<dead_letters> self,
                                                     context_ptr ctx, const group_actor& owner) {
  ignore_strangers(self);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.lost(down); });
  self->state.init(std::move(ctx), owner);
  const auto inside = [self](auto handle) {
    if (from_here(self))
      handle(self->state);
  };
  return {
      [self](const list_dead& r) { return self->state.list(r); },
      [self](const settle_dead& r) { return self->state.settle(r); },
      [=](dead_scope& scope) { inside([&](auto& s) { s.follow(std::move(scope)); }); },
      [=](dead_sweep_atom, std::uint64_t timer) { inside([&](auto& s) { s.sweep(timer); }); },
  };
}

} // namespace

dead_letter_actor spawn_dead_letters(caf::actor_system& sys, context_ptr ctx, group_actor owner) {
  return sys.spawn(dead_letter_behavior, std::move(ctx), std::move(owner));
}

} // namespace troupe
