#include "reader.hpp"

#include "messaging.hpp"

#include <caf/actor_system.hpp>
#include <caf/spawn_options.hpp>

#include <algorithm>
#include <exception>

namespace troupe {

namespace {

/// Runs a read; what it throws (no memory, say) fails this read, not the READER.
template <class T, class F> result<T> guarded(F&& read) {
  try {
    return read();
  } catch (const std::exception& e) {
    return error{errc::internal, std::string{"a read failed: "} + e.what(), "try again"};
  }
}

template <class T> caf::result<T> to_reply(result<T> r) {
  if (!r)
    return to_caf(r.error());
  return std::move(*r);
}

} // namespace

void fetch_queue::add(fetch f) {
  auto& line = waiting_[f.queue];
  if (line.empty())
    turn_.push_back(f.queue);
  line.push_back(std::move(f));
}

fetch fetch_queue::take() {
  const auto queue = turn_.front();
  turn_.pop_front();
  auto it = waiting_.find(queue);
  auto f = std::move(it->second.front());
  it->second.pop_front();
  if (it->second.empty())
    waiting_.erase(it);
  else
    turn_.push_back(queue);
  return f;
}

void reader_state::add(fetch& f) {
  if (waiting_.empty())
    self_->send(self_, slice_atom::value);
  waiting_.add(std::move(f));
}

void reader_state::read_slice() {
  const auto f = waiting_.take();
  tell(self_, f.reply_to, read(f));
  if (!waiting_.empty())
    self_->send(self_, slice_atom::value);
}

fetched reader_state::read(const fetch& f) const {
  auto found =
      guarded<read_result>([&] { return data_->read(f.queue, f.from, std::min(f.max_bytes, slice_bytes)); });
  if (!found)
    return {.queue = f.queue, .tag = f.tag, .next = f.from, .failed = found.error()};
  return {.queue = f.queue,
          .tag = f.tag,
          .batches = std::move(found->batches),
          .next = found->next,
          .damaged = std::move(found->damaged)};
}

caf::result<found_message> reader_state::find(const get_message& g) const {
  return to_reply(guarded<found_message>([&]() -> result<found_message> {
    queue_id queue;
    auto b = data_->find(g.id, &queue);
    if (!b)
      return b.error();
    return found_message{.number = queue.value,
                         .header = b->header,
                         .base = b->base,
                         .index = b->index,
                         .first_ordinal = b->first_ordinal,
                         .stored = to_unix_ms(b->stored),
                         .data = std::move(b->data),
                         .waits = b->waits};
  }));
}

caf::result<queue_extents> reader_state::extents(const extents_request& r) const {
  return to_reply(guarded<queue_extents>([&]() -> result<queue_extents> {
    queue_extents answer;
    for (auto id : r.queues) {
      auto x = data_->extent(id);
      if (!x)
        return x.error();
      answer.extents.push_back(*x);
    }
    return answer;
  }));
}

caf::result<dead_found> reader_state::dead(const dead_request& r) const {
  return to_reply(guarded<dead_found>([&]() -> result<dead_found> {
    auto found = r.ids.empty() ? dead_of_queue(r) : dead_by_id(r);
    if (found && r.messages)
      add_batches(*found);
    return found;
  }));
}

result<dead_found> reader_state::dead_of_queue(const dead_request& r) const {
  auto letters = data_->dead_letters(r.queue, r.group, r.after, r.max);
  if (!letters)
    return letters.error();
  const bool full = letters->size() == r.max;
  return dead_found{.letters = std::move(*letters), .batches = {}, .more = full};
}

result<dead_found> reader_state::dead_by_id(const dead_request& r) const {
  dead_found found;
  for (const auto& id : r.ids) {
    auto queue = data_->origin(id);
    if (!queue)
      return queue.error();
    if (!*queue)
      continue;
    auto letter = data_->find_dead_letter(**queue, r.group, id);
    if (!letter)
      return letter.error();
    if (*letter)
      found.letters.push_back(std::move(**letter));
  }
  return found;
}

/// The first one however large, then as many as a slice holds.
void reader_state::add_batches(dead_found& found) const {
  std::uint64_t bytes = 0;
  for (const auto& letter : found.letters) {
    auto batch = data_->find(letter.id);
    bytes += batch ? batch->header.size : 0;
    if (!found.batches.empty() && bytes > slice_bytes) {
      found.letters.resize(found.batches.size());
      found.more = true;
      return;
    }
    if (batch)
      found.batches.emplace_back(std::move(*batch));
    else
      found.batches.emplace_back();
  }
}

caf::result<delayed_found> reader_state::delayed(const delayed_request& r) const {
  return to_reply(guarded<delayed_found>([&]() -> result<delayed_found> {
    auto found = data_->delayed(r.queues, r.after, r.max);
    if (!found)
      return found.error();
    return delayed_found{std::move(*found)};
  }));
}

reader_impl::behavior_type reader(reader_impl::stateful_pointer<reader_state> self,
                                  std::shared_ptr<shard> data) {
  ignore_strangers(self);
  self->state.init(std::move(data));
  return {
      [self](fetch& f) { self->state.add(f); },
      [self](const get_message& g) { return self->state.find(g); },
      [self](const extents_request& r) { return self->state.extents(r); },
      [self](const dead_request& r) { return self->state.dead(r); },
      [self](const delayed_request& r) { return self->state.delayed(r); },
      [self](slice_atom) {
        if (from_here(self))
          self->state.read_slice();
      },
  };
}

reader_actor spawn_reader(caf::actor_system& sys, std::shared_ptr<shard> data) {
  return sys.spawn<caf::detached>(reader, std::move(data));
}

} // namespace troupe
