#include "listed_reader.hpp"

#include "rows.hpp"

#include <algorithm>
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

} // namespace

result<listing> view_listing(queue_id queue, const queue_run& run, std::span<const char> entry) {
  auto header = decode_header(entry);
  if (!header)
    return header.error();
  if (header->kind != entry_kind::redrive || header->index != run.index)
    return damaged("the queue's index points at an entry of another kind or index");
  auto body = decode_body(*header, in_place(entry));
  if (!body)
    return body.error();
  auto& redrive = std::get<redrive_entry>(*body);
  if (redrive.queue != queue || std::uint64_t{run.first_ordinal} + run.count > redrive.messages.size())
    return damaged("the queue's index and the list that it points at differ");
  return listing{*header, redrive.group, std::move(redrive.messages)};
}

error message_reader::open_entry(queue_id queue, log_index index) {
  if (header_ && header_->index == index && header_->queue == queue)
    return {};
  header_.reset();
  batch_.reset();
  place_ = nullptr;
  const auto entry = txn_.get(tables_.log, key_of(index));
  if (!entry)
    return damaged("the entry of a message is missing");
  const auto header = decode_header(*entry);
  if (!header)
    return header.error();
  if (header->kind != entry_kind::append || header->index != index || header->queue != queue)
    return damaged("the entry of a message is of another kind, index or queue");
  auto places = decode_directory(*header, *entry);
  if (!places)
    return places.error();
  places_ = *std::move(places);
  bytes_ = *entry;
  header_ = *header;
  return {};
}

error message_reader::open_batch(queue_id queue, message_place at) {
  if (auto err = open_entry(queue, at.index))
    return err;
  const auto place = std::ranges::find_if(places_, [&](const batch_place& p) {
    return at.ordinal >= p.first_ordinal && at.ordinal - p.first_ordinal < p.header.count;
  });
  if (place == places_.end())
    return damaged("the entry of a message does not hold it");
  if (place_ == &*place)
    return {};
  place_ = nullptr;
  opened_ += place->header.size;
  auto opened = batch_reader::open(place->header, in_place(bytes_.subspan(place->at, place->header.size)));
  if (!opened)
    return std::move(opened).error();
  batch_ = *std::move(opened);
  place_ = &*place;
  return {};
}

error message_reader::check(queue_id queue, message_place at) { return open_batch(queue, at); }

result<stored_batch> message_reader::read(queue_id queue, message_place at) {
  if (auto err = open_batch(queue, at))
    return err;
  batch_builder builder;
  builder.add(batch_->at(at.ordinal - place_->first_ordinal));
  auto alone = builder.finish();
  stored_batch found{place_->header, {}, at.index, at.ordinal, header_->time, std::move(alone.data)};
  found.header.count = alone.header.count;
  found.header.size = alone.header.size;
  found.header.crc = alone.header.crc;
  return found;
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
  std::uint64_t bytes = 0;
  for (auto offset = std::max(run.base, from); offset < run.next(); ++offset.value) {
    if (bytes && std::max(bytes, messages.opened() - before) >= max_bytes)
      break;
    auto message = messages.read(queue, list->messages[run.first_ordinal + (offset.value - run.base.value)]);
    if (!message) {
      lost(offset, queue_offset{offset.value + 1}, message.error());
      bytes += listed_bytes;
    } else if (!out.batches.empty() && bytes + message->header.size > max_bytes) {
      break;
    } else {
      bytes += message->header.size;
      message->base = offset;
      message->only_for = list->only_for;
      out.batches.push_back(*std::move(message));
    }
    out.next = queue_offset{offset.value + 1};
  }
  return std::max<std::uint64_t>({bytes, messages.opened() - before, 1});
}

} // namespace troupe
