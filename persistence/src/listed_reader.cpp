#include "listed_reader.hpp"

#include "rows.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

namespace troupe {

namespace {

/// A block that refers to bytes of the map: must not outlive the transaction.
block in_place(std::span<const char> bytes) {
  return {std::shared_ptr<const char>(std::shared_ptr<void>(), bytes.data()),
          static_cast<std::uint32_t>(bytes.size())};
}

error damaged(const char* why) { return {errc::corrupt, why}; }

/// To open a batch is to look through it, which is some 30 times as fast as to deliver it.
constexpr std::uint64_t looking_through = 32;

/// Messages of an entry whose size is looked up; the others have about the same.
constexpr std::size_t sizes_looked_up = 64;

} // namespace

result<listing> view_listing(queue_id queue, const queue_run& run, std::span<const char> entry) {
  auto header = decode_header(entry);
  if (!header)
    return header.error();
  const bool lists = header->kind == entry_kind::redrive || header->kind == entry_kind::fire ||
                     header->kind == entry_kind::transaction;
  if (!lists || header->index != run.index)
    return damaged("the queue's index points at an entry of another kind or index");
  auto body = decode_body(*header, in_place(entry));
  if (!body)
    return body.error();
  listing found{*header, {}, {}};
  queue_id owner;
  if (auto* fire = std::get_if<fire_entry>(&*body)) {
    owner = fire->queue;
    found.messages = std::move(fire->messages);
    found.bytes += fire->message_bytes;
    found.fired = true;
  } else if (auto* decide = std::get_if<decide_entry>(&*body)) {
    const auto some = std::ranges::lower_bound(decide->queues, queue, {}, &decided_messages::queue);
    if (some != decide->queues.end() && decide->commit) {
      owner = some->queue;
      found.messages = std::move(some->messages);
      found.bytes += some->message_bytes;
    }
    found.fired = true;
  } else if (auto* redrive = std::get_if<redrive_entry>(&*body)) {
    owner = redrive->queue;
    found.only_for = redrive->group;
    found.messages = std::move(redrive->messages);
  }
  if (owner != queue || std::uint64_t{run.first_ordinal} + run.count > found.messages.size())
    return damaged("the queue's index and the list that it points at differ");
  return found;
}

result<message_reader::entry*> message_reader::open_entry(queue_id queue, log_index index) {
  auto known = entries_.find(index);
  if (known == entries_.end()) {
    const auto bytes = txn_.get(tables_.log, key_of(index));
    if (!bytes)
      return damaged("the entry of a message is missing");
    const auto header = decode_header(*bytes);
    if (!header)
      return header.error();
    if (header->kind != entry_kind::append || header->index != index)
      return damaged("the entry of a message is of another kind or index");
    const auto places = decode_directory(*header, *bytes);
    if (!places)
      return places.error();
    if (entries_.size() >= most_entries || slots_ + places->size() > most_slots) {
      entries_.clear();
      slots_ = 0;
    }
    slots_ += places->size();
    known = entries_.emplace(index, entry{*header, *bytes, {}}).first;
    known->second.slots.reserve(places->size());
    for (const auto& place : *places)
      known->second.slots.push_back({place, {}});
  }
  if (known->second.header.queue != queue)
    return damaged("the entry of a message is another queue's");
  return &known->second;
}

result<message_reader::slot*> message_reader::find(queue_id queue, message_place at) {
  const auto opened = open_entry(queue, at.index);
  if (!opened)
    return opened.error();
  auto& slots = (*opened)->slots;
  // The last that does not begin behind it, of those with messages: empty batches begin where the next one
  // does.
  auto found =
      std::ranges::upper_bound(slots, at.ordinal, {}, [](const slot& s) { return s.place.first_ordinal; });
  while (found != slots.begin() && std::prev(found)->place.header.count == 0)
    --found;
  if (found == slots.begin() ||
      at.ordinal - std::prev(found)->place.first_ordinal >= std::prev(found)->place.header.count)
    return damaged("the entry of a message does not hold it");
  return &*std::prev(found);
}

result<message_reader::slot*> message_reader::open(queue_id queue, message_place at) {
  const auto found = find(queue, at);
  if (!found)
    return found.error();
  auto& [place, batch] = **found;
  if (!batch) {
    opened_ += place.header.size;
    const auto bytes = entries_.find(at.index)->second.bytes;
    auto opened = batch_reader::open(place.header, in_place(bytes.subspan(place.at, place.header.size)));
    if (!opened)
      return std::move(opened).error();
    batch = *std::move(opened);
  }
  return *found;
}

error message_reader::check(queue_id queue, message_place at) {
  const auto found = open(queue, at);
  return found ? error{} : found.error();
}

result<timestamp> message_reader::due(queue_id queue, message_place at) {
  const auto found = open(queue, at);
  if (!found)
    return found.error();
  const auto& [place, batch] = **found;
  if (place.header.kind != batch_kind::delayed)
    return damaged("the message was not delayed");
  return batch->due(at.ordinal - place.first_ordinal);
}

std::uint32_t message_reader::mean_size(queue_id queue, message_place at) {
  const auto found = find(queue, at);
  return found ? (*found)->place.header.size / (*found)->place.header.count : 0;
}

std::uint32_t message_reader::mean_size(queue_id queue, std::span<const message_place> some) {
  const auto step = (some.size() + sizes_looked_up - 1) / sizes_looked_up;
  std::uint64_t bytes = 0, looked_up = 0;
  for (std::size_t i = 0; i < some.size(); i += step, ++looked_up)
    bytes += mean_size(queue, some[i]);
  return static_cast<std::uint32_t>(bytes / looked_up);
}

error message_reader::check_half(queue_id queue, message_place at, const half_of& whose) {
  const auto found = open(queue, at);
  if (!found)
    return found.error();
  const auto& [place, batch] = **found;
  if (place.header.kind != batch_kind::transactional)
    return damaged("the message was no half message");
  if (batch->half() != half_view{whose.group, whose.transaction})
    return damaged("the message was another group's, or of another transaction");
  return {};
}

result<stored_batch> message_reader::read(queue_id queue, std::span<const message_place> messages,
                                          std::uint64_t max_bytes) {
  const auto at = messages.front();
  const auto found = open(queue, at);
  if (!found)
    return found.error();
  const auto& [place, batch] = **found;
  const auto first = at.ordinal - place.first_ordinal;
  // How many follow.
  std::uint32_t n = 1;
  while (n < messages.size() && first + n < place.header.count && messages[n].index == at.index &&
         messages[n].ordinal == at.ordinal + n)
    ++n;
  const auto& header = entries_.find(at.index)->second.header;
  stored_batch out{place.header, {}, at.index, at.ordinal, header.time, {}};
  if (n == place.header.count && place.header.size <= max_bytes) {
    out.data = block::copy_of(batch->data().bytes());
    return out;
  }
  batch_builder builder;
  for (std::uint32_t i = 0; i < n && (builder.empty() || builder.size() < max_bytes); ++i)
    builder.add(batch->at(first + i));
  auto some =
      place.header.kind == batch_kind::transactional ? builder.finish(batch->half()) : builder.finish();
  out.data = std::move(some.data);
  out.header.count = some.header.count;
  out.header.size = some.header.size;
  out.header.crc = some.header.crc;
  return out;
}

std::uint64_t read_listed(message_reader& messages, const stored_run& at, queue_offset from,
                          std::uint64_t max_bytes, read_result& out) {
  const auto& [shard, queue, run, entry] = at;
  auto lost = [&, &shard = shard, &queue = queue, &run = run](queue_offset first, queue_offset next,
                                                              const error& err) {
    out.damaged.push_back({shard, run.index, queue, first, next, err.reason});
  };
  const auto list = view_listing(queue, run, entry);
  if (!list) {
    lost(std::max(run.base, from), run.next(), list.error());
    out.next = run.next();
    return listed_bytes;
  }
  const auto before = messages.opened();
  const auto looked = [&] { return (messages.opened() - before) / looking_through; };
  const auto places = std::span(list->messages).subspan(run.first_ordinal, run.count);
  std::uint64_t bytes = 0;
  for (auto offset = std::max(run.base, from); offset < run.next();) {
    if (bytes && std::max(bytes, looked()) >= max_bytes)
      break;
    auto wanted = places.subspan(offset.value - run.base.value);
    if (!list->fired)
      wanted = wanted.first(1);
    auto some = messages.read(queue, wanted, max_bytes - std::min(bytes, max_bytes));
    queue_offset next{offset.value + (some ? some->header.count : 1)};
    if (!some) {
      lost(offset, next, some.error());
      bytes += listed_bytes;
    } else if (!out.batches.empty() && bytes + some->header.size > max_bytes) {
      break;
    } else {
      bytes += some->header.size;
      some->base = offset;
      some->only_for = list->only_for;
      out.batches.push_back(*std::move(some));
    }
    out.next = offset = next;
  }
  return std::max<std::uint64_t>({bytes, looked(), 1});
}

} // namespace troupe
